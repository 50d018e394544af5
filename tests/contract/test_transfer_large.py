"""Three changed rows among very many are found, in SQLite and PostgreSQL, and brought over by themselves."""

import math
import resource
import time
from pathlib import Path

import pytest

from core.datasets import DATASETS
from core.stores.database import Database
from core.stores.target import opened_to_write
from tests.transfer_kit import compare, copy

SPOT = DATASETS["spot_ohlcv"]
START = 1_500_000_000 // 86_400 * 86_400
SERIES = 10
NUMBERS = {
    "sqlite": "(WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {0}) SELECT i FROM n)",
    "postgres": "(SELECT CAST(i AS bigint) AS i FROM generate_series(0, {0} - 1) AS g (i))",
}
TS = {"sqlite": "{0}", "postgres": "to_timestamp({0})"}


def fill(url: str, rows: int) -> None:
    """The same bars in either database, made there: sevenths, whose doubles use all their bits."""
    with opened_to_write(url) as db:
        for number in range(1, SERIES + 1):
            with db.transaction():
                fill_series(db, number, rows // SERIES)
    if url.startswith("postgres"):
        analyze(url)


def fill_series(db: Database, number: int, rows: int) -> None:
    db.execute(
        "INSERT INTO series (id, source, data_type, market, instrument, interval, created, rows) "
        "VALUES (?, 'coindesk', 'spot_ohlcv', 'kraken', ?, '1m', 0, ?)",
        (number, f"COIN{number}-USD", rows),
    )
    whole = [f"(i * {7 + 2 * at} + {number}) % 1000003" for at in range(len(SPOT.columns))]
    values = [
        f"CAST({value} AS double precision) / 7" if column.kind is float else value
        for column, value in zip(SPOT.columns, whole, strict=True)
    ]
    names = ", ".join(column.name for column in SPOT.columns)
    ts = TS[db.dialect].format(f"{START} + i * 60")
    db.execute(
        f"INSERT INTO spot_ohlcv (series_id, ts, closed, known_at, sent_at, {names}) "
        f"SELECT {number}, {ts}, i >= 0, {START} + i, i, {', '.join(values)} "
        f"FROM {NUMBERS[db.dialect].format(rows)} AS numbers"
    )


def analyze(url: str) -> None:
    from tests.services import run_script

    run_script(url, "ANALYZE tapewatch.spot_ohlcv")


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(200_000, id="200k"),
        pytest.param(10_000_000, id="10M", marks=(pytest.mark.slow, pytest.mark.timeout(3_600))),
    ],
)
def test_three_changed_rows_are_found(postgres_url: str, tmp_path: Path, rows: int) -> None:
    one, other = f"sqlite:///{tmp_path}/a.db", postgres_url
    for url in (one, other):
        timed(f"fill {url}", rows, lambda url=url: fill(url, rows))
    tally, _ = timed("diff of equal stores", rows, lambda: compare(one, other))
    assert (tally.is_equal, tally.rows_a, tally.rows_b) == (True, rows, rows)
    middle = START + rows // SERIES // 2 * 60
    with opened_to_write(one) as db, db.transaction():
        where = "WHERE series_id = ? AND ts = ?"
        [close] = db.execute(f"SELECT close FROM spot_ohlcv {where}", (3, middle)).fetchone()
        nearest = math.nextafter(close, math.inf)
        db.execute(f"UPDATE spot_ohlcv SET close = ? {where}", (nearest, 3, middle))
        db.execute(f"UPDATE spot_ohlcv SET volume = NULL {where}", (7, START))
        db.execute(f"DELETE FROM spot_ohlcv {where}", (SERIES, middle))
    tally, found = timed("diff of three rows", rows, lambda: compare(one, other))
    assert [(each.change, each.key["ts"]) for each in found] == [
        ("only_in_b", middle),
        ("changed", middle),
        ("changed", START),
    ]
    assert found[1].columns == {"close": (nearest, close)}
    assert found[2].columns["volume"][0] is None
    assert tally.days == 3


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_large_store_moves_and_memory_stays_flat(postgres_url: str, tmp_path: Path) -> None:
    one, other, back = f"sqlite:///{tmp_path}/a.db", postgres_url, f"sqlite:///{tmp_path}/b.db"
    fill(one, 1_000_000)
    before = memory()
    assert timed("copy to PostgreSQL", 1_000_000, lambda: copy(one, other)).rows_written == 1_000_000
    assert timed("copy to SQLite", 1_000_000, lambda: copy(other, back)).rows_written == 1_000_000
    assert timed("copy of what is there", 1_000_000, lambda: copy(other, back)).is_same
    assert compare(one, back)[0].is_equal
    assert memory() - before < 150, "megabytes more at the peak"


def timed(what, rows, work):  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    print(f"{what}: {seconds:.1f} s, {rows / seconds:,.0f} rows/s, peak {memory():.0f} MB")
    return result


def memory() -> float:
    """The peak of this process in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
