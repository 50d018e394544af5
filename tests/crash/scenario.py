"""What the child ingests, as a pure function of a seed: series cut into cells, cells asked for in three rounds.

Everything that happens to a bar happens here: it comes, comes late, comes open, changes, is rejected, is absent, comes
with more groups, is overtaken by an older answer. Each cell has a story of its own, so what the tables must hold
after any number of its steps can be told from this module alone. Times are UTC epoch seconds.
"""

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import NamedTuple

from core.coverage import SeriesState, missing
from core.datasets import DATASETS, Dataset, SeriesKey
from core.records import Column, in_groups
from core.sources import RejectedRow
from core.windows import Window, intersect

SOURCE = "crash"
RUN = "r-crash"
BAR = 60
KEYS = (
    SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m"),
    SeriesKey("futures_ohlcv", "binance", "BTC-USDT-VANILLA-PERPETUAL", "1m"),
)
NARROW = ("ID", "MAPPING", "OHLC")
WIDE = (*NARROW, "VOLUME")
# On the grid. At the first round the tail has bars that run, and what is younger than two hours is not final.
TAIL_START = 1_750_000_020
TAIL_BARS, RUNNING_BARS = 20, 6
SETTLE = 65
FIRST_ROUND = TAIL_START + (TAIL_BARS - RUNNING_BARS) * BAR + SETTLE
ROUNDS = {1: FIRST_ROUND, 2: FIRST_ROUND + 3 * 3_600, 3: FIRST_ROUND + 3 * 3_600 + 600}


class Cell(NamedTuple):
    """A part of a series that is asked for as a whole, and what its story is."""

    key: SeriesKey
    kind: str
    window: Window

    @property
    def name(self) -> str:
        return f"{self.key.data_type}/{self.kind}"


@dataclass(frozen=True)
class Step:
    """One request and its answer: `absent` and `rejected` slots are not in it, `restated` ones have changed.

    `due` says by which trace in the store a rerun sees that it is still to be done. `sent` is when it was asked, `date`
    the answer's server time. `trouble` is what comes instead of an answer: always when it is `down` or `before`,
    until it has been kept when it is `garbled`.
    """

    cell: Cell
    round: int
    due: str
    sent: int
    date: int
    window: Window
    groups: tuple[str, ...] = NARROW
    absent: frozenset[int] = frozenset()
    rejected: frozenset[int] = frozenset()
    restated: frozenset[int] = frozenset()
    trouble: str = ""
    changes_nothing: bool = False

    @property
    def name(self) -> str:
        return f"{self.cell.name}/{self.round}"

    @property
    def dataset(self) -> Dataset:
        return DATASETS[self.cell.key.data_type]

    @property
    def columns(self) -> tuple[Column, ...]:
        return in_groups(self.dataset.columns, self.groups)

    def rows(self) -> Iterator[tuple[int | float, ...]]:
        """The usable rows of the answer: (ts, *values)."""
        columns = self.columns
        for ts in slots(self.window):
            if ts not in self.absent and ts not in self.rejected:
                yield (ts, *(value(self.cell.key, ts, column, ts in self.restated) for column in columns))

    def is_due(self, state: SeriesState) -> bool:
        """Whether the store shows that this is still to be asked."""
        match self.due:
            case "missing":
                return bool(missing(self.window, self.groups, state.covered))
            case "gap":
                due = [gap.window for gap in state.gaps if gap.next_check <= ROUNDS[self.round]]
                return bool(intersect([self.window], due))
            case "young":
                young = [*state.unsettled, *missing(self.window, self.groups, state.covered)]
                return bool(intersect([self.window], young))
        return True


def slots(window: Window) -> range:
    return range(window.start, window.end, BAR)


@cache
def value(key: SeriesKey, ts: int, column: Column, version: int = 0) -> int | float:
    """What the vendor says of a bar. Both databases keep such numbers exactly."""
    return column.kind(zlib.crc32(f"{key}/{ts}/{column.name}/{version}".encode()) % 8_000 / 4)


def unusable(key: SeriesKey, ts: int) -> RejectedRow:
    """A row that came and cannot be used."""
    return RejectedRow("negative_amount", "the row breaks a rule", f'{{"TIMESTAMP": {ts}, "OF": "{key}"}}', ts)


def whole_answer(cell: Cell) -> tuple[str, bytes]:
    """Why an answer cannot be used at all, and how it begins."""
    return "not_json", f"<html>{cell.name}".encode()


