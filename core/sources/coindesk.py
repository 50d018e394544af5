"""The CoinDesk Data API: one request a call, answers to records, statuses to errors.

No retries, no waiting, no limits: the runner has one policy for every source. The HTTP status decides
first, then whether `Err` says something; the numbers in `Err.type` are undocumented and decide nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from core.clock import Clock, LoopClock
from core.datasets import Dataset, SeriesKey
from core.errors import NothingBefore, RateLimited, Rejected, SourceError, Transient, Unauthorized
from core.failpoints import failpoint
from core.limits import exhausted_wait
from core.records import in_groups
from core.sources import Asset, AssetPage, Instrument, Page, Recorded
from core.sources.decode import ErrorInfo, decode_error, decode_page, first_row, malformed
from core.sources.http import Answer, HttpClient, HttpOptions
from core.text import clean, is_name
from core.windows import GRAINS, Window

SANDBOX_HEADER = "X-Tapewatch-Sandbox"
TOP_LIST_PAGE = 100
MARKETS_PATH = {"spot": "/spot/v1/markets", "futures": "/futures/v1/markets", "index": "/index/cc/v1/markets"}
LARGEST_ID = 2**53
VOLUME_30D = "SPOT_MOVING_30_DAY_QUOTE_VOLUME_USD"
ALL_STATUSES = "ACTIVE,IGNORED,RETIRED,EXPIRED,READY_FOR_DECOMMISSIONING,RETIRED_UNMAPPED"

Observe = Callable[[Mapping[str, str]], None]


class CoinDeskSource:
    """Implements `core.sources.Source`. `observe` sees the headers of every answer (the quota's ears)."""

    name = "coindesk"

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        http: HttpOptions | None = None,
        observe: Observe = lambda _headers: None,
        clock: Clock | None = None,
    ) -> None:
        headers = {"Authorization": f"Apikey {api_key}"} if api_key else {}
        self._http = HttpClient(base_url, headers, http or HttpOptions())
        self._observe = observe
        self._clock = clock or LoopClock()
        self._anchor: tuple[float, float] | None = None
        self.origin = ""
        self.calls = 0

    def now(self) -> float:
        if self._anchor is None:
            return self._clock.wall()
        date, heard_at = self._anchor
        return date + self._clock.monotonic() - heard_at

    async def history(self, dataset: Dataset, key: SeriesKey, window: Window, groups: Sequence[str]) -> Page:
        grain = GRAINS[key.interval]
        params = {
            "market": key.market,
            "instrument": key.instrument,
            "groups": ",".join(groups),
            "limit": str(grain.bars(window)),
            "to_ts": str(window.end - grain.seconds),
        }
        answer = await self._get(f"{dataset.path}/{grain.path}", params)
        rows, rejected, err = decode_page(dataset, tuple(groups), answer.body)
        failpoint("after_parse")
        if err.is_error:
            raise Transient(f"the vendor answered 200 with an error: {clean(err.message) or 'without a message'}")
        return Page(rows, self._date(answer), rejected, lambda: _constants(dataset, key, groups, answer.body))

    async def instruments(self, kind: str, market: str) -> list[Instrument]:
        answer = await self._get(
            f"{MARKETS_PATH[kind]}/instruments",
            {"market": market, "instrument_status": ALL_STATUSES, "groups": "ID"},
        )
        listing = _decode(answer.body, _Listing)
        entries = listing.Data.get(market, _Market()).instruments
        return [_instrument(kind, market, name, entry) for name, entry in entries.items() if is_name(name)]

    async def top_assets(self, page: int) -> AssetPage:
        answer = await self._get(
            "/asset/v1/top/list",
            {
                "page": str(page),
                "page_size": str(TOP_LIST_PAGE),
                "sort_by": VOLUME_30D,
                "sort_direction": "DESC",
                "groups": "ID,VOLUME",
            },
        )
        top = _decode(answer.body, _TopList).Data
        assets = [Asset(row.ID, row.SYMBOL, row.volume or 0.0) for row in top.LIST if is_name(row.SYMBOL)]
        return AssetPage(assets, is_last=not top.LIST or page * TOP_LIST_PAGE >= top.STATS.TOTAL_ASSETS)

    async def rate_limit(self) -> None:
        await self._get("/admin/v2/rate/limit", {})

    async def close(self) -> None:
        await self._http.close()

    async def _get(self, path: str, params: Mapping[str, str]) -> Answer:
        self.calls += 1
        answer = await self._http.get(path, params)
        self._learn(answer)
        if answer.status != 200:
            raise _refusal(answer, path, params)
        if "json" not in answer.headers.get("Content-Type", "json").lower():
            raise malformed("content type " + answer.headers["Content-Type"], answer.body)
        return answer

    def _learn(self, answer: Answer) -> None:
        if (date := _parse_date(answer.headers)) is not None:
            self._anchor = (date, self._clock.monotonic())
        mark = answer.headers.get(SANDBOX_HEADER)
        # A proxy's error page carries neither: it says nothing about who answers.
        if mark is not None or "X-RateLimit-Limit" in answer.headers:
            self.origin = _origin(mark)
        self._observe(answer.headers)

    def _date(self, answer: Answer) -> int:
        date = _parse_date(answer.headers)
        return int(self.now() if date is None else date)


