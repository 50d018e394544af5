"""Dated events of listings, read from a file: what changes in the synthetic world, and when.

The file is a JSON list, or a TOML file with `[[events]]`. Every event has

    at          when: an ISO time (UTC if it names no zone) or epoch seconds, on a whole minute
    event       one of those below
    kind        spot, futures or index for instruments; asset; exchange
    market      where, "kraken"; not for assets
    instrument  the mapped id at that time, "SOL-USD"; for instruments only
    asset       the symbol, "SOL"; for assets only

Events of instruments:

    list        listed from then on and not before; the first trade is at `at`. Names that the catalog
                lacks are made up if their assets are known
    delist      RETIRED, or EXPIRED if it is dated; no trade at or after `at`, the history ends
    relist      ACTIVE again, the history goes on; there are no trades in between
    status      "to": the vendor's word only, "IGNORED"; trades go on
    rename      "to": a new mapped id; the exchange's own id and the history stay, both names answer
    symbol      "to": a new id of the exchange; the mapped one stays
    terms       "set": {"CONTRACT_CURRENCY": "USDT", ...}; of futures also SETTLEMENT_CURRENCY,
                CONTRACT_EXPIRATION_TS (a time, or null) and TRANSFORM_FUNCTION, of others only the last
    reuse       "base_id": another asset has the name from then on: other prices, first trade at `at`,
                what was before is gone
    vanish      missing from all listings, its history 404; trades go on unseen
    appear      back after vanish

Of assets: asset_status and asset_rename with "to"; of exchanges: exchange_status with "to". Answers are
a function of the vendor's time: before `at` all is as if there were no such event.
"""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from core.errors import ConfigError
from core.sandbox.catalog import Catalog
from core.sandbox.happenings import HAPPENINGS, Draft, Event, Unfit
from core.sandbox.world import Register, World
from core.windows import MINUTE, iso, parse_time


def read_events(path: Path) -> list[Event]:
    """The events of a file, in its order. Raises ConfigError that names the file, the event and the key."""
    try:
        text = path.read_text(encoding="utf-8")
        loaded = tomllib.loads(text).get("events") if path.suffix == ".toml" else msgspec.json.decode(text)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise ConfigError(f"--scenario: {path}: {error}") from error
    if not isinstance(loaded, list):
        raise ConfigError(f"--scenario: {path}: a list of events is needed")
    return [_event(path, index, item) for index, item in enumerate(loaded)]


def world_of(catalog: Catalog, path: Path | None) -> World:
    """The world of a catalog and the events of a file. Raises ConfigError for events that cannot happen."""
    if path is None:
        return World(catalog)
    events = read_events(path)
    draft = Draft(catalog)
    changes: list[tuple[int, Register]] = []
    order = sorted(range(len(events)), key=lambda index: events[index].at)
    _before(path, draft, order, events)
    first = draft.register()
    for index in order:
        try:
            HAPPENINGS[events[index].event].happen(draft, events[index])
        except Unfit as unfit:
            raise _wrong(path, index, unfit.key, f"{unfit} at {iso(events[index].at)}") from None
        changes.append((events[index].at, draft.register()))
    return World(catalog, changes, first)


def _before(path: Path, draft: Draft, order: Sequence[int], events: Sequence[Event]) -> None:
    """Takes out what begins with being listed."""
    seen = set()
    for index in order:
        event = events[index]
        name = (event.kind, event.market, event.instrument)
        if event.event == "list" and name not in seen:
            try:
                draft.set_aside(event)
            except Unfit as unfit:
                raise _wrong(path, index, unfit.key, str(unfit)) from None
        seen.add(name)


def _event(path: Path, index: int, item: object) -> Event:
    if not isinstance(item, Mapping):
        raise ConfigError(f"--scenario: {path}: event {index}: an object is needed")
    name = item.get("event")
    if not isinstance(name, str) or name not in HAPPENINGS:
        raise _wrong(path, index, "event", f"{name!r} is none of {', '.join(HAPPENINGS)}")
    shape = HAPPENINGS[name]
    for key in item:
        if key not in shape.keys:
            near = get_close_matches(str(key), shape.keys, 1)
            raise _wrong(
                path, index, str(key), f"{name} has no such key" + (f"; did you mean {near[0]}?" if near else "")
            )
    for key in shape.keys:
        if key not in item:
            raise _wrong(path, index, key, f"{name} needs it")
    if item["kind"] not in shape.kinds:
        raise _wrong(path, index, "kind", f"{name} is of {' or '.join(shape.kinds)}, not {item['kind']!r}")
    return _converted(path, index, {**item, "at": _moment(path, index, item["at"])})


def _converted(path: Path, index: int, item: Mapping[str, Any]) -> Event:
    try:
        return msgspec.convert(item, Event)
    except msgspec.ValidationError as error:
        raise ConfigError(f"--scenario: {path}: event {index}: {error}") from error


def _moment(path: Path, index: int, value: object) -> int:
    """Epoch seconds of a time as JSON or TOML may write it."""
    if isinstance(value, datetime):
        value = int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    try:
        at = parse_time(value) if isinstance(value, str) else value
    except ConfigError as error:
        raise _wrong(path, index, "at", str(error)) from error
    if not isinstance(at, int) or isinstance(at, bool) or at % MINUTE.seconds:
        raise _wrong(path, index, "at", f"{value!r} is not a time on a whole minute")
    return at


def _wrong(path: Path, index: int, key: str, reason: str) -> ConfigError:
    return ConfigError(f"--scenario: {path}: event {index}: {key}: {reason}")
