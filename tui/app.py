"""The dashboard application: feeds the desk, paces the screens, turns keys into what they mean."""

import asyncio
import gc
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from time import process_time
from typing import Any

from rich.text import Text
from textual import events
from textual.binding import BindingsMap
from textual.screen import Screen
from textual.timer import Timer

from core.events import Message, Rang
from core.text import clean
from tui import actions, themes
from tui.acting import ActingApp
from tui.archive import Archive
from tui.client import Connect, EngineLink, FleetWatch, ReadFleet
from tui.desk import Clock, DashboardOptions, Desk
from tui.lookups import Librarian
from tui.memory import Notebook
from tui.questions import TYPES
from tui.screens.live import LiveScreen
from tui.screens.overview import OverviewScreen
from tui.state import Link, OtherJob
from tui.terminal import leaving_in_order, require_terminal, speaks_unicode
from tui.widgets.pane import Pane

COLLECT_AFTER = 5_000, 10, 5
BEAT = 1.0
AGES_EVERY = 2.0
SOONEST = 0.001  # Textual divides by the delay of a timer
SHOWN_WITHIN = 0.02
"""Seconds within which what was asked for the first time is shown, with other answers that come meanwhile."""

__all__ = ["DashboardOptions", "Outcome", "run_dashboard"]


class Outcome(int):
    """The exit code, and whether the operator chose to stop the engine (it has been told)."""

    engine_stopped = False


