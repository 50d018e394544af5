"""What all screens share: the state, its frozen copy while paused, what the operator chose, clocks.

Knows no widget: screens draw from it, the app feeds it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from time import time as wall_time

from core.events import Message
from tui import text
from tui.actions import ACTIONS, Action
from tui.folding import answered, note, reduce_many
from tui.lookups import Answer, Lookup
from tui.memory import Memory, lasting
from tui.query import Choice
from tui.state import Found, Link, OtherJob, ViewState
from tui.text import ASCII, UNICODE
from tui.views.frame import Canvas
from tui.views.header import Moment

RATES = (0.5, 1.0, 2.0, 4.0, 10.0)
MOST_PENDING = 2_000
MOST_COMMANDS = 100
CALM_INTERVAL = 1.0
FRESH = Memory()


@dataclass(frozen=True, slots=True)
class DashboardOptions:
    """How to show and what to allow.

    `theme`: one of `tui.themes`. `owns_engine`: the engine is this dashboard's own child.
    `refresh_hz`: at most so many redraws a second. `user`: who acknowledges and silences.
    `lean`: for slow links, see `Desk.lean`. `actions`: what can be done, by which keys.
    """

    read_only: bool = False
    theme: str = "dark"
    ascii: bool = False
    mouse: bool = True
    owns_engine: bool = False
    refresh_hz: float = 4.0
    user: str = "dashboard"
    lean: bool = False
    actions: tuple[Action, ...] = ACTIONS


@dataclass(frozen=True, slots=True)
class Clock:
    """UTC epoch seconds, and monotonic seconds for everything that is a duration."""

    wall: Callable[[], float] = wall_time
    monotonic: Callable[[], float] = monotonic


class Desk:
    """The dashboard's session."""

    def __init__(self, options: DashboardOptions, clock: Clock, memory: Memory = FRESH) -> None:
        self.options = options
        self.clock = clock
        self.glyphs = ASCII if options.ascii else UNICODE
        self.state = ViewState(link=Link(since=clock.monotonic()))
        self.refresh_hz = memory.refresh_hz if memory.refresh_hz in RATES else options.refresh_hz
        self.tab = memory.tab
        self.maximised = dict(memory.maximised)
        """The pane that has the whole of a screen, by the screen's kind."""
        self.is_local_time = memory.is_local_time
        text.show_local_time(self.is_local_time)
        self.throttle = 1.0
        self.lean = options.lean
        """For slow links: once a second at most, fewer panes, no curves."""
        self.is_terminal_slow = False
        """Whether lean is so because the terminal did not keep up."""
        self.blurred = False
        self.moved_at = float("-inf")
        self.wanted: Collection[str] = ()
        self.commands: list[str] = []
        self._choices: dict[str, Choice] = dict(memory.tables)
        self._pending: list[Message] = []
        self._frozen: ViewState | None = None
        self._paused_at = 0.0

    @property
    def shown(self) -> ViewState:
        """What panes draw: the state, or the one that was there when the display was paused."""
        return self._frozen if self._frozen is not None else self.state

    @property
    def paused(self) -> bool:
        return self._frozen is not None

    @property
    def read_only(self) -> bool:
        hello = self.state.hello
        return self.options.read_only or (hello is not None and hello.read_only)

    @property
    def is_old(self) -> bool:
        """Whether values should look as old as they are."""
        return self.state.freshness(self.clock.monotonic())[0] in {"STALE", "DISCONNECTED"}

    @property
    def interval(self) -> float:
        """Seconds from one redraw to the next."""
        interval = self.throttle / self.refresh_hz
        return max(interval, CALM_INTERVAL) if self.blurred or self.lean else interval

    @property
    def is_moving(self) -> bool:
        """Whether the operator has just moved a cursor: rows should not change places under it."""
        return self.clock.monotonic() - self.moved_at < 2.0

    def receive(self, message: Message) -> None:
        """Keep `message` for the next fold; when very many wait they are folded at once."""
        self._pending.append(message)
        if len(self._pending) >= MOST_PENDING:
            self.fold()

    def fold(self) -> bool:
        """Fold what came in; whether there was anything."""
        if not self._pending:
            return False
        pending, self._pending = self._pending, []
        self.state = reduce_many(self.state, pending, self.clock.monotonic())
        return True

    def link_changed(self, link: Link) -> None:
        """The engine came or went; said in the log as well, once for each time."""
        self.fold()
        before = self.state.link.phase
        since = self.state.link.since if before == link.phase else link.since
        self.state = replace(self.state, link=replace(link, since=since))
        if link.phase in {"lost", "refused"} and before != link.phase:
            self.note("warning", link.reason)

    def fleet_changed(self, jobs: Sequence[OtherJob], trouble: str) -> None:
        """What the engines on the database do, or why that is not known; said in the log as well, once."""
        self.fold()
        if trouble and not self.state.fleet_trouble:
            self.note("warning", f"jobs of other engines are not known: {trouble}")
        self.state = replace(self.state, fleet={job.run_id: job for job in jobs}, fleet_trouble=trouble)

    def answered(self, key: str, found: object, trouble: str) -> None:
        """What the store was asked, and what it said."""
        self.state = answered(self.state, key, found, trouble, self.clock.monotonic(), self.wanted)

    def answer(self, lookup: Lookup[Found]) -> Answer[Found]:
        """What panes draw of an answer: while paused the one from then, if there was one."""
        shown = self.shown.answer(lookup)
        return shown if shown.found is not None else self.state.answer(lookup)

    def note(self, level: str, words: str) -> None:
        """A log line of our own."""
        self.state = note(self.state, level, words, self.clock.wall())

    def toggle_pause(self) -> None:
        self._frozen = None if self._frozen is not None else self.state
        self._paused_at = self.clock.monotonic()

    def change_rate(self, step: int) -> None:
        """The next faster or slower of the rates; the first one faster than lean is the one before that."""
        if self.lean:
            self.lean = self.lean and step < 0
            return
        faster = [rate for rate in RATES if rate > self.refresh_hz]
        slower = [rate for rate in RATES if rate < self.refresh_hz]
        self.refresh_hz = (*faster, RATES[-1])[0] if step > 0 else (RATES[0], *slower)[-1]
        self.throttle = 1.0

    def toggle_local_time(self) -> None:
        self.is_local_time = not self.is_local_time
        text.show_local_time(self.is_local_time)

    def memory(self, theme: str | None) -> Memory:
        """What to remember of this session."""
        tables = lasting(self._choices)
        return Memory(theme, self.refresh_hz, self.is_local_time, self.tab, self.maximised, tables)

    def toggle_lean(self) -> None:
        self.lean, self.is_terminal_slow = not self.lean, False

    def terminal_is_slow(self) -> None:
        """It does not keep up with what it is sent."""
        if not self.lean:
            self.lean = self.is_terminal_slow = True
            self.note("warning", "the terminal does not keep up: lean mode, L or + for all")

    def note_cost(self, seconds: float) -> None:
        """CPU of one redraw: above 30 % of the interval it slows down, far below it speeds up again."""
        if seconds > 0.3 * self.interval:
            self.throttle = min(8.0, self.throttle * 2)
        elif self.throttle > 1.0 and seconds < 0.05 * self.interval:
            self.throttle /= 2

    def choice(self, table: str, default: Choice) -> Choice:
        return self._choices.get(table, default)

    def choose(self, table: str, choice: Choice) -> None:
        self._choices[table] = choice

    def remember(self, command: str) -> None:
        """Keep a line of the command line for its history."""
        kept = [line for line in self.commands if line != command]
        self.commands = [*kept, command][-MOST_COMMANDS:]

    def canvas(self, width: int) -> Canvas:
        glyphs = replace(self.glyphs, spark=" ") if self.lean else self.glyphs
        return Canvas(width, glyphs, self.clock.wall(), self.clock.monotonic(), self.shown.vendor_ahead)

    def vendor_time(self) -> float:
        """UTC epoch seconds by the vendor's clock."""
        return self.clock.wall() + self.shown.vendor_ahead

    def moment(self) -> Moment:
        """What the header needs besides the state."""
        now = self.clock.monotonic()
        frozen, rate = self._frozen, self.refresh_hz / self.throttle
        return Moment(
            now=now,
            time=self.clock.wall(),
            paused=now - self._paused_at if frozen is not None else None,
            held=self.state.folded - frozen.folded if frozen is not None else 0,
            refresh_hz=min(1 / CALM_INTERVAL, rate) if self.lean else rate,
            slowness=self._slowness(),
            read_only=self.read_only,
        )

    def _slowness(self) -> str:
        """Why it is redrawn less often than was chosen."""
        if self.lean:
            return "lean: slow terminal" if self.is_terminal_slow else "lean"
        return "slowed" if self.throttle > 1.0 else ""
