"""What stands in the way of a series, as far as it is known, and what happens next."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from core.causes import Explanation, Listed
from core.coverage import Gap, SeriesState
from core.datasets import SeriesKey
from core.events import JobChanged, QuotaSample, QuotaWindow, SeriesChanged
from core.monitoring.why import Asked, Facts, explain
from core.stores import RunRecord, RunSeries
from core.stores.explain_sql import FailedWindow
from core.stores.lock import Holder
from core.windows import Window, parse_time

KEY = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")
NAME = str(KEY)
# The bar of 12:33 is closed, and since 12:34:05 settled; that of 12:34 runs.
NOW = parse_time("2025-06-15T12:34:56")
NEWEST = parse_time("2025-06-15T12:32:00")
COMMAND = "tapewatch spot_ohlcv --interval 1m --market kraken --instrument BTC-USD"


def facts(last: int | None = NEWEST, **given: Any) -> Facts:
    known = {"state": SeriesState(1, KEY, last_bar=last, rows=5), **given}
    return Facts(KEY, NOW, **known)


def run(state: str = "complete", part: str = "done", *, errors: list[str] | None = None, error: str = "") -> Asked:
    record = RunRecord(
        "r-1", "e", KEY.data_type, "1m", "", state, NOW - 900, NOW - 800, NOW - 700, {"errors": errors or []}
    )
    return Asked(record, RunSeries("r-1", NAME, part, 1, 1, 5, error))


def job(state: str = "running", **given: Any) -> JobChanged:
    return JobChanged(job="j-1", run_id="r-2", data_type=KEY.data_type, interval="1m", state=state, **given)


def whats(given: Facts) -> list[str]:
    return [blocker.what for blocker in explain(given).blockers]


COMMANDED = Holder(pid=77, kind="command", socket="/x", protocol=1, since=NOW - 60, user="ann")
LATE = NEWEST - 600
GAP = (
    Gap(Window(LATE + 60, NEWEST + 60), "unknown", 1, NOW - 300, NOW - 300, NOW + 3_300),
    Explanation("unknown", "no later bar is stored, so the vendor may only be late", {}),
)
QUOTA = QuotaSample(windows=(QuotaWindow("minute", 300, 0, NOW + 4), QuotaWindow("day", 7_500, 12, NOW + 9_999)))
CAUSES = {
    "never stored": (facts(state=None), "never_ingested", "never asked for", None, None),
    "no bar yet": (facts(None), "never_ingested", "no closed bar", None, None),
    "blocked": (
        facts(LATE, state=SeriesState(1, KEY, last_bar=LATE, blocked="another asset")),
        "blocked",
        "another asset",
        None,
        None,
    ),
    "retired": (
        facts(LATE, listed=Listed("RETIRED", is_active=False, ends=LATE + 30)),
        "instrument_status",
        "RETIRED",
        LATE + 30,
        None,
    ),
    "quota": (
        facts(LATE, quota=QUOTA, job=job(waiting="minute limit, 4 s")),
        "quota",
        "minute limit of 300",
        None,
        NOW + 4,
    ),
    "retry timer": (
        facts(
            LATE,
            job=job(waiting="retrying: down"),
            progress=SeriesChanged(job="j-1", series=NAME, retries=3, error="down", retry_at=NOW + 7.6),
        ),
        "retry",
        "3 retries so far: down",
        None,
        NOW + 8,
    ),
    "held": (facts(LATE, job=job("held")), "held", "jobs resume j-1", None, None),
    "store busy": (facts(LATE, holder=COMMANDED), "store_busy", "user ann (pid 77)", NOW - 60, None),
    "waiting quota": (
        facts(LATE, asked=run("waiting_quota", errors=["day limit"])),
        "last_run",
        "day limit",
        NOW - 700,
        None,
    ),
    "failed": (
        facts(LATE, asked=run("complete", "failed", error="404")),
        "last_run",
        "failed for this series: 404",
        NOW - 700,
        None,
    ),
    "given up": (
        facts(LATE, failed=(FailedWindow(1, KEY, Window(LATE, NEWEST), "503", 5, "r-1", 1, NOW - 90, NOW - 90),)),
        "failed_fetch",
        "was given up: 503",
        NOW - 90,
        None,
    ),
    "gap": (facts(LATE, gaps=(GAP,)), "gap", "the vendor may only be late", NOW - 300, NOW + 3_300),
    "nobody runs it": (facts(LATE, asked=run()), "schedule", "a schedule of", NOW - 700, None),
    "pruned": (
        facts(state=SeriesState(1, KEY, last_bar=NEWEST, pruned_before=LATE)),
        "retention",
        "not bought again",
        None,
        None,
    ),
}


@pytest.mark.parametrize("case", CAUSES)
def test_the_cause_is_named_with_its_times(case: str) -> None:
    given, what, words, since, until = CAUSES[case]
    found = [blocker for blocker in explain(given).blockers if blocker.what == what]
    assert found, explain(given).blockers
    assert words in found[0].words
    assert (found[0].since, found[0].until) == (since, until)


def test_a_series_that_is_up_to_date_waits_for_its_next_bar() -> None:
    answer = explain(facts())
    assert (answer.status, answer.last_bar, answer.expected, answer.behind, answer.since) == (
        "current",
        NEWEST,
        NEWEST,
        0,
        None,
    )
    assert answer.blockers == []
    # The bar of 12:33 ends at 12:34 and is final 65 s later.
    assert answer.next_at == parse_time("2025-06-15T12:35:05")
    assert "closes at 2025-06-15T12:34:00Z" in answer.next
    assert answer.command == COMMAND


def test_how_far_behind_and_since_when() -> None:
    answer = explain(facts(LATE))
    assert (answer.status, answer.behind, answer.expected) == ("behind", 10, NEWEST)
    assert answer.since == LATE + 120 + 65
    assert (answer.next, answer.next_at, answer.command) == ("nothing by itself", None, COMMAND)


@pytest.mark.parametrize(
    ("last", "ends", "status", "behind"),
    [(LATE, LATE + 30, "ended", 0), (LATE - 60, LATE + 30, "behind", 1), (LATE, None, "behind", 10)],
)
def test_of_a_dead_instrument_no_more_than_its_last_bar_is_expected(
    last: int, ends: int | None, status: str, behind: int
) -> None:
    answer = explain(facts(last, listed=Listed("EXPIRED", is_active=False, ends=ends)))
    assert (answer.status, answer.behind) == (status, behind)


def test_of_an_ended_series_nothing_more_happens() -> None:
    answer = explain(facts(LATE, listed=Listed("EXPIRED", is_active=False, ends=LATE + 10)))
    assert (answer.status, answer.next, answer.command) == (
        "ended",
        "nothing: a dead instrument costs no more requests",
        "",
    )


def test_what_no_command_can_bring_is_not_offered_one() -> None:
    gone = explain(facts(LATE, listed=Listed("NOT LISTED", is_active=False, ends=LATE + 90)))
    assert (gone.next, gone.command) == ("nothing: what is not listed any more is not asked for", "")
    blocked = explain(facts(LATE, state=SeriesState(1, KEY, last_bar=LATE, blocked="another asset")))
    assert blocked.command == f"tapewatch series drop {NAME}"


def test_a_running_job_is_what_happens_next_and_a_retry_says_when() -> None:
    waiting = facts(
        LATE, job=job(), progress=SeriesChanged(job="j-1", series=NAME, retries=1, error="x", retry_at=NOW + 5)
    )
    answer = explain(waiting)
    assert (answer.next, answer.next_at, answer.command) == ("job j-1 asks for it", NOW + 5, "tapewatch jobs follow")
    assert "schedule" not in whats(waiting)
    assert explain(replace(waiting, quota=QUOTA)).next_at == NOW + 4
    assert explain(replace(waiting, progress=None)).next_at is None
    over = replace(waiting, job=job("complete"))
    assert whats(over) == ["schedule"]


def test_a_gap_says_when_it_is_asked_for_again() -> None:
    answer = explain(facts(LATE, gaps=(GAP,)))
    assert answer.next_at == NOW + 3_300
    assert answer.command == f"tapewatch gaps repair {NAME}"


def test_an_engine_that_takes_jobs_is_no_hindrance_and_old_gaps_are_not_in_the_way() -> None:
    serving = Holder(pid=77, kind="dashboard", socket="/x", protocol=1, since=NOW - 60, user="ann")
    old = (replace(GAP[0], window=Window(LATE - 6_000, LATE - 5_940)), GAP[1])
    assert whats(facts(LATE, holder=serving, gaps=(old,))) == ["schedule"]
    assert whats(facts(gaps=(old,))) == []


def test_a_passed_retry_or_reset_is_no_promise() -> None:
    past = SeriesChanged(job="j-1", series=NAME, retries=1, error="x", retry_at=NOW - 1.0)
    [retry] = explain(facts(LATE, job=job(), progress=past)).blockers
    assert (retry.what, retry.until) == ("retry", None)
    assert "quota" not in whats(facts(LATE, quota=QuotaSample(windows=(QuotaWindow("minute", 300, 0, NOW - 1),))))


def test_a_series_at_work_elsewhere_is_waited_for() -> None:
    """What its engine says is not to be had from here: it is said who that is, and nobody need do anything."""
    elsewhere = msgspec.structs.replace(COMMANDED, host="db-2", is_here=False)
    given = facts(LATE, holder=elsewhere, leased="cafe01 (db-2, pid 77)")
    [blocker] = explain(given).blockers
    assert blocker.what == "leased"
    assert "engine cafe01 (db-2, pid 77) works on the series" in blocker.words
    answer = explain(given)
    assert (answer.next, answer.command) == ("engine cafe01 (db-2, pid 77) asks for it", "tapewatch status")
    here = replace(given, job=job(waiting="minute limit, 4 s"))
    assert whats(here) == ["waiting"]
