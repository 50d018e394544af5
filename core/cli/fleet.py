"""What the engines on one PostgreSQL database do, as its journal has it, for a dashboard beside them."""

import time
from functools import partial
from typing import TypeVar

from core.config import Loaded
from core.engine.job import Counters
from core.stores import RunRecord
from core.stores.lock import Holder
from core.stores.opening import engines_of, is_postgres, reading
from tui.client import ReadFleet
from tui.state import OtherJob

SHOWN_SECONDS = 86_400.0
SHOWN_RUNS = 50


def fleet_of(loaded: Loaded) -> ReadFleet | None:
    """Reads the runs of all engines on the database, of the last day or not ended; None where there is one engine."""
    return partial(_read_fleet, loaded.database) if is_postgres(loaded.database) else None


def journal_jobs(url: str) -> list[OtherJob]:
    """The newest runs of the store as its journal has them, whoever ran them. Raises StoreError."""
    if is_postgres(url):
        return _read_fleet(url)
    engines = engines_of(url)
    known = {engine.name: engine for engine in engines}
    with reading(url) as reader:
        return [
            as_job(run, run.state_among(engines), known.get(run.engine), OtherJob) for run in reader.runs(SHOWN_RUNS)
        ]


def _read_fleet(url: str) -> list[OtherJob]:
    """Raises StoreError."""
    with reading(url) as reader:
        engines, runs = reader.fleet(time.time() - SHOWN_SECONDS)
    known = {engine.name: engine for engine in engines}
    at_work = [engine for engine in engines if engine.is_alive]
    return [as_job(run, run.state_among(at_work), known.get(run.engine), OtherJob) for run in runs]


Kind = TypeVar("Kind", bound=OtherJob)


def as_job(run: RunRecord, state: str, engine: Holder | None, kind: type[Kind]) -> Kind:
    """A run in the journal as a dashboard has it."""
    summary = run.summary
    counted = {name: summary.get(name, 0) for name in Counters().shown()}
    return kind(
        engine=run.engine,
        host=engine.host if engine else "",
        pid=engine.pid if engine else 0,
        is_at_work=engine is not None and engine.is_alive,
        job=run.job,
        run_id=run.run_id,
        data_type=run.data_type,
        interval=run.interval,
        label=run.label,
        state=state,
        created=run.created,
        started=run.started,
        finished=run.finished,
        series_total=summary.get("series", 0),
        windows_total=summary.get("windows_total", 0),
        windows_done=summary.get("windows", 0),
        requests_planned=summary.get("planned", {}).get("requests", 0),
        error=next(iter(summary.get("errors", ())), ""),
        **counted,
    )
