"""The way to the terminal, which knows how far the terminal has got: nothing queues up before one that is slow."""

from collections.abc import Callable
from typing import IO, Any, cast

from textual.drivers.linux_driver import LinuxDriver

from tui.glass import Glass


class Meter:
    """A file that counts what it was promised and what it has passed on, and tells when nothing is left.

    `promise` is called by who hands out text, everything else by the thread that writes it.
    """

    def __init__(self, file: IO[str]) -> None:
        self.when_even: Callable[[], object] = lambda: None
        self._file = file
        self.promised = 0
        self._taken = 0
        self._passed_on = 0

    @property
    def is_even(self) -> bool:
        return self._passed_on == self.promised

    def promise(self, length: int) -> None:
        self.promised += length

    def write(self, text: str) -> int:
        self._taken += len(text)
        return self._file.write(text)

    def flush(self) -> None:
        self._file.flush()
        self._passed_on = self._taken
        if self.is_even:
            self.when_even()

    def fileno(self) -> int:
        return self._file.fileno()


class MeteredDriver(LinuxDriver):
    """Textual's own, with a meter before the terminal and what it shows."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.meter = Meter(cast("IO[str]", self._file))
        self.glass = Glass()
        self._file = cast("Any", self.meter)

    def start_application_mode(self) -> None:
        self.glass.clear()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def write(self, data: str) -> None:
        self.meter.promise(len(data))
        super().write(data)
