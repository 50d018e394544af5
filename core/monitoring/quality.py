"""Is an answer what was asked for, and is each row possible? Pure; nothing is repaired here.

A page is first looked at as a whole: one pass over its rows says that everything in it is right. Only when
it is not are rows looked at one by one, with a reason for each.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec

from core.datasets import Dataset, SeriesKey
from core.errors import Malformed
from core.monitoring.rules import Row, Rules, are_bounded, are_sound, doubt, fault, rules_for
from core.records import values_of
from core.sources import Page, RejectedRow
from core.windows import GRAINS, Grain, Window

DRIFT_SHARE = 0.5

Identity = tuple[str, str | None, str | None, str | None]
TS = itemgetter(0)
mapped_of = attrgetter("mapped_instrument")
identity_of = attrgetter("unit", "market", "instrument", "mapped_instrument")


class Checked(NamedTuple):
    """Rows that may be stored, ascending and one per ts, as `(ts, *values)`; and those that may not.

    `surplus` counts bars older than the window that the vendor added because its history ends before it,
    `repeats` rows that say again what another one said: received = rows + repeats + rejected + surplus.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    rejected: list[RejectedRow]
    surplus: int = 0
    repeats: int = 0


class Pair(NamedTuple):
    """A row as it came and as it would be stored."""

    row: Any
    values: Row


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
    rules = rules_for(dataset, tuple(groups))
    expected = Expected(key, GRAINS[key.interval], window, frozenset({key.instrument, symbol} - {None}))
    rows = values_of(page.rows)
    if not page.rejected and rows and is_flawless(page, rows, rules, expected):
        return Checked(rules.names, rows, [])
    return _one_by_one(page, list(map(Pair, page.rows, rows)), rules, expected)


def is_flawless(page: Page, rows: list[Row], rules: Rules, expected: Expected) -> bool:
    """Whether every row is usable and in its place; False may also mean that a field is missing."""
    try:
        return (
            _is_on_grid(list(map(TS, rows)), expected)
            and _is_meant(page, expected)
            and (page.is_bounded or are_bounded(rows, rules))
            and are_sound(rows, rules, expected.grain.seconds)
        )
    except TypeError:
        return False


def _is_meant(page: Page, expected: Expected) -> bool:
    """Whether every row is of the series; of a bounded page only the instruments are left to tell."""
    if page.is_meant or (page.is_bounded and set(map(mapped_of, page.rows)) <= expected.names):
        return True
    return not any(_identity_fault(identity, expected) for identity in set(map(identity_of, page.rows)))


def _is_on_grid(stamps: list[int], expected: Expected) -> bool:
    """Ascending without a hole, aligned, and inside the window."""
    step, first = expected.grain.seconds, stamps[0]
    is_whole = stamps == list(range(first, first + len(stamps) * step, step)) and first % step == 0
    return is_whole and first >= expected.window.start and stamps[-1] < expected.window.end


def _identity_fault(identity: Identity, expected: Expected) -> str | None:
    unit, market, instrument, mapped = identity
    if unit != expected.grain.unit:
        return "unit"
    if market is not None and market != expected.key.market:
        return "another_market"
    if instrument is not None and instrument not in expected.names and mapped not in expected.names:
        return "another_instrument"
    return None


def _one_by_one(page: Page, pairs: list[Pair], rules: Rules, expected: Expected) -> Checked:
    rejected = list(page.rejected)
    newest = max((pair.row.timestamp for pair in pairs), default=0)
    possible: list[Pair] = []
    surplus = 0
    for pair in pairs:
        reason = row_fault(pair, rules, expected)
        if reason is None:
            possible.append(pair)
        elif reason == "outside_window" and _is_surplus(pair.row.timestamp, newest, expected):
            surplus += 1
        else:
            rejected.append(_rejected(pair, reason))
    believed, doubted = _without_doubted(possible, rules, expected)
    usable, disputed = _one_each(believed)
    rejected += doubted + disputed
    count = len(pairs) + len(page.rejected)
    if len(rejected) > DRIFT_SHARE * count:
        raise _drift(rejected, count)
    repeats = len(believed) - len(disputed) - len(usable)
    return Checked(rules.names, usable, rejected, surplus, repeats)


def row_fault(pair: Pair, rules: Rules, expected: Expected) -> str | None:
    """Why this row cannot be stored, or None."""
    return (
        _time_fault(pair.row.timestamp, expected)
        or _identity_fault(identity_of(pair.row), expected)
        or fault(pair.values, rules)
    )


def _time_fault(ts: int, expected: Expected) -> str | None:
    start, end = expected.window
    # Milliseconds read as seconds lie 55,000 years ahead; never scaled, only named.
    if ts > 100 * end:
        return "timestamp_unit"
    if not start <= ts < end:
        return "outside_window"
    return "alignment" if ts % expected.grain.seconds else None


def _is_surplus(ts: int, newest: int, expected: Expected) -> bool:
    """The vendor counts back from its own last bar: a window that reaches beyond brings older ones."""
    step = expected.grain.seconds
    return ts < expected.window.start and newest < expected.window.end - step and ts % step == 0


def _without_doubted(pairs: list[Pair], rules: Rules, expected: Expected) -> tuple[list[Pair], list[RejectedRow]]:
    """Rows that keep the inferred rules, and the others; where most break one, the rule is at fault and all stay.

    The check `contradiction` still flags those rows in the store.
    """
    reasons = [doubt(pair.values, rules, expected.grain.seconds) for pair in pairs]
    doubted = [_rejected(pair, reason) for pair, reason in zip(pairs, reasons, strict=True) if reason]
    if len(doubted) > DRIFT_SHARE * len(pairs):
        return pairs, []
    return [pair for pair, reason in zip(pairs, reasons, strict=True) if not reason], doubted


def _one_each(pairs: list[Pair]) -> tuple[list[Row], list[RejectedRow]]:
    """One row for each time, ascending; of rows that differ for one time none is believed."""
    said: defaultdict[int, set[Row]] = defaultdict(set)
    for pair in pairs:
        said[pair.row.timestamp].add(pair.values)
    disputed = [_rejected(pair, "conflicting_rows") for pair in pairs if len(said[pair.row.timestamp]) > 1]
    return [row for _, rows in sorted(said.items()) if len(rows) == 1 for row in rows], disputed


def _rejected(pair: Pair, reason: str) -> RejectedRow:
    raw = msgspec.json.encode(pair.row).decode()
    return RejectedRow(reason, f"the row breaks the rule {reason!r}", raw[:4096], pair.row.timestamp)


def _drift(rejected: list[RejectedRow], rows: int) -> Malformed:
    reason, count = Counter(row.reason for row in rejected).most_common(1)[0]
    return Malformed(f"{count} of {rows} rows are unusable ({reason})", reason, rejected[0].raw.encode())
