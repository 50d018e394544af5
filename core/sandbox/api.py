"""The vendor's API as a function of request and time.

`Api.answer(request, now)` routes, validates and answers; it knows nothing of keys, limits or faults,
which `gate.Gate` puts in front of it. Adding an endpoint is adding a route.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from core.sandbox.asset_lists import AssetLists
from core.sandbox.canned import Canned
from core.sandbox.catalog import Catalog
from core.sandbox.feeds import feeds
from core.sandbox.history import History
from core.sandbox.listings import Listings
from core.sandbox.market import Market
from core.sandbox.options import SandboxOptions
from core.sandbox.replay import Replay
from core.sandbox.revisions import Revisions
from core.sandbox.scenario import world_of
from core.sandbox.wire import Answer, Refusal, Request, refused, succeeded
from core.windows import DAY, HOUR, MINUTE

VERSION = "2.1.26997"
_REMEMBERED = 10_000
_LISTINGS = {"spot": "/spot", "futures": "/futures", "index": "/index/cc"}
_HISTORY = {
    "spot": "/spot/v1/historical",
    "futures": "/futures/v1/historical",
    "index": "/index/cc/v1/historical",
    "funding": "/futures/v1/historical/funding-rate",
    "interest": "/futures/v1/historical/open-interest",
}

Handler = Callable[[Mapping[str, str], int], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One path. `fresh` is how long the vendor serves a computed answer again, in seconds.

    Of a deprecated one `successor` is the path that replaces it.
    """

    handler: Handler
    fresh: int = 0
    successor: str = ""


def synthetic(options: SandboxOptions) -> dict[str, Route]:
    """The endpoints of a synthetic world. Raises ConfigError for a bad scenario."""
    catalog = Catalog(options.seed)
    world = world_of(catalog, options.scenario)
    market = Market(options.seed)
    kinds = feeds(market, Revisions(options.revisions, options.revise_up_to) if options.revisions else None)
    history = History(world, kinds)
    page = Canned(history, catalog, market).page if options.canned else history.page
    listings = Listings(world, kinds)
    assets = AssetLists(world, market)
    routes = {
        "/asset/v1/top/list": Route(assets.top, 30),
        "/asset/v1/summary/list": Route(assets.summary, 300),
        "/asset/v2/metadata": Route(assets.metadata, 30),
        "/asset/v1/metadata": Route(assets.metadata, 30, "/asset/v2/metadata"),
        "/info/v1/version": Route(_version),
    }
    for kind, prefix in _LISTINGS.items():
        path = f"{prefix}/v2/markets"
        routes[path] = Route(partial(listings.markets, kind, "markets"), 60)
        routes[f"{prefix}/v1/markets"] = Route(partial(listings.markets, kind, "market"), 60, path)
        routes[f"{prefix}/v1/markets/instruments"] = Route(partial(listings.instruments, kind), 60)
    for kind, prefix in _HISTORY.items():
        for grain in (DAY, HOUR, MINUTE):
            fresh = 60 if grain is MINUTE else 300
            routes[f"{prefix}/{grain.path}"] = Route(partial(page, kind, grain), fresh)
    return routes


def recorded(replay: Replay) -> dict[str, Route]:
    """The endpoints of recorded answers: history only."""
    routes = {path: Route(handler) for path, handler in replay.handlers().items()}
    return routes | {"/info/v1/version": Route(_version)}


class Api:
    """Answers requests from a table of routes."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes
        self._computed: OrderedDict[str, int] = OrderedDict()

    def answer(self, request: Request, now: int) -> Answer:
        """The answer at vendor time `now` (UTC epoch seconds); never raises for a bad request."""
        route = self._routes.get(request.path)
        try:
            answer = self._answer(request, route, now)
        except Refusal as refusal:
            answer = refused(refusal, request.path)
        return superseded(answer, route.successor) if route and route.successor else answer

    def _answer(self, request: Request, route: Route | None, now: int) -> Answer:
        path, method = request.path, request.method
        if route is None:
            raise Refusal(404, f"Path does not exist: {path}", param="path", values=[path])
        if method != "GET":
            raise Refusal(405, f"{method} is not allowed, only GET is.", param="method", values=[method])
        query = {**request.query, "api_key": request.key}
        return route.handler(query, self._as_of(request, route.fresh, now))

    def _as_of(self, request: Request, fresh: int, now: int) -> int:
        """The time whose data is served: of the last computation while that is fresh.

        Answers are pure, so remembering the time is remembering the answer.
        """
        if not fresh:
            return now
        key = request.path + "?" + "&".join(f"{k}={v}" for k, v in sorted(request.query.items()) if k != "api_key")
        computed = self._computed.get(key)
        if computed is not None and 0 <= now - computed < fresh:
            return computed
        self._computed[key] = now
        self._computed.move_to_end(key)
        if len(self._computed) > _REMEMBERED:
            self._computed.popitem(last=False)
        return now


def superseded(answer: Answer, successor: str) -> Answer:
    """The answer of a deprecated path, with the headers that say which one replaces it."""
    link = f'<{successor}>; rel="successor-version"'
    return replace(answer, headers={**answer.headers, "Deprecation": "true", "Link": link})


def _version(_query: Mapping[str, str], _now: int) -> Answer:
    return succeeded({"VERSION": VERSION})
