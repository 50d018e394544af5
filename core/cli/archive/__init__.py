"""What a dashboard reads of the store: the questions of `tui.archive`, answered read-only, whoever writes meanwhile."""

from core.cli.archive.alerts import AlertPart
from core.cli.archive.figures import FigurePart
from core.cli.archive.runs import RunPart
from core.cli.archive.series import SeriesPart
from core.config import Loaded


class StoreArchive(SeriesPart, AlertPart, RunPart, FigurePart):
    """Answers every question over a connection of its own: the thread that asks has no other."""


def archive_of(loaded: Loaded) -> StoreArchive:
    return StoreArchive(loaded)
