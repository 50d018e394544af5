"""Why slots are empty, told from what an answer said and from what is stored around them. Pure.

A cause is a claim with its evidence, never a guess: where something is missing to tell, the cause is
`unknown` and the words say what is missing. A gap is confirmed by two sightings at least half an hour
apart (see `core.coverage`), whatever its cause.
"""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from core.coverage import DELISTED, Gap
from core.windows import Grain, Window, iso

VENDOR_SHORT_PAGE = "vendor_short_page"
INSTRUMENT_SILENT = "instrument_silent"
MARKET_SILENT = "market_silent"
REJECTED_ROWS = "rejected_rows"
FAILED_FETCH = "failed_fetch"
UNKNOWN = "unknown"
CAUSES = (VENDOR_SHORT_PAGE, INSTRUMENT_SILENT, MARKET_SILENT, DELISTED, REJECTED_ROWS, FAILED_FETCH, UNKNOWN)

# What a commit writes until the end of the job explains it.
UNEXPLAINED = frozenset({"absent", "rejected", UNKNOWN})
REJECTED = frozenset({"rejected", REJECTED_ROWS})

ASKED_ALONE = frozenset({"gap", "probe"})
WITNESSES = 2
ENDED_FOR_SECONDS = 86_400


class Others(NamedTuple):
    """Further series of the same market, data type and interval that were asked for all of a gap.

    `silent` of the `asked` have no bar in it.
    """

    asked: int = 0
    silent: int = 0


NOBODY = Others()


NOT_LISTED = "NOT LISTED"


