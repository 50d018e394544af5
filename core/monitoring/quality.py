"""Is an answer what was asked for, and is each row possible? Pure; nothing is repaired here.

A page is first looked at as columns: a few comparisons at the speed of C say that everything in it is
right. Only when one of them fails are rows looked at one by one, with a reason for each. The price rule
is the vendor's own (contract 1.7): OPEN is the previous CLOSE, and HIGH and LOW enclose OPEN and CLOSE.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter, le
from typing import Any, NamedTuple

import msgspec

from core.datasets import Dataset, SeriesKey
from core.errors import Malformed
from core.records import in_groups
from core.sources import Page, RejectedRow
from core.windows import GRAINS, Grain, Window

LARGEST_INTEGER = 2**63 - 1
DRIFT_SHARE = 0.5
PRICES = ("open", "high", "low", "close")
AMOUNTS = ("volume", "quote_volume", "total_", "number_of")
ADAPTIVE_ONLY = ("top_tier", "direct")  # volumes that only cadli and its kin have (contract 1.12)


class Checked(NamedTuple):
    """Rows that may be stored, ascending and one per ts, as `(ts, *values)`; and those that may not.

    `surplus` counts bars older than the window that the vendor added because its history ends before it.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    rejected: list[RejectedRow]
    surplus: int = 0


