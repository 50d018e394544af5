"""Which series an operation means, and from when: rankings, listings and names to a list of wanted series.

The vendor ranks assets, not pairs. Assets are walked by 30-day spot quote volume; of each, one active
instrument of the chosen markets is taken (best quote currency, then most trades, then name), and the
walk starts again with the second best of each until the number asked for is reached.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple, Protocol

from core.datasets import SeriesKey
from core.errors import ConfigError
from core.operations import Operation, regex_of
from core.options import GRADES
from core.planner import Wanted
from core.sources import AssetPage, Exchange, Instrument, Recorded

QUOTES = {
    "spot": ("USD", "USDT", "USDC", "EUR", "BTC"),
    "futures": ("USDT", "USD", "USDC", "EUR", "BTC"),
    "index": ("USD",),
}
LARGEST_WALK_PAGES = 50
SAID_NAMES = 5
UNLISTED = "UNLISTED"


class Listings(Protocol):
    """What the vendor lists, wherever it is taken from."""

    async def instruments(self, kind: str, market: str) -> list[Instrument]:
        """Everything that is listed on a market now, inactive instruments included."""
        ...

    async def remembered(self, kind: str, market: str, names: Collection[str]) -> list[Instrument]:
        """Instruments that are or were called one of `names`, as the store knows them; no call is sent.

        Those that are not listed any more have the status UNLISTED.
        """
        ...

    async def exchanges(self, kind: str) -> list[Exchange]: ...

    async def top_assets(self, page: int) -> AssetPage: ...


Stored = Callable[[], Awaitable[Collection[tuple[str, str]]]]


class Selected(NamedTuple):
    """The series in rank order, and what there is to say of those left out."""

    wanted: list[Wanted]
    said: list[str]


async def select(
    operation: Operation,
    listings: Listings,
    now: Callable[[], float],
    *,
    named: Sequence[SeriesKey] = (),
    stored: Stored | None = None,
) -> Selected:
    """The series of `operation`.

    `named` are those of its list of series or universe, `stored` tells the markets and instruments of the
    series that the store has: dead ones among them get their last sweep. It is asked after the listings,
    which may rename them, and so is `now`, the vendor's time, which their answers tell. Raises ConfigError
    when an instrument that was named does not exist on any of the markets, or has no such data.
    """
    chooser = _Chooser(operation, listings)
    if not operation.needs_listing:
        chosen = await chooser.remembered(list(named) or await chooser.products())
    elif named:
        chosen = await chooser.listed(named)
    else:
        chosen = await chooser.choose(stored or _nothing)
    return Selected([_wanted(operation, key, instrument, int(now())) for key, instrument in chosen], chooser.said)


async def _nothing() -> Collection[tuple[str, str]]:
    return ()


def _wanted(operation: Operation, key: SeriesKey, instrument: Instrument | None, now: int) -> Wanted:
    if instrument is None:
        return Wanted(key, *operation.span(now))
    recorded = instrument.recorded(operation.dataset.feature) or Recorded()
    last = None if instrument.is_active else recorded.last
    # What a dead instrument traded last is wanted, however long ago that was.
    start, end = operation.span(now if last is None else min(now, last))
    return Wanted(key, start, end, listed=recorded.first, last=last, is_dead=not instrument.is_active)


Chosen = list[tuple[SeriesKey, Instrument | None]]


class _Chooser:
    """Chooses for one operation; `said` is what it has to say of what it left out."""

    def __init__(self, operation: Operation, listings: Listings) -> None:
        self.said: list[str] = []
        self._operation = operation
        self._listings = listings
        self._kind = operation.dataset.kind
        self._names = [name for name in dict.fromkeys(operation.instrument) if regex_of(name) is None]
        self._patterns = [pattern for name in operation.instrument if (pattern := regex_of(name))]

    async def products(self) -> list[SeriesKey]:
        """Every instrument that was named on every market."""
        return [self._key(market, name) for market in await self._markets() for name in self._names]

    async def remembered(self, named: Sequence[SeriesKey]) -> Chosen:
        """Series named in full. Only of those that the store knows as dead the vendor's list is asked for."""
        chosen: Chosen = []
        for key in named:
            known = await self._listings.remembered(self._kind, key.market, [key.instrument])
            instrument = _best(known, key.instrument)
            if instrument is not None and not instrument.is_active:
                instrument = await self._find(key.market, key.instrument)
                if instrument is None:
                    self._say_unlisted(key)
                    continue
            chosen.append((key if instrument is None else self._key(key.market, instrument.name), instrument))
        return chosen

    async def listed(self, named: Sequence[SeriesKey]) -> Chosen:
        """Series of a list or universe; one that is not there any more is told of and left out."""
        chosen: Chosen = []
        for key in named:
            instrument = await self._find(key.market, key.instrument)
            if instrument is None:
                await self._check_known(key)
                self._say_unlisted(key)
            elif instrument.recorded(self._operation.dataset.feature) is None:
                self.said.append(f"{key}: {self._without_feature(instrument)}")
            else:
                chosen.append((self._key(key.market, instrument.name), instrument))
        return chosen

    async def choose(self, stored: Stored) -> Chosen:
        """By names, by patterns and by rank; and what is stored of instruments that have died."""
        markets = await self._markets()
        found = [entry for market in markets for entry in await self._listings.instruments(self._kind, market)]
        fitting = [entry for entry in found if self._fits(entry)]
        chosen = await self._named(markets, found)
        if self._patterns or not self._names:
            chosen += await self._filtered(markets, fitting)
            known = await stored()
            chosen += [entry for entry in fitting if not entry.is_active and (entry.market, entry.name) in known]
            self._say_vanished(markets, found, known)
        once = {(entry.market, entry.name): entry for entry in chosen}
        return [(self._key(entry.market, entry.name), entry) for entry in once.values()]

    async def _markets(self) -> Sequence[str]:
        """The markets that are asked; a grade is of an exchange's spot markets."""
        operation = self._operation
        given = tuple(name.lower() for name in operation.market)
        if operation.min_grade is None:
            return given or operation.dataset.markets
        good = GRADES[: GRADES.index(operation.min_grade) + 1]
        graded = [entry.market for entry in await self._listings.exchanges("spot") if entry.grade in good]
        usual = graded if self._kind == "spot" else operation.dataset.markets
        if chosen := [market for market in given or usual if market in graded]:
            return chosen
        of = f"of {', '.join(given or usual)} " if given or usual else ""
        raise ConfigError(f"--min_grade {operation.min_grade}: no exchange {of}has that grade or a better one")

    def _fits(self, entry: Instrument) -> bool:
        """Whether an instrument that was not named can be meant, dead or alive."""
        operation = self._operation
        if entry.recorded(operation.dataset.feature) is None:
            return False
        if self._patterns and not any(pattern.search(entry.name) for pattern in self._patterns):
            return False
        return self._kind != "futures" or entry.perpetual == (operation.contract != "expiring")

    async def _named(self, markets: Sequence[str], found: Iterable[Instrument]) -> list[Instrument]:
        """The instruments that were named, by their mapped, the exchange's own, or an old id."""
        by_name = _by_name(found)
        chosen: list[Instrument] = []
        for name in self._names:
            matches = by_name.get(name) or await self._renamed(markets, name, by_name)
            with_data = [entry for entry in matches if entry.recorded(self._operation.dataset.feature) is not None]
            if matches and not with_data:
                raise ConfigError(f"--instrument {name}: {self._without_feature(matches[0])}")
            chosen += with_data
        return chosen

    async def _renamed(
        self, markets: Sequence[str], name: str, by_name: dict[str, list[Instrument]]
    ) -> list[Instrument]:
        """What `name` was the name of. Raises ConfigError when nobody ever heard of it."""
        matches: list[Instrument] = []
        has_been = False
        for market in markets:
            for known in await self._listings.remembered(self._kind, market, [name]):
                has_been = True
                matches += [entry for entry in by_name.get(known.name, ()) if entry.market == market]
        if not has_been:
            raise ConfigError(f"--instrument {name}: no such {self._kind} instrument on {', '.join(markets)}")
        if not matches:
            self.said.append(f"{name} is not listed on {', '.join(markets)} any more: nothing is asked for it")
        return matches

    async def _find(self, market: str, name: str) -> Instrument | None:
        by_name = _by_name(await self._listings.instruments(self._kind, market))
        if name in by_name:
            return by_name[name][0]
        known = _best(await self._listings.remembered(self._kind, market, [name]), name)
        return by_name[known.name][0] if known is not None and known.name in by_name else None

    async def _check_known(self, key: SeriesKey) -> None:
        """Raises ConfigError for a listed series that there never was; a universe goes on without it."""
        known = await self._listings.remembered(self._kind, key.market, [key.instrument])
        if self._operation.series and not known:
            where = f"no such {self._kind} instrument on {key.market}"
            raise ConfigError(f"--series {key.market}/{key.instrument}: {where}")

    async def _filtered(self, markets: Sequence[str], fitting: Sequence[Instrument]) -> list[Instrument]:
        """What fits and is alive: all of it for a pattern, the best ranked otherwise."""
        alive = [entry for entry in fitting if entry.is_active or self._operation.include_inactive]
        if not self._patterns or self._operation.pair_limit is not None:
            return await self._ranked(alive)
        if not fitting:
            patterns = ", ".join(name for name in self._operation.instrument if regex_of(name))
            raise ConfigError(f"--instrument {patterns}: no {self._kind} instrument of {', '.join(markets)} fits")
        return sorted(alive, key=lambda entry: (entry.market, entry.name))

    async def _ranked(self, found: Sequence[Instrument]) -> list[Instrument]:
        """At most `operation.count` instruments, walked in rounds over the ranked assets."""
        by_asset = _best_first(found, QUOTES[self._kind])
        count = self._operation.count
        ranked: list[list[Instrument]] = []
        for page in range(1, LARGEST_WALK_PAGES + 1):
            if len(ranked) >= count or not by_asset:
                break
            top = await self._listings.top_assets(page)
            for asset in top.assets:
                entries = [*by_asset.pop(asset.id, []), *by_asset.pop(asset.symbol, [])]
                ranked += [entries] if entries else []
            if top.is_last:
                break
        rounds = (entry for turn in zip_longest(*ranked) for entry in turn if entry is not None)
        return [entry for entry, _ in zip(rounds, range(count), strict=False)]

    def _key(self, market: str, name: str) -> SeriesKey:
        return SeriesKey(self._operation.data_type, market, name, self._operation.interval)

    def _without_feature(self, instrument: Instrument) -> str:
        feature = self._operation.dataset.feature.replace("_", " ")
        return f"the vendor has no {feature} of {instrument.name} on {instrument.market}"

    def _say_unlisted(self, key: SeriesKey) -> None:
        self.said.append(f"{key.instrument} is not listed on {key.market}: nothing is asked for it")

    def _say_vanished(
        self, markets: Sequence[str], found: Iterable[Instrument], stored: Collection[tuple[str, str]]
    ) -> None:
        listed = {(entry.market, name) for entry in found for name in (entry.name, entry.exchange_symbol)}
        gone = sorted(f"{market}/{name}" for market, name in set(stored) - listed if market in markets)
        if gone:
            names = ", ".join(gone[:SAID_NAMES]) + (" ..." if len(gone) > SAID_NAMES else "")
            self.said.append(f"{len(gone)} stored series are not listed any more: nothing is asked for them ({names})")


