"""What the events of a scenario do to the register of listings; see `scenario` for their meaning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from core.errors import ConfigError
from core.sandbox.assets import ASSETS, COINS, Asset
from core.sandbox.catalog import Catalog, Instrument, interest_size, status_at
from core.sandbox.draws import key_of
from core.sandbox.series import Series, Stream, scale_for
from core.sandbox.venues import MARKETS, STATUSES
from core.sandbox.world import Register, Standing
from core.windows import MINUTE, parse_time


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One event; `at` is UTC seconds."""

    at: int
    event: str
    kind: str
    market: str = ""
    instrument: str = ""
    asset: str = ""
    to: str = ""
    terms: dict[str, Any] = msgspec.field(name="set", default_factory=dict)
    base_id: int = 0


class Unfit(Exception):
    """An event that cannot happen; `key` is what is wrong with it."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


class Draft:
    """The register while events happen to it."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._listed = {
            kind: {market: dict(listed) for market, listed in markets.items()}
            for kind, markets in catalog.instruments.items()
        }
        self._aside: dict[tuple[str, str, str], Instrument] = {}
        self.assets = dict(ASSETS)
        self.standings: dict[str, Standing] = {}

    def register(self) -> Register:
        """As it is now; later events do not change it."""
        listed = {
            kind: {market: dict(found) for market, found in markets.items()} for kind, markets in self._listed.items()
        }
        return Register(listed, dict(self.assets), dict(self.standings))

    def market(self, event: Event) -> dict[str, Instrument]:
        """The instruments of the event's market by mapped id."""
        if event.market not in self._listed[event.kind]:
            raise Unfit("market", f"{event.market} is no {event.kind} market")
        return self._listed[event.kind][event.market]

    def instrument(self, event: Event) -> Instrument:
        found = self.market(event).get(event.instrument)
        if found is None:
            raise Unfit("instrument", f"{event.market} does not list {event.instrument}")
        return found

    def put(self, event: Event, item: Instrument) -> None:
        """Replaces the event's instrument, or adds it."""
        listed = self.market(event)
        if event.instrument not in listed:
            listed[item.mapped] = item
            return
        entries = [(item.mapped, item) if name == event.instrument else (name, old) for name, old in listed.items()]
        listed.clear()
        listed.update(entries)

    def set_aside(self, event: Event) -> None:
        """Takes an instrument out, so that `bring_back` can put it in; made up if the catalog lacks it."""
        found = self.market(event).pop(event.instrument, None)
        found = found or self._catalog.made_up(event.kind, event.market, event.instrument)
        if found is None:
            raise Unfit("instrument", f"{event.instrument} is none that {event.market} could list")
        self._aside[event.kind, event.market, event.instrument] = found

    def bring_back(self, event: Event) -> Instrument:
        """What was set aside under the event's name."""
        if event.instrument in self.market(event):
            raise Unfit("instrument", f"{event.instrument} is listed already")
        found = self._aside.pop((event.kind, event.market, event.instrument), None)
        if found is None:
            raise Unfit("instrument", f"{event.instrument} was not taken out before")
        return found


def _list(draft: Draft, event: Event) -> None:
    draft.put(event, _begun(draft.bring_back(event), event.at))


def _begun(item: Instrument, at: int) -> Instrument:
    """`item` as if its first trade were at `at`."""
    last = item.series.last if item.series.last is not None and item.series.last > at else None
    series = replace(item.series, first=at, last=last, ended=None, before=None)
    return replace(
        item,
        created=at,
        said=None if item.expires is not None and item.expires > at else "ACTIVE",
        series=series,
        funding=item.funding and replace(item.funding, series=series, first=at, before=None),
        interest=item.interest and replace(item.interest, series=series, first=at, before=None),
    )


def _delist(draft: Draft, event: Event) -> None:
    item = draft.instrument(event)
    if _has_ended(item.series, event.at):
        raise Unfit("instrument", f"{event.instrument} has ended already")
    if item.series.first >= event.at:
        raise Unfit("at", f"{event.instrument} has not begun")
    word = "RETIRED" if item.expires is None else "EXPIRED"
    draft.put(event, replace(_with_series(item, replace(item.series, ended=event.at)), said=word))


