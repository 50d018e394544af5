"""The questions that the screens about stored series ask of the archive."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from core.windows import Window
from tui.archive.series import Bar, Coverage, Hole, Refused, Restatement
from tui.lookups import Lookup
from tui.state import Found, ViewState

SERIES = Lookup("series", lambda archive: archive.series())
COVERAGES = Lookup("coverages", lambda archive: archive.coverages(), every=30.0)
MOST_BARS, MOST_BARS_OF_DAYS = 400, 3_000
FOLLOWED, QUIET = 2.0, 10.0
"""Seconds between two looks at one series, while a job may be writing to it and else."""
SELDOM = 6
"""What of all series changes only by jobs is asked for so much less often without any: ten thousand take a while."""


def is_fed(state: ViewState) -> bool:
    """Whether any job may be writing to the store."""
    return any(not job.is_final for job in state.listed.values())


def paced(lookup: Lookup[Found], state: ViewState) -> Lookup[Found]:
    """A question about all series, as often as it is worth asking now."""
    return lookup if is_fed(state) else replace(lookup, every=SELDOM * lookup.every)


def bars_of(series: str, every: float = QUIET) -> Lookup[Sequence[Bar]]:
    """The newest bars of one."""
    return Lookup(f"bars {series}", lambda archive: archive.bars(series, MOST_BARS), every)


def bars_in(series: str, span: Window) -> Lookup[Sequence[Bar]]:
    """The bars of some days."""
    return Lookup(f"bars {series} {span}", lambda archive: archive.bars(series, MOST_BARS_OF_DAYS, span), QUIET)


def coverage_of(series: str, every: float = QUIET) -> Lookup[Coverage]:
    return Lookup(f"coverage {series}", lambda archive: archive.coverage(series), every)


def holes_of(series: str, every: float = QUIET) -> Lookup[Mapping[str, Hole]]:
    return Lookup(f"holes {series}", lambda archive: archive.holes(series), every)


def restatements_of(series: str, every: float = QUIET) -> Lookup[Mapping[str, Restatement]]:
    return Lookup(f"restatements {series}", lambda archive: archive.restatements(series), every)


def refused_of(series: str, every: float = QUIET) -> Lookup[Mapping[str, Refused]]:
    return Lookup(f"refused {series}", lambda archive: archive.refused(series), every)
