"""Why a gap is there: the cause is the first that the evidence bears out, and never more than it says."""

import json

import pytest

from core.causes import (
    CAUSES,
    DELISTED,
    INSTRUMENT_SILENT,
    MARKET_SILENT,
    REJECTED_ROWS,
    UNKNOWN,
    VENDOR_SHORT_PAGE,
    Listed,
    Others,
    Surroundings,
    explain,
)
from core.coverage import Gap
from core.windows import MINUTE, Window

HOUR = 3_600
TEN = 1_749_981_600  # 2025-06-15 10:00:00 UTC
PAGE = Window(TEN, TEN + HOUR)
INSIDE = Window(TEN + 600, TEN + 900)
HEAD, END = Window(TEN, TEN + 300), Window(TEN + HOUR - 300, TEN + HOUR)


def gap(window: Window, cause: str = "absent", /, **said: object) -> Gap:
    """As an answer to a backfill page left it; `said` changes what was recorded of it."""
    rest = {"first": PAGE.start, "last": PAGE.end - 60}
    if window.start == PAGE.start:
        rest["first"] = window.end
    if window.end == PAGE.end:
        rest["last"] = window.start - 60
    page = {"window": PAGE, "reason": "backfill", "rows": 55, **rest, "rejected": {}, **said}
    return Gap(window, cause, 1, TEN + 2 * HOUR, TEN + 2 * HOUR, 0, json.dumps(page))


def around(asked: int = 0, silent: int = 0, listed: Listed | None = None, **sides: bool) -> Surroundings:
    return Surroundings(Others(asked, silent), **{"before": True, "after": True, "later": True, **sides}, listed=listed)


DEAD = Listed("RETIRED", is_active=False, ends=TEN + 590)
ALIVE = Listed("ACTIVE", is_active=True, ends=TEN + 590)
LONG_AGO = TEN - 10 * 86_400
TELLING = {
    "rows that failed": (gap(INSIDE, "rejected", rejected={"volume": 5}), around(5, 5), REJECTED_ROWS, "5 x volume"),
    "rows that failed, told before": (gap(INSIDE, REJECTED_ROWS), around(5), REJECTED_ROWS, "quarantine"),
    "after the last record": (gap(INSIDE), around(5, 5, DEAD), DELISTED, "RETIRED"),
    "before the last record": (gap(INSIDE), around(5, 1, DEAD._replace(ends=TEN + 601)), INSTRUMENT_SILENT, "4 of 5"),
    "a last trade of what is active": (gap(INSIDE), around(5, 1, ALIVE), INSTRUMENT_SILENT, "4 of 5"),
    "nobody traded": (gap(INSIDE), around(2, 2), MARKET_SILENT, "none of the 2"),
    "nobody traded at the edge": (gap(END), around(5, 5), MARKET_SILENT, "none of the 5"),
    "the vendor has nothing newer": (
        gap(INSIDE, ends=LONG_AGO, rows=0, first=None, last=None),
        around(later=False, after=False),
        DELISTED,
        "2025-06-05",
    ),
    "the vendor is late": (
        gap(INSIDE, ends=TEN + 540),
        around(later=False, after=False),
        UNKNOWN,
        "no later bar is stored",
    ),
    "nothing newer, yet active": (
        gap(INSIDE, ends=LONG_AGO),
        around(5, 1, ALIVE, later=False, after=False),
        UNKNOWN,
        "no later bar",
    ),
    "nothing newer then, bars since": (gap(INSIDE, ends=LONG_AGO), around(5, 1), INSTRUMENT_SILENT, "4 of 5"),
    "the answer ended early": (gap(END), around(5, 1), VENDOR_SHORT_PAGE, "ends with the bar of 2025-06-15T10:54:00Z"),
    "the answer began late": (gap(HEAD), around(), VENDOR_SHORT_PAGE, "begins with the bar of 2025-06-15T10:05:00Z"),
    "an empty page": (
        gap(PAGE, rows=0, first=None, last=None),
        around(),
        VENDOR_SHORT_PAGE,
        "is empty, yet the vendor has the bar of 2025-06-15T11:00:00Z",
    ),
    "an edge where silence goes on": (gap(END), around(5, 1, after=False), INSTRUMENT_SILENT, "4 of 5"),
    "an edge that nobody asked beyond": (gap(END), around(after=False, later=False), UNKNOWN, "may only be late"),
    "asked again, alone": (
        gap(INSIDE, window=INSIDE, reason="gap", rows=0, first=None, last=None),
        around(3, 1),
        INSTRUMENT_SILENT,
        "2 of 3",
    ),
    "the instrument alone": (gap(INSIDE), around(5, 1), INSTRUMENT_SILENT, "no bar inside an answer, while 4 of 5"),
    "one witness is none": (gap(INSIDE), around(1, 1), UNKNOWN, "2 other series of kraken"),
    "no evidence at all": (Gap(INSIDE, "absent"), around(), UNKNOWN, "was not recorded"),
}


@pytest.mark.parametrize("case", TELLING)
def test_the_cause_is_what_the_evidence_says(case: str) -> None:
    seen, surroundings, cause, words = TELLING[case]
    told = explain(seen, MINUTE, surroundings, "kraken")
    assert (told.cause, words in told.words) == (cause, True), told
    assert told.cause in CAUSES
    assert told.words == told.words.strip() != ""


def test_the_evidence_is_what_the_answer_said_and_what_is_stored() -> None:
    told = explain(gap(INSIDE), MINUTE, around(5, 1, DEAD._replace(ends=None)), "kraken")
    assert told.evidence == {
        "window": list(PAGE),
        "reason": "backfill",
        "rows": 55,
        "first": PAGE.start,
        "last": PAGE.end - 60,
        "rejected": {},
        "others": {"asked": 5, "silent": 1},
        "stored": {"before": True, "after": True, "later": True},
        "metadata": {"status": "RETIRED", "is_active": False, "ends": None},
    }
    json.dumps(told.evidence)