class Dashboard(ActingApp):
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
        archive: Archive | None = None,
        notebook: Notebook | None = None,
        *,
        by_hand: bool = False,
        link: Callable[..., EngineLink] = EngineLink,
    ) -> None:
        """`fleet` where other engines work on the database too, `archive` where the store can be read.

        `notebook` is where it remembers how it was left.
        `by_hand`: no timers and no threads; a test says `flush()`.
        """
        super().__init__()
        self.animation_level = "none"
        self.notebook = notebook or Notebook()
        self.desk = Desk(options, clock or Clock(), self.notebook.memory)
        self._bindings = BindingsMap(actions.bindings(self.desk.options.actions))
        self.link = link(connect, self, self.desk.clock.monotonic)
        self.failure = ""
        self._fleet = fleet and FleetWatch(fleet, partial(self.call_later, self.fleet_changed))
        answered = self._answered if by_hand else partial(self.call_later, self._answered)
        self._librarian = Librarian(archive, answered, self.desk.clock.monotonic) if archive is not None else None
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
            self.set_interval(BEAT, self.beat)
        if self._fleet is not None:
            self._fleet.start()
        if self._librarian is not None and not self._by_hand:
            self._librarian.start()

        if self.notebook.trouble:
            self.desk.note("warning", self.notebook.trouble)
        if self.notebook.memory.tab in actions.TABS:
            self.action_go(self.notebook.memory.tab)

    def on_unmount(self) -> None:
        trouble = self.notebook.keep(self.desk.memory(self._chosen_theme()))
        if trouble:
            self._exit_renderables.append(Text(trouble))
        for thread in (self._fleet, self._librarian):
            if thread is not None:
                thread.stop()

    def _chosen_theme(self) -> str | None:
        """The one that was chosen by key; what was given by the command line is for this once."""
        name = self.theme.removeprefix("tapewatch-")
        return name if name != self.desk.options.theme else self.notebook.memory.theme

    def heard(self, message: Message) -> None:
        if isinstance(message, Rang):
            self.bell()
        self.desk.receive(message)
        self._schedule()

    def link_changed(self, link: Link) -> None:
        self.desk.link_changed(link)
        self._schedule()

    def fleet_changed(self, jobs: Sequence[OtherJob], trouble: str) -> None:
        self.desk.fleet_changed(jobs, trouble)
        self._schedule()

    def _answered(self, key: str, found: object, trouble: str) -> None:
        is_first = key not in self.desk.state.answers
        self.desk.answered(key, found, trouble)
        self._schedule(within=SHOWN_WITHIN if is_first else inf)

    def flush(self) -> None:
        """Fold what came in and paint what changed."""
        self._timer = None
        if not self.screen_stack:  # it is ending, and this was due
            return
        started = process_time()
        self.desk.fold()
        self.repaint()
        if not self._by_hand:
            self.desk.note_cost(process_time() - started)

    def repaint(self) -> None:
        self._painted_at = self.desk.clock.monotonic()
        self._look_up()
        super().repaint()

    def _look_up(self) -> None:
        """Have the store asked for what the screen in front shows of it."""
        if self._librarian is not None and self.live:
            screens = [screen for screen in self.screen_stack if isinstance(screen, LiveScreen)]
            # The header tells of data types whatever the screen.
            self.desk.wanted = {TYPES.key, *(lookup.key for screen in screens for lookup in screen.lookups())}
            self._librarian.want((*self.live.lookups(), TYPES))
            if self._by_hand:
                self._librarian.turn()

    def look_again(self) -> None:
        if self._librarian is not None:
            self._librarian.again()
        self._schedule()

    def terminal_is_slow(self) -> None:
        self.desk.terminal_is_slow()

    def urgent_lines(self) -> Container[int]:
        """The tabs, and what has the focus: of a list the row under the cursor."""
        focused = self.focused
        lines = {self.live.tabs.region.y} if self.live else set()
        if isinstance(focused, Pane):
            lines.add(focused.cursor_line)
        elif focused is not None:
            lines.update(range(focused.region.y, focused.region.bottom))
        return lines

    async def on_event(self, event: events.Event) -> None:
        """One key after the other, also when many come at once: those after a `/` are the filter's, not orders."""
        is_key = isinstance(event, events.Key) and not event.is_forwarded
        if not (is_key and isinstance(self.focused, Pane) and await self._obeyed(event)):
            await super().on_event(event)

    async def _obeyed(self, key: events.Event) -> bool:
        """Whether the key is bound; what it does is done then, and what it opened has the focus."""
        before = self.screen
        if not (self.live and isinstance(key, events.Key) and await self._check_bindings(key.key)):
            return False
        if self.screen is not before:
            focused = asyncio.Event()
            self.screen.call_later(focused.set)
            await focused.wait()
        return True

    def on_app_blur(self, _event: events.AppBlur) -> None:
        self.desk.blurred = True

    def on_app_focus(self, _event: events.AppFocus) -> None:
        self.desk.blurred = False
        self._schedule()

    def _schedule(self, within: float = inf) -> None:
        """Paint when it is time for it again, and in so many seconds at the latest."""
        if self._by_hand or (self._timer is not None and within == inf):
            return
        if self._timer is not None:
            self._timer.stop()
        due = self._painted_at + self.desk.interval - self.desk.clock.monotonic()
        self._timer = self.set_timer(max(SOONEST, min(due, within)), self.flush)

    def beat(self) -> None:
        """Once a second the clock, and every other time all that has an age, unless it was painted just now."""
        since = self.desk.clock.monotonic() - self._painted_at
        if since >= AGES_EVERY - BEAT / 2:
            self.repaint()
        elif since >= BEAT / 2:
            self.repaint_header()

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


def run_dashboard(
    connect: Connect,
    options: DashboardOptions,
    fleet: ReadFleet | None = None,
    archive: Archive | None = None,
    notebook: Notebook | None = None,
) -> Outcome:
    """Show the dashboard until the operator leaves it; see `Outcome` for what it returns.

    0 normally, 143 or 129 after SIGTERM or SIGHUP, 3 when it broke (said on stderr). Raises ConfigError
    without a usable terminal or for an unknown theme.
    """
    require_terminal()
    themes.theme_named(options.theme)
    if not options.ascii and not speaks_unicode():
        options = replace(options, ascii=True)
    app = Dashboard(connect, options, fleet=fleet, archive=archive, notebook=notebook)
    # Ten thousand series have no cycle among them, nor has what was imported: looking for one holds keys up.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        app.leave_from_signal()

    with leaving_in_order(leave):
        app.run(mouse=options.mouse)
    outcome = Outcome(codes[0] if codes else 3 if app.failure else 0)
    outcome.engine_stopped = app.engine_stopped
    return outcome
