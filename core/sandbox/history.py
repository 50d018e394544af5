"""The history endpoints: one page of bars for one instrument."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from core.sandbox import params
from core.sandbox.catalog import MARKETS, Catalog, Instrument, status_at
from core.sandbox.market import Market
from core.sandbox.rows import GROUPS, printer
from core.sandbox.wire import Answer, Refusal
from core.windows import DAY, HOUR, MINUTE, Grain, Window

PAGE_CAP = {DAY: 5_000, HOUR: 2_000, MINUTE: 2_000}
_LATEST = 4_102_444_800
_KINDS = {"spot": "TRADE_SPOT", "futures": "TRADE_FUTURES", "index": "INDEX"}


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The parameters of a history call; `to_ts` in UTC seconds, None for now."""

    market: str
    instrument: str
    groups: tuple[str, ...]
    limit: int
    to_ts: int | None
    aggregate: int
    fill: bool

    @classmethod
    def parse(cls, kind_groups: tuple[str, ...], grain: Grain, query: Mapping[str, str]) -> "PageRequest":
        """Raises Refusal 400 for anything missing or out of range."""
        market = params.text(query, "market", 2, 30).lower()
        instrument = params.text(query, "instrument", 1, 500)
        groups = tuple(params.several(query, "groups", kind_groups, kind_groups))
        limit = params.integer(query, "limit", 30, 1, PAGE_CAP[grain])
        to_ts = params.integer(query, "to_ts", -1, -_LATEST, _LATEST)
        aggregate = params.integer(query, "aggregate", 1, 1, 30)
        if aggregate != 1:
            raise params.bad("aggregate", aggregate, "The sandbox serves plain bars only.")
        params.boolean(query, "apply_mapping", default=True)
        if params.choice(query, "response_format", "JSON", ("JSON", "CSV")) == "CSV":
            raise params.bad("response_format", "CSV", "The sandbox serves JSON only.")
        fill = params.boolean(query, "fill", default=True)
        return cls(market, instrument, groups, limit, to_ts if query.get("to_ts") else None, aggregate, fill)


class History:
    """Answers history calls from the synthetic market."""

    def __init__(self, catalog: Catalog, market: Market) -> None:
        self._catalog = catalog
        self._market = market

    def page(self, kind: str, grain: Grain, query: Mapping[str, str], now: int) -> Answer:
        """Raises Refusal 400 or 404."""
        asked = PageRequest.parse(GROUPS[kind], grain, query)
        instrument, span = self.span(kind, grain, asked, now)
        bars = self._market.bars(instrument.series, grain, *span, now)
        if not asked.fill:
            bars = [bar for bar in bars if bar.marks]
        row = printer(instrument, grain, asked.groups)
        body = '{"Data":[' + ",".join(map(row, bars)) + '],"Err":{}}'
        return Answer(200, body.encode())

    def span(self, kind: str, grain: Grain, asked: PageRequest, now: int) -> tuple[Instrument, Window]:
        """The instrument and the bars of a page, cut at the history's start. Raises Refusal 404."""
        instrument = self._instrument(kind, asked, now)
        series = instrument.series
        newest = now if series.last is None else min(now, series.last)
        last = grain.floor(newest if asked.to_ts is None else min(asked.to_ts, newest))
        first = grain.floor(series.first)
        if last < first:
            raise nothing_before(grain, last if asked.to_ts is None else asked.to_ts, instrument, now)
        start = max(first, last - (asked.limit - 1) * grain.seconds)
        return instrument, Window(start, last + grain.seconds)

    def _instrument(self, kind: str, asked: PageRequest, now: int) -> Instrument:
        if asked.market not in MARKETS[kind]:
            raise unknown_market(kind, asked.market)
        found = self._catalog.find(kind, asked.market, asked.instrument)
        if found is None or found.series.first > now:
            raise Refusal(
                404,
                f"Not found: instrument parameter. {asked.market} does not list {asked.instrument}.",
                param="instrument",
                values=[asked.instrument],
            )
        return found


def unknown_market(kind: str, market: str) -> Refusal:
    return Refusal(
        404,
        f"Not found: market parameter. {market} is not integrated as a {_KINDS[kind]} market.",
        param="market",
        values=[market],
    )


def nothing_before(grain: Grain, to_ts: int, instrument: Instrument, now: int) -> Refusal:
    """The 404 of a time before the first bar, with the times that exist."""
    series = instrument.series
    newest = now if series.last is None else min(now, series.last)
    status = status_at(instrument, now)
    return time_refusal(grain, to_ts, status, grain.floor(series.first), grain.floor(newest))


def time_refusal(grain: Grain, to_ts: int, status: str, first: int, last: int) -> Refusal:
    """`first` and `last` are the starts of the first and last bar in UTC seconds."""
    when = datetime.fromtimestamp(max(to_ts, 0), UTC).isoformat()
    return Refusal(
        404,
        f"No {grain.unit} entries available on or before {to_ts} ({when})",
        param="to_ts",
        values=[to_ts],
        instrument_status=status,
        first=first,
        last=last,
        first_bucket=first,
    )
