"""The fields of the vendor's rows, and the typed decoders built from them.

One table of columns per kind of row, in the contract's order, is the only place that lists fields:
decoders, database columns and upserts derive from it. A decoder reads just the groups asked for,
which is what makes it fast; msgspec checks types, ranges and JSON grammar as it goes (strict: a
string is never a number, a boolean never an integer, 1e999 is out of range).
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import msgspec


class Column(NamedTuple):
    """One field of a row: our snake-case `name`, the vendor's `group`, and what it holds."""

    name: str
    group: str
    kind: type[float] | type[int] | type[str]

    @property
    def field(self) -> str:
        return self.name.upper()


def _columns(group: str, kind: type[float] | type[int] | type[str], names: str) -> tuple[Column, ...]:
    return tuple(Column(name, group, kind) for name in names.split())


_SIDES = ("buy", "sell", "unknown")
_OHLC = _columns("OHLC", float, "open high low close")
_OHLC_TRADE = (
    *_columns("OHLC_TRADE", int, "first_trade_timestamp last_trade_timestamp"),
    *_columns("OHLC_TRADE", float, "first_trade_price high_trade_price"),
    *_columns("OHLC_TRADE", int, "high_trade_timestamp"),
    *_columns("OHLC_TRADE", float, "low_trade_price"),
    *_columns("OHLC_TRADE", int, "low_trade_timestamp"),
    *_columns("OHLC_TRADE", float, "last_trade_price"),
)
_TRADE = _columns("TRADE", int, " ".join(["total_trades", *(f"total_trades_{side}" for side in _SIDES)]))
_VOLUME = _columns(
    "VOLUME",
    float,
    " ".join(["volume quote_volume", *(f"volume_{side} quote_volume_{side}" for side in _SIDES)]),
)
_OHLC_MESSAGE = (
    *_columns("OHLC_MESSAGE", int, "first_message_timestamp last_message_timestamp"),
    *_columns("OHLC_MESSAGE", float, "first_message_value high_message_value"),
    *_columns("OHLC_MESSAGE", int, "high_message_timestamp"),
    *_columns("OHLC_MESSAGE", float, "low_message_value"),
    *_columns("OHLC_MESSAGE", int, "low_message_timestamp"),
    *_columns("OHLC_MESSAGE", float, "last_message_value"),
)

SPOT_OHLCV = (*_OHLC, *_OHLC_TRADE, *_TRADE, *_VOLUME)
FUTURES_OHLCV = (*_OHLC, *_OHLC_TRADE, *_columns("VOLUME", float, "number_of_contracts"), *_TRADE, *_VOLUME)
INDEX_OHLCV = (
    *_OHLC,
    *_OHLC_MESSAGE,
    *_columns(
        "VOLUME",
        float,
        "volume quote_volume volume_top_tier quote_volume_top_tier volume_direct quote_volume_direct "
        "volume_top_tier_direct quote_volume_top_tier_direct",
    ),
    *_columns("MESSAGE", int, "total_index_updates"),
)

SPOT_CONSTANTS = (
    *_columns("ID", str, "type"),
    *_columns("MAPPING", str, "base quote"),
    *_columns("MAPPING_ADVANCED", int, "base_id quote_id"),
    *_columns("MAPPING_ADVANCED", str, "transform_function"),
)
FUTURES_CONSTANTS = (
    *_columns("ID", str, "type"),
    *_columns(
        "MAPPING",
        str,
        "index_underlying quote_currency settlement_currency contract_currency denomination_type",
    ),
    *_columns(
        "MAPPING_ADVANCED",
        int,
        "index_underlying_id quote_currency_id settlement_currency_id contract_currency_id",
    ),
    *_columns("MAPPING_ADVANCED", str, "transform_function"),
)
INDEX_CONSTANTS = _columns("ID", str, "type")


class Identity(msgspec.Struct, gc=False, rename="upper"):
    """What every history row says about itself, whatever groups were asked for."""

    timestamp: int
    unit: str
    market: str | None = None
    instrument: str | None = None
    mapped_instrument: str | None = None


@cache
def row_type(columns: tuple[Column, ...]) -> type[Any]:
    """The Struct of one row: `Identity` plus `columns`, each of them absent (None) or of its type."""
    fields = [(column.name, column.kind | None, None) for column in columns]
    return msgspec.defstruct("Row", fields, bases=(Identity,), gc=False, rename="upper")


def in_groups(columns: Iterable[Column], groups: Iterable[str]) -> tuple[Column, ...]:
    """The columns that belong to one of `groups`, in table order."""
    asked = frozenset(groups)
    return tuple(column for column in columns if column.group in asked)
