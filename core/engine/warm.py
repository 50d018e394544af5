"""Fill the cache before anybody asks: exchange lists, the top assets and the instruments of markets."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from core.batch import Batch, make_batch
from core.engine.catalog import Catalog
from core.engine.engine import Engine
from core.engine.job import Job
from core.engine.tools import Tools
from core.errors import TapewatchError
from core.events import LogLine
from core.operations import make_operation
from core.references import ASSET_METADATA, EXCHANGE_METADATA, INSTRUMENT_LISTS
from core.text import clean, counted

WARMED = ("spot", "futures")
WARM = "warm"


def warming(markets: Sequence[str] = ()) -> Batch:
    """The metadata jobs that bring the lists of `warm` into the store; those that are fresh cost no call."""
    of_markets: dict[str, Any] = {"market": list(markets)} if markets else {}
    instruments = [{"data_type": INSTRUMENT_LISTS[kind].name, **of_markets} for kind in WARMED]
    wanted = [{"data_type": EXCHANGE_METADATA.name}, {"data_type": ASSET_METADATA.name}, *instruments]
    return make_batch({"operations": [{**each, "label": WARM} for each in wanted], "continue_on_error": True})


async def warm(tools: Tools, markets: Sequence[str], say: Callable[[str], None]) -> int:
    """How many lists the cache has now; those that the store has fresh cost no call.

    `markets` are those of the instrument lists, the default ones if empty. Raises SourceError and StoreError.
    """
    job = Job(id=WARM, run_id="", operation=make_operation({"data_type": EXCHANGE_METADATA.name}), created=0.0)
    catalog = Catalog(job, tools, say)
    await warm_exchanges(catalog)
    await warm_top_assets(catalog)
    for kind in WARMED:
        await warm_instruments(catalog, kind, markets or INSTRUMENT_LISTS[kind].markets)
    return catalog.hits + catalog.misses


async def warm_exchanges(catalog: Catalog) -> None:
    """The lists of exchanges, spot and futures."""
    for kind in EXCHANGE_METADATA.kinds:
        await catalog.exchanges(kind)


async def warm_top_assets(catalog: Catalog, pages: int = 1) -> None:
    """The first `pages` pages of the ranking, a hundred assets each, or as many as there are."""
    for page in range(1, pages + 1):
        if (await catalog.top_assets(page)).is_last:
            return


async def warm_instruments(catalog: Catalog, kind: str, markets: Sequence[str]) -> None:
    """All instruments of `markets`; `kind` is spot, futures or index."""
    for market in markets:
        await catalog.instruments(kind, market)


async def warm_on_start(engine: Engine) -> None:
    """Warm the cache of an engine by jobs that everybody sees; how that went is said in its log."""
    await warm_after(engine, engine.submit_batch(warming()))


async def warm_after(engine: Engine, jobs: Sequence[Job], markets: Sequence[str] = ()) -> None:
    """Once the `jobs` of `warming` have brought the lists into the store, the cache has them too."""
    tools = engine.tools
    for job in jobs:
        await engine.wait(job)
    if any(job.state != "complete" for job in jobs):
        _say(tools, "the cache could not be warmed: not all lists are there, see the jobs", "warning")
        return
    try:
        count = await warm(replace(tools, keeps=False), markets, lambda _waiting: None)
    except TapewatchError as error:
        _say(tools, f"the cache could not be warmed: {error}", "warning")
        return
    calls = sum(job.counters.metadata_requests for job in jobs)
    _say(tools, f"the cache is warm: {counted(count, 'list')}, {counted(calls, 'call')} for them")


def _say(tools: Tools, text: str, level: str = "info") -> None:
    tools.bus.publish(LogLine(level=level, text=clean(text, 500), source="cache"))
