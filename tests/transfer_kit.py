"""Stores with a bit of everything, the same for the same seed in any database, and how to compare and copy them."""

import json
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from core.alerting import Change
from core.coverage import Absence, SeriesState
from core.datasets import DATASETS, SeriesKey
from core.events import AlertChanged
from core.findings import Finding
from core.records import Column, in_groups
from core.sources import Listing, RejectedRow
from core.stores import Commit, RunRecord, RunSeries
from core.stores.catalog import ListingCommit
from core.stores.database import Database
from core.stores.difference import Comparison, Difference, Question, Tally
from core.stores.migrate import migrate
from core.stores.opening import is_postgres, open_store
from core.stores.postgres import connected_database
from core.stores.sides import Side, opened_to_read
from core.stores.sql_store import SQLStore
from core.stores.target import opened_to_write
from core.stores.transfer import Copied, Transfer
from core.usage import Counted
from core.windows import GRAINS, Grain, Window
from tests.fakes import ManualClock, row_of

SOURCE = "coindesk"
START = 1_750_032_000
LISTS = (SeriesKey("spot_instruments", "kraken"), SeriesKey("spot_instruments", "binance"))
# Doubles that text, arithmetic or a careless cast would make equal, or something else.
HOSTILE = (
    *(0.0, -0.0, 0.1 + 0.2, 0.3, 1.0, 1.0000000000000002, 1e-308, 5e-324, 2.2250738585072014e-308),
    *(1e308, 1.7976931348623157e308, 9007199254740993.0, float(2**53), float(2**63), 1e-12, 123456.789e-7),
)
WHOLE = (0, 1, 2**53 + 1, 2**53, 2**63 - 1, -1)


def any_double(chance: random.Random) -> float:
    """Any finite one, by its bits, or a hostile one or its neighbour."""
    if chance.random() < 0.3:
        return chance.choice(HOSTILE)
    bits = chance.getrandbits(64)
    number = float(struct.unpack(">d", struct.pack(">Q", bits))[0])
    return number if abs(number) < float("inf") else chance.random()


def any_value(chance: random.Random, column: Column) -> Any:
    if chance.random() < 0.1:
        return None
    if column.kind is float:
        # SQLite keeps no negative zero, so it would be told of otherwise in the texts of restatements.
        return any_double(chance) + 0.0
    return chance.choice(WHOLE) if chance.random() < 0.2 else chance.randrange(10**10)


def keys() -> Iterator[SeriesKey]:
    """Every data type, at two intervals."""
    for name in DATASETS:
        for number, interval in enumerate(("1m", "1h", "1d", "1m")):
            yield SeriesKey(name, f"market{number % 2}", f"COIN{number}-USD", interval)


