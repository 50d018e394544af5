"""Lists of reference data from bytes to rows, an entry at a time: one that does not fit its types costs itself only."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec

from core.datasets import SeriesKey
from core.errors import Malformed, Transient
from core.records import Column
from core.references import LISTS, TOP_LIST_PAGE, Reference
from core.sources import Asset, AssetPage, Exchange, Instrument, Listing, Recorded, RejectedRow, Row
from core.sources.decode import RAW_LIMIT, malformed
from core.text import clean, is_name

LARGEST = 2**63
LATEST = 2**33
# The vendor's other way of saying that there is none.
NONE_WORDS = frozenset({("contract_expiration_ts", -1)})
LONGEST_TEXT = 20_000
MOSTLY = 0.5
MAPPING = "MAPPING"
# What the vendor calls a column, where that is not its name in upper case.
FIELDS = {"exchange_symbol": "INSTRUMENT", "mapping_created_on": "CREATED_ON"}


class _Entries(msgspec.Struct):
    instruments: dict[str, msgspec.Raw]


class _Stats(msgspec.Struct):
    TOTAL_ASSETS: int


class _Top(msgspec.Struct):
    STATS: _Stats
    LIST: list[msgspec.Raw]


class _Answer(msgspec.Struct):
    Data: msgspec.Raw
    Err: dict[str, Any] = {}


def decode_listing(key: SeriesKey, body: bytes, server_time: int) -> Listing:
    """Raises Malformed for a body that is no such list or has mostly entries that cannot be read."""
    reference = LISTS[key.data_type]
    entries, total = _entries(reference, key, body)
    reader = _Reader(reference)
    for name, raw in entries:
        reader.read(name, raw)
    if len(reader.rejected) > MOSTLY * len(entries):
        raise Malformed(
            f"{key}: {len(reader.rejected)} of {len(entries)} entries cannot be read; the first: "
            f"{reader.rejected[0].detail}",
            "drift",
            body[:RAW_LIMIT],
        )
    return Listing(
        rows=list(reader.rows.values()),
        server_time=server_time,
        total=len(entries) if total is None else total,
        rejected=reader.rejected,
        notes=reader.notes,
        unreadable=frozenset(reader.unreadable),
    )


def _entries(reference: Reference, key: SeriesKey, body: bytes) -> tuple[list[tuple[str, msgspec.Raw]], int | None]:
    """The entries with their names, "" where those are in the entry, and the total where the answer has it."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        if answer.Err:
            message = answer.Err.get("message")
            raise Transient(
                f"{key}: the vendor answered 200 with an error: {clean(str(message or 'without a message'))}"
            )
        if reference.paged:
            top = msgspec.json.decode(answer.Data, type=_Top)
            return [("", raw) for raw in top.LIST], top.STATS.TOTAL_ASSETS
        if reference.entity == "market":
            return list(msgspec.json.decode(answer.Data, type=dict[str, msgspec.Raw]).items()), None
        markets = msgspec.json.decode(answer.Data, type=dict[str, _Entries])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error), body) from error
    if key.market not in markets:
        raise malformed(f"it does not name {key.market}", body)
    return list(markets[key.market].instruments.items()), None


class _Reader:
    """Entries to rows by name; what is wrong with one is kept."""

    def __init__(self, reference: Reference) -> None:
        self.rows: dict[str, Row] = {}
        self.rejected: list[RejectedRow] = []
        self.notes: list[RejectedRow] = []
        self.unreadable: set[str] = set()
        self._reference = reference
        self._decoder = _decoder(reference)

    def read(self, name: str, raw: msgspec.Raw) -> None:
        try:
            entry = self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._reject("type", name, clean(str(error)), raw)
            return
        if self._reference.paged:
            name = getattr(entry, self._reference.entity) or ""
        if not is_name(name):
            self._reject("name", "", f"{clean(name, 60)!r} cannot be a name", raw)
        elif self._reference.paged and entry.id is None:
            self._reject("type", name, "it has no id", raw)
        elif name in self.rows:
            self._reject("duplicate", name, "it is listed twice", raw)
        else:
            self.rows[name] = {self._reference.entity: name, **dict(self._values(name, entry))}

    def _values(self, name: str, entry: Any) -> Iterator[tuple[str, Any]]:
        mapping = getattr(entry, "instrument_mapping", None)
        for column in self._reference.columns:
            place = mapping if column.group == MAPPING else entry
            if column.name != self._reference.entity:
                yield column.name, self._value(name, column, None if place is None else getattr(place, column.name))

    def _value(self, name: str, column: Column, value: Any) -> Any:
        if isinstance(value, list | dict):
            return msgspec.json.encode(value).decode()
        if isinstance(value, str):
            return clean(value, LONGEST_TEXT)
        if type(value) is int and value not in _range(column.name):
            if (column.name, value) not in NONE_WORDS:
                detail = f"{name}: {column.name} cannot be what it says and is left empty"
                self.notes.append(RejectedRow("range", detail, str(value)[:RAW_LIMIT]))
            return None
        return value

    def _reject(self, reason: str, name: str, detail: str, raw: msgspec.Raw) -> None:
        text = bytes(raw)[:RAW_LIMIT].decode("utf-8", "replace")
        about = f"{clean(name, 100)}: {detail}" if name else detail
        self.rejected.append(RejectedRow(reason, about, text))
        self.unreadable.add(name)


