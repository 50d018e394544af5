"""What the contract bounds single values to, and a row type so narrow that whatever fits it keeps those bounds.

Checking while decoding is next to free; a page that does not fit is decoded again and looked at row by row.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from core.datasets import Dataset
from core.records import Column, in_groups

LARGEST_INTEGER = 2**63 - 1
PRICES = frozenset({"open", "high", "low", "close"})
ABSENT_WHEN_IDLE = frozenset({"OHLC_TRADE", "OHLC_MESSAGE"})
ADAPTIVE_ONLY = ("top_tier", "direct")  # volumes that only cadli and its kin have (contract 1.12)
_OPTIONAL_NAMES = (("instrument", str | None, None), ("mapped_instrument", str | None, None))
MUST_BE_POSITIVE = {"low": "price_not_positive", "interval_ms": "interval_not_positive"}


def is_adaptive(column: Column) -> bool:
    """Whether only some markets have it."""
    return column.group not in ABSENT_WHEN_IDLE and any(word in column.name for word in ADAPTIVE_ONLY)


def is_required(column: Column) -> bool:
    """Whether every row of a bar has it, an idle one included."""
    return column.group not in ABSENT_WHEN_IDLE and not is_adaptive(column)


def is_amount(column: Column) -> bool:
    """Whether it is a number that cannot be negative in any row."""
    return is_required(column) and column.name not in PRICES


def must_be_positive(dataset: Dataset, name: str) -> bool:
    return name in MUST_BE_POSITIVE and (dataset.positive or name not in PRICES)


def strict_row_type(dataset: Dataset, groups: tuple[str, ...], unit: str, market: str, instrument: str) -> type[Any]:
    """Rows of `unit` (the vendor's word) and the series with all that is required, each value within its bounds.

    It has the fields of `core.records.row_type`; where rows say whose they are, the exchange's own name for it,
    which nobody needs then, is not read. What idle bars lack and adaptive volumes may be absent.
    """
    is_told = says_whose(groups)
    names = [("mapped_instrument", Literal[instrument])] if is_told else [*_OPTIONAL_NAMES]
    fields: list[Any] = [("unit", Literal[unit]), ("market", Literal[market]), *names, ("timestamp", int)]
    fields += [_field(dataset, column) for column in in_groups(dataset.columns, groups)]
    unread = {"instrument": None} if is_told else {}
    return msgspec.defstruct("StrictRow", fields, gc=False, kw_only=True, rename="upper", namespace=unread)


def says_whose(groups: Iterable[str]) -> bool:
    """Whether rows with these groups name their instrument as we do.

    Those of an instrument that the vendor has not mapped do not: they fit no strict type, and are decoded again.
    """
    return "MAPPING" in groups


def _field(dataset: Dataset, column: Column) -> Any:
    bounded = _bounded(dataset, column)
    return (column.name, bounded) if is_required(column) else (column.name, bounded | None, None)


def _bounded(dataset: Dataset, column: Column) -> Any:
    if must_be_positive(dataset, column.name):
        return Annotated[column.kind, Meta(gt=0, le=LARGEST_INTEGER) if column.kind is int else Meta(gt=0)]
    if column.kind is int:
        return Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)]
    if is_amount(column) or is_adaptive(column):
        return Annotated[column.kind, Meta(ge=0)]
    return column.kind
