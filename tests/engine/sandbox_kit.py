"""An engine over the sandbox's API in memory: the vendor's answers as a function of virtual time."""

from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from engine_kit import Kit

from core.datasets import DATASETS, Dataset, SeriesKey
from core.sandbox.api import Api, synthetic
from core.sandbox.options import SandboxOptions
from core.sandbox.wire import Request
from core.sources import Page
from core.sources.coindesk import SANDBOX_HEADER, CoinDeskSource
from core.sources.http import Answer
from core.stores.sqlite import SQLiteStore
from core.windows import GRAINS, Window
from tests.fakes import VirtualClock


class Wire:
    """Stands in for the HTTP client: no network, and half a second a call."""

    def __init__(self, options: SandboxOptions, clock: VirtualClock) -> None:
        self.calls: list[tuple[str, Mapping[str, str]]] = []
        self._api = Api(synthetic(options))
        self._clock = clock

    async def get(self, path: str, params: Mapping[str, str]) -> Answer:
        self.calls.append((path, dict(params)))
        await self._clock.sleep(0.5)
        now = int(self._clock.wall())
        answer = self._api.answer(Request(path, params), now)
        headers = {**answer.headers, "Date": formatdate(now, usegmt=True), SANDBOX_HEADER: "seed=7"}
        return Answer(answer.status, headers, answer.body)

    async def close(self) -> None: ...


class SandboxKit(Kit):
    """A kit whose vendor is the sandbox."""

    def __init__(self, store: SQLiteStore, clock: VirtualClock, options: SandboxOptions) -> None:
        super().__init__(store, clock)
        self.options = options
        self.wire = Wire(options, clock)
        self.source: Any = CoinDeskSource("http://sandbox", observe=self.observe, clock=clock)
        self.source._http = self.wire
        self.make_tools()

    async def answer(self, key: SeriesKey, window: Window, groups: tuple[str, ...], now: int) -> Page:
        """What the vendor says of closed bars at `now`, without a cache in between."""
        source = CoinDeskSource("http://sandbox", clock=self.clock)
        source._http = At(Api(synthetic(self.options)), now)  # type: ignore[assignment]
        return await source.history(dataset_of(key), key, window, groups)


class At:
    """The vendor at one moment."""

    def __init__(self, api: Api, now: int) -> None:
        self._api = api
        self._now = now

    async def get(self, path: str, params: Mapping[str, str]) -> Answer:
        answer = self._api.answer(Request(path, params), self._now)
        return Answer(answer.status, {**answer.headers, "Date": formatdate(self._now, usegmt=True)}, answer.body)


def dataset_of(key: SeriesKey) -> Dataset:
    return DATASETS[key.data_type]


def pages_of(key: SeriesKey, window: Window, cap: int = 1_000) -> list[Window]:
    """`window` in pieces of at most `cap` bars."""
    step = cap * GRAINS[key.interval].seconds
    return [Window(start, min(start + step, window.end)) for start in range(window.start, window.end, step)]
