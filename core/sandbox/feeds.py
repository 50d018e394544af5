"""The five kinds of history: whose bars they are made of and how their rows look, as JSON or as CSV."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import msgspec

from core.sandbox.bars import Bar, Marks, Trade
from core.sandbox.catalog import Instrument
from core.sandbox.market import Market
from core.sandbox.params import PageRequest
from core.sandbox.revisions import Revisions
from core.sandbox.rows import INDEX_GROUPS, TRADE_GROUPS, Piece, layout, printer
from core.sandbox.series import Series
from core.sandbox.stream_rows import FUNDING_GROUPS, INTEREST_GROUPS, funding_layout, interest_layout
from core.sandbox.streams import Funding, OpenInterest
from core.sandbox.timeline import B, L, Timeline
from core.sandbox.updates import Flow, Told, Update
from core.sandbox.wire import Answer
from core.windows import Grain, Window

CSV_TYPE = "text/csv; charset=UTF-8"
_TRADE = Trade(0, 0, 1)


@dataclass(frozen=True, slots=True)
class Feed(Generic[L, B]):
    """One kind of history. `listed` is where its instruments are, `what` it consists of.

    `line` is None of an instrument that has nothing of the kind. `full` makes a bar that has
    everything a row can tell, for the header of CSV; `seen` tells bars as they are published at a time.
    """

    listed: str
    what: str
    groups: tuple[str, ...]
    timeline: Timeline[L, B]
    line: Callable[[Instrument], L | None]
    layout: Callable[[Instrument, L, Sequence[str]], Sequence[str | Piece[B]]]
    full: Callable[[L], B]
    seen: Callable[[L, Grain, Sequence[B], int], list[B]] | None = None

    def page(self, instrument: Instrument, line: L, grain: Grain, span: Window, asked: PageRequest, now: int) -> Answer:
        """The bars of `line` in `span`, as the vendor prints them at `now`."""
        bars = self.timeline.bars(line, grain, *span, now)
        if self.seen is not None:
            bars = self.seen(line, grain, bars, now)
        bars = self.timeline.aggregated(bars, grain, asked.aggregate)
        if not asked.fill:
            bars = [bar for bar in bars if bar.marks]
        row = printer(self.layout(instrument, line, asked.groups), grain)
        rows = list(map(row, bars))
        if asked.csv:
            return _csv(row(self.full(line)), rows)
        return Answer(200, ('{"Data":[' + ",".join(rows) + '],"Err":{}}').encode())


def feeds(market: Market, revisions: Revisions | None = None) -> Mapping[str, Feed[Any, Any]]:
    """All kinds of history of one market; bars of trades are subject to `revisions`."""
    seen = revisions.seen if revisions else None

    def trades(listed: str, groups: tuple[str, ...]) -> Feed[Series, Bar]:
        return Feed(listed, "trades", groups, market, lambda item: item.series, _trades, _full_bar, seen)

    funding: Feed[Any, Any] = Feed(
        "futures", "funding rate", FUNDING_GROUPS, Funding(), lambda item: item.funding, funding_layout, _full_rate
    )
    interest: Feed[Any, Any] = Feed(
        "futures",
        "open interest",
        INTEREST_GROUPS,
        OpenInterest(market),
        lambda item: item.interest,
        interest_layout,
        _full_interest,
    )
    return {
        "spot": trades("spot", TRADE_GROUPS),
        "futures": trades("futures", TRADE_GROUPS),
        "index": trades("index", INDEX_GROUPS),
        "funding": funding,
        "interest": interest,
    }


def _trades(instrument: Instrument, _: Series, groups: Sequence[str]) -> list[str | Piece[Bar]]:
    return layout(instrument, groups)


def _full_bar(series: Series) -> Bar:
    ones = (1,) * len(series.parts)
    return Bar(0, 1, Marks(_TRADE, _TRADE, _TRADE, _TRADE), ones, ones, ones)


def _full_rate(_: object) -> Flow:
    return _full_flow(1)


def _full_interest(_: object) -> Flow:
    return _full_flow(3)


def _full_flow(values: int) -> Flow:
    update = Update(0, 0, (1,) * values)
    return Flow(0, update.values, Told(update, (update,) * values, (update,) * values, update), 1)


def _csv(full: str, rows: Sequence[str]) -> Answer:
    """A header of all keys that `full` has, and rows with empty cells for those they lack."""
    names = list(_cells(full))
    lines = [",".join(names)]
    for row in rows:
        cells = _cells(row)
        lines.append(",".join([cells.get(name, "") for name in names]))
    return Answer(200, ("\n".join(lines) + "\n").encode(), {"Content-Type": CSV_TYPE})


def _cells(row: str) -> dict[str, str]:
    """Figures keep the text they have in JSON."""
    fields = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
    return {name: bytes(raw).decode().strip('"') for name, raw in fields.items()}
