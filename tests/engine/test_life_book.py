"""Sixty snapshots of the vendor's lists with forty planted events: all are found, none is invented.

And no request is sent for an instrument after the sweep that followed its death.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from engine_kit import Kit

from core.engine.ingest import Ingest
from core.events import AlertChanged
from core.monitoring.quality import check_page
from core.operations import make_operation
from core.sandbox.catalog import Catalog, status_at
from core.sandbox.gate import Gate
from core.sandbox.options import SandboxOptions, moment
from core.sandbox.quota import PRESETS
from core.sandbox.wire import Request
from core.sources.coindesk import CoinDeskSource
from core.sources.http import Answer
from core.stores.sqlite import SQLiteStore
from core.windows import iso
from tests.fakes import VirtualClock, waited_for

START = moment("2025-06-02T00:30:00")
STEP = 6 * 3_600
SNAPSHOTS = 60
A_DAY = 4
MARKETS = {"spot": ("kraken", "coinbase"), "futures": ("binance", "okex")}
FOLLOWED = "kraken"

# Lives: what happens to one instrument, snapshot after snapshot, and what the book must say of it.
LIVES: list[tuple[int, str, list[tuple[str, str]]]] = [
    (3, "spot", [("delist", "delisted"), ("relist", "back")]),
    (4, "spot", [("delist", "delisted")]),
    (3, "spot", [("vanish", "delisted"), ("appear", "back")]),
    (2, "spot", [("vanish", "delisted")]),
    (3, "spot", [("rename", "renamed")]),
    (1, "spot", [("rename", "renamed"), ("delist", "delisted")]),
    (2, "spot", [("symbol", "symbol")]),
    (2, "spot", [("reuse", "reused")]),
    (1, "spot", [("status", "status")]),
    (1, "spot", [("terms", "terms")]),
    (2, "futures", [("terms", "terms")]),
    (1, "futures", [("rename", "renamed")]),
    (1, "futures", [("symbol", "symbol")]),
    (1, "futures", [("reuse", "reused")]),
    (1, "futures", [("delist", "delisted"), ("relist", "back")]),
]
# What else a row of the book may say of the same entity at the same time.
BESIDE = {"reused": {"listed"}, "exchange": {"attribute"}, "asset": {"attribute"}}


class Planted(NamedTuple):
    """One event, and which change of which entity the snapshot `number` must show for it."""

    number: int
    event: dict[str, Any]
    place: str
    entity: str
    change: str


class InMemory:
    """The client of a sandbox without a network; keeps its log."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def get(self, path: str, params: Mapping[str, str]) -> Answer:
        answer = self._gate.answer(Request(path, dict(params)))
        return Answer(answer.status, answer.headers, answer.body)

    async def close(self) -> None: ...


class World:
    """A kit whose vendor is a sandbox on the kit's clock. `log` has (time, market, instrument) of history calls."""

    def __init__(self, kit: Kit, scenario: Path | None = None) -> None:
        self.kit = kit
        self.log: list[tuple[float, str, str]] = []
        gate = Gate(SandboxOptions(scenario=scenario, limits=PRESETS["none"]), self._note, kit.clock.wall)
        source = CoinDeskSource("http://sandbox", clock=kit.clock)
        source._http = InMemory(gate)  # type: ignore[assignment]
        kit.make_tools(listing_ttl=STEP / 2)
        kit.tools = replace(kit.tools, source=source, ingest=Ingest(source, kit.store, check_page, kit.clock))

    def _note(self, line: str) -> None:
        said = json.loads(line)
        url = urlsplit(said["path"])
        if "/historical/" in url.path:
            query = parse_qs(url.query)
            self.log.append((said["time"], query["market"][0], query["instrument"][0]))

    async def snapshots(self, *, patterns: tuple[str, ...] = ()) -> None:
        """Every list, sixty times; with `patterns` the daily candles of what fits them on one market."""
        operations = [
            make_operation({"data_type": "exchange_metadata"}),
            make_operation({"data_type": "asset_metadata"}),
        ]
        operations += [
            make_operation({"data_type": f"{kind}_instruments", "market": list(markets)})
            for kind, markets in MARKETS.items()
        ]
        if patterns:
            candles = {
                "data_type": "spot_ohlcv",
                "market": FOLLOWED,
                "start": "2025-05-28",
                "instrument": list(patterns),
            }
            operations.append(make_operation(candles))
        for number in range(SNAPSHOTS):
            await self.kit.clock.sleep(START + number * STEP - self.kit.clock.wall())
            for operation in operations:
                job = await self.kit.run(operation)
                assert job.state in {"complete", "complete_with_gaps"}, job.errors

    async def book(self) -> list[tuple[int, str, str, str, str]]:
        """Snapshot, list, place, entity and change of every row."""
        rows = await self.kit.query("SELECT at, data_type, place, entity, change FROM metadata_change ORDER BY id")
        return [(round((at - START) / STEP), *rest) for at, *rest in rows]


def plant(chance: random.Random, natural: set[str]) -> list[Planted]:
    """Forty events at different snapshots of one instrument; what changes by itself is left alone."""
    catalog = Catalog(7)
    planted: list[Planted] = []
    pools = {kind: list(_alive(catalog, kind, natural)) for kind in MARKETS}
    for pool in pools.values():
        chance.shuffle(pool)
        # Most lives are followed by candles too.
        pool.sort(key=lambda found: found[0] != FOLLOWED)
    for count, kind, life in LIVES:
        for _ in range(count):
            market, name = pools[kind].pop(0)
            numbers = sorted(chance.sample(range(2, SNAPSHOTS - 2), len(life)))
            for number, (event, change) in zip(numbers, life, strict=True):
                details = _details(event, kind, name, len(planted))
                given = {"at": iso(START + number * STEP - 3_600), "event": event, "kind": kind, "market": market}
                planted.append(
                    Planted(
                        number,
                        {**given, "instrument": name, **details},
                        market,
                        details.get("to", name) if event == "rename" else name,
                        change,
                    )
                )
                name = details["to"] if event == "rename" else name
    planted += _others(chance)
    return sorted(planted, key=lambda each: each.number)


