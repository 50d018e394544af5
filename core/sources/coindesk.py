"""The CoinDesk Data API: one request a call, answers to records, statuses to errors.

No retries, no waiting, no limits: the runner has one policy for every source. The HTTP status decides
first, then whether `Err` says something; the numbers in `Err.type` are undocumented and decide nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from core.clock import Clock, LoopClock
from core.datasets import Dataset, SeriesKey
from core.errors import NothingBefore, RateLimited, Rejected, SourceError, Transient, Unauthorized
from core.failpoints import failpoint
from core.limits import exhausted_wait, http_date
from core.records import in_groups
from core.references import ASSET_METADATA, EXCHANGE_METADATA, TOP_LIST_PAGE
from core.sources import Listing, Page
from core.sources.decode import ErrorInfo, decode_error, decode_page, first_row, malformed
from core.sources.http import Answer, HttpClient, HttpOptions
from core.sources.listing import decode_listing
from core.text import clean, is_name
from core.windows import GRAINS, Window

SANDBOX_HEADER = "X-Tapewatch-Sandbox"
INSTRUMENTS_PATH = {
    "spot_instruments": "/spot/v1/markets/instruments",
    "futures_instruments": "/futures/v1/markets/instruments",
    "index_instruments": "/index/cc/v1/markets/instruments",
}
LARGEST_ID = 2**53
VOLUME_30D = "SPOT_MOVING_30_DAY_QUOTE_VOLUME_USD"
ALL_STATUSES = "ACTIVE,IGNORED,RETIRED,EXPIRED,READY_FOR_DECOMMISSIONING,RETIRED_UNMAPPED"


class Observe(Protocol):
    """The quota's ears: sees the headers of every answer, and whether it is `served` or an error."""

    def __call__(self, headers: Mapping[str, str], *, served: bool) -> None: ...


class CoinDeskSource:
    """Implements `core.sources.Source`."""

    name = "coindesk"

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        http: HttpOptions | None = None,
        observe: Observe = lambda *_, **__: None,
        clock: Clock | None = None,
    ) -> None:
        headers = {"Authorization": f"Apikey {api_key}"} if api_key else {}
        self._http = HttpClient(base_url, headers, http or HttpOptions())
        self._observe = observe
        self._clock = clock or LoopClock()
        self._anchor: tuple[float, float] | None = None
        self._has_heard = False
        self.origin = ""
        self.calls = 0

    def now(self) -> float:
        if self._anchor is None:
            return self._clock.wall()
        date, heard_at = self._anchor
        return date + self._clock.monotonic() - heard_at

    def assume(self, now: float) -> None:
        if not self._has_heard:
            self._anchor = (now, self._clock.monotonic())

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
        page = decode_page(dataset, tuple(groups), answer.body, grain.unit, key.market, key.instrument)
        failpoint("after_parse")
        if page.error.is_error:
            words = clean(page.error.message) or "without a message"
            raise Transient(f"the vendor answered 200 with an error: {words}", "malformed")
        return Page(
            page.rows,
            self._date(answer),
            page.rejected,
            lambda: _constants(dataset, key, groups, answer.body),
            page.is_bounded,
            page.is_meant,
            answer.wire,
        )

    async def listing(self, key: SeriesKey) -> Listing:
        path, params = _listing_request(key)
        answer = await self._get(path, params)
        return replace(decode_listing(key, answer.body, self._date(answer)), wire=answer.wire)

    async def rate_limit(self) -> None:
        await self._get("/admin/v2/rate/limit", {})

    async def close(self) -> None:
        await self._http.close()

    async def _get(self, path: str, params: Mapping[str, str]) -> Answer:
        self.calls += 1
        answer = await self._http.get(path, params)
        self._learn(answer)
        if not answer.is_served:
            raise _refusal(answer, path, params)
        if "json" not in answer.headers.get("Content-Type", "json").lower():
            raise malformed("content type " + answer.headers["Content-Type"], answer.body)
        return answer

    def _learn(self, answer: Answer) -> None:
        if (date := _parse_date(answer.headers.get("Date", ""))) is not None:
            self._anchor = (date, self._clock.monotonic())
            self._has_heard = True
        mark = answer.headers.get(SANDBOX_HEADER)
        # A proxy's error page carries neither: it says nothing about who answers.
        if mark is not None or "X-RateLimit-Limit" in answer.headers:
            self.origin = _origin(mark)
        self._observe(answer.headers, served=answer.is_served)

    def _date(self, answer: Answer) -> int:
        date = _parse_date(answer.headers.get("Date", ""))
        return int(self.now() if date is None else date)


def _origin(mark: str | None) -> str:
    if mark is None:
        return "coindesk"
    return f"sandbox:{clean(mark.removeprefix('seed='), 40)}"


def _parse_date(text: str) -> float | None:
    try:
        return http_date(text)
    except ValueError:
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
    return Transient(f"{about}: HTTP {answer.status}: {said}", f"{answer.status // 100}xx")


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
    if key.instrument not in (symbol, mapped) or row.get("MARKET", key.market) != key.market:
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


def _listing_request(key: SeriesKey) -> tuple[str, dict[str, str]]:
    if key.data_type == ASSET_METADATA.name:
        page = {"page": key.instrument, "page_size": str(TOP_LIST_PAGE)}
        # Calls are billed, not fields.
        groups = ",".join(dict.fromkeys(column.group for column in ASSET_METADATA.columns))
        return "/asset/v1/top/list", {**page, "sort_by": VOLUME_30D, "sort_direction": "DESC", "groups": groups}
    if key.data_type == EXCHANGE_METADATA.name:
        return f"/{key.market}/v2/markets", {}
    statuses = {"market": key.market, "instrument_status": ALL_STATUSES, "groups": "ID"}
    return INSTRUMENTS_PATH[key.data_type], statuses