class Listed(NamedTuple):
    """What the stored metadata says of an instrument; `ends` is its last record or expiry in UTC epoch seconds."""

    status: str
    is_active: bool
    ends: int | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is stored around a gap: whether there is a bar right `before` and right `after` it, or any `later`.

    `listed` is None when the metadata is not stored.
    """

    others: Others = NOBODY
    before: bool = False
    after: bool = False
    later: bool = False
    listed: Listed | None = None


class Explanation(NamedTuple):
    """A cause, in words for people, and as the facts that it rests on."""

    cause: str
    words: str
    evidence: dict[str, Any]


class Page(NamedTuple):
    """What the answer with the hole looked like, as `Gap.evidence` has it.

    `reason` is why it was asked for; `ends` the newest bar of an answer that the vendor filled up with older
    ones than were asked for, because it has nothing after that.
    """

    window: Window
    rows: int
    first: int | None
    last: int | None
    rejected: dict[str, int]
    reason: str = ""
    ends: int | None = None

    @classmethod
    def of(cls, gap: Gap) -> "Page | None":
        """None when it was not recorded."""
        said = json.loads(gap.evidence)
        if "window" not in said:
            return None
        told = {name: said[name] for name in cls._fields if name in said}
        return cls(**{**told, "window": Window(*said["window"])})

    @property
    def is_only_the_gap(self) -> bool:
        """An empty answer to a question about nothing but the gap does not say where pages end."""
        return self.rows == 0 and self.reason in ASKED_ALONE

    def has_around(self, window: Window) -> bool:
        """Whether the answer has bars on both sides of `window`."""
        return self.first is not None and self.last is not None and self.first < window.start <= self.last


def explain(gap: Gap, grain: Grain, around: Surroundings, market: str) -> Explanation:
    """The cause of `gap` of a series of `market`: the first that its evidence bears out."""
    page = Page.of(gap)
    told = (
        _rejected(gap, page)
        or _delisted(gap, around.listed)
        or _market_silent(around.others, market)
        or _ended(gap, page, around)
        or _short_page(gap, page, grain, around)
        or _instrument_silent(gap, page, around, market)
        or (UNKNOWN, _missing(page, around, market))
    )
    return Explanation(*told, _evidence(gap, around))


def _evidence(gap: Gap, around: Surroundings) -> dict[str, Any]:
    evidence: dict[str, Any] = json.loads(gap.evidence)
    evidence["others"] = around.others._asdict()
    evidence["stored"] = {"before": around.before, "after": around.after, "later": around.later}
    if around.listed is not None:
        evidence["metadata"] = around.listed._asdict()
    return evidence


Told = tuple[str, str] | None


def _rejected(gap: Gap, page: Page | None) -> Told:
    if gap.cause not in REJECTED:
        return None
    reasons = ", ".join(f"{count} x {reason}" for reason, count in (page.rejected if page else {}).items())
    return REJECTED_ROWS, f"the vendor's rows did not pass the checks ({reasons or 'see the quarantine'})"


def _delisted(gap: Gap, listed: Listed | None) -> Told:
    if listed is None or listed.is_active or listed.ends is None or gap.window.start < listed.ends:
        return None
    return DELISTED, f"the metadata calls the instrument {listed.status}; its last record is of {iso(listed.ends)}"


def _market_silent(others: Others, market: str) -> Told:
    if others.asked < WITNESSES or others.silent < others.asked:
        return None
    return MARKET_SILENT, f"none of the {others.asked} other series of {market} has a bar then"


def _ended(gap: Gap, page: Page | None, around: Surroundings) -> Told:
    if page is None or page.ends is None or around.later or (around.listed and around.listed.is_active):
        return None
    # A vendor that is late has nothing newer either.
    if gap.window.start <= page.ends or gap.last_seen - page.ends < ENDED_FOR_SECONDS:
        return None
    return DELISTED, f"the vendor's history of the instrument ends with the bar of {iso(page.ends)}"


def _short_page(gap: Gap, page: Page | None, grain: Grain, around: Surroundings) -> Told:
    if page is None or page.is_only_the_gap:
        return None
    start, end = page.window
    asked = f"the answer for {iso(start)}..{iso(end)}"
    if gap.window.end == end and around.after:
        last = "is empty" if page.last is None else f"ends with the bar of {iso(page.last)}"
        return VENDOR_SHORT_PAGE, f"{asked} {last}, yet the vendor has the bar of {iso(end)}"
    if gap.window.start == start and around.before:
        first = "is empty" if page.first is None else f"begins with the bar of {iso(page.first)}"
        return VENDOR_SHORT_PAGE, f"{asked} {first}, yet the vendor has the bar of {iso(start - grain.seconds)}"
    return None


def _instrument_silent(gap: Gap, page: Page | None, around: Surroundings, market: str) -> Told:
    if around.others.asked < WITNESSES or not around.later:
        return None
    inside = " inside an answer" if page is not None and page.has_around(gap.window) else ""
    busy = around.others.asked - around.others.silent
    words = f"no bar{inside}, while {busy} of {around.others.asked} other series of {market} have bars then"
    return INSTRUMENT_SILENT, words


def _missing(page: Page | None, around: Surroundings, market: str) -> str:
    """What would have to be known to tell."""
    missing = []
    if page is None:
        missing.append("what the answer looked like was not recorded")
    if around.others.asked < WITNESSES:
        missing.append(
            f"to tell a silent market from a silent instrument {WITNESSES} other series of {market} have to be "
            f"stored for this span, {around.others.asked} {'is' if around.others.asked == 1 else 'are'}"
        )
    if not around.later:
        missing.append("no later bar is stored, so the vendor may only be late")
    return "; ".join(missing)


def outlook(gap: Gap, cause: str) -> str:
    """What will become of `gap` without further doing, and what to do about it."""
    if cause == DELISTED:
        return "nothing: runs ask for a dead instrument no more; to ask all the same: tapewatch gaps repair --all"
    if gap.is_confirmed:
        again = f"confirmed by {gap.sightings} sightings, so asked again only from {iso(gap.next_check)} on"
        return f"{again}; now: tapewatch gaps repair --all"
    when = f"the first run from {iso(gap.next_check)} on that covers it asks again, which confirms or closes it"
    return f"{when}; now: tapewatch gaps repair"
