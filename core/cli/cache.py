"""`cache`: what listings are cached, how often that saved a call, and forgetting or filling it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.arguments import same_name
from core.cli.context import settings, words
from core.cli.options import LookOutput, MaxRequests, Output, OutputOption
from core.cli.stored import known, several, show

if TYPE_CHECKING:
    from core.config import Loaded
    from core.events import CacheSample

cache = typer.Typer(help="Cached listings: how often they saved a call, forgetting and filling them.")
COLUMNS = (
    "tier", "kind", "hits", "misses", "hit_rate", "stale_hits", "poisoned", "refused", "entries", "bytes",
    "evictions", "p50_ms", "p99_ms", "errors", "state",
)  # fmt: skip
NOBODY = "nobody has a cache now: memory:// lives in an engine, and none runs on the store"


def _data_types() -> list[str]:
    from core.references import LISTS  # noqa: PLC0415

    return list(LISTS)


def _tags() -> list[str]:
    from core.references import INSTRUMENT_LISTS  # noqa: PLC0415

    return [*_data_types(), *{market: None for reference in INSTRUMENT_LISTS.values() for market in reference.markets}]


@cache.command("stats")
def stats(output: LookOutput = Output.text) -> None:
    """How often the cache saved a call, of the running engine and by kind of list, and what a shared one holds.

    Counters are those of the engine since it started. Hits of the far tier are what memory did not have. Latencies are
    of answers: of a shared cache those that came in time, of memory a sample.
    """
    import asyncio  # noqa: PLC0415

    loaded = settings(announce=False)
    rows = engine_rows(loaded)
    if _is_shared(loaded):
        rows.append(asyncio.run(_measured(loaded)))
    show([{name: row.get(name) for name in COLUMNS} for row in rows], output, COLUMNS, NOBODY)


@cache.command("clear")
def clear(
    data_type: Annotated[
        list[str] | None,
        typer.Option("--data_type", help="Only lists of these data types.", autocompletion=_data_types),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option("--pattern", help="Only what matches: * any text, ? one character.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag",
            help="Only what belongs to a market, a data type or a vendor's address.",
            autocompletion=_tags,
        ),
    ] = None,
) -> None:
    """Forget cached lists, in the running engine and in a shared cache; other processes follow within a second.

    Lists that the store holds stay fresh there: --full_refresh of their command asks the vendor again.
    """
    import asyncio  # noqa: PLC0415

    from core.references import LISTS  # noqa: PLC0415

    loaded = settings(announce=False)
    types = known("data_type", tuple(same_name(name) for name in several(data_type)), LISTS)
    patterns = [f"*:{name}:*" for name in types] + ([f"*:{pattern}"] if pattern else [])
    tags = list(several(tag))
    count = asyncio.run(_forget(loaded, patterns or ([] if tags else ["*"]), tags))
    words(NOBODY if count is None else f"forgot {count} cached lists")


@cache.command("warm")
def warm(
    market: Annotated[list[str] | None, typer.Option("--market", help="Instruments of these markets.")] = None,
    max_requests: MaxRequests = None,
    output: OutputOption = Output.text,
) -> None:
    """Ask for what selections need before they do: exchange lists, the top assets, instruments of the markets.

    The lists go into the store, where every engine finds them, and into a shared cache; those that are still
    fresh cost no call.
    """
    import asyncio  # noqa: PLC0415

    from core.cli.execute import run_operations  # noqa: PLC0415
    from core.engine.warm import warming  # noqa: PLC0415

    loaded, markets = settings(), several(market)
    given = warming(markets)
    batch = given.with_flags(continue_on_error=True, max_requests=max_requests, enable_monitoring=False)
    code = asyncio.run(run_operations(loaded, batch, output, is_batch=True, detach=False))
    if not code and _is_shared(loaded):
        words(f"the shared cache has {asyncio.run(_fill(loaded, markets))} lists")
    if code:
        raise typer.Exit(code)


def _is_shared(loaded: "Loaded") -> bool:
    from core.cache.opening import is_shared  # noqa: PLC0415

    return is_shared(loaded.settings.cache)


def engine_rows(loaded: "Loaded") -> list[dict[str, Any]]:
    """What the running engine says: a row a tier, then one a kind of list."""
    return [row for sample in _samples(loaded) for row in _rows(sample)]


def engine_tiers(loaded: "Loaded") -> list[dict[str, Any]]:
    """The rows of the tiers alone."""
    return [row for row in engine_rows(loaded) if "state" in row]


def _samples(loaded: "Loaded") -> "list[CacheSample]":
    """What the running engine says of its cache; nothing without one."""
    from core.cli.engines import holder, snapshot  # noqa: PLC0415
    from core.events import CacheSample  # noqa: PLC0415

    found = holder(loaded)
    events = snapshot(found) if found is not None else ()
    return [event for event in events if isinstance(event, CacheSample)]


def _rows(sample: "CacheSample") -> list[dict[str, Any]]:
    tier = {name: getattr(sample, name) for name in ("tier", "hits", "misses", "entries", "bytes", "evictions")}
    state = "away" if sample.is_away else "in use"
    latency = {"p50_ms": _milliseconds(sample.latency_p50), "p99_ms": _milliseconds(sample.latency_p99)}
    own = {**tier, "hit_rate": _rate(sample.hits, sample.misses), **latency, "errors": sample.errors, "state": state}
    kinds = [
        {"tier": "engine", "kind": name, **counts, "hit_rate": _rate(counts["hits"], counts["misses"])}
        for name, counts in sorted(sample.kinds.items())
    ]
    return [own, *kinds]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def _rate(hits: int, misses: int) -> str | None:
    return f"{hits / (hits + misses):.1%}" if hits + misses else None


async def _measured(loaded: "Loaded") -> dict[str, Any]:
    """What the shared cache holds, of all that use it."""
    from core.cache.opening import open_far  # noqa: PLC0415
    from core.errors import CacheUnavailable  # noqa: PLC0415

    far = open_far(loaded.settings.cache)
    row: dict[str, Any] = {"tier": far.tier}
    try:
        entries, size = await far.clean()
    except CacheUnavailable as error:
        return {**row, "state": f"away: {error}"}
    finally:
        await far.close()
    return {**row, "entries": entries, "bytes": size or None, "state": "shared"}


async def _forget(loaded: "Loaded", patterns: list[str], tags: list[str]) -> int | None:
    """How many lists; None when there is nobody who has any."""
    from core.cache.opening import open_far  # noqa: PLC0415
    from core.cli.engines import ask, find  # noqa: PLC0415

    counts = []
    found = await find(loaded)
    if found is not None and found.is_here:
        told = await ask(loaded, "clear_cache", patterns=patterns, tags=tags)
        counts.append(told["forgot"] if isinstance(told, dict) else 0)
    if _is_shared(loaded):
        far = open_far(loaded.settings.cache)
        try:
            counts += [await far.drop(pattern) for pattern in patterns] + [await far.drop_tag(tag) for tag in tags]
        finally:
            await far.close()
    return sum(counts) if counts else None


async def _fill(loaded: "Loaded", markets: tuple[str, ...]) -> int:
    from core.app import open_tools  # noqa: PLC0415
    from core.engine.warm import warm as fill  # noqa: PLC0415

    async with open_tools(loaded) as tools:
        return await fill(tools, markets, words)
