"""The journal of runs."""

from collections.abc import Mapping

from core.cli.archive.part import Part
from core.cli.fleet import as_job
from core.events import SeriesChanged
from core.stores import RunSeries
from core.stores.opening import engines_of
from tui.state import PastJob

NEWEST = 300


class RunPart(Part):
    """Answers `tui.archive.runs.RunArchive`."""

    def runs(self) -> Mapping[str, PastJob]:
        with self.reading() as reader:
            runs = reader.runs(NEWEST)
        at_work = engines_of(self._loaded.database)
        known = {engine.name: engine for engine in at_work}
        return {run.run_id: as_job(run, run.state_among(at_work), known.get(run.engine), PastJob) for run in runs}

    def run_series(self, run_id: str) -> Mapping[str, SeriesChanged]:
        with self.reading() as reader:
            return {part.series: _series(part) for part in reader.run_series(run_id)}


def _series(part: RunSeries) -> SeriesChanged:
    return SeriesChanged(
        job=part.run_id,
        series=part.series,
        state=part.state,
        windows_total=part.windows_total,
        windows_done=part.windows_done,
        rows=part.rows,
        error=part.error,
    )
