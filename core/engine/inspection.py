"""After a job: the quality checks over the newest bars of each series that it wrote."""

from core.datasets import DATASETS
from core.engine.job import Job
from core.engine.tools import Tools
from core.errors import StoreError
from core.events import LogLine
from core.findings import NEWEST_BARS, examine
from core.text import clean, counted


async def inspect(job: Job, tools: Tools) -> None:
    """Flag what is suspect in the newest bars; what is new of it is said. Never raises for what a store does."""
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
    for entry in job.progress.values() if tools.options.checks else ():
        if job.is_stopping or not entry.rows or entry.state.key.data_type not in DATASETS:
            continue
        bars = await tools.store.newest_bars(entry.state, NEWEST_BARS)
        if found := examine(bars, tools.options.checks, broken.__setitem__):
            new += await tools.store.flag(entry.state, found)
    return new


def _say(job: Job, tools: Tools, level: str, text: str) -> None:
    tools.bus.publish(LogLine(level=level, text=text, source=job.operation.data_type, job=job.id))
