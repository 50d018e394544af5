"""The dashboard application: feeds the desk, paces the screens, turns keys into what they mean."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

from rich.text import Text
from textual import events
from textual.screen import Screen
from textual.timer import Timer

from core.events import Message
from core.text import clean
from tui import themes
from tui.client import Connect, EngineLink, FleetWatch, ReadFleet
from tui.desk import Clock, DashboardOptions, Desk
from tui.operator import OperatorApp
from tui.screens.overview import OverviewScreen
from tui.state import Link, OtherJob
from tui.terminal import leaving_in_order, require_terminal, speaks_unicode

SOONEST = 0.001  # Textual divides by the delay of a timer

__all__ = ["DashboardOptions", "Outcome", "run_dashboard"]


class Outcome(int):
    """The exit code, and whether the operator chose to stop the engine (it has been told)."""

    engine_stopped = False


class Dashboard(OperatorApp):
    """Nothing is redrawn more often than the refresh rate allows, and nothing when nothing changed."""

    CSS_PATH = Path(__file__).with_name("app.tcss")
    TITLE = "Tapewatch"
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        connect: Connect,
        options: DashboardOptions,
        clock: Clock | None = None,
        fleet: ReadFleet | None = None,
        *,
        by_hand: bool = False,
        link: Callable[..., EngineLink] = EngineLink,
    ) -> None:
        """`fleet` where other engines work on the database too. `by_hand`: no timers; a test says `flush()`."""
        super().__init__()
        self.animation_level = "none"
        self.desk = Desk(options, clock or Clock())
        self.link = link(connect, self, self.desk.clock.monotonic)
        self.failure = ""
        self._fleet = fleet and FleetWatch(fleet, partial(self.call_later, self.fleet_changed))
        self._by_hand = by_hand
        self._timer: Timer | None = None
        self._painted_at = float("-inf")
        for theme in themes.THEMES.values():
            self.register_theme(theme)
        self.theme = themes.theme_named(options.theme).name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(themes.DARK.variables)

    def get_default_screen(self) -> Screen[Any]:
        return OverviewScreen(self.desk)

    def on_mount(self) -> None:
        self.run_worker(self.link.run(), name="engine link", exit_on_error=True)
        if not self._by_hand:
            self.set_interval(1.0, self._beat)
        if self._fleet is not None:
            self._fleet.start()

    def on_unmount(self) -> None:
        if self._fleet is not None:
            self._fleet.stop()

    def heard(self, message: Message) -> None:
        self.desk.receive(message)
        self._schedule()

    def link_changed(self, link: Link) -> None:
        self.desk.link_changed(link)
        self._schedule()

    def fleet_changed(self, jobs: Sequence[OtherJob], trouble: str) -> None:
        self.desk.fleet_changed(jobs, trouble)
        self._schedule()

    def flush(self) -> None:
        """Fold what came in and paint what changed."""
        self._timer = None
        started = process_time()
        self.desk.fold()
        self.repaint()
        if not self._by_hand:
            self.desk.note_cost(process_time() - started)

    def repaint(self) -> None:
        self._painted_at = self.desk.clock.monotonic()
        super().repaint()

    def on_app_blur(self, _event: events.AppBlur) -> None:
        self.desk.blurred = True

    def on_app_focus(self, _event: events.AppFocus) -> None:
        self.desk.blurred = False
        self._schedule()

    def _schedule(self) -> None:
        if self._by_hand or self._timer is not None:
            return
        due = self._painted_at + self.desk.interval - self.desk.clock.monotonic()
        self._timer = self.set_timer(max(SOONEST, due), self.flush)

    def _beat(self) -> None:
        """Once a second, for the clock and for ages, unless something was painted just now."""
        if self.desk.clock.monotonic() - self._painted_at >= 0.9:
            self.repaint()

    def _fatal_error(self) -> None:
        """One line instead of a traceback with locals: those may hold secrets."""
        self.failure = describe_failure(sys.exc_info()[1])
        self._exit_renderables.append(Text(self.failure))
        self._close_messages_no_wait()


def describe_failure(error: BaseException | None) -> str:
    """Where and why the dashboard broke, in one line."""
    place = ""
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        code = trace.tb_frame.f_code
        if "/tui/" in code.co_filename:
            place = f" in {Path(code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    name = type(error).__name__ if error is not None else "error"
    words = clean(f"{name}: {error}", 200)
    return f"tapewatch: the dashboard failed{place} ({words}); the engine works on"


def run_dashboard(connect: Connect, options: DashboardOptions, fleet: ReadFleet | None = None) -> Outcome:
    """Show the dashboard until the operator leaves it; see `Outcome` for what it returns.

    0 normally, 143 or 129 after SIGTERM or SIGHUP, 3 when it broke (said on stderr). Raises ConfigError
    without a usable terminal or for an unknown theme.
    """
    require_terminal()
    themes.theme_named(options.theme)
    if not options.ascii and not speaks_unicode():
        options = replace(options, ascii=True)
    app = Dashboard(connect, options, fleet=fleet)
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        app.leave_from_signal()

    with leaving_in_order(leave):
        app.run(mouse=options.mouse)
    outcome = Outcome(codes[0] if codes else 3 if app.failure else 0)
    outcome.engine_stopped = app.engine_stopped
    return outcome