@dataclass
class Life:
    """What happens to a store, one thing after the other, as a function of the seed."""

    store: SQLStore
    clock: ManualClock
    chance: random.Random
    states: dict[SeriesKey, SeriesState] = field(default_factory=dict)
    number: int = 0

    async def begin(self) -> None:
        await self.store.claim_origin("sandbox:1")
        wanted = list(keys())
        self.states = dict(zip(wanted, await self.store.series(SOURCE, wanted), strict=True))
        await self.store.create_universe(SOURCE, "majors", wanted[:5])
        await self.store.drop_from_universe(SOURCE, "majors", wanted[:1])

    async def go_on(self, steps: int) -> None:
        things = (*([self._window] * 6), self._listing, self._trouble, self._finding, self._journal)
        for _ in range(steps):
            self.number += 1
            self.clock.pass_(60)
            await self.chance.choice(things)()

    def _series(self) -> SeriesState:
        return self.states[self.chance.choice(list(self.states))]

    def _span(self, grain: Grain) -> Window:
        # Seldom enough bars that windows overlap often.
        first = START + self.chance.randrange(60) * 30 * grain.seconds
        return Window(grain.floor(first), grain.floor(first) + self.chance.randrange(1, 120) * grain.seconds)

    async def bars_of_each(self) -> None:
        """A window of bars of every data type, which dice may have left out."""
        for state in {state.key.data_type: state for state in self.states.values()}.values():
            await self._window(state)

    async def _window(self, of: SeriesState | None = None) -> None:
        state = of or self._series()
        dataset, grain = DATASETS[state.key.data_type], GRAINS[state.key.interval]
        groups = dataset.groups if self.chance.random() < 0.5 else dataset.default_groups
        columns, window = in_groups(dataset.columns, groups), self._span(grain)
        slots = list(range(window.start, window.end, grain.seconds))
        absent = set(self.chance.sample(slots, len(slots) // 20))
        rejected = {ts for ts in absent if self.chance.random() < 0.3}
        rows = [(ts, *(any_value(self.chance, column) for column in columns)) for ts in slots if ts not in absent]
        closed_before = window.end - self.chance.choice((0, 0, 3)) * grain.seconds
        written = await self.store.commit(
            Commit(
                series=state,
                dataset=dataset,
                groups=groups,
                columns=tuple(column.name for column in columns),
                window=window,
                rows=rows,
                closed_before=closed_before,
                known_at=int(self.clock.now),
                sent_at=int(self.clock.now * 1_000),
                covered=window,
                absences=[Absence(Window(ts, ts + grain.seconds), "absent") for ts in sorted(absent)],
                rejected=[RejectedRow("negative_amount", "nö", json.dumps({"T": ts}), ts) for ts in sorted(rejected)],
                settled_before=window.end - 2 * grain.seconds,
                run_id=f"r-{self.number}",
            )
        )
        self.states[state.key] = written.state

    async def _listing(self) -> None:
        key = self.chance.choice(LISTS)
        rows = [
            row_of(
                "spot_instruments",
                instrument=f"COIN{number}-USD",
                exchange_symbol=f"C{number}USD{self.chance.choice('AB')}",
                instrument_status=self.chance.choice(("ACTIVE", "RETIRED")),
                base=f"COIN{number}",
                quote="USD",
                base_id=number,
                quote_id=5,
                has_trades_spot=True,
                total_trades_spot=self.chance.randrange(10**6),
            )
            for number in range(20)
        ]
        [state] = await self.store.series(SOURCE, [key])
        listing = Listing(rows, int(self.clock.now), len(rows))
        await self.store.write_listing(ListingCommit(state, SOURCE, listing, f"r-{self.number}"))
        # Lists rename series and tell more of them.
        self.states = {
            each: replace(state, key=each)
            for each, state in zip(self.states, await self.store.series(SOURCE, list(self.states)), strict=True)
        }

    async def _trouble(self) -> None:
        state = self._series()
        window = self._span(GRAINS[state.key.interval])
        await self.store.failed(state, window, "down", 5, f"r-{self.number}")
        garbled = RejectedRow("not_json", "unreadable", f"<html>{self.number % 3} ü")
        await self.store.quarantine(state, window, garbled, f"r-{self.number}")

    async def _finding(self) -> None:
        state = self._series()
        window = self._span(GRAINS[state.key.interval])
        await self.store.flag(state, [Finding("frozen", window, "WARNING", "the same for an hour")])

    async def _journal(self) -> None:
        now = self.clock.now + 0.125
        run = RunRecord(f"r-{self.number}", "e-1", "spot_ohlcv", "1m", "", "complete", now, now, None, {"rows": 1})
        alert = AlertChanged(
            alert="a", rule="r", level="ERROR", state="firing", since=now, time=now, message="hä", count=self.number
        )
        sent = Counted(int(now) // 3_600 * 3_600, "me", "spot_ohlcv", "tail", "hä", self.number)
        await self.store.journal([run], [RunSeries(run.run_id, "s", "complete", 1, 1, 1)], [Change(alert)], [sent])


def make(url: str) -> None:
    """The schema of a PostgreSQL store; a file makes its own when it is opened."""
    if is_postgres(url):
        with connected_database(url) as db:
            migrate(db, 0)


@contextmanager
def on(url: str) -> Iterator[Database]:
    """A connection for a test's own meddling, which is committed at the end."""
    with opened_to_write(url) as db, db.transaction():
        yield db


async def live(url: str, seed: int) -> Life:
    """A store that has begun to live, its schema being made. The caller closes it."""
    clock = ManualClock(START + 10_000_000)
    life = Life(await open_store(url, clock), clock, random.Random(seed))
    await life.begin()
    return life


async def live_again(url: str, seed: int) -> Life:
    """As `live`, of a store that has lived before; its runs have other names."""
    clock = ManualClock(START + 20_000_000)
    life = Life(await open_store(url, clock), clock, random.Random(seed), number=1_000)
    wanted = list(keys())
    life.states = dict(zip(wanted, await life.store.series(SOURCE, wanted), strict=True))
    return life


def compare(a: str, b: str, **question: Any) -> tuple[Tally, list[Difference]]:
    with Side(a, opened_to_read) as one, Side(b, opened_to_read) as other:
        comparison = Comparison(one, other, Question(**question), lambda *_: None)
        found = list(comparison)
    return comparison.tally, found


def assert_equal(a: str, b: str) -> None:
    tally, found = compare(a, b)
    assert tally.is_equal, found[:3]
    assert tally.rows_a == tally.rows_b


def copy(a: str, b: str, progress: Callable[..., None] = lambda *_: None) -> Copied:
    with Side(a, opened_to_read) as one, Side(b, opened_to_write) as other:
        transfer = Transfer(one, other, progress)
        transfer.run()
    return transfer.copied


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, ids included, in no dialect's form; but not what belongs to the place itself."""
    with opened_to_read(url) as db, db.snapshot():
        tables = [name for name in db.relations() if _is_told(name)]
        return {name: sorted(map(_plain, db.execute(_select(db, name)).fetchall()), key=repr) for name in tables}


def _select(db: Database, table: str) -> str:
    return f"""SELECT {", ".join(f'"{name}"' for name in sorted(db.columns(table)))} FROM {table}"""


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Flags as numbers, and the one zero that SQLite has."""
    return tuple(int(value) if isinstance(value, bool) else value + 0.0 if value == 0.0 else value for value in row)


def _is_told(name: str) -> bool:
    is_view = name.endswith(("_1m", "_1h", "_1d", "_payments"))
    return not is_view and name not in {"meta", "migration", "lease", "engine", "quota"}
