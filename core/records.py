"""The fields of the vendor's rows, and the typed decoders built from them.

One table of columns per kind of row, in the contract's order, is the only place that lists fields:
decoders, database columns and upserts derive from it. A decoder reads just the groups asked for,
which is what makes it fast; msgspec checks types, ranges and JSON grammar as it goes (strict: a
string is never a number, a boolean never an integer, 1e999 is out of range).
"""

from collections.abc import Iterable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import astuple

Kind = type[float] | type[int] | type[str] | type[bool] | type[list[Any]]


class Column(NamedTuple):
    """One field of a row: our snake-case `name`, the vendor's `group`, and what it holds (a list as JSON text)."""

    name: str
    group: str
    kind: Kind

    @property
    def field(self) -> str:
        return self.name.upper()


def columns_of(group: str, kind: Kind, names: str) -> tuple[Column, ...]:
    """Columns of one group and kind, named in one text."""
    return tuple(Column(name, group, kind) for name in names.split())


_SIDES = ("buy", "sell", "unknown")
_OHLC = columns_of("OHLC", float, "open high low close")
_OHLC_TRADE = (
    *columns_of("OHLC_TRADE", int, "first_trade_timestamp last_trade_timestamp"),
    *columns_of("OHLC_TRADE", float, "first_trade_price high_trade_price"),
    *columns_of("OHLC_TRADE", int, "high_trade_timestamp"),
    *columns_of("OHLC_TRADE", float, "low_trade_price"),
    *columns_of("OHLC_TRADE", int, "low_trade_timestamp"),
    *columns_of("OHLC_TRADE", float, "last_trade_price"),
)
_TRADE = columns_of("TRADE", int, " ".join(["total_trades", *(f"total_trades_{side}" for side in _SIDES)]))
_VOLUME = columns_of(
    "VOLUME",
    float,
    " ".join(["volume quote_volume", *(f"volume_{side} quote_volume_{side}" for side in _SIDES)]),
)
_OHLC_MESSAGE = (
    *columns_of("OHLC_MESSAGE", int, "first_message_timestamp last_message_timestamp"),
    *columns_of("OHLC_MESSAGE", float, "first_message_value high_message_value"),
    *columns_of("OHLC_MESSAGE", int, "high_message_timestamp"),
    *columns_of("OHLC_MESSAGE", float, "low_message_value"),
    *columns_of("OHLC_MESSAGE", int, "low_message_timestamp"),
    *columns_of("OHLC_MESSAGE", float, "last_message_value"),
)

SPOT_OHLCV = (*_OHLC, *_OHLC_TRADE, *_TRADE, *_VOLUME)
FUTURES_OHLCV = (*_OHLC, *_OHLC_TRADE, *columns_of("VOLUME", float, "number_of_contracts"), *_TRADE, *_VOLUME)
INDEX_OHLCV = (
    *_OHLC,
    *_OHLC_MESSAGE,
    *columns_of(
        "VOLUME",
        float,
        "volume quote_volume volume_top_tier quote_volume_top_tier volume_direct quote_volume_direct "
        "volume_top_tier_direct quote_volume_top_tier_direct",
    ),
    *columns_of("MESSAGE", int, "total_index_updates"),
)

FUNDING_RATE = (
    *columns_of("VALUE", int, "interval_ms"),
    *_OHLC,
    *_OHLC_MESSAGE,
    *columns_of("MESSAGE", int, "total_funding_rate_updates"),
)

_INTEREST_EXTREMES = "settlement settlement_mark_price mark_price mark_price_settlement quote quote_mark_price".split()


def _interest_edge(name: str) -> str:
    """Open interest at one moment: in the underlying, the mark price then, in the quote currency."""
    return f"{name}_settlement {name}_mark_price {name}_quote"


def _interest_extreme(name: str) -> str:
    """Extremes of open interest and of the mark price, each with the other figure at that moment."""
    return " ".join(f"{name}_{part}" for part in _INTEREST_EXTREMES)


def _interest_message_extreme(name: str) -> tuple[Column, ...]:
    figures = columns_of("OHLC_MESSAGE", float, _interest_extreme(f"{name}_message"))
    stamps = [
        Column(f"{name}_message_{part}_timestamp", "OHLC_MESSAGE", int)
        for part in ("settlement", "mark_price", "quote")
    ]
    pairs = zip(figures[::2], figures[1::2], stamps, strict=True)
    return tuple(column for triple in pairs for column in triple)


OPEN_INTEREST = (
    *columns_of("OHLC", float, _interest_edge("open")),
    *columns_of("OHLC", float, _interest_extreme("high")),
    *columns_of("OHLC", float, _interest_extreme("low")),
    *columns_of("OHLC", float, _interest_edge("close")),
    *columns_of("OHLC_MESSAGE", int, "first_message_timestamp"),
    *columns_of("OHLC_MESSAGE", float, _interest_edge("first_message")),
    *_interest_message_extreme("high"),
    *_interest_message_extreme("low"),
    *columns_of("OHLC_MESSAGE", int, "last_message_timestamp"),
    *columns_of("OHLC_MESSAGE", float, _interest_edge("last_message")),
    *columns_of("MESSAGE", int, "total_open_interest_updates"),
)

SPOT_CONSTANTS = (
    *columns_of("ID", str, "type"),
    *columns_of("MAPPING", str, "base quote"),
    *columns_of("MAPPING_ADVANCED", int, "base_id quote_id"),
    *columns_of("MAPPING_ADVANCED", str, "transform_function"),
)
FUTURES_CONSTANTS = (
    *columns_of("ID", str, "type"),
    *columns_of(
        "MAPPING",
        str,
        "index_underlying quote_currency settlement_currency contract_currency denomination_type",
    ),
    *columns_of(
        "MAPPING_ADVANCED",
        int,
        "index_underlying_id quote_currency_id settlement_currency_id contract_currency_id",
    ),
    *columns_of("MAPPING_ADVANCED", str, "transform_function"),
)
INDEX_CONSTANTS = columns_of("ID", str, "type")


class Identity(msgspec.Struct, kw_only=True, gc=False, rename="upper"):
    """What every history row says about itself, whatever groups were asked for.

    What is stored of it, the time, comes last: so what is stored of a row is the end of its fields (`values_of`).
    """

    unit: str
    market: str | None = None
    instrument: str | None = None
    mapped_instrument: str | None = None
    timestamp: int


@cache
def row_type(columns: tuple[Column, ...]) -> type[Any]:
    """The Struct of one row: `Identity` plus `columns`, each of them absent (None) or of its type."""
    fields = [(column.name, column.kind | None, None) for column in columns]
    return msgspec.defstruct("Row", fields, bases=(Identity,), kw_only=True, gc=False, rename="upper")


def values_of(rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows of one type as `(timestamp, *values)`, at a third of what a getter of each field costs."""
    if not rows:
        return []
    values = itemgetter(slice(rows[0].__struct_fields__.index("timestamp"), None))
    return list(map(values, map(astuple, rows)))


def in_groups(columns: Iterable[Column], groups: Iterable[str]) -> tuple[Column, ...]:
    """The columns that belong to one of `groups`, in table order."""
    asked = frozenset(groups)
    return tuple(column for column in columns if column.group in asked)