def _by_name(found: Iterable[Instrument]) -> dict[str, list[Instrument]]:
    """Instruments by their mapped ids; by the exchanges' own where nothing is called that."""
    names: dict[str, list[Instrument]] = {}
    own: dict[str, list[Instrument]] = {}
    for entry in found:
        names.setdefault(entry.name, []).append(entry)
        if entry.exchange_symbol not in {"", entry.name}:
            own.setdefault(entry.exchange_symbol, []).append(entry)
    for name, entries in own.items():
        names.setdefault(name, []).extend(entries)
    return names


def _best(known: Sequence[Instrument], name: str) -> Instrument | None:
    """Of what is or was called `name` what has the name now, else what is listed."""
    ranked = sorted(known, key=lambda entry: (entry.status == UNLISTED, entry.name != name))
    return ranked[0] if ranked else None


def _best_first(found: Iterable[Instrument], quotes: tuple[str, ...]) -> dict[int | str, list[Instrument]]:
    """Instruments by the id of their asset, by its symbol where the vendor gives no id."""
    by_asset: dict[int | str, list[Instrument]] = {}
    for instrument in sorted(found, key=_preference(quotes)):
        asset = instrument.base if instrument.base_id is None else instrument.base_id
        by_asset.setdefault(asset, []).append(instrument)
    return by_asset


def _preference(quotes: tuple[str, ...]) -> Callable[[Instrument], tuple[int, int, str, str]]:
    rank = {quote: at for at, quote in enumerate(quotes)}

    def key(instrument: Instrument) -> tuple[int, int, str, str]:
        worst = len(rank)
        return rank.get(instrument.quote, worst), -instrument.trades, instrument.name, instrument.market

    return key
