"""The same data in both databases is equal by digest; stores move between them whole, however often it is tried."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import StoreBusy, StoreError, StoreRefused
from core.stores.copies import FALSE_ALARM
from core.stores.lock import EngineLock, Holder
from core.stores.selection import Selection
from core.stores.sides import Side, opened_to_read
from core.stores.target import opened_to_write
from core.stores.transfer import Transfer
from core.windows import Window
from tests.transfer_kit import assert_equal, compare, copy, everything, live, live_again, make, on

pytestmark = pytest.mark.slow

STEPS = 40
Place = Callable[[str], str]


@pytest.fixture
def place(postgres_url: str, tmp_path: Path) -> Place:
    """Where a store is: `sqlite-a`, `postgres-b` and so on; nothing is there yet."""

    def url(name: str) -> str:
        kind, _, own = name.partition("-")
        return f"sqlite:///{tmp_path}/{own}.db" if kind == "sqlite" else f"{postgres_url}?schema={own}"

    return url


async def lived(url: str, seed: int, steps: int = STEPS) -> None:
    await asyncio.to_thread(make, url)
    life = await live(url, seed)
    await life.go_on(steps)
    await life.store.close()


# --- comparing


def test_the_same_life_gives_equal_stores_in_both_databases(place: Place, seed: int) -> None:
    for name in ("sqlite-a", "postgres-b"):
        asyncio.run(lived(place(name), seed))
    assert_equal(place("sqlite-a"), place("postgres-b"))
    tally, found = compare(place("postgres-b"), place("sqlite-a"), only_values=True)
    assert tally.is_equal, found[:3]


CHANGES = {
    "a bar": ("UPDATE spot_ohlcv SET close = 3.25, total_trades = 41", "spot_ohlcv"),
    "a bar that is gone": ("DELETE FROM indices_ohlcv WHERE ts = (SELECT max(ts) FROM indices_ohlcv)", "indices_ohlcv"),
    "coverage": ('UPDATE coverage SET "end" = "end" + 60 WHERE start = (SELECT max(start) FROM coverage)', "coverage"),
    "a gap": ("UPDATE gap SET sightings = sightings + 1", "gap"),
    "quarantine": ("DELETE FROM quarantine WHERE reason = 'not_json'", "quarantine"),
    "a failed window": ("DELETE FROM failed_fetch", "failed_fetch"),
    "a constant": ("UPDATE series SET base = 'X' WHERE data_type = 'spot_ohlcv'", "series"),
    "a finding": ("UPDATE finding SET level = 'INFO'", "finding"),
    "a universe": ("DELETE FROM universe_series WHERE dropped IS NOT NULL", "universe_series"),
    "an entity": ("UPDATE spot_instruments SET base_id = 77 WHERE base = 'COIN3'", "spot_instruments"),
    "a change": ("DELETE FROM metadata_change", "metadata_change"),
    "a run": ("UPDATE run SET finished = 1.5", "run"),
    "an alert": ("UPDATE alert SET count = 0", "alert"),
    "calls": ("UPDATE usage SET calls = calls + 1", "usage"),
}


async def full(url: str, seed: int) -> None:
    """A life with at least one of everything, whatever the dice say."""
    await asyncio.to_thread(make, url)
    life = await live(url, seed)
    await life.go_on(STEPS)
    for thing in (life.bars_of_each, life._listing, life._listing, life._trouble, life._finding, life._journal):
        life.number += 1
        life.clock.pass_(60)
        await thing()
    await life.store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_whatever_differs_is_told(place: Place, seed: int, kind: str) -> None:
    one, other = place("sqlite-a"), place(f"{kind}-b")
    for url in (one, other):
        asyncio.run(full(url, seed))
    before, _ = compare(one, other)
    assert before.is_equal
    for what, (statement, table) in CHANGES.items():
        change(other, statement)
        after, _ = compare(one, other)
        assert after.differences.get(table, 0) > before.differences.get(table, 0), what
        before = after


def change(url: str, statement: str) -> None:
    with on(url) as db:
        assert db.execute(statement).rowcount > 0, statement


def test_the_row_and_the_column_are_named(place: Place, seed: int) -> None:
    one, other = place("sqlite-a"), place("postgres-b")
    for url in (one, other):
        asyncio.run(full(url, seed))
    with on(one) as db:
        where = "WHERE data_type = 'spot_ohlcv' AND rows > 0 ORDER BY id"
        number, market, name, interval = db.execute(
            f"SELECT id, market, instrument, interval FROM series {where}"
        ).fetchone()
        [ts] = db.execute("SELECT max(ts) FROM spot_ohlcv WHERE series_id = ?", (number,)).fetchone()
        db.execute("UPDATE spot_ohlcv SET close = 0.1, volume = NULL WHERE series_id = ? AND ts = ?", (number, ts))
    with on(other) as db:
        db.execute("UPDATE spot_ohlcv SET close = 0.2, volume = 0.0 WHERE series_id = ? AND ts = ?", (number, ts))
    tally, [found] = compare(one, other)
    assert (tally.days, found.change, found.key["ts"]) == (1, "changed", ts)
    assert found.series == f"spot_ohlcv/{market}/{name}/{interval}"
    assert found.columns == {"close": (0.1, 0.2), "volume": (None, 0.0)}
    for question in ({"window": Window(0, ts)}, {"selection": Selection(("indices_ohlcv",))}):
        tally, _ = compare(one, other, **question)
        assert tally.is_equal
    tally, _ = compare(one, other, window=Window(ts, ts + 1))
    assert (tally.rows_a > 0, tally.days) == (True, 1)


def test_past_the_limit_days_are_counted_and_not_read(place: Place, seed: int) -> None:
    one, other = place("sqlite-a"), place("sqlite-b")
    for url in (one, other):
        asyncio.run(full(url, seed))
    change(other, "UPDATE spot_ohlcv SET known_at = 1")
    tally, found = compare(one, other, limit=3)
    assert (len(found), tally.is_cut) == (3, True)
    tally, found = compare(one, other, limit=3, only_values=True)
    assert tally.is_equal


def test_series_that_only_one_has(place: Place, seed: int) -> None:
    one, other = place("sqlite-a"), place("postgres-b")
    for url in (one, other):
        asyncio.run(full(url, seed))
    statement = (
        "UPDATE series SET instrument = 'GONE' WHERE id = (SELECT min(id) FROM series WHERE data_type = 'spot_ohlcv')"
    )
    change(other, statement)
    _, found = compare(one, other)
    assert sorted(each.change for each in found if each.table == "series") == ["only_in_a", "only_in_b"]


# --- copying


@pytest.mark.parametrize("way", ["sqlite postgres", "postgres sqlite", "sqlite sqlite", "postgres postgres"])
def test_there_and_back(place: Place, seed: int, way: str) -> None:
    """Everything arrives, numbers of rows included; a second copy has nothing to do."""
    there, back = way.split()
    first, second, third = place(f"{there}-a"), place(f"{back}-b"), place(f"{there}-c")
    asyncio.run(full(first, seed))
    copied = copy(first, second)
    assert copied.rows == copied.rows_written > 0
    assert (copy(first, second)).is_same
    copy(second, third)
    wanted = everything(first)
    for url in (second, third):
        assert_equal(first, url)
        assert everything(url) == wanted


def test_a_copy_is_a_store_that_goes_on(place: Place, seed: int) -> None:
    """Numbers that the database gives out continue; and from then on it is no copy any more."""
    first, second = place("sqlite-a"), place("postgres-b")
    asyncio.run(full(first, seed))
    copy(first, second)
    asyncio.run(another_life(second, seed + 1))
    with pytest.raises(StoreRefused, match="written to since"):
        copy(first, second)


async def another_life(url: str, seed: int, steps: int = STEPS, *, drop: bool = False) -> None:
    """Of a store that has lived before, with runs of its own."""
    life = await live_again(url, seed)
    await life.go_on(steps)
    for thing in (life._listing, life._trouble, life._journal):
        await thing()
    if drop:
        await life.store.drop(next(iter(life.states)))
    await life.store.close()


@pytest.mark.parametrize("way", ["sqlite postgres", "postgres sqlite"])
def test_a_copy_catches_up(place: Place, seed: int, way: str) -> None:
    """With what came, changed and went since; only days that changed are written."""
    there, back = way.split()
    first, second = place(f"{there}-a"), place(f"{back}-b")
    asyncio.run(full(first, seed))
    whole = copy(first, second)
    asyncio.run(another_life(first, seed + 1, 5, drop=True))
    again = copy(first, second)
    assert again.rows_written < whole.rows_written
    assert again.series_dropped == 1
    assert_equal(first, second)
    assert everything(second) == everything(first)


@pytest.mark.parametrize("way", ["sqlite postgres", "postgres sqlite"])
def test_the_source_may_be_written_to_meanwhile(place: Place, seed: int, way: str) -> None:
    """What a copy has of a series is of one moment: coverage claims no bar that did not come along."""
    there, back = way.split()
    first, second = place(f"{there}-a"), place(f"{back}-b")
    asyncio.run(written_meanwhile(first, second, seed))
    copy(first, second)
    assert_equal(first, second)


async def written_meanwhile(first: str, second: str, seed: int) -> None:
    await asyncio.to_thread(make, first)
    life = await live(first, seed)
    await life.go_on(STEPS)
    for _ in range(3):
        copying = asyncio.create_task(asyncio.to_thread(copy, first, second))
        while not copying.done():
            await life.go_on(1)
        await copying
        await asyncio.to_thread(check_claims, second)
    await life.store.close()


def check_claims(url: str) -> None:
    """A series has as many bars as it says, and every one that its coverage and gaps make expected."""
    from core.datasets import DATASETS
    from core.windows import GRAINS

    with opened_to_read(url) as db, db.snapshot():
        found = db.execute("SELECT id, data_type, interval, rows FROM series WHERE interval <> ''").fetchall()
        for number, data_type, interval, rows in found:
            assert data_type in DATASETS
            [stored] = db.execute(f"SELECT count(*) FROM {data_type} WHERE series_id = ?", (number,)).fetchone()
            assert stored == rows
            step = GRAINS[interval].seconds
            slots = of_spans(db, "coverage", number, step) - of_spans(db, "gap", number, step)
            bars = db.execute(f"SELECT ts FROM {data_type} WHERE series_id = ?", (number,)).fetchall()
            assert slots <= {ts for (ts,) in bars}


def of_spans(db: Any, table: str, number: int, step: int) -> set[int]:
    spans = db.execute(f'SELECT start, "end" FROM {table} WHERE series_id = ?', (number,)).fetchall()
    return {ts for start, end in spans for ts in range(start, end, step)}


# --- refusing


def test_what_is_no_copy_is_left_alone(place: Place, seed: int) -> None:
    first, other, target = place("sqlite-a"), place("sqlite-b"), place("postgres-c")
    asyncio.run(full(first, seed))
    asyncio.run(full(other, seed + 1))
    before = everything(other)
    with pytest.raises(StoreRefused, match="no copy"):
        copy(first, other)
    assert everything(other) == before
    copy(first, target)
    with on(target) as db:
        db.execute("UPDATE meta SET value = 'coindesk' WHERE name = 'origin'")
    with pytest.raises(StoreRefused, match=r"coindesk.*sandbox:1"):
        copy(first, target)


def test_a_copy_of_another_store_is_refused(place: Place, seed: int) -> None:
    first, other, target = place("sqlite-a"), place("sqlite-b"), place("sqlite-c")
    asyncio.run(full(first, seed))
    asyncio.run(full(other, seed))
    with on(other) as db:
        db.execute("UPDATE migration SET applied_at = applied_at + 1")
    copy(first, target)
    with pytest.raises(StoreRefused, match="copy of another store"):
        copy(other, target)


def test_a_store_that_an_engine_works_on_is_not_filled(place: Place, seed: int, tmp_path: Path) -> None:
    first = place("sqlite-a")
    asyncio.run(full(first, seed))
    lock = EngineLock(str(tmp_path / "b.db"))
    lock.acquire(Holder(os.getpid(), "command", "", 1, 0.0))
    with pytest.raises(StoreBusy):
        copy(first, place("sqlite-b"))
    lock.release()
    copy(first, place("postgres-c"))
    with on(place("postgres-c")) as db:
        db.execute("INSERT INTO lease VALUES ((SELECT min(id) FROM series), 'e-7', 1, 1e12)")
    with pytest.raises(StoreBusy, match="e-7"):
        copy(first, place("postgres-c"))


def test_what_is_no_store_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database, though long enough to be taken for one" * 40)
    for opener in (opened_to_read, opened_to_write):
        with pytest.raises(StoreRefused, match="not an SQLite database"), Side(place("sqlite-a"), opener):
            pass
    with pytest.raises(StoreError, match="there is no store"), Side(place("sqlite-none"), opened_to_read):
        pass


# --- being stopped

CHILD = """
import sys
from tests.transfer_kit import copy
copy(sys.argv[1], sys.argv[2], lambda done, name: print(done.rows_written, name, flush=True))
"""


@pytest.mark.parametrize("way", ["sqlite postgres", "postgres sqlite"])
def test_a_copy_that_is_killed_goes_on(place: Place, seed: int, way: str) -> None:
    """Killed after a random word of its progress, a few times, and then left alone."""
    there, back = way.split()
    first, second = place(f"{there}-a"), place(f"{back}-b")
    asyncio.run(full(first, seed))
    chance = random.Random(seed)
    for _ in range(4):
        killed_copy(first, second, chance.randrange(60))
    copy(first, second)
    assert_equal(first, second)
    assert everything(second) == everything(first)


def killed_copy(a: str, b: str, lines: int) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD, a, b], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(lines):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)


def test_a_copy_that_fails_leaves_nothing_half(place: Place, seed: int) -> None:
    """The transaction that fails is undone, the ones before are kept, and the next copy completes them."""
    first, second = place("sqlite-a"), place("sqlite-b")
    asyncio.run(full(first, seed))
    chance = random.Random(seed)
    for _ in range(5):
        left = chance.randrange(80)

        def stop(_done: object, _name: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

        interrupted(first, second, stop)
        check_partly(second)
    copy(first, second)
    assert_equal(first, second)


def interrupted(a: str, b: str, progress: Callable[..., None]) -> None:
    try:
        with Side(a, opened_to_read) as one, Side(b, opened_to_write) as other:
            Transfer(one, other, progress).run()
    except KeyboardInterrupt:
        pass


def check_partly(url: str) -> None:
    with opened_to_read(url) as db:
        assert {fault for (fault,) in db.execute("PRAGMA integrity_check")} <= {"ok", FALSE_ALARM}
        for number, data_type, rows in db.execute(
            "SELECT id, data_type, rows FROM series WHERE interval <> ''"
        ).fetchall():
            [stored] = db.execute(f"SELECT count(*) FROM {data_type} WHERE series_id = ?", (number,)).fetchone()
            assert stored >= rows


def test_an_empty_store_can_be_copied(place: Place) -> None:
    with on(place("sqlite-a")):
        pass
    assert copy(place("sqlite-a"), place("postgres-b")).rows == 0
    assert_equal(place("sqlite-a"), place("postgres-b"))
