"""History rows as the vendor prints them: keys by group, numbers as JavaScript writes them.

A printer is made once for an instrument, a grain and a list of groups; it holds everything constant
as ready text and turns bars into rows without building objects. Idle bars have no keys for trades or
messages, as the vendor's rows do.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from core.sandbox.bars import Bar, Trade
from core.sandbox.catalog import Instrument
from core.sandbox.timeline import Part
from core.windows import Grain

TRADE_GROUPS = ("ID", "MAPPING", "MAPPING_ADVANCED", "OHLC", "OHLC_TRADE", "TRADE", "VOLUME")
INDEX_GROUPS = ("ID", "OHLC", "OHLC_MESSAGE", "MESSAGE", "VOLUME")
GROUPS = {"spot": TRADE_GROUPS, "futures": TRADE_GROUPS, "index": INDEX_GROUPS}

_SIDES: tuple[tuple[str, int | None], ...] = (("", None), ("_BUY", 0), ("_SELL", 1), ("_UNKNOWN", 2))

B = TypeVar("B", bound=Part)
Piece = Callable[[B], str]


def decimal(amount: int, places: int) -> str:
    """`amount` / 10**`places` as JavaScript prints it: no trailing zeros, no `.0`.

    The amount has at most 15 digits, so the text is exact.
    """
    if places <= 0:
        return str(amount * 10**-places)
    if amount < 0:
        return "-" + decimal(-amount, places)
    whole, rest = divmod(amount, 10**places)
    if not rest:
        return str(whole)
    if not whole and rest * 1_000_000 < 10**places:
        digits = str(rest).rstrip("0")
        exponent = places - len(str(rest)) + 1
        return f"{digits[0]}{'.' + digits[1:] if len(digits) > 1 else ''}e-{exponent}"
    return f"{whole}.{rest:0{places}d}".rstrip("0")


def layout(instrument: Instrument, groups: Sequence[str]) -> list[str | Piece[Bar]]:
    """What follows TIMESTAMP in a row, in the order of `groups`: ready text, or what makes it of a bar."""
    pieces: list[str | Piece[Bar]] = []
    for group in groups:
        fixed = constant(instrument, group, instrument.code)
        pieces.append(_varying(instrument, group) if fixed is None else fixed)
    return pieces


def head(grain: Grain) -> str:
    """How a row begins, up to the figure of TIMESTAMP."""
    return f'{{"UNIT":"{grain.unit}","TIMESTAMP":'


def printer(pieces: Sequence[str | Piece[B]], grain: Grain) -> Callable[[B], str]:
    """Turns a bar into the text of its row, laid out as `pieces`."""
    start = head(grain)

    def row(bar: B) -> str:
        texts = [piece if isinstance(piece, str) else piece(bar) for piece in pieces]
        return start + str(bar.start) + "".join(texts) + "}"

    return row


def constant(instrument: Instrument, group: str, code: str) -> str | None:
    """The text of a group that is the same in every row of an instrument, None for other groups.

    `code` is the vendor's type of the rows.
    """
    base, quote = instrument.base, instrument.quote
    if group == "ID":
        return _strings(TYPE=code, MARKET=instrument.market, INSTRUMENT=instrument.own_id)
    if group == "MAPPING":
        return _strings(**_mapping(instrument))
    if group == "MAPPING_ADVANCED":
        if instrument.kind == "spot":
            return f',"BASE_ID":{base.id},"QUOTE_ID":{quote.id}' + _strings(TRANSFORM_FUNCTION=instrument.transform)
        return (
            f',"INDEX_UNDERLYING_ID":{base.id},"QUOTE_CURRENCY_ID":{quote.id}'
            f',"SETTLEMENT_CURRENCY_ID":{instrument.settle.id},"CONTRACT_CURRENCY_ID":{instrument.unit.id}'
            + _strings(TRANSFORM_FUNCTION=instrument.transform)
        )
    return None


def _mapping(instrument: Instrument) -> dict[str, str]:
    mapped = {"MAPPED_INSTRUMENT": instrument.mapped}
    if instrument.kind == "spot":
        return mapped | {"BASE": instrument.base.symbol, "QUOTE": instrument.quote.symbol}
    return mapped | {
        "INDEX_UNDERLYING": instrument.base.symbol,
        "QUOTE_CURRENCY": instrument.quote.symbol,
        "SETTLEMENT_CURRENCY": instrument.settle.symbol,
        "CONTRACT_CURRENCY": instrument.unit.symbol,
        "DENOMINATION_TYPE": instrument.denomination,
    }


def _strings(**fields: str) -> str:
    return "".join(f',"{name}":"{value}"' for name, value in fields.items())


def _varying(instrument: Instrument, group: str) -> Piece[Bar]:
    ticks = instrument.series.ticks

    @lru_cache(maxsize=1024)
    def price(amount: int) -> str:
        return decimal(amount, ticks)

    match group:
        case "OHLC":
            return _ohlc(price)
        case "OHLC_TRADE":
            return _stamps(price, "TRADE", "PRICE")
        case "OHLC_MESSAGE":
            return _stamps(price, "MESSAGE", "VALUE")
        case "TRADE":
            return _counts
        case "MESSAGE":
            return lambda bar: f',"TOTAL_INDEX_UPDATES":{sum(bar.counts)}'
        case "VOLUME":
            return _volume(instrument)
    raise KeyError(group)


def _ohlc(price: Callable[[int], str]) -> Piece[Bar]:
    def piece(bar: Bar) -> str:
        opening = bar.opening
        if bar.marks is None:
            text = price(opening)
            return f',"OPEN":{text},"HIGH":{text},"LOW":{text},"CLOSE":{text}'
        high, low = max(opening, bar.marks.high.price), min(opening, bar.marks.low.price)
        return f',"OPEN":{price(opening)},"HIGH":{price(high)},"LOW":{price(low)},"CLOSE":{price(bar.closing)}'

    return piece


def _stamps(price: Callable[[int], str], what: str, value: str) -> Piece[Bar]:
    names = {side: f',"{side}_{what}_' for side in ("FIRST", "LAST", "HIGH", "LOW")}

    def stamp(side: str, trade: Trade) -> str:
        return f'{names[side]}TIMESTAMP":{trade.ts}'

    def level(side: str, trade: Trade) -> str:
        return f'{names[side]}{value}":{price(trade.price)}'

    def piece(bar: Bar) -> str:
        if bar.marks is None:
            return ""
        first, high, low, last = bar.marks
        return (
            stamp("FIRST", first) + stamp("LAST", last) + level("FIRST", first)
            + level("HIGH", high) + stamp("HIGH", high) + level("LOW", low) + stamp("LOW", low)
            + level("LAST", last)
        )  # fmt: skip

    return piece


def _counts(bar: Bar) -> str:
    buy, sell, unknown = _padded(bar.counts)
    return (
        f',"TOTAL_TRADES":{buy + sell + unknown},"TOTAL_TRADES_BUY":{buy}'
        f',"TOTAL_TRADES_SELL":{sell},"TOTAL_TRADES_UNKNOWN":{unknown}'
    )


def _padded(parts: tuple[int, ...]) -> tuple[int, int, int]:
    """Buy, sell and unknown, whichever of them a series has."""
    buy, sell, unknown = (*parts, 0, 0, 0)[:3]
    return buy, sell, unknown


def _volume(instrument: Instrument) -> Piece[Bar]:
    series = instrument.series
    if instrument.kind == "index":
        return _index_volume(series.lots, series.values, tiers=instrument.market == "cadli")
    contracts = instrument.kind == "futures"

    def piece(bar: Bar) -> str:
        lots = _padded(bar.lots)
        head = f',"NUMBER_OF_CONTRACTS":{sum(lots)}' if contracts else ""
        values = _padded(bar.values)
        if series.contract is None:
            base, quote = (lots, series.lots), (values, series.values)
        else:
            quotes = lots[0] * series.contract, lots[1] * series.contract, lots[2] * series.contract
            base, quote = (values, series.values), (quotes, 0)
        text = head
        for name, i in _SIDES:
            text += f',"VOLUME{name}":{_part(*base, i)},"QUOTE_VOLUME{name}":{_part(*quote, i)}'
        return text

    return piece


def _part(amounts: tuple[int, int, int], places: int, index: int | None) -> str:
    """One side's amount, or with None the sum of all."""
    amount = sum(amounts) if index is None else amounts[index]
    return decimal(amount, places) if amount else "0"


def _index_volume(lot_places: int, value_places: int, *, tiers: bool) -> Piece[Bar]:
    """Components are top-tier direct, top-tier, direct, neither; only cadli tells them apart."""
    columns: list[tuple[str, tuple[int, ...]]] = [("", (0, 1, 2, 3))]
    if tiers:
        columns += [("_TOP_TIER", (0, 1)), ("_DIRECT", (0, 2)), ("_TOP_TIER_DIRECT", (0,))]

    def piece(bar: Bar) -> str:
        lots, values = bar.lots or (0, 0, 0, 0), bar.values or (0, 0, 0, 0)
        return "".join(
            f',"VOLUME{name}":{decimal(sum(lots[i] for i in kinds), lot_places)}'
            f',"QUOTE_VOLUME{name}":{decimal(sum(values[i] for i in kinds), value_places)}'
            for name, kinds in columns
        )

    return piece
