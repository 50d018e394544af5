"""Is an answer what was asked for, and is each row possible? Pure; nothing is repaired here.

The first pass over a page is one loop of comparisons; rows are looked at one by one, with a reason each,
only when something in it is wrong. The price rule is the vendor's own (contract 1.7): OPEN is the
previous CLOSE, and HIGH and LOW enclose OPEN and CLOSE.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from core.datasets import Dataset, SeriesKey
from core.errors import Malformed
from core.records import in_groups
from core.sources import Page, RejectedRow
from core.windows import GRAINS, Window

LARGEST_INTEGER = 2**63 - 1
DRIFT_SHARE = 0.5


class Checked(NamedTuple):
    """Rows that may be stored, ascending and one per ts, as `(ts, *values)`; and those that may not."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    rejected: list[RejectedRow]
    surplus: int


def check_page(
    dataset: Dataset, key: SeriesKey, groups: Sequence[str], window: Window, page: Page, symbol: str | None
) -> Checked:
    """Sort a page's rows into usable and rejected ones.

    `symbol` is the exchange's own name of the instrument, if known: a row belongs to the series when its
    mapped id or its own id matches either name. Raises Malformed when more than half of the rows cannot
    be used: then the answer is not for this request, or its shape has changed.
    """
    columns = tuple(column.name for column in in_groups(dataset.columns, groups))
    values = _reader(columns)
    fault = _fault_finder(key, window, columns, {key.instrument, symbol})
    usable: dict[int, tuple[Any, ...]] = {}
    rejected = list(page.rejected)
    surplus = 0
    newest = max((row.timestamp for row in page.rows), default=0)
    for row in page.rows:
        reason = fault(row)
        if reason is None:
            usable[row.timestamp] = values(row)
        elif reason == "outside_window" and _is_surplus(row, window, newest, key):
            surplus += 1
        else:
            rejected.append(_rejected(row, reason))
    if len(rejected) > DRIFT_SHARE * max(1, len(page.rows) + len(page.rejected)):
        raise _drift(rejected, len(page.rows) + len(page.rejected))
    rows = (
        [usable[ts] for ts in sorted(usable)]
        if rejected or surplus or not _ascending(usable)
        else list(usable.values())
    )
    return Checked(columns, rows, rejected, surplus)


def _reader(columns: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter("timestamp", *columns)


def _ascending(rows: dict[int, Any]) -> bool:
    stamps = list(rows)
    return stamps == sorted(stamps)


def _is_surplus(row: Any, window: Window, newest: int, key: SeriesKey) -> bool:
    """The vendor counts back from its own last bar: a window that reaches beyond brings older ones."""
    grain = GRAINS[key.interval]
    return row.timestamp < window.start and newest < window.end - grain.seconds and row.timestamp % grain.seconds == 0


def _fault_finder(
    key: SeriesKey, window: Window, columns: tuple[str, ...], names: set[str | None]
) -> Callable[[Any], str | None]:
    """A function from a row to the reason it cannot be stored, or None."""
    grain = GRAINS[key.interval]
    start, end = window
    unit, step, market = grain.unit, grain.seconds, key.market
    names.discard(None)
    has_price = "open" in columns
    non_negative = [name for name in columns if name.startswith(("volume", "quote_volume", "total_", "number_of"))]
    amounts = attrgetter(*non_negative) if len(non_negative) > 1 else (lambda _row: (0, 0))

    def fault(row: Any) -> str | None:  # noqa: PLR0911 - one reason a line
        ts = row.timestamp
        if not start <= ts < end:
            return _time_fault(ts, window)
        if ts % step:
            return "alignment"
        if row.unit != unit:
            return "unit"
        if row.market is not None and row.market != market:
            return "another_market"
        if row.instrument is not None and row.instrument not in names and row.mapped_instrument not in names:
            return "another_instrument"
        if has_price and (reason := price_fault(row)):
            return reason
        found = amounts(row)
        try:
            return None if min(found) >= 0 and max(found) <= LARGEST_INTEGER else _amount_fault(found)
        except TypeError:
            return "missing_field"

    return fault


def _time_fault(ts: int, window: Window) -> str:
    # Milliseconds read as seconds lie 55,000 years ahead; never scaled, only named.
    return "timestamp_unit" if ts > 100 * window.end or ts < window.start // 100 else "outside_window"


def _amount_fault(found: tuple[float, ...]) -> str:
    return "negative_amount" if min(found) < 0 else "integer_range"


def price_fault(row: Any) -> str | None:
    """Why a bar's prices are impossible, or None. Prices are finite by decoding."""
    try:
        if row.low <= 0:
            return "price_not_positive"
        if not row.low <= row.close <= row.high:
            return "close_outside_range"
        if not row.low <= row.open <= row.high:
            return "open_outside_range"
    except TypeError:
        return "missing_field"
    return None


def _rejected(row: Any, reason: str) -> RejectedRow:
    raw = msgspec.json.encode(row).decode()
    return RejectedRow(reason, f"the row breaks the rule {reason!r}", raw[:4096], row.timestamp)


def _drift(rejected: list[RejectedRow], rows: int) -> Malformed:
    reason, count = Counter(row.reason for row in rejected).most_common(1)[0]
    return Malformed(f"{count} of {rows} rows are unusable ({reason})", reason, rejected[0].raw.encode())
