"""What stdout is: a terminal or not, how wide, whether it has colours, and whether anybody still reads it."""

import errno
import os
import select
import shutil
import sys
from typing import TextIO


def width() -> int | None:
    """Columns of the terminal, None when stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def has_colours() -> bool:
    """https://no-color.org: set and not empty means none."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Out:
    """A stream without its buffer: a signal ends a write that a stopped terminal blocks, and none is left to do."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """stdout, when no stream is given."""
        stream = stream or sys.stdout
        stream.flush()
        self._file = stream.fileno()
        self._is_terminal = stream.isatty()
        self._encoding = stream.encoding or "utf-8"
        self._poll = select.poll()
        self._poll.register(self._file, 0)

    def line(self, text: str) -> None:
        self.write(text + "\n")

    def write(self, text: str) -> None:
        """Waits for as long as the reader takes. Raises BrokenPipeError when there is none any more."""
        left = memoryview(text.encode(self._encoding, "replace"))
        while left:
            try:
                left = left[os.write(self._file, left) :]
            except OSError as error:
                if error.errno == errno.EIO and self._is_terminal:
                    raise BrokenPipeError from error  # a terminal that was hung up
                raise

    def pause(self, seconds: float) -> None:
        """Wait. Raises BrokenPipeError as soon as the reader is gone."""
        if self._poll.poll(seconds * 1_000):
            raise BrokenPipeError

    @property
    def has_room(self) -> bool:
        """Whether a line can be written without waiting."""
        poll = select.poll()
        poll.register(self._file, select.POLLOUT)
        return any(event & select.POLLOUT for _, event in poll.poll(0))
