"""What is told of a run to those who measure: each call, piece of work, window and job, never a row."""

from collections import Counter

import pytest
from engine_kit import Kit, ask

from core.engine.engine import Engine
from core.errors import Malformed, NothingBefore, RateLimited, Rejected, SourceError, Transient, Unauthorized
from core.sources.measured import outcome_of
from core.telemetry import API, DATABASE, JOB, OK, RETRIED, ROWS, WINDOW, Done
from tests.fakes import Call

MOST_A_PAGE = 10


async def told(kit: Kit, **operation: object) -> list[Done]:
    heard: list[Done] = []
    kit.tools.telemetry.add(heard.append)
    async with Engine("e", kit.tools) as engine:
        await engine.wait(engine.submit(ask(**operation)))
    return heard


def count(heard: list[Done]) -> Counter[tuple[str, str, str]]:
    return Counter((done.operation, done.kind, done.outcome) for done in heard)


async def test_a_page_is_told_a_few_times_however_many_rows_it_has(kit: Kit) -> None:
    heard = await told(kit, start="2025-06-10T00:00", end="2025-06-15T12:00")
    pages = len(kit.source.history_calls())
    assert pages >= 4
    of_pages = [done for done in heard if done.operation != JOB and done.kind not in {"journal", "read"}]
    assert len(of_pages) <= MOST_A_PAGE * pages
    assert len(heard) <= MOST_A_PAGE * pages + 20, "what a job costs besides its pages does not grow with them"


async def test_a_run_is_told_as_it_was(kit: Kit) -> None:
    heard = await told(kit)
    counts = count(heard)
    assert counts[API, "history", OK] == len(kit.source.history_calls()) == 1
    assert counts[WINDOW, "spot_ohlcv", OK] == 1
    assert counts[JOB, "spot_ohlcv", "complete"] == 1
    assert counts[DATABASE, "commit", OK] >= 1
    assert counts[DATABASE, "journal", OK] >= 1
    assert {done.outcome: done.amount for done in heard if done.operation == ROWS} == {"inserted": 60}
    [call] = [done for done in heard if done.operation == API]
    assert 0.05 <= call.seconds < 1


async def test_what_fails_is_told_by_its_class(kit: Kit) -> None:
    faults: list[Exception] = [Transient("late", "timeout"), Transient("no", "5xx"), RateLimited("slowly", 1.0)]

    def script(call: Call) -> Exception | None:
        return faults[call.number - 1] if call.number <= len(faults) else None

    kit.source.script = script
    counts = count(await told(kit))
    assert {outcome: n for (operation, _, outcome), n in counts.items() if operation == API} == {
        "timeout": 1,
        "5xx": 1,
        "429": 1,
        OK: 1,
    }
    assert counts[WINDOW, "spot_ohlcv", RETRIED] == 3
    assert counts[WINDOW, "spot_ohlcv", OK] == 1


async def test_what_is_given_up_is_told_once(kit: Kit) -> None:
    kit.source.script = lambda _call: Rejected("no such pair")
    counts = count(await told(kit))
    assert (counts[WINDOW, "spot_ohlcv", "failed"], counts[WINDOW, "spot_ohlcv", OK]) == (1, 0)
    assert counts[JOB, "spot_ohlcv", "failed"] == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NothingBefore("no", 5), OK),
        (Unauthorized("no"), "4xx"),
        (Rejected("no"), "4xx"),
        (Malformed("no", "json"), "malformed"),
        (Transient("reset"), "network"),
    ],
)
def test_errors_have_outcomes(error: SourceError, outcome: str) -> None:
    assert outcome_of(error) == outcome
