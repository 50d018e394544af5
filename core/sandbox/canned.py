"""History pages from ready-made columns, so that a benchmark measures the client and not this server.

Per kind, grain and groups one page of real synthetic bars is printed once; a request only exchanges
times and names. Bars follow each other as a ring: the first OPEN is the last CLOSE.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from core.sandbox.catalog import Catalog, Instrument
from core.sandbox.history import History
from core.sandbox.market import Market
from core.sandbox.params import PAGE_CAP, PageRequest
from core.sandbox.rows import GROUPS, head, layout
from core.sandbox.wire import Answer
from core.windows import GRAINS, Grain

_EPOCH = 1_735_689_600
_TIME = re.compile(rb'(?<=_TIMESTAMP":)\d+')
_TEMPLATES = {
    "spot": ("binance", "BTC-USDT"),
    "futures": ("binance", "BTC-USDT-VANILLA-PERPETUAL"),
    "index": ("cadli", "BTC-USD"),
}


class Printed(NamedTuple):
    """The text of a group for one bar, with a place for each time in it; times are seconds after the bar's start."""

    text: bytes
    times: tuple[int, ...]

    @classmethod
    def of(cls, text: bytes, start: int) -> "Printed":
        return cls(_TIME.sub(b"%d", text), tuple(int(found) - start for found in _TIME.findall(text)))


class Canned:
    """Stands in for `History.page`."""

    def __init__(self, history: History, catalog: Catalog, market: Market) -> None:
        self._history = history
        self._catalog = catalog
        self._market = market
        self._columns = lru_cache(maxsize=64)(self._print)
        self._page = lru_cache(maxsize=256)(self._place)

    def page(self, kind: str, grain: Grain, query: Mapping[str, str], now: int) -> Answer:
        """Raises Refusal 400 or 404, as a real page does. Aggregates, CSV and streams are real pages."""
        if kind not in _TEMPLATES:
            return self._history.page(kind, grain, query, now)
        asked = PageRequest.parse(GROUPS[kind], grain, query)
        if asked.aggregate != 1 or asked.csv:
            return self._history.page(kind, grain, query, now)
        instrument, _, span = self._history.span(kind, grain, asked, now)
        count = grain.bars(span)
        columns = self._page(kind, grain.name, asked.groups, span.start)
        width = len(columns) + 1
        pieces: list[bytes] = [b""] * (count * width)
        pieces[0::width] = _stamps(span.start, count, grain.seconds, head(grain))
        for place, (column, text) in enumerate(zip(columns, _names(instrument, asked.groups), strict=True), 1):
            pieces[place::width] = column[:count] if column else [text] * count
        # Every row but the first begins with the comma and brace that end the one before.
        body = b"".join([b'{"Data":[', memoryview(pieces[0])[2:], *pieces[1:], b'}],"Err":{}}'])
        return Answer(200, body)

    def _place(self, kind: str, grain_name: str, groups: tuple[str, ...], start: int) -> list[list[bytes]]:
        """The columns of a page whose first bar is at `start`; those without times are the same for all."""
        step = GRAINS[grain_name].seconds
        return [
            [
                bar.text % tuple(start + step * at + time for time in bar.times) if bar.times else bar.text
                for at, bar in enumerate(column)
            ]
            for column in self._columns(kind, grain_name, groups)
        ]

    def _print(self, kind: str, grain_name: str, groups: tuple[str, ...]) -> list[list[Printed]]:
        """One list of texts a group, empty for groups that are constant."""
        grain = GRAINS[grain_name]
        cap = PAGE_CAP[grain]
        instrument = self._catalog.instruments[kind][_TEMPLATES[kind][0]][_TEMPLATES[kind][1]]
        end = grain.floor(_EPOCH)
        start = max(instrument.series.first, end - 2 * cap * grain.seconds)
        bars = [b for b in self._market.bars(instrument.series, grain, start, end, end) if b.marks]
        bars = (bars * (cap // len(bars) + 1))[:cap]
        previous = bars[-1].closing
        for i, bar in enumerate(bars):
            bars[i] = bar._replace(opening=previous)
            previous = bar.closing
        return [
            [] if isinstance(piece, str) else [Printed.of(piece(bar).encode(), bar.start) for bar in bars]
            for piece in layout(instrument, groups)
        ]


def _names(instrument: Instrument, groups: tuple[str, ...]) -> list[bytes]:
    return [piece.encode() if isinstance(piece, str) else b"" for piece in layout(instrument, groups)]


@lru_cache(maxsize=256)
def _stamps(start: int, count: int, step: int, begin: str) -> list[bytes]:
    text = b"}," + begin.encode()
    return [text + b"%d" % ts for ts in range(start, start + count * step, step)]
