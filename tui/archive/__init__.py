"""What the dashboard reads of the store itself: questions by area, with plain answers.

An archive may block, so it is asked on a thread of its own (`tui.lookups`). Every question raises TapewatchError when
the store cannot be asked.
"""

from typing import Protocol

from tui.archive.alerts import AlertArchive
from tui.archive.figures import FigureArchive
from tui.archive.runs import RunArchive
from tui.archive.series import SeriesArchive


class Archive(SeriesArchive, AlertArchive, RunArchive, FigureArchive, Protocol):
    """All that can be asked."""
