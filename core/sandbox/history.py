"""The history endpoints: one page of bars of one instrument."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.sandbox.catalog import Instrument, status_at
from core.sandbox.feeds import Feed
from core.sandbox.params import PAGE_CAP, PageRequest
from core.sandbox.timeline import Line, newest, oldest
from core.sandbox.venues import MARKETS
from core.sandbox.wire import Answer, Refusal
from core.sandbox.world import World
from core.windows import Grain, Window

_NAMES = {"spot": "TRADE_SPOT", "futures": "TRADE_FUTURES", "index": "INDEX"}


class History:
    """Answers history calls from the synthetic market."""

    def __init__(self, world: World, feeds: Mapping[str, Feed[Any, Any]]) -> None:
        self._world = world
        self._feeds = feeds

    def page(self, kind: str, grain: Grain, query: Mapping[str, str], now: int) -> Answer:
        """Raises Refusal 400 or 404."""
        feed = self._feeds[kind]
        asked = PageRequest.parse(feed.groups, grain, query)
        instrument, line, span = self.span(kind, grain, asked, now)
        return feed.page(instrument, line, grain, span, asked, now)

    def span(self, kind: str, grain: Grain, asked: PageRequest, now: int) -> tuple[Instrument, Any, Window]:
        """The instrument, what its bars run along, and those of a page. Raises Refusal 404."""
        feed = self._feeds[kind]
        instrument = self._instrument(feed, asked, now)
        line = feed.line(instrument)
        if line is None or oldest(line) > now:
            name = asked.instrument
            raise _unknown_instrument(name, f"{asked.market} publishes no {feed.what} of {name}.")
        size = asked.aggregate * grain.seconds
        latest, first = newest(line, now), oldest(line)
        last = latest if asked.to_ts is None else min(asked.to_ts, latest)
        last, first = last - last % size, first - first % size
        if last < first:
            asked_for = last if asked.to_ts is None else asked.to_ts
            raise nothing_before(grain, asked_for, instrument, line, now)
        count = min(asked.limit, PAGE_CAP[grain] // asked.aggregate)
        return instrument, line, Window(max(first, last - (count - 1) * size), last + size)

    def _instrument(self, feed: Feed[Any, Any], asked: PageRequest, now: int) -> Instrument:
        if asked.market not in MARKETS[feed.listed]:
            raise unknown_market(feed.listed, asked.market)
        found = self._world.at(now).find(feed.listed, asked.market, asked.instrument)
        if found is None or oldest(found.series) > now:
            raise _unknown_instrument(asked.instrument, f"{asked.market} does not list {asked.instrument}.")
        return found


def _unknown_instrument(name: str, reason: str) -> Refusal:
    return Refusal(404, f"Not found: instrument parameter. {reason}", param="instrument", values=[name])


def unknown_market(kind: str, market: str) -> Refusal:
    return Refusal(
        404,
        f"Not found: market parameter. {market} is not integrated as a {_NAMES[kind]} market.",
        param="market",
        values=[market],
    )


def nothing_before(grain: Grain, to_ts: int, instrument: Instrument, line: Line, now: int) -> Refusal:
    """The 404 of a time before the first bar, with the times that exist."""
    status = status_at(instrument, now)
    return time_refusal(grain, to_ts, status, grain.floor(oldest(line)), grain.floor(newest(line, now)))


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