def _origin(mark: str | None) -> str:
    if mark is None:
        return "coindesk"
    return f"sandbox:{clean(mark.removeprefix('seed='), 40)}"


def _parse_date(headers: Mapping[str, str]) -> float | None:
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def _refusal(answer: Answer, path: str, params: Mapping[str, str]) -> SourceError:
    """The error class of a status other than 200 (contract section 1.4)."""
    err = decode_error(answer.body)
    said = clean(err.message) or f"HTTP {answer.status}"
    about = " ".join(params[name] for name in ("market", "instrument") if name in params) or path
    if answer.status == 429:
        return RateLimited(f"rate limit reached: {said}", exhausted_wait(answer.headers))
    if answer.status in {401, 403}:
        return Unauthorized(f"the vendor refuses the key ({answer.status}): {said}; set TAPEWATCH_API_KEY")
    if answer.status == 404:
        return _not_found(err, about, said)
    if 400 <= answer.status < 500 and answer.status not in {408, 425}:
        return Rejected(f"{about}: the vendor refuses the request ({answer.status}): {said}")
    return Transient(f"{about}: HTTP {answer.status}: {said}")


def _not_found(err: ErrorInfo, about: str, said: str) -> SourceError:
    if err.first is not None:
        return NothingBefore(f"{about}: {said}", err.first)
    return Rejected(f"{about}: not found: {said}")


def _constants(dataset: Dataset, key: SeriesKey, groups: Sequence[str], body: bytes) -> dict[str, Any]:
    """What the first row says about its series; nothing when it belongs to another one.

    A value of another type is left out, as is a name that cannot be one.
    """
    row = first_row(body)
    symbol, mapped = row.get("INSTRUMENT"), row.get("MAPPED_INSTRUMENT")
    if key.instrument not in {symbol, mapped} or row.get("MARKET", key.market) != key.market:
        return {}
    names = {"exchange_symbol": symbol, "instrument": mapped}
    found: dict[str, Any] = {name: text for name, text in names.items() if isinstance(text, str) and is_name(text)}
    for column in in_groups(dataset.constants, groups):
        value = row.get(column.field)
        if type(value) is not column.kind:
            continue
        if isinstance(value, str):
            found[column.name] = clean(value)
        elif isinstance(value, int) and 0 <= value <= LARGEST_ID:
            found[column.name] = value
    return found


class _Mapping(msgspec.Struct):
    BASE: str | None = None
    QUOTE: str | None = None
    BASE_ID: int | None = None
    QUOTE_ID: int | None = None
    INDEX_UNDERLYING: str | None = None
    QUOTE_CURRENCY: str | None = None
    INDEX_UNDERLYING_ID: int | None = None
    QUOTE_CURRENCY_ID: int | None = None


