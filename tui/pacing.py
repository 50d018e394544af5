"""One frame at a time: while the terminal has not taken the last one nothing is drawn, and then only the newest.

Of that a slow one gets what it takes in a quarter of a second, first where keys are answered, the rest with the frames
after it. A link of 10 kB/s is answered within a second this way: keys never wait behind what nobody will see.
"""

import asyncio
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from rich.console import RenderableType
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen

from tui.driver import MeteredDriver

MUCH_SECONDS = 1.0
ALLOWED_SHARE = 0.2
BLOCKED_SECONDS = 0.1
STALL_SECONDS = 5.0  # whoever stopped the output says nothing of its speed
USED_SHARE = 0.5
FRAME_SECONDS = 0.25  # one is on its way when a key comes, and what that does is in the next
SLOWEST = 2_000.0  # a stall may look slower than any link is
AT_ONCE = 4_096  # what a terminal's buffer takes before anybody waits for it
DOUBLING_SECONDS = 120.0, 960.0


@dataclass
class Backpressure:
    """How fast the terminal is, as far as it has been noticed. Times are monotonic seconds, sizes characters.

    What lies between us and it can hold seconds of output, and says no word before it is full. So once it was, no more
    than half of what passed then is sent, and what lies there drains away. Whether it has become faster only shows by
    sending more, until it is full again: after every time that it was not faster that is tried more slowly.

    A little that was not taken at once says so only if what came before it was not either: it may have been a stall.
    """

    rate: float = float("inf")
    _doubling: float = DOUBLING_SECONDS[0]
    _waited: float = 0.0
    _at: float = 0.0
    _was_full: bool = False

    def note(self, size: int, seconds: float, now: float) -> float:
        """A frame of that size was taken within so many seconds; for how many the next one should wait."""
        is_full = BLOCKED_SECONDS < seconds < STALL_SECONDS
        if is_full and (size > AT_ONCE or self._was_full):
            self.rate = max(SLOWEST, max(size - AT_ONCE, size / 2) / seconds)
            self._doubling = min(2 * self._doubling, DOUBLING_SECONDS[1])
        elif not is_full:
            self.rate *= 2.0 ** (min(now - self._at, MUCH_SECONDS) / self._doubling)
        self._was_full = is_full
        rest = max(0.0, min(MUCH_SECONDS / 2, size / (USED_SHARE * self.rate) - seconds))
        # Forgiven is what passes while it keeps nobody waiting.
        free = max(0.0, now - self._at - seconds)
        self._waited = max(0.0, self._waited - ALLOWED_SHARE * free) + min(seconds + rest, MUCH_SECONDS / 2)
        self._at = now
        return rest

    @property
    def frame(self) -> float:
        """How many characters a frame may have, infinite until it was slow once."""
        return self.rate * FRAME_SECONDS

    @property
    def is_slow(self) -> bool:
        """Whether it keeps us waiting for much of the time. A single stall is none: somebody stopped the output."""
        return self._waited > MUCH_SECONDS


class PacedApp(App[int], inherit_bindings=False):
    """An app that waits for its terminal."""

    _terminal: MeteredDriver | None = None
    _drawn_at: float | None = None
    _frame_size = 0
    _is_held = False
    _has_skipped = False

    def __init__(self) -> None:
        super().__init__()
        self.backpressure = Backpressure()

    def get_driver_class(self) -> type[Driver]:
        chosen = super().get_driver_class()
        return MeteredDriver if chosen is LinuxDriver else chosen

    def terminal_is_slow(self) -> None:
        """It keeps us waiting, now or still."""

    def urgent_lines(self) -> Container[int]:
        """Where keys are answered: shown first, where a frame is too much for the terminal."""
        return ()

    def forget_shown(self) -> None:
        """Whatever is drawn next is sent in full."""
        if terminal := self._metered():
            terminal.glass.clear()

    def on_resize(self) -> None:
        self.forget_shown()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        terminal = self._metered()
        if terminal is None or renderable is None:
            super()._display(screen, renderable)
        elif self._is_held:
            self._has_skipped = True
        else:
            self._frame_size = -terminal.meter.promised
            super()._display(screen, terminal.glass.less(renderable, self.backpressure.frame, self.urgent_lines()))
            self._frame_size += terminal.meter.promised
            self._has_skipped = terminal.glass.is_behind
            self._wait_for(terminal)

    def _metered(self) -> MeteredDriver | None:
        """The terminal, told whom to call; None where there is none."""
        if self._terminal is None and isinstance(self._driver, MeteredDriver):
            self._terminal = self._driver
            self._terminal.meter.when_even = self._terminal_is_even
        return self._terminal

    def _wait_for(self, terminal: MeteredDriver) -> None:
        # Set before looking: the other thread asks for it when it has written the last of it.
        self._drawn_at = monotonic()
        self._is_held = True
        self._begin_batch()
        if terminal.meter.is_even:
            self._terminal_is_even()

    def _terminal_is_even(self) -> None:
        """On the thread that writes, or on ours when that was faster: we may be busy until we hear of it."""
        loop = self._loop
        with suppress(RuntimeError):  # the loop has ended meanwhile
            if loop is not None and self._drawn_at is not None:
                loop.call_soon_threadsafe(self._was_taken, monotonic())

    def _was_taken(self, at: float) -> None:
        """`at` may be of the frame before."""
        if self._drawn_at is None or at < self._drawn_at or (self._terminal and not self._terminal.meter.is_even):
            return
        rest = self.backpressure.note(self._frame_size, at - self._drawn_at, at)
        self._drawn_at = None
        if self.backpressure.is_slow:
            self.terminal_is_slow()
        # No timer of Textual's: what the other thread calls has no app to find one by.
        asyncio.get_running_loop().call_later(rest, self._go_on)

    def _go_on(self) -> None:
        if not self.is_running:  # it ends, and its screens are gone
            return
        self._is_held = False
        self._end_batch()
        if self._has_skipped:
            self._has_skipped = False
            self.screen.refresh()
        self.screen.check_idle()