class Fields(NamedTuple):
    """Where a choice of columns keeps prices and amounts, and how a row becomes a tuple."""

    names: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    prices: tuple[int, ...]
    amounts: tuple[int, ...]
    optional: tuple[int, ...]
    integers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a row has to say about itself to belong to the answer."""

    key: SeriesKey
    grain: Grain
    window: Window
    names: frozenset[str | None]


def check_page(
    dataset: Dataset, key: SeriesKey, groups: Sequence[str], window: Window, page: Page, symbol: str | None
) -> Checked:
    """Sort a page's rows into usable and rejected ones.

    `symbol` is the exchange's own name of the instrument, if known: a row belongs to the series when its
    mapped id or its own id matches either name. Raises Malformed when more than half of the rows cannot
    be used: then the answer is not for this request, or its shape has changed.
    """
    fields = _fields(dataset, tuple(groups))
    expected = Expected(key, GRAINS[key.interval], window, frozenset({key.instrument, symbol} - {None}))
    rows = [fields.values(row) for row in page.rows]
    if not page.rejected and rows and is_flawless(page.rows, rows, fields, expected):
        return Checked(fields.names, rows, [])
    return _one_by_one(page, fields, expected)


def is_flawless(page_rows: list[Any], rows: list[tuple[Any, ...]], fields: Fields, expected: Expected) -> bool:
    """Whether every row is usable and in its place; False may also mean that a field is missing."""
    columns = list(zip(*rows, strict=True))
    try:
        return (
            _is_on_grid(columns[0], expected)
            and not any(_identity_fault(row, expected) for row in _distinct_identities(page_rows))
            and min((min(columns[at]) for at in fields.amounts), default=0) >= 0
            and all(_are_storable(columns[at]) for at in fields.integers)
            and (not fields.prices or _prices_are_possible(*(columns[at] for at in fields.prices)))
        )
    except TypeError:
        return False


def _is_on_grid(stamps: tuple[int, ...], expected: Expected) -> bool:
    """Ascending without a hole, aligned, and inside the window."""
    step, first = expected.grain.seconds, stamps[0]
    is_whole = stamps == tuple(range(first, first + len(stamps) * step, step)) and first % step == 0
    return is_whole and first >= expected.window.start and stamps[-1] < expected.window.end


def _are_storable(integers: Sequence[int | None]) -> bool:
    """Whether a column of integers, absent ones aside, lies in what a database can hold."""
    present = list(filter(None, integers))
    return not present or (min(present) >= 0 and max(present) <= LARGEST_INTEGER)


def _prices_are_possible(
    opens: Sequence[float], highs: Sequence[float], lows: Sequence[float], closes: Sequence[float]
) -> bool:
    return (
        min(lows) > 0
        and all(map(le, lows, closes))
        and all(map(le, closes, highs))
        and all(map(le, lows, opens))
        and all(map(le, opens, highs))
    )


@cache
def _fields(dataset: Dataset, groups: tuple[str, ...]) -> Fields:
    columns = in_groups(dataset.columns, groups)
    names = tuple(column.name for column in columns)
    places = {name: at for at, name in enumerate(names, 1)}
    return Fields(
        names=names,
        values=attrgetter("timestamp", *names),
        prices=tuple(places[name] for name in PRICES) if "open" in places else (),
        amounts=tuple(at for name, at in places.items() if name.startswith(AMOUNTS)),
        optional=tuple(at for name, at in places.items() if any(word in name for word in ADAPTIVE_ONLY)),
        integers=tuple(places[column.name] for column in columns if column.kind is int),
    )


def _distinct_identities(rows: list[Any]) -> set[tuple[str, str | None, str | None, str | None]]:
    return {(row.unit, row.market, row.instrument, row.mapped_instrument) for row in rows}


def _identity_fault(identity: tuple[str, str | None, str | None, str | None], expected: Expected) -> str | None:
    unit, market, instrument, mapped = identity
    if unit != expected.grain.unit:
        return "unit"
    if market is not None and market != expected.key.market:
        return "another_market"
    if instrument is not None and instrument not in expected.names and mapped not in expected.names:
        return "another_instrument"
    return None


def _one_by_one(page: Page, fields: Fields, expected: Expected) -> Checked:
    usable: dict[int, tuple[Any, ...]] = {}
    rejected = list(page.rejected)
    surplus = 0
    newest = max((row.timestamp for row in page.rows), default=0)
    disputed: set[int] = set()
    possible: list[Any] = []
    for row in page.rows:
        values = fields.values(row)
        reason = row_fault(row, values, fields, expected)
        if reason is None:
            possible.append(row)
            if usable.setdefault(row.timestamp, values) != values:
                disputed.add(row.timestamp)
        elif reason == "outside_window" and _is_surplus(row.timestamp, newest, expected):
            surplus += 1
        else:
            rejected.append(_rejected(row, reason))
    # Of rows that differ for one time none is believed.
    rejected += [_rejected(row, "conflicting_rows") for row in possible if row.timestamp in disputed]
    for ts in disputed:
        del usable[ts]
    count = len(page.rows) + len(page.rejected)
    if len(rejected) > DRIFT_SHARE * count:
        raise _drift(rejected, count)
    return Checked(fields.names, [usable[ts] for ts in sorted(usable)], rejected, surplus)


def row_fault(row: Any, values: tuple[Any, ...], fields: Fields, expected: Expected) -> str | None:
    """Why this row cannot be stored, or None."""
    if (reason := _time_fault(row.timestamp, expected)) is not None:
        return reason
    identity = (row.unit, row.market, row.instrument, row.mapped_instrument)
    if (reason := _identity_fault(identity, expected)) is not None:
        return reason
    if any(values[at] is None and at not in fields.optional for at in fields.amounts):
        return "missing_field"
    if any(values[at] is not None and values[at] < 0 for at in fields.amounts):
        return "negative_amount"
    if not _are_storable([values[at] for at in fields.integers]):
        return "integer_range"
    return price_fault(*(values[at] for at in fields.prices)) if fields.prices else None


def _time_fault(ts: int, expected: Expected) -> str | None:
    start, end = expected.window
    # Milliseconds read as seconds lie 55,000 years ahead; never scaled, only named.
    if ts > 100 * end:
        return "timestamp_unit"
    if not start <= ts < end:
        return "outside_window"
    return "alignment" if ts % expected.grain.seconds else None


def price_fault(open_: float | None, high: float | None, low: float | None, close: float | None) -> str | None:
    """Why a bar's prices are impossible, or None. Numbers are finite by decoding."""
    if open_ is None or high is None or low is None or close is None:
        return "missing_field"
    if low <= 0:
        return "price_not_positive"
    if not low <= close <= high:
        return "close_outside_range"
    return None if low <= open_ <= high else "open_outside_range"


def _is_surplus(ts: int, newest: int, expected: Expected) -> bool:
    """The vendor counts back from its own last bar: a window that reaches beyond brings older ones."""
    step = expected.grain.seconds
    return ts < expected.window.start and newest < expected.window.end - step and ts % step == 0


def _rejected(row: Any, reason: str) -> RejectedRow:
    raw = msgspec.json.encode(row).decode()
    return RejectedRow(reason, f"the row breaks the rule {reason!r}", raw[:4096], row.timestamp)


def _drift(rejected: list[RejectedRow], rows: int) -> Malformed:
    reason, count = Counter(row.reason for row in rejected).most_common(1)[0]
    return Malformed(f"{count} of {rows} rows are unusable ({reason})", reason, rejected[0].raw.encode())