class _Entry(msgspec.Struct):
    INSTRUMENT: str = ""
    INSTRUMENT_STATUS: str = "ACTIVE"
    INSTRUMENT_MAPPING: _Mapping | None = None
    HAS_TRADES_SPOT: bool = True
    FIRST_TRADE_SPOT_TIMESTAMP: int | None = None
    LAST_TRADE_SPOT_TIMESTAMP: int | None = None
    TOTAL_TRADES_SPOT: int | None = None
    HAS_TRADES_FUTURES: bool = True
    FIRST_TRADE_FUTURES_TIMESTAMP: int | None = None
    LAST_TRADE_FUTURES_TIMESTAMP: int | None = None
    TOTAL_TRADES_FUTURES: int | None = None
    HAS_FUNDING_RATE_UPDATES: bool = False
    FIRST_FUNDING_RATE_UPDATE_TIMESTAMP: int | None = None
    LAST_FUNDING_RATE_UPDATE_TIMESTAMP: int | None = None
    HAS_OPEN_INTEREST_UPDATES: bool = False
    FIRST_OPEN_INTEREST_UPDATE_TIMESTAMP: int | None = None
    LAST_OPEN_INTEREST_UPDATE_TIMESTAMP: int | None = None
    CONTRACT_EXPIRATION_TS: int | None = None
    HAS_INDEX_UPDATES: bool = True
    FIRST_INDEX_UPDATE_TIMESTAMP: int | None = None
    LAST_INDEX_UPDATE_TIMESTAMP: int | None = None
    TOTAL_INDEX_UPDATES: int | None = None


# What an instrument of each kind may have a history of: the feature and the middle of its fields' names.
FEATURES = {
    "spot": {"trades": ("HAS_TRADES_SPOT", "TRADE_SPOT")},
    "futures": {
        "trades": ("HAS_TRADES_FUTURES", "TRADE_FUTURES"),
        "funding_rate": ("HAS_FUNDING_RATE_UPDATES", "FUNDING_RATE_UPDATE"),
        "open_interest": ("HAS_OPEN_INTEREST_UPDATES", "OPEN_INTEREST_UPDATE"),
    },
    "index": {"index": ("HAS_INDEX_UPDATES", "INDEX_UPDATE")},
}
TRADES = {"spot": "TOTAL_TRADES_SPOT", "futures": "TOTAL_TRADES_FUTURES", "index": "TOTAL_INDEX_UPDATES"}


class _Market(msgspec.Struct):
    instruments: dict[str, _Entry] = {}


class _Listing(msgspec.Struct):
    Data: dict[str, _Market]


class _TopAsset(msgspec.Struct):
    ID: int
    SYMBOL: str
    volume: float | None = msgspec.field(default=None, name=VOLUME_30D)


class _Stats(msgspec.Struct):
    TOTAL_ASSETS: int


class _Top(msgspec.Struct):
    STATS: _Stats
    LIST: list[_TopAsset]


class _TopList(msgspec.Struct):
    Data: _Top


def _decode(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error), body) from error


def _instrument(kind: str, market: str, name: str, entry: _Entry) -> Instrument:
    mapping = entry.INSTRUMENT_MAPPING or _Mapping()
    # An index is named BASE-QUOTE and has no currencies of its own (contract 1.12).
    base, _, quote = name.partition("-") if kind == "index" else ("", "", "")
    return Instrument(
        market=market,
        name=name,
        exchange_symbol=clean(entry.INSTRUMENT),
        status=entry.INSTRUMENT_STATUS,
        base=mapping.BASE or mapping.INDEX_UNDERLYING or base,
        quote=mapping.QUOTE or mapping.QUOTE_CURRENCY or quote,
        history=_history(kind, entry),
        trades=getattr(entry, TRADES[kind]) or 0,
        perpetual=name.endswith("-PERPETUAL"),
        base_id=mapping.BASE_ID if mapping.BASE_ID is not None else mapping.INDEX_UNDERLYING_ID,
        quote_id=mapping.QUOTE_ID if mapping.QUOTE_ID is not None else mapping.QUOTE_CURRENCY_ID,
        expires=entry.CONTRACT_EXPIRATION_TS,
    )


def _history(kind: str, entry: _Entry) -> dict[str, Recorded]:
    return {
        feature: Recorded(getattr(entry, f"FIRST_{field}_TIMESTAMP"), getattr(entry, f"LAST_{field}_TIMESTAMP"))
        for feature, (has, field) in FEATURES[kind].items()
        if getattr(entry, has)
    }
