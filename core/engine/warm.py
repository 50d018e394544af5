"""Fill a shared cache before anybody asks: exchange lists, the top assets and the instruments of markets."""

from collections.abc import Callable, Sequence

from core.engine.catalog import Catalog
from core.engine.job import Job
from core.engine.planning import metered_listings
from core.engine.tools import Tools
from core.operations import make_operation
from core.references import EXCHANGE_METADATA, INSTRUMENT_LISTS

WARMED = ("spot", "futures")


async def warm(tools: Tools, markets: Sequence[str], say: Callable[[str], None]) -> int:
    """How many lists the cache has now; those that the store has fresh cost no call.

    `markets` are those of the instrument lists, the default ones if empty. Raises SourceError and StoreError.
    """
    job = Job(id="warm", run_id="", operation=make_operation({"data_type": EXCHANGE_METADATA.name}), created=0.0)
    catalog = Catalog(job, tools, metered_listings(tools, say))
    for kind in EXCHANGE_METADATA.kinds:
        await catalog.exchanges(kind)
    await catalog.top_assets(1)
    for kind in WARMED:
        for market in markets or INSTRUMENT_LISTS[kind].markets:
            await catalog.instruments(kind, market)
    return catalog.hits + catalog.misses