def _relist(draft: Draft, event: Event) -> None:
    item = draft.instrument(event)
    if not _has_ended(item.series, event.at):
        raise Unfit("instrument", f"{event.instrument} has not ended")
    series = replace(item.series, first=event.at, last=None, ended=None, before=item.series)
    funding, interest = _resumed(item.funding, series), _resumed(item.interest, series)
    draft.put(event, replace(item, said="ACTIVE", series=series, funding=funding, interest=interest))


def _resumed(stream: Stream | None, series: Series) -> Stream | None:
    """A stream that goes on with `series`, after what it had before if it had begun."""
    if stream is None:
        return None
    before = series.before
    end = series.first if before is None else min(at for at in (before.last, before.ended) if at is not None)
    return replace(stream, series=series, first=series.first, before=stream if stream.first < end else None)


def _has_ended(series: Series, at: int) -> bool:
    return any(end is not None and end <= at for end in (series.last, series.ended))


def _with_series(item: Instrument, series: Series) -> Instrument:
    funding, interest = _along(item.funding, series), _along(item.interest, series)
    return replace(item, series=series, funding=funding, interest=interest)


def _along(stream: Stream | None, series: Series) -> Stream | None:
    """A stream with another `series`; None if it would begin after that has ended."""
    if stream is None or (series.ended is not None and series.ended <= stream.first):
        return None
    return replace(stream, series=series)


def _status(draft: Draft, event: Event) -> None:
    if event.to not in STATUSES:
        raise Unfit("to", f"{event.to!r} is none of {', '.join(STATUSES)}")
    item = replace(draft.instrument(event), said=None)
    draft.put(event, item if status_at(item, event.at) == event.to else replace(item, said=event.to))


def _rename(draft: Draft, event: Event) -> None:
    item = draft.instrument(event)
    if event.to in draft.market(event):
        raise Unfit("to", f"{event.market} lists {event.to} already")
    parts = event.to.split("-")
    if len(parts) != len(item.mapped.split("-")) or not all(parts):
        raise Unfit("to", f"{event.to!r} is no mapped id like {item.mapped}")
    base, quote = replace(item.base, symbol=parts[0]), replace(item.quote, symbol=parts[1])
    renamed = {item.base.id: base, item.quote.id: quote}
    draft.put(
        event,
        replace(
            item,
            mapped=event.to,
            base=base,
            quote=quote,
            settle=renamed.get(item.settle.id, item.settle),
            unit=renamed.get(item.unit.id, item.unit),
            denomination=parts[2] if len(parts) > 2 else item.denomination,
            created=event.at,
        ),
    )


def _symbol(draft: Draft, event: Event) -> None:
    item = draft.instrument(event)
    if not event.to or any(event.to == other.own_id for other in draft.market(event).values()):
        raise Unfit("to", f"{event.market} has an instrument {event.to!r} already")
    draft.put(event, replace(item, own_id=event.to))


def _terms(draft: Draft, event: Event) -> None:
    item = draft.instrument(event)
    for name, value in event.terms.items():
        if name not in _TERMS or (item.kind != "futures" and name != "TRANSFORM_FUNCTION"):
            raise Unfit(f"set.{name}", f"no term of {item.kind} instruments")
        item = _TERMS[name](item, name, value, event.at)
    draft.put(event, replace(item, created=event.at))


def _currency(item: Instrument, name: str, value: Any, _at: int) -> Instrument:
    if value not in ASSETS:
        raise Unfit(f"set.{name}", f"{value!r} is no asset")
    asset = ASSETS[value]
    return replace(item, unit=asset) if name == "CONTRACT_CURRENCY" else replace(item, settle=asset)


def _transform(item: Instrument, name: str, value: Any, _at: int) -> Instrument:
    if not isinstance(value, str):
        raise Unfit(f"set.{name}", "a text is needed")
    return replace(item, transform=value)


def _expiry(item: Instrument, name: str, value: Any, at: int) -> Instrument:
    """A contract that expires at another time, or never (None): it trades until then."""
    try:
        when = parse_time(value) if isinstance(value, str) else value
    except ConfigError as error:
        raise Unfit(f"set.{name}", str(error)) from error
    if when is not None and (not isinstance(when, int) or when <= at):
        raise Unfit(f"set.{name}", f"{value!r} is not a time after the event")
    ended = None if when is None else MINUTE.floor(when)
    series = replace(item.series, last=None, ended=ended)
    word = "ACTIVE" if when is None else "EXPIRED"
    return replace(_with_series(item, series), expires=when, status=word, said=None)


