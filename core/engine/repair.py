"""What a repair asks for: the gaps and failed windows of stored series, and nothing else."""

from collections.abc import Iterable, Sequence

from core.coverage import DELISTED, Gap
from core.datasets import SeriesKey
from core.engine.tools import Tools
from core.errors import ConfigError
from core.operations import Operation, make_operation, named_series
from core.planner import Plan, plan_repair
from core.stores import Damaged
from core.stores.selection import Selection
from core.windows import Window

LABEL = "gaps repair"


def repairs(damaged: Iterable[SeriesKey], *, every: bool) -> tuple[Operation, ...]:
    """One operation a data type and interval, with the series that are damaged by name."""
    named: dict[tuple[str, str], dict[str, None]] = {}
    for key in damaged:
        named.setdefault((key.data_type, key.interval), {})[f"{key.market}/{key.instrument}"] = None
    given = {"repair": "all" if every else "open", "label": LABEL}
    return tuple(
        make_operation({"data_type": data_type, "interval": interval, "series": list(series), **given})
        for (data_type, interval), series in named.items()
    )


async def plan_repairs(operation: Operation, tools: Tools) -> Plan:
    """The plan of a repair. The vendor's metadata is not asked: what is damaged is in the store.

    Raises ConfigError for a universe, StoreError.
    """
    now = int(tools.source.now())
    every = operation.repair == "all"
    damaged = [entry for entry in await _damaged(operation, tools) if entry.state.blocked is None]
    parts = [
        plan_repair(tools.options.kept(each.state, now), closable(each.state.gaps, now, every=every), each.failed, now)
        for each in damaged
    ]
    return Plan(tuple(part for part in parts if part.runs))


def closable(gaps: Sequence[Gap], now: int, *, every: bool = False) -> list[Window]:
    """The gaps worth a call: none of the delisted, and of those seen twice only what is due, unless `every` one."""
    return [
        gap.window
        for gap in gaps
        if every or (gap.cause != DELISTED and (not gap.is_confirmed or gap.next_check <= now))
    ]


async def _damaged(operation: Operation, tools: Tools) -> list[Damaged]:
    if operation.universe is not None:
        raise ConfigError("a repair does not take a universe: name markets, instruments or series")
    selection = Selection(
        (operation.data_type,),
        tuple(name.lower() for name in operation.market),
        operation.instrument,
        (operation.interval,),
        tuple(named_series(operation)),
    )
    return await tools.store.damaged(tools.source.name, selection)
