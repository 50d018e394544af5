"""What faults do to the rows of a page: rows that go missing, values that change.

Rows keep the text of their figures; only those that are changed are written anew.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

Row = dict[str, msgspec.Raw]
Rows = list[Row]
Edit = Callable[[Rows], Rows]
_SIDES = ("_BUY", "_SELL", "_UNKNOWN")


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bars that start in [start, end), UTC seconds."""

    start: int = msgspec.field(name="from")
    end: int = msgspec.field(name="to")

    def holds(self, row: Row) -> bool:
        ts = _ts(row)
        return ts is not None and self.start <= ts < self.end


class Revision(Span, frozen=True, forbid_unknown_fields=True):
    """Bars of a span get `factor` times their volume and trades."""

    factor: float = 1.01


class Damage(Span, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bars of a span get another VOLUME, TOTAL_TRADES, HIGH or LOW; see `faults`."""

    field: str
    factor: float = 1.5


class Mutation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values to set in the rows of an index, or in all of them."""

    values: dict[str, Any] = msgspec.field(name="set")
    rows: list[int] | None = None


def without(indices: Collection[int], times: Collection[int], spans: Collection[Span]) -> Edit:
    """Rows missing by index (from the end if negative), by TIMESTAMP or by span."""

    def edit(rows: Rows) -> Rows:
        lost = {index % len(rows) for index in indices if -len(rows) <= index < len(rows)}
        return [
            row
            for index, row in enumerate(rows)
            if index not in lost and _ts(row) not in times and not any(span.holds(row) for span in spans)
        ]

    return edit


def mutated(mutation: Mutation) -> Edit:
    values = {name: _token(value) for name, value in mutation.values.items()}

    def edit(rows: Rows) -> Rows:
        chosen = range(len(rows)) if mutation.rows is None else mutation.rows
        indices = {index % len(rows) for index in chosen if -len(rows) <= index < len(rows)}
        return [{**row, **values} if index in indices else row for index, row in enumerate(rows)]

    return edit


def revised(revision: Revision) -> Edit:
    def change(row: Row) -> Row:
        return _more_trades(_more_volume(row, revision.factor), revision.factor)

    return lambda rows: [change(row) if revision.holds(row) else row for row in rows]


def damaged(damage: Damage) -> Edit:
    """The rows stay valid: sides add up, a high only rises and a low only falls, idle bars are left alone."""
    change = DAMAGES[damage.field]
    return lambda rows: [change(row, damage.factor) if damage.holds(row) and not _is_idle(row) else row for row in rows]


def _ts(row: Row) -> int | None:
    """None when an earlier rule left no number there."""
    text = bytes(row["TIMESTAMP"])
    return int(text) if text.isdigit() else None


def _figure(row: Row, name: str) -> float:
    return float(bytes(row[name]))


def _is_idle(row: Row) -> bool:
    activity = [name for name in row if name in {"VOLUME", "TOTAL_TRADES", "TOTAL_INDEX_UPDATES"}]
    return any(not _figure(row, name) for name in activity)


def _more_volume(row: Row, factor: float) -> Row:
    names = [name for name in row if "VOLUME" in name or name == "NUMBER_OF_CONTRACTS"]
    return _summed({**row, **{name: _number(_figure(row, name) * factor) for name in names}})


def _more_trades(row: Row, factor: float) -> Row:
    names = [name for name in row if name.startswith("TOTAL_")]
    parts = [name for name in names if name.endswith(_SIDES)] or names
    before = {name: int(_figure(row, name)) for name in parts}
    counts = {name: int(count * factor) for name, count in before.items()}
    if counts and (counts == before or not any(counts.values())):
        # Small counts change too, or it would be no damage; and none says that nothing was traded.
        largest = max(before, key=lambda name: before[name])
        counts = {**before, largest: before[largest] + 1}
    return _summed({**row, **{name: _number(count) for name, count in counts.items()}})


def _summed(row: Row) -> Row:
    """Totals are the sums of their sides."""
    for name in ("TOTAL_TRADES", "VOLUME", "QUOTE_VOLUME"):
        sides = [f"{name}{side}" for side in _SIDES]
        if name in row and all(side in row for side in sides):
            row[name] = _number(sum(_figure(row, side) for side in sides))
    return row


def _extreme(name: str, direction: int) -> Callable[[Row, float], Row]:
    """A change of HIGH or LOW, and of the trade or message that it came from."""

    def change(row: Row, factor: float) -> Row:
        if name not in row:
            return row
        value, further = _figure(row, name), max(factor, 1 / factor)
        # Funding rates may be negative: they too go up or down, not nearer to zero.
        moved = _number(value + direction * abs(value) * (further - 1 if direction > 0 else 1 - 1 / further))
        sources = [field for field in (f"{name}_TRADE_PRICE", f"{name}_MESSAGE_VALUE") if field in row]
        return {**row, **dict.fromkeys([name, *sources], moved)}

    return change


DAMAGES: Mapping[str, Callable[[Row, float], Row]] = {
    "VOLUME": _more_volume,
    "TOTAL_TRADES": _more_trades,
    "HIGH": _extreme("HIGH", 1),
    "LOW": _extreme("LOW", -1),
}


def _token(value: Any) -> msgspec.Raw:
    if isinstance(value, Mapping) and set(value) == {"raw"}:
        return msgspec.Raw(str(value["raw"]).encode())
    return msgspec.Raw(msgspec.json.encode(value))


def _number(value: float) -> msgspec.Raw:
    return msgspec.Raw(f"{value:.15g}".encode())