_TERMS: Mapping[str, Callable[[Instrument, str, Any, int], Instrument]] = {
    "CONTRACT_CURRENCY": _currency,
    "SETTLEMENT_CURRENCY": _currency,
    "CONTRACT_EXPIRATION_TS": _expiry,
    "TRANSFORM_FUNCTION": _transform,
}


def _reuse(draft: Draft, event: Event) -> None:
    item = draft.instrument(event)
    if event.base_id == item.base.id:
        raise Unfit("base_id", f"{event.base_id} has the name already")
    base = replace(item.base, id=event.base_id)
    series = _other_path(item, event.base_id)
    seed = key_of(series.seed, "stream")
    level, places = interest_size(series)
    funding = item.funding and replace(item.funding, seed=seed)
    interest = item.interest and replace(item.interest, seed=seed ^ 1, level=level, places=places)
    other = replace(
        item,
        base=base,
        settle=base if item.settle.id == item.base.id else item.settle,
        unit=base if item.unit.id == item.base.id else item.unit,
        series=series,
        funding=funding,
        interest=interest,
    )
    draft.put(event, _begun(other, event.at))


def _other_path(item: Instrument, base_id: int) -> Series:
    """A series like the instrument's, with the prices of the asset `base_id` or of one in its place."""
    taken = {item.base.id, item.quote.id}
    others = [asset for asset in COINS if asset.id not in taken and asset.beta]
    known = next((asset for asset in others if asset.id == base_id), None)
    path: Asset = known or others[base_id % len(others)]
    series, quote = item.series, item.quote
    scale = scale_for(path.price / quote.price, series.notional / quote.price, series.contract is not None)
    return replace(
        series,
        key=f"{series.key}#{base_id}",
        base=path.symbol,
        ticks=scale.ticks,
        lots=scale.lots,
        values=scale.values,
        seed=key_of(series.seed, base_id),
    )


def _vanish(draft: Draft, event: Event) -> None:
    draft.instrument(event)
    draft.set_aside(event)


def _appear(draft: Draft, event: Event) -> None:
    draft.put(event, draft.bring_back(event))


def _asset(draft: Draft, event: Event) -> Asset:
    if event.asset not in draft.assets:
        raise Unfit("asset", f"there is no asset {event.asset}")
    return draft.assets[event.asset]


def _asset_status(draft: Draft, event: Event) -> None:
    draft.assets[event.asset] = replace(_asset(draft, event), status=_word(event), edited=event.at)


def _asset_rename(draft: Draft, event: Event) -> None:
    if not event.to:
        raise Unfit("to", "a name is needed")
    draft.assets[event.asset] = replace(_asset(draft, event), name=event.to, edited=event.at)


def _exchange_status(draft: Draft, event: Event) -> None:
    if not any(event.market in markets for markets in MARKETS.values()):
        raise Unfit("market", f"there is no market {event.market}")
    draft.standings[event.market] = Standing(_word(event), event.at)


def _word(event: Event) -> str:
    if not event.to.replace("_", "").isalpha() or event.to != event.to.upper():
        raise Unfit("to", f"{event.to!r} is no status like ACTIVE or SUSPENDED")
    return event.to


@dataclass(frozen=True, slots=True)
class Happening:
    """One event: what it does, of which kinds it is, and the keys it must have."""

    happen: Callable[[Draft, Event], None]
    kinds: tuple[str, ...]
    keys: tuple[str, ...]


def _of_instrument(happen: Callable[[Draft, Event], None], *more: str) -> Happening:
    return Happening(happen, ("spot", "futures", "index"), ("at", "event", "kind", "market", "instrument", *more))


HAPPENINGS: Mapping[str, Happening] = {
    "list": _of_instrument(_list),
    "delist": _of_instrument(_delist),
    "relist": _of_instrument(_relist),
    "status": _of_instrument(_status, "to"),
    "rename": _of_instrument(_rename, "to"),
    "symbol": _of_instrument(_symbol, "to"),
    "terms": _of_instrument(_terms, "set"),
    "reuse": _of_instrument(_reuse, "base_id"),
    "vanish": _of_instrument(_vanish),
    "appear": _of_instrument(_appear),
    "asset_status": Happening(_asset_status, ("asset",), ("at", "event", "kind", "asset", "to")),
    "asset_rename": Happening(_asset_rename, ("asset",), ("at", "event", "kind", "asset", "to")),
    "exchange_status": Happening(_exchange_status, ("exchange",), ("at", "event", "kind", "market", "to")),
}
