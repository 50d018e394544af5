"""What the journal of runs adds to what engines tell: runs of before, and how they went for each series."""

from collections.abc import Mapping

from msgspec import structs

from core.events import JobChanged, SeriesChanged
from tui.lookups import Lookup
from tui.state import OtherJob, PastJob, ViewState

RUNS: Lookup[Mapping[str, PastJob]] = Lookup("runs", lambda archive: archive.runs(), every=15.0)


def past_jobs(state: ViewState) -> Mapping[str, PastJob]:
    """Runs of the journal, by run id, that no engine tells of."""
    found = state.answer(RUNS).found or {}
    told = {job.run_id for job in state.listed.values()}
    return {run_id: job for run_id, job in found.items() if run_id not in told}


def job_of(state: ViewState, key: str) -> JobChanged | None:
    """A job by its key in `listed`, or a run by its run id."""
    return state.listed.get(key) or (state.answer(RUNS).found or {}).get(key)


def series_lookup(run_id: str) -> Lookup[Mapping[str, SeriesChanged]]:
    """How a run went for each of its series."""
    return Lookup(f"run_series {run_id}", lambda archive: archive.run_series(run_id), every=10.0)


def series_of(state: ViewState, key: str) -> Mapping[str, SeriesChanged]:
    """The series of a job or run: as its engine tells them, else as the journal has them."""
    told = state.series.get(key)
    if told:
        return told
    job = job_of(state, key)
    found = state.answer(series_lookup(job.run_id)).found or {} if job else {}
    is_over = (isinstance(job, OtherJob) and not job.is_at_work) or (job is not None and job.is_final)
    return {name: _left(each) for name, each in found.items()} if is_over else found


def _left(series: SeriesChanged) -> SeriesChanged:
    """What was under way when its run ended is so no more."""
    return structs.replace(series, state="left") if series.state in {"running", "waiting"} else series
