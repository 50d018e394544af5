"""What the store says it knew at a time is what it said then: random histories and copies taken in between."""

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from core.coverage import Absence, SeriesState, absent
from core.datasets import DATASETS, FUTURES_OPEN_INTEREST, SPOT_OHLCV, Dataset, SeriesKey
from core.records import Column, in_groups
from core.stores import Commit
from core.stores.export_sql import Question, Row, columns_of, read_bars
from core.stores.opening import open_store
from core.stores.sql_store import SQLStore
from core.windows import MINUTE, Window, clip
from tests.stores import rounds

SOURCE = "coindesk"
T0 = 1_750_000_020
BARS = 24


class History:
    """A vendor that changes its mind, and a store that reads it at odd times, widely, narrowly and late."""

    def __init__(self, store: SQLStore, dataset: Dataset, state: SeriesState, chance: random.Random) -> None:
        self.store = store
        self.dataset = dataset
        self.state = state
        self.chance = chance
        self.now = T0 + 5 * 60
        self.values: dict[tuple[int, str], Any] = {}
        self.idle: set[int] = set()

    def value(self, ts: int, column: Column) -> Any:
        if column.group in {"OHLC_TRADE", "OHLC_MESSAGE"} and ts in self.idle:
            return None
        return column.kind(self.values.setdefault((ts, column.name), self.chance.randint(0, 3)))

    def revise(self) -> None:
        """Some figures of some bars change, an idle bar has had trades after all, or the other way round."""
        for ts in self.chance.choices(range(T0, T0 + BARS * 60, 60), k=self.chance.randint(0, 6)):
            if self.chance.random() < 0.3:
                self.idle ^= {ts}
            for column in self.chance.choices(self.dataset.columns, k=self.chance.randint(1, 4)):
                self.values[ts, column.name] = self.chance.randint(0, 3)

    async def read(self) -> None:
        """One window, committed as the engine does."""
        chance = self.chance
        self.now += chance.choice([1, 7, 60, 240])
        groups = self.groups()
        window = self.window()
        closed_before = MINUTE.floor(self.now - 65)
        stamps = [ts for ts in range(window.start, min(window.end, self.now), 60) if chance.random() > 0.1]
        answered = clip(window, Window(window.start, max(window.start, closed_before)))
        columns = in_groups(self.dataset.columns, groups)
        commit = Commit(
            series=self.state,
            dataset=self.dataset,
            groups=groups,
            columns=tuple(column.name for column in columns),
            window=window,
            rows=[(ts, *(self.value(ts, column) for column in columns)) for ts in stamps],
            closed_before=closed_before,
            known_at=self.now,
            # Some answers were asked for before others that came first.
            sent_at=self.now * 1000 - chance.choice([0, 0, 0, 0, 100_000, 1_000_000]),
            covered=answered if answered.seconds else None,
            absences=[Absence(hole, "absent") for hole in absent(answered, stamps, MINUTE)],
            run_id="r",
        )
        self.state = (await self.store.commit(commit)).state

    def groups(self) -> tuple[str, ...]:
        of_values = sorted({column.group for column in self.dataset.columns})
        asked = {"ID", "MAPPING", *self.chance.sample(of_values, self.chance.randint(1, len(of_values)))}
        return tuple(name for name in self.dataset.groups if name in asked)

    def window(self) -> Window:
        start = T0 + self.chance.randrange(BARS - 1) * 60
        return Window(start, start + self.chance.randint(1, BARS - (start - T0) // 60) * 60)

    async def exported(self, **question: Any) -> list[Row]:
        view = f"{self.dataset.name}_1m"

        def read(db: Any) -> list[Row]:
            asked = Question(tuple(columns_of(db, view)), **question)
            return list(read_bars(db, self.dataset, MINUTE, self.state.id, asked, asked.window))

        return await self.store._db.run(read)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[SQLStore]:
    opened = await open_store(store_url)
    yield opened
    await opened.close()


async def begin(store: SQLStore, dataset: Dataset, seed: int) -> History:
    key = SeriesKey(dataset.name, "kraken", f"BTC-USD-{seed}", "1m")
    [state] = await store.series(SOURCE, [key])
    return History(store, dataset, state, random.Random(seed))


SEEDS = [pytest.param(0, 40, id="few"), pytest.param(40, 600, id="many", marks=pytest.mark.slow)]


def diffs(found: Sequence[Row], then: Sequence[Row]) -> list[tuple[Row, Row]]:
    return [(a, b) for a, b in zip(found, then, strict=False) if a != b][:3]


@pytest.mark.slow
@pytest.mark.parametrize(("first", "last"), SEEDS)
@pytest.mark.parametrize("dataset", [SPOT_OHLCV, FUTURES_OPEN_INTEREST], ids=lambda dataset: dataset.name)
async def test_as_of_equals_a_copy_taken_then(store: SQLStore, dataset: Dataset, first: int, last: int) -> None:
    for seed in range(first, first + rounds(store.url, last - first)):
        history = await begin(store, dataset, seed)
        copies: list[tuple[int, list[Row]]] = [(T0, [])]
        for _ in range(history.chance.randint(4, 25)):
            history.revise()
            await history.read()
            if history.chance.random() < 0.4:
                copies.append((history.now, await history.exported()))
        for at, then in copies:
            found = await history.exported(as_of=at)
            assert found == then, f"seed {seed}, as of {at}: {len(found)} rows for {len(then)}: {diffs(found, then)}"


@pytest.mark.parametrize(("first", "last"), SEEDS)
async def test_what_changed_since_a_copy_brings_it_up_to_date(store: SQLStore, first: int, last: int) -> None:
    """Up to now, and up to any later time."""
    for seed in range(first, first + rounds(store.url, last - first)):
        history = await begin(store, SPOT_OHLCV, seed)
        copies: list[tuple[int, list[Row]]] = [(T0, [])]
        for _ in range(history.chance.randint(4, 20)):
            history.revise()
            await history.read()
            if history.chance.random() < 0.5:
                copies.append((history.now, await history.exported()))
        now = await history.exported()
        for at, then in copies:
            changed = await history.exported(changed_since=at + 1)
            assert updated(then, changed) == now, f"seed {seed}, since {at}"
        (early, before), (late, after) = copies[len(copies) // 3], copies[2 * len(copies) // 3]
        changed = await history.exported(changed_since=early + 1, as_of=late)
        assert updated(before, changed) == after, f"seed {seed}, from {early} to {late}"


def updated(rows: Sequence[Row], changed: Sequence[Row]) -> list[Row]:
    """`rows` with those replaced or added that changed; both begin with their ts."""
    by_ts = {row[0]: row for row in (*rows, *changed)}
    return [by_ts[ts] for ts in sorted(by_ts)]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
async def test_both_databases_tell_the_same_past(postgres_store_url: str, dataset: Dataset, seed: int) -> None:
    """The same history in both: every value alike, its type too."""
    stores = [await open_store(url) for url in ("sqlite:///:memory:", postgres_store_url)]
    try:
        histories = [await begin(store, dataset, seed) for store in stores]
        times = [T0]
        for _ in range(15):
            for history in histories:
                history.revise()
                await history.read()
            times.append(histories[0].now)
        for question in ({}, {"include_open": True}, *({"as_of": at} for at in times), {"changed_since": times[7]}):
            one, other = [repr(await history.exported(**question)) for history in histories]
            assert one == other, question
    finally:
        for store in stores:
            await store.close()


async def test_nothing_has_changed_since_the_last_answer(store: SQLStore) -> None:
    history = await begin(store, SPOT_OHLCV, 1)
    for _ in range(10):
        await history.read()
    assert await history.exported(changed_since=history.now + 1) == []
    assert await history.exported(changed_since=T0) == await history.exported()


async def test_running_bars_come_only_when_asked_for(store: SQLStore) -> None:
    history = await begin(store, SPOT_OHLCV, 3)
    state, now = history.state, history.now
    columns = in_groups(SPOT_OHLCV.columns, ["OHLC"])
    commit = Commit(
        series=state,
        dataset=SPOT_OHLCV,
        groups=("ID", "MAPPING", "OHLC"),
        columns=tuple(column.name for column in columns),
        window=Window(T0, T0 + 180),
        rows=[(T0 + at, *(1.0 for _ in columns)) for at in (0, 60, 120)],
        closed_before=T0 + 60,
        known_at=now,
        sent_at=now * 1000,
        covered=Window(T0, T0 + 60),
    )
    await store.commit(commit)
    assert [row[0] for row in await history.exported()] == [T0]
    assert [row[0] for row in await history.exported(include_open=True)] == [T0, T0 + 60, T0 + 120]
    assert [row[0] for row in await history.exported(include_open=True, changed_since=now + 1)] == [T0 + 60, T0 + 120]
