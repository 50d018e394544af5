"""After a job: the quality checks over the newest bars of each series that it wrote, and what is unusual in them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from core.coverage import SeriesState
from core.datasets import DATASETS, SeriesKey
from core.engine.job import Job
from core.engine.tools import Tools
from core.errors import StoreError
from core.events import LogLine
from core.findings import NEWEST_BARS, Bars, Watcher, examine
from core.text import clean, counted


async def inspect(job: Job, tools: Tools) -> None:
    """Flag what is suspect or unusual in the newest bars, and say what is new. Never raises for what a store does."""
    broken: dict[str, Exception] = {}
    try:
        new = await _inspect(job, tools, broken)
    except StoreError as error:
        _say(job, tools, "error", f"the newest bars could not be checked: {clean(str(error))}")
        return
    for name, defect in broken.items():
        what = f"{type(defect).__name__}: {clean(str(defect))}"
        _say(job, tools, "error", f"the check {clean(name)} is defective: {what}")
    if new:
        _say(job, tools, "warning", f"checks: {counted(new, 'new finding')}; see them with: tapewatch verify --offline")


async def _inspect(job: Job, tools: Tools, broken: dict[str, Exception]) -> int:
    new = 0
    states: dict[SeriesKey, SeriesState] = {}
    fresh: list[Any] = []
    for entry in job.progress.values() if tools.options.checks or tools.watch else ():
        if job.is_stopping or not entry.rows or entry.state.key.data_type not in DATASETS:
            continue
        bars = await tools.store.newest_bars(entry.state, NEWEST_BARS)
        states[entry.state.key] = entry.state
        if tools.watch:
            fresh += await _fresh(tools, tools.watch, bars)
        if found := examine(bars, tools.options.checks, broken.__setitem__):
            new += await tools.store.flag(entry.state, found)
    return new + (await _judge(tools, states, fresh) if tools.watch and fresh else 0)


async def _fresh(tools: Tools, watch: Watcher, bars: Bars) -> Sequence[Any]:
    """What is to be judged of a series, once what lies back is known; others go on while it is learned."""
    place = watch.place(bars.key)
    if place is not None:
        watch.restore(place, await tools.store.baselines(*place))
    for _ in watch.catch_up(bars):
        await asyncio.sleep(0)
    return watch.fresh(bars)


async def _judge(tools: Tools, states: Mapping[SeriesKey, SeriesState], fresh: Sequence[Any]) -> int:
    """Flag what is unusual in series; of markets as a whole only alerts tell."""
    new = 0
    for key, finding in tools.watch.judge(fresh, tools.source.now()) if tools.watch else ():
        if key in states:
            new += await tools.store.flag(states[key], [finding])
    return new


def _say(job: Job, tools: Tools, level: str, text: str) -> None:
    tools.bus.publish(LogLine(level=level, text=text, source=job.operation.data_type, job=job.id))