@cache
def _range(name: str) -> range:
    """What a whole number may be: 64 bits in a database, no less than nothing counted, a time in seconds."""
    if name.endswith(("_timestamp", "_ts")):
        return range(LATEST)
    return range(0 if name.startswith("total_") else -LARGEST, LARGEST)


@cache
def _decoder(reference: Reference) -> msgspec.json.Decoder[Any]:
    mapped = [column for column in reference.columns if column.group == MAPPING]
    fields = _fields(column for column in reference.columns if column.group != MAPPING)
    if mapped:
        mapping = msgspec.defstruct("Mapping", _fields(mapped), rename=_vendor_name)
        fields.append(("instrument_mapping", mapping | None, None))
    return msgspec.json.Decoder(msgspec.defstruct("Entry", fields, rename=_vendor_name))


def _fields(columns: Iterable[Column]) -> list[tuple[str, Any, Any]]:
    return [
        (column.name, (list[Any] | dict[str, Any] if column.kind is list else column.kind) | None, None)
        for column in columns
    ]


def _vendor_name(name: str) -> str:
    return FIELDS.get(name, name.upper())


# What an instrument of each kind may have a history of: the feature and the middle of its columns' names.
FEATURES = {
    "spot_instruments": {"trades": ("has_trades_spot", "trade_spot")},
    "futures_instruments": {
        "trades": ("has_trades_futures", "trade_futures"),
        "funding_rate": ("has_funding_rate_updates", "funding_rate_update"),
        "open_interest": ("has_open_interest_updates", "open_interest_update"),
    },
    "index_instruments": {"index": ("has_index_updates", "index_update")},
}
TRADES = {
    "spot_instruments": "total_trades_spot",
    "futures_instruments": "total_trades_futures",
    "index_instruments": "total_index_updates",
}
# What the listing says of these when it says nothing.
ASSUMED = frozenset({"has_trades_spot", "has_trades_futures", "has_index_updates"})


def instrument_of(data_type: str, market: str, row: Row) -> Instrument:
    """An instrument of a market from its row of the list `data_type`."""
    name = row["instrument"]
    # An index is named BASE-QUOTE and has no currencies of its own (contract 1.12).
    base, _, quote = name.partition("-") if data_type == "index_instruments" else ("", "", "")
    return Instrument(
        market=market,
        name=name,
        exchange_symbol=row["exchange_symbol"] or "",
        status=row["instrument_status"] or "ACTIVE",
        base=_first(row, "base", "index_underlying") or base,
        quote=_first(row, "quote", "quote_currency") or quote,
        history=_history(data_type, row),
        trades=row[TRADES[data_type]] or 0,
        perpetual=name.endswith("-PERPETUAL"),
        base_id=_first(row, "base_id", "index_underlying_id"),
        quote_id=_first(row, "quote_id", "quote_currency_id"),
        expires=row.get("contract_expiration_ts"),
    )


def _first(row: Row, *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _history(data_type: str, row: Row) -> dict[str, Recorded]:
    return {
        feature: Recorded(row[f"first_{name}_timestamp"], row[f"last_{name}_timestamp"])
        for feature, (has, name) in FEATURES[data_type].items()
        if (has in ASSUMED if row[has] is None else row[has])
    }


def asset_page(page: int, rows: list[Row], total: int) -> AssetPage:
    """A page of the top list from its rows."""
    assets = [Asset(row["id"], row["symbol"], row["spot_moving_30_day_quote_volume_usd"] or 0.0) for row in rows]
    pages = -(-total // TOP_LIST_PAGE)
    return AssetPage(assets, is_last=page >= pages, pages=pages)


def exchange_of(row: Row) -> Exchange:
    grade = row["ccdata_latest_spot_benchmark_grade"]
    return Exchange(row["market"], row["exchange_status"] or "ACTIVE", grade.upper() if grade else None)
