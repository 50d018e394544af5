"""What has been asked for and answered, and what was absent from the answers. Pure.

Every grid slot of a wanted span is exactly one of: before the history starts, stored, a gap (asked
and answered, yet absent or rejected), or not asked. Coverage says which spans were asked and answered
with which field groups; a gap says where an answer had no usable row. Neither is ever derived from a
maximum timestamp or a count of pages.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from core.datasets import SeriesKey
from core.windows import Grain, Window, clip, intersect, merge, subtract

SAME_SIGHTING_SECONDS = 1_800
FIRST_RECHECK_SECONDS = 3_600
CONFIRMED_RECHECK_SECONDS = 7 * 86_400
DELISTED = "delisted"


class Covered(NamedTuple):
    """`window` was asked for with `groups` and answered."""

    groups: frozenset[str]
    window: Window


@dataclass(frozen=True, slots=True)
class Gap:
    """Slots of `window` that an answer left out (`absent`), or gave unusably (`rejected`).

    A gap seen twice, at least half an hour apart, is confirmed: the vendor does not have it for now,
    which is an explanation. Until then it is a new hole. Times are UTC epoch seconds; `evidence` is a
    JSON object of what the answers said around it.
    """

    window: Window
    cause: str
    sightings: int = 1
    first_seen: int = 0
    last_seen: int = 0
    next_check: int = 0
    evidence: str = "{}"

    @property
    def is_confirmed(self) -> bool:
        return self.sightings > 1

    @property
    def is_explained(self) -> bool:
        """Confirmed, or after the end of its instrument, which the vendor's metadata tell of."""
        return self.is_confirmed or self.cause == DELISTED


class Absence(NamedTuple):
    """Slots without a usable row in one answer, why, and what the answer said (a JSON object)."""

    window: Window
    cause: str
    evidence: str = "{}"


@dataclass(frozen=True, slots=True)
class SeriesState:
    """What a store knows of one series. Times are UTC epoch seconds.

    `history_start` is the vendor's first bar, None until an answer settled it; `last_bar` the start of
    the newest closed bar stored. `unsettled` spans were read so soon after their close that they must be
    read again. Bars before `pruned_before` were kept once and are not wanted back. `page_checked` is when
    the newest bars were last read as a full page, `audit_from` and `audited_at` say where the rolling
    audit of the history goes on and when it last did. `blocked` says why the series must not be written.
    `refreshed` is when the last full answer of a list was stored, by our clock; `refusals` how often in a row
    the vendor has refused a window of the series that is still to be read.
    """

    id: int
    key: SeriesKey
    exchange_symbol: str | None = None
    history_start: int | None = None
    last_bar: int | None = None
    rows: int = 0
    has_constants: bool = False
    covered: tuple[Covered, ...] = ()
    gaps: tuple[Gap, ...] = field(default=())
    unsettled: tuple[Window, ...] = ()
    pruned_before: int | None = None
    page_checked: int | None = None
    audit_from: int | None = None
    audited_at: int | None = None
    blocked: str | None = None
    refreshed: int | None = None
    refusals: int = 0

    def joined(self, answered: "SeriesState") -> "SeriesState":
        """As an answer tells it. Windows of one series run side by side: it may carry an older view than this one."""
        bars = [bar for bar in (self.last_bar, answered.last_bar) if bar is not None]
        return replace(
            answered,
            history_start=self.history_start if answered.history_start is None else answered.history_start,
            last_bar=max(bars, default=None),
            rows=max(self.rows, answered.rows),
            has_constants=self.has_constants or answered.has_constants,
        )


def missing(span: Window, groups: Iterable[str], covered: Iterable[Covered]) -> list[Window]:
    """The parts of `span` that were not yet asked for with every one of `groups`."""
    covered = tuple(covered)
    holes: list[Window] = []
    for group in groups:
        holes += subtract([span], [entry.window for entry in covered if group in entry.groups])
    return merge(holes)


def absent(window: Window, present: Iterable[int], grain: Grain) -> list[Window]:
    """The runs of grid slots of `window` without a bar in `present` (bar starts, any order)."""
    return subtract([window], [Window(ts, ts + grain.seconds) for ts in present])


def unsettle(known: Iterable[Window], answered: Window, settled_before: int) -> list[Window]:
    """The unsettled spans after `answered` was read: what of it begins before `settled_before` is settled."""
    young = Window(max(answered.start, settled_before), answered.end)
    return merge([*subtract(known, [answered]), young])


def sight(known: Iterable[Gap], window: Window, absences: Iterable[Absence], now: int) -> list[Gap]:
    """The gaps of a series after `window` was answered with `absences`.

    What is no longer absent inside `window` is forgotten, what is absent again has been seen once more,
    and gaps outside `window` stay as they were.
    """
    known = list(known)
    after: list[Gap] = []
    for gap in known:
        after += [replace(gap, window=rest) for rest in subtract([gap.window], [window])]
    for span, cause, evidence in absences:
        earlier = [gap for gap in known if intersect([gap.window], [span])]
        for gap in earlier:
            for part in intersect([gap.window], [span]):
                after.append(_seen_again(gap, part, cause, evidence, now))
        for part in subtract([span], [gap.window for gap in earlier]):
            after.append(Gap(part, cause, 1, now, now, now + FIRST_RECHECK_SECONDS, evidence))
    return sorted(after, key=lambda gap: gap.window)


def without_prehistory(gaps: Iterable[Gap], history_start: int) -> list[Gap]:
    """The gaps that are left once it is known that the history starts at `history_start`."""
    kept = []
    for gap in gaps:
        window = clip(gap.window, Window(history_start, max(history_start, gap.window.end)))
        if window.seconds:
            kept.append(replace(gap, window=window))
    return kept


def _seen_again(gap: Gap, part: Window, cause: str, evidence: str, now: int) -> Gap:
    if now - gap.last_seen < SAME_SIGHTING_SECONDS:
        return replace(gap, window=part, cause=cause, evidence=evidence)
    return Gap(part, cause, gap.sightings + 1, gap.first_seen, now, now + CONFIRMED_RECHECK_SECONDS, evidence)
