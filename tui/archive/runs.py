"""The journal of runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from core.events import SeriesChanged

if TYPE_CHECKING:
    from tui.state import PastJob


class RunArchive(Protocol):
    """What is kept of runs."""

    def runs(self) -> "Mapping[str, PastJob]":
        """The newest few hundred runs of all engines, by run id."""

    def run_series(self, run_id: str) -> Mapping[str, SeriesChanged]:
        """How a run went for each of its series, by name; empty once the journal has forgotten that."""
