"""What quality checks look at and what they say. Pure.

A check is a plain function over the stored closed bars of one series. Ours and those of other packages are
found by the entry point group `tapewatch.checks`; what they find is flagged in table `finding`, and nothing
is dropped for it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from core.datasets import DATASETS, Dataset, SeriesKey
from core.text import clean
from core.windows import GRAINS, Grain, Window

NEWEST_BARS = 500
LEVELS = ("info", "warning")


@dataclass(frozen=True, slots=True)
class Bars:
    """Stored closed bars of one series, ascending by `ts` (UTC epoch seconds, bar starts), with or without holes.

    `columns` holds one sequence a column, each as long as `ts`, None where a bar has no value.
    `asked_until` is the end of what the vendor has been asked for, `market_last` the newest bar of the
    other series of the same market, data type and interval; None when there is none.
    """

    key: SeriesKey
    ts: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    asked_until: int | None = None
    market_last: int | None = None

    @property
    def grain(self) -> Grain:
        return GRAINS[self.key.interval]

    @property
    def dataset(self) -> Dataset:
        return DATASETS[self.key.data_type]

    def values(self, name: str) -> Sequence[Any]:
        """A column; one of Nones when it was not stored."""
        found = self.columns.get(name)
        return [None] * len(self.ts) if found is None else found

    def span(self, first: int, last: int) -> Window:
        """From the bar at place `first` to the end of the one at `last`."""
        return Window(self.ts[first], self.ts[last] + self.grain.seconds)


class Finding(NamedTuple):
    """Bars of `window` are suspect: which check says so, how much it matters (one of LEVELS) and why."""

    check: str
    window: Window
    level: str
    detail: str


Check = Callable[[Bars], list[Finding]]
Complain = Callable[[str, Exception], None]


class Learned(NamedTuple):
    """What a detector knows of a series: its `state` as JSON, as of the bar that begins at `newest`.

    `newest` is in UTC epoch seconds. `market` is a data type and a market, as in `spot_ohlcv/kraken`, `series` an
    instrument and an interval; it is empty for a market as a whole.
    """

    market: str
    series: str
    detector: str
    newest: int
    state: str


class Watcher(Protocol):
    """Compares the newest bars with those before them and with other series. It never raises."""

    def place(self, key: SeriesKey) -> tuple[str, str] | None:
        """What a series that nothing is known of is called in what was learned; None for one that is known."""
        ...

    def restore(self, place: tuple[str, str], learned: Sequence[Learned]) -> None:
        """Know what was learned of a series, as far as it can be read and nothing is known yet."""
        ...

    def catch_up(self, bars: Bars) -> Iterator[None]:
        """Learn what lies back in these bars, for a few milliseconds at each step."""
        ...

    def fresh(self, bars: Bars) -> Sequence[Any]:
        """What of these bars is to be judged together with that of other series."""
        ...

    def judge(self, fresh: Sequence[Any], now: float) -> Sequence[tuple[SeriesKey, Finding]]:
        """What is unusual in it, and where: a market as a whole has no instrument. `now` is the vendor's time."""
        ...


def examine(bars: Bars, checks: Mapping[str, Check], complain: Complain) -> list[Finding]:
    """What `checks` find in `bars`; of no bars nothing is asked.

    A check that raises is a defect of its author's, told to `complain` by its name.
    """
    found: list[Finding] = []
    for name, check in checks.items() if bars.ts else ():
        try:
            found += [_plain(finding) for finding in check(bars)]
        except Exception as defect:  # the boundary to code of others
            complain(name, defect)
    return joined(found)


def _plain(finding: Finding) -> Finding:
    """The finding of a plug-in, or ValueError: nothing else may reach a store or a terminal."""
    start, end = finding.window
    if not isinstance(finding.check, str) or finding.level not in LEVELS or not int(start) < int(end):
        raise ValueError(f"not a finding: {finding!r}")
    return Finding(clean(finding.check, 60), Window(int(start), int(end)), finding.level, clean(finding.detail))


def joined(findings: Sequence[Finding]) -> list[Finding]:
    """Findings of one check that overlap or touch are one, with the words of the first."""
    after: list[Finding] = []
    for finding in sorted(findings, key=lambda found: (found.check, found.window)):
        before = after[-1] if after else None
        if before is not None and before.check == finding.check and finding.window.start <= before.window.end:
            end = max(before.window.end, finding.window.end)
            after[-1] = before._replace(window=Window(before.window.start, end))
        else:
            after.append(finding)
    return after