def _alive(catalog: Catalog, kind: str, natural: set[str]) -> Iterator[tuple[str, str]]:
    for market in MARKETS[kind]:
        for name, item in catalog.instruments[kind][market].items():
            is_old = item.series.first < START - 30 * 86_400
            if is_old and item.expires is None and status_at(item, START) == "ACTIVE" and name not in natural:
                yield market, name


def _details(event: str, kind: str, name: str, number: int) -> dict[str, Any]:
    rest = name.partition("-")[2]
    terms = {"TRANSFORM_FUNCTION": "INVERT"} if kind == "spot" else {"SETTLEMENT_CURRENCY": "EUR"}
    return {
        "rename": {"to": f"NEW{number}-{rest}"},
        "symbol": {"to": f"OTHER{number}"},
        "reuse": {"base_id": 90_000 + number},
        "status": {"to": "IGNORED"},
        "terms": {"set": terms},
    }.get(event, {})


def _others(chance: random.Random) -> Iterator[Planted]:
    """A new pair, an asset and an exchange that change."""
    pair = {"event": "list", "kind": "spot", "market": "coinbase", "instrument": "EUR-GBP"}
    exchange = {"event": "exchange_status", "kind": "exchange", "market": "bitstamp", "to": "SUSPENDED"}
    for event, place, entity, change in (
        (pair, "coinbase", "EUR-GBP", "listed"),
        ({"event": "asset_status", "kind": "asset", "asset": "SOL", "to": "IGNORED"}, "top", "SOL", "status"),
        ({"event": "asset_rename", "kind": "asset", "asset": "XRP", "to": "Ripple"}, "top", "XRP", "attribute"),
        (exchange, "spot", "bitstamp", "status"),
    ):
        number = chance.randrange(2, SNAPSHOTS - 2)
        yield Planted(number, {"at": iso(START + number * STEP - 3_600), **event}, place, entity, change)


def patterns_of(planted: list[Planted]) -> tuple[str, ...]:
    names = {each.event["instrument"] for each in planted if each.place == FOLLOWED}
    names |= {each.entity for each in planted if each.place == FOLLOWED} | {"BTC-USD"}
    return tuple(f"/^{name}$/" for name in sorted(names))


@pytest.mark.slow
async def test_forty_events_in_sixty_snapshots(kit: Kit, tmp_path: Path, seed: int) -> None:
    natural = await _natural()
    planted = plant(random.Random(seed), {entity for _, _, _, entity, _ in natural})
    assert len(planted) == 40
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps([each.event for each in planted]))
    kit.clock.set_wall(START)
    world = World(kit, scenario)
    await world.snapshots(patterns=patterns_of(planted))
    found = Counter(await world.book()) - Counter(natural)
    told = {(number, place, entity, change) for number, _, place, entity, change in found}
    wanted = {(each.number, each.place, each.entity, each.change) for each in planted}
    assert wanted - told == set(), "events that were not found"
    allowed = {
        (each.number, each.place, each.entity, change)
        for each in planted
        for change in {each.change} | BESIDE.get(each.change, set()) | BESIDE.get(each.event["kind"], set())
    }
    assert told - allowed == set(), "changes that nobody planted"
    _check_calls(world, planted)
    stored = {name for (name,) in await kit.query("SELECT instrument FROM series WHERE interval <> ''")}
    assert stored.isdisjoint(each.event["instrument"] for each in planted if each.change == "renamed")
    alerts = {event.source for event in kit.said(AlertChanged) if event.rule == "ticker_reuse"}
    assert alerts == {f"{each.place}/{each.entity}" for each in planted if each.change == "reused"}


async def _natural() -> list[tuple[int, str, str, str, str]]:
    """What changes without any events: contracts expire and pairs are retired in every world."""
    clock = VirtualClock(START)
    store = await SQLiteStore.open("sqlite:///:memory:", clock.wall)
    try:
        world = World(Kit(waited_for(store), clock))
        await world.snapshots()
        return await world.book()
    finally:
        await store.close()


def _check_calls(world: World, planted: list[Planted]) -> None:
    """One sweep of a dead instrument, once its last bar has closed; of one that is gone, or another's now, nothing."""
    lives: dict[str, list[Planted]] = {}
    for each in planted:
        if each.place == FOLLOWED:
            lives.setdefault(each.event["instrument"], []).append(each)
    checked = Counter[str]()
    for name, life in lives.items():
        calls = [round((when - START) / STEP) for when, _, called in world.log if called == name]
        for at, each in enumerate(life):
            until = life[at + 1].number if at + 1 < len(life) else SNAPSHOTS
            since = [number for number in calls if each.number <= number < until]
            match each.event["event"]:
                case "vanish" | "reuse":
                    assert since == [], each
                case "delist":
                    assert len(since) <= 1, each
                    assert since or until - each.number <= A_DAY, each
                    assert not since or since[0] - each.number <= A_DAY, each
                case "relist" | "appear" | "symbol" | "terms":
                    assert since == list(range(each.number, until)), each
            checked[each.event["event"]] += 1
    assert checked["delist"] >= 6, checked
    assert checked["vanish"] >= 4, checked
    assert checked["reuse"] >= 2, checked