@dataclass(frozen=True)
class Teller:
    """Makes the steps of one cell; `number` sets its answers' times apart from others'."""

    cell: Cell
    number: int
    chance: random.Random

    def step(self, round_: int, due: str, **more: object) -> Step:
        date = ROUNDS[round_] + self.number
        given = {"cell": self.cell, "round": round_, "due": due, "sent": date - 1, "date": date}
        return Step(**{**given, "window": self.cell.window, **more})  # type: ignore[arg-type]

    def some(self, count: int) -> list[int]:
        return self.chance.sample(slots(self.cell.window), count)


def _unborn(tell: Teller) -> Iterator[Step]:
    """Nothing there, seen as gaps at first; then the vendor says where its history starts."""
    yield tell.step(1, "missing", absent=frozenset(slots(tell.cell.window)))
    yield tell.step(2, "gap", trouble="before")


def _plain(tell: Teller) -> Iterator[Step]:
    """All there; asked again with more groups."""
    yield tell.step(1, "missing")
    yield tell.step(3, "missing", groups=WIDE)


def _holed(tell: Teller) -> Iterator[Step]:
    """Bars absent and bars rejected; some of both come later."""
    holes = tell.some(9)
    yield tell.step(1, "missing", absent=frozenset(holes[:6]), rejected=frozenset(holes[6:]))
    yield tell.step(2, "gap", absent=frozenset(holes[:3]), rejected=frozenset(holes[6:7]))


def _failing(tell: Teller) -> Iterator[Step]:
    """Given up, answered in the next run."""
    yield tell.step(1, "missing", trouble="down")
    yield tell.step(2, "missing")


def _garbled(tell: Teller) -> Iterator[Step]:
    """An answer that cannot be used at all, then one that can."""
    yield tell.step(1, "missing", trouble="garbled")


def _overtaken(tell: Teller) -> Iterator[Step]:
    """An answer with more groups that was asked for before the one that is stored, and comes after it."""
    yield tell.step(1, "missing")
    sent = ROUNDS[1] - 30
    yield tell.step(3, "missing", groups=WIDE, sent=sent, date=sent + 1, restated=frozenset(tell.some(3)))


def _bridge(tell: Teller) -> Iterator[Step]:
    """In part too young to be final; read again, and nothing has changed."""
    yield tell.step(1, "missing")
    yield tell.step(2, "young")


def _young(tell: Teller) -> Iterator[Step]:
    """Changed when it is read again; an answer from before that comes last."""
    yield tell.step(1, "missing")
    yield tell.step(2, "young", restated=frozenset(tell.some(4)))
    sent = ROUNDS[2] - 300
    yield tell.step(3, "always", sent=sent, date=sent + 1, changes_nothing=True)


def _tail(tell: Teller) -> Iterator[Step]:
    """Bars that run, and close with other values; a stale copy of the last one as it ran comes last."""
    running = frozenset(slots(tell.cell.window)[-RUNNING_BARS:])
    yield tell.step(1, "missing")
    yield tell.step(2, "young", restated=running)
    last = Window(tell.cell.window.end - BAR, tell.cell.window.end)
    yield tell.step(3, "always", window=last, date=last.start + 30, changes_nothing=True)


# The cells of a series from the oldest to the newest, with their bars.
STORIES: dict[str, tuple[int, Callable[[Teller], Iterator[Step]]]] = {
    "unborn": (20, _unborn),
    "plain": (300, _plain),
    "holed": (40, _holed),
    "failing": (30, _failing),
    "garbled": (30, _garbled),
    "overtaken": (30, _overtaken),
    "bridge": (130, _bridge),
    "young": (40, _young),
    "tail": (TAIL_BARS, _tail),
}
END = TAIL_START + TAIL_BARS * BAR
SPAN = Window(END - sum(bars for bars, _ in STORIES.values()) * BAR, END)


@dataclass(frozen=True)
class Scenario:
    """All steps in the order of a run that nobody disturbs: round after round, shuffled inside of each."""

    seed: int
    steps: tuple[Step, ...] = field(init=False)

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        steps = [step for cell in self.cells for step in self.story(cell)]
        chance.shuffle(steps)
        object.__setattr__(self, "steps", tuple(sorted(steps, key=lambda step: step.round)))

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(cell for key in KEYS for cell in _cells(key))

    def story(self, cell: Cell) -> list[Step]:
        """The steps of one cell, in the order in which they happen."""
        _, tell = STORIES[cell.kind]
        return list(tell(Teller(cell, list(STORIES).index(cell.kind), random.Random(f"{self.seed}/{cell.name}"))))

    def round(self, number: int) -> list[Step]:
        return [step for step in self.steps if step.round == number]


def _cells(key: SeriesKey) -> Iterator[Cell]:
    start = SPAN.start
    for kind, (bars, _) in STORIES.items():
        yield Cell(key, kind, Window(start, start + bars * BAR))
        start += bars * BAR
