"""Rows of funding rates and open interest as the vendor prints them; see `rows` for the forms of numbers."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from core.sandbox.catalog import Instrument
from core.sandbox.rows import Piece, constant, decimal
from core.sandbox.series import Stream
from core.sandbox.updates import Flow, Told, Update, Values

FUNDING_GROUPS = ("ID", "MAPPING", "MAPPING_ADVANCED", "VALUE", "OHLC", "OHLC_MESSAGE", "MESSAGE")
INTEREST_GROUPS = ("ID", "MAPPING", "MAPPING_ADVANCED", "OHLC", "OHLC_MESSAGE", "MESSAGE")
FUNDING_TYPE, INTEREST_TYPE = "934", "944"

# The extremes of open interest: the name of the value, which one it is, and which is printed beside it.
_EXTREMES = (("SETTLEMENT", 0, "SETTLEMENT_MARK_PRICE", 1), ("MARK_PRICE", 1, "MARK_PRICE_SETTLEMENT", 0),
             ("QUOTE", 2, "QUOTE_MARK_PRICE", 1))  # fmt: skip


def funding_layout(instrument: Instrument, stream: Stream, groups: Sequence[str]) -> list[str | Piece[Flow]]:
    """What follows TIMESTAMP in a row, in the order of `groups`: ready text, or what makes it of a bar."""

    @lru_cache(maxsize=1024)
    def rate(values: Values) -> str:
        return decimal(int(values[0]), stream.places)

    varying = {
        "OHLC": _rates(rate),
        "OHLC_MESSAGE": _rate_updates(rate),
        "MESSAGE": _count("TOTAL_FUNDING_RATE_UPDATES"),
    }
    fixed = {"VALUE": f',"INTERVAL_MS":{stream.interval_ms}'}
    return [fixed.get(group) or constant(instrument, group, FUNDING_TYPE) or varying[group] for group in groups]


def interest_layout(instrument: Instrument, stream: Stream, groups: Sequence[str]) -> list[str | Piece[Flow]]:
    """The same for open interest."""
    texts = _interest_texts(stream)
    varying = {
        "OHLC": _interest(texts),
        "OHLC_MESSAGE": _interest_updates(texts),
        "MESSAGE": _count("TOTAL_OPEN_INTEREST_UPDATES"),
    }
    return [constant(instrument, group, INTEREST_TYPE) or varying[group] for group in groups]


def _count(name: str) -> Piece[Flow]:
    return lambda bar: f',"{name}":{bar.total}'


def _rates(rate: Callable[[Values], str]) -> Piece[Flow]:
    def piece(bar: Flow) -> str:
        opening, closing = bar.opening, bar.closing
        high, low = _reach(bar)
        return f',"OPEN":{rate(opening)},"HIGH":{rate(high[0])},"LOW":{rate(low[0])},"CLOSE":{rate(closing)}'

    return piece


def _reach(bar: Flow) -> tuple[list[Values], list[Values]]:
    """The values at the highest and lowest of each value, the opening included."""
    opening, marks = bar.opening, bar.marks
    if marks is None:
        return [opening] * len(opening), [opening] * len(opening)
    highs = [u.values if u.values[i] > opening[i] else opening for i, u in enumerate(marks.highs)]
    lows = [u.values if u.values[i] < opening[i] else opening for i, u in enumerate(marks.lows)]
    return highs, lows


def _rate_updates(rate: Callable[[Values], str]) -> Piece[Flow]:
    def edge(side: str, update: Update) -> str:
        return f',"{side}_MESSAGE_VALUE":{rate(update.values)},"{side}_MESSAGE_TIMESTAMP":{update.ts}'

    def piece(bar: Flow) -> str:
        if bar.marks is None:
            return ""
        first, (high,), (low,), last = bar.marks
        return (
            f',"FIRST_MESSAGE_TIMESTAMP":{first.ts},"LAST_MESSAGE_TIMESTAMP":{last.ts}'
            f',"FIRST_MESSAGE_VALUE":{rate(first.values)}{edge("HIGH", high)}{edge("LOW", low)}'
            f',"LAST_MESSAGE_VALUE":{rate(last.values)}'
        )

    return piece


def _interest_texts(stream: Stream) -> Callable[[Values], tuple[str, str, str]]:
    """Open interest, mark price and quote value as text."""
    series, places = stream.series, stream.places

    @lru_cache(maxsize=4096)
    def texts(values: Values) -> tuple[str, str, str]:
        size, price, worth = values
        mark = decimal(int(price), series.ticks)
        if series.contract is None:
            return decimal(int(size), places), mark, decimal(int(worth), places + series.ticks)
        return repr(size).removesuffix(".0"), mark, str(worth)

    return texts


def _interest(texts: Callable[[Values], tuple[str, str, str]]) -> Piece[Flow]:
    def edge(side: str, values: Values) -> str:
        size, price, worth = texts(values)
        return f',"{side}_SETTLEMENT":{size},"{side}_MARK_PRICE":{price},"{side}_QUOTE":{worth}'

    def extremes(side: str, found: list[Values]) -> str:
        size, price, worth = map(texts, found)
        return (
            f',"{side}_SETTLEMENT":{size[0]},"{side}_SETTLEMENT_MARK_PRICE":{size[1]}'
            f',"{side}_MARK_PRICE":{price[1]},"{side}_MARK_PRICE_SETTLEMENT":{price[0]}'
            f',"{side}_QUOTE":{worth[2]},"{side}_QUOTE_MARK_PRICE":{worth[1]}'
        )

    def piece(bar: Flow) -> str:
        highs, lows = _reach(bar)
        return edge("OPEN", bar.opening) + extremes("HIGH", highs) + extremes("LOW", lows) + edge("CLOSE", bar.closing)

    return piece


def _interest_updates(texts: Callable[[Values], tuple[str, str, str]]) -> Piece[Flow]:
    def edge(side: str, update: Update) -> str:
        size, price, worth = texts(update.values)
        name = f',"{side}_MESSAGE_'
        return f'{name}TIMESTAMP":{update.ts}{name}SETTLEMENT":{size}{name}MARK_PRICE":{price}{name}QUOTE":{worth}'

    def extremes(side: str, found: tuple[Update, ...]) -> str:
        name = f',"{side}_MESSAGE_'
        pairs = zip(_EXTREMES, [(update.ts, texts(update.values)) for update in found], strict=True)
        return "".join(
            f'{name}{what}":{text[i]}{name}{other}":{text[j]}{name}{what}_TIMESTAMP":{ts}'
            for (what, i, other, j), (ts, text) in pairs
        )

    def piece(bar: Flow) -> str:
        marks: Told | None = bar.marks
        if marks is None:
            return ""
        return (
            edge("FIRST", marks.first)
            + extremes("HIGH", marks.highs)
            + extremes("LOW", marks.lows)
            + edge("LAST", marks.last)
        )

    return piece
