"""Digests of bars: the same in both databases, whatever the doubles are, and different when one bit is."""

import hashlib
import math
import random
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.datasets import DATASETS
from core.stores.database import Database
from core.stores.digest_sql import EVERYTHING, VALUES, Bars, Digest, digests
from core.stores.schema import BOOKKEEPING
from core.stores.target import opened_to_write, write_bars
from core.windows import Window
from tests.transfer_kit import HOSTILE, START, WHOLE, any_value

DATASET = DATASETS["futures_open_interest"]
SPOT = DATASETS["spot_ohlcv"]
EVER = Window(0, 2**40)
Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def both(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Database]]:
    """An SQLite file and a schema of the shared server."""
    urls = (f"sqlite:///{tmp_path_factory.mktemp('digest')}/a.db", postgres_server.url() + "?schema=test_digest")
    with ExitStack() as stack:
        yield [stack.enter_context(opened_to_write(url)) for url in urls]


def digest_of(db: Database, bars: Bars, rows: Sequence[Row]) -> dict[int, Digest]:
    write_bars(db, bars.dataset, bars.series_id, EVER, rows)
    with db.snapshot():
        return digests(db, bars)


def reference(rows: Sequence[Row]) -> Digest:
    """Said again in the plainest way: rows of (ts, closed, known_at, sent_at, *values), all of one bucket."""
    text = b""
    for ts, closed, *values in sorted(rows):
        text += struct.pack(">q?", ts, closed)
        kinds = [int, int, *(column.kind for column in SPOT.columns)]
        for value, kind in zip(values, kinds, strict=True):
            if kind is float:
                text += struct.pack(">d", math.inf if value is None else value or 0.0)
            else:
                text += struct.pack(">q", -(2**63) if value is None else value)
    return Digest(len(rows), hashlib.sha256(text).digest())


def bars(dataset: Any = SPOT, interval: str = "1m", beside: tuple[str, ...] = EVERYTHING) -> Bars:
    return Bars(dataset, interval, 1, beside=beside)


def row(ts: int, **values: Any) -> Row:
    given = [values.get(column.name) for column in SPOT.columns]
    return (ts, values.get("closed", True), values.get("known_at", 7), values.get("sent_at", 8), *given)


doubles = st.one_of(st.sampled_from(HOSTILE), st.floats(allow_nan=False, allow_infinity=False)) | st.none()
wholes = st.one_of(st.sampled_from(WHOLE), st.integers(-(2**63) + 1, 2**63 - 1)) | st.none()
values = st.tuples(*(doubles if column.kind is float else wholes for column in SPOT.columns))


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 1_439), st.booleans(), wholes, values), unique_by=lambda bar: bar[0]))
def test_both_databases_agree_with_the_reference(both: list[Database], given: list[Any]) -> None:
    rows = [(START // 86_400 * 86_400 + 60 * slot, closed, known, 5, *of) for slot, closed, known, of in given]
    wanted = {START // 86_400 * 86_400: reference(rows)} if rows else {}
    for db in both:
        assert digest_of(db, bars(), rows) == wanted


@pytest.mark.slow
@given(doubles, doubles)
def test_the_digest_tells_any_two_doubles_apart(both: list[Database], one: float | None, other: float | None) -> None:
    for db in both:
        found = [digest_of(db, bars(), [row(START, close=value)]) for value in (one, other)]
        assert (found[0] == found[1]) == (one == other)


@pytest.mark.parametrize("value", [value for value in HOSTILE if value], ids=repr)
def test_neighbouring_doubles_differ(both: list[Database], value: float) -> None:
    near = math.nextafter(value, 0.0)
    for db in both:
        assert digest_of(db, bars(), [row(START, low=value)]) != digest_of(db, bars(), [row(START, low=near)])


def test_what_looks_alike_is_not(both: list[Database]) -> None:
    """NULL and zero, a value in another column, in another row, a whole number past what doubles can hold."""
    pairs = [
        ([row(START, close=0.0)], [row(START)]),
        ([row(START, total_trades=0)], [row(START)]),
        ([row(START, close=1.0)], [row(START, open=1.0)]),
        ([row(START, close=1.0), row(START + 60, close=2.0)], [row(START, close=2.0), row(START + 60, close=1.0)]),
        ([row(START, total_trades=2**53)], [row(START, total_trades=2**53 + 1)]),
        ([row(START)], [row(START, closed=False)]),
        ([row(START)], [row(START, known_at=None)]),
        ([row(START)], [row(START, sent_at=9)]),
        ([row(START)], [row(START + 60)]),
    ]
    for db in both:
        for one, other in pairs:
            assert digest_of(db, bars(), one) != digest_of(db, bars(), other)


def test_only_values_leave_the_bookkeeping_aside(both: list[Database]) -> None:
    of_values = bars(beside=VALUES)
    for db in both:
        first = digest_of(db, of_values, [row(START, known_at=1, sent_at=2)])
        assert first == digest_of(db, of_values, [row(START, known_at=3, sent_at=4)])
        assert first != digest_of(db, of_values, [row(START, closed=False)])


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
@pytest.mark.parametrize("interval", ["1m", "1h", "1d"])
def test_all_data_types_and_intervals_in_any_order(
    both: list[Database], seed: int, dataset: Any, interval: str
) -> None:
    """Also where a window cuts buckets, and where there is nothing for years."""
    chance = random.Random(seed)
    step = {"1m": 60, "1h": 3_600, "1d": 86_400}[interval]
    slots = chance.sample(range(4_000), 200) + [200_000 + number for number in chance.sample(range(3_000), 50)]
    rows = [
        (slot * step, chance.random() < 0.5, slot, slot, *(any_value(chance, column) for column in dataset.columns))
        for slot in slots
    ]
    whole = [digest_of(db, bars(dataset, interval), rows) for db in both]
    assert whole[0] == whole[1]
    assert sum(digest.rows for digest in whole[0].values()) == len(rows)
    part = bars(dataset, interval).within(Window(1_500 * step, 201_500 * step))
    cut = [digest_of(db, part, rows) for db in both]
    assert cut[0] == cut[1] != whole[0]
    assert sum(digest.rows for digest in cut[0].values()) == sum(1_500 <= slot < 201_500 for slot in slots)


def test_a_negative_zero_is_a_zero_as_sqlite_has_it(both: list[Database]) -> None:
    found = [digest_of(db, bars(), [row(START, close=value)]) for db in both for value in (0.0, -0.0)]
    assert found[1:] == found[:-1]


def test_bookkeeping_is_what_the_schema_has() -> None:
    assert set(EVERYTHING) == set(BOOKKEEPING) - {"series_id"}
