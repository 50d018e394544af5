"""From a job to its series to what went wrong with one of them; and runs of before."""

import pytest
from archive_fakes_watch import journal
from dashboard_fakes import NOON, FakeArchive, FakeEngine, job, make_busy, series_of, work_a_while
from rich.cells import cell_len
from test_behaviour import Driver, driving

from core.events import GapFound, RetryScheduled, RowsQuarantined, SeriesChanged, WindowFailed
from tui import folding
from tui.folding import reduce_many
from tui.screens.job import JobScreen
from tui.screens.job_series import JobSeriesScreen
from tui.screens.modals import Reader
from tui.state import ViewState
from tui.text import ASCII
from tui.views import job_series
from tui.views.frame import Canvas, plain

FAILED = series_of("j-0001")[4].series


def retry(series: str, attempt: int = 1, job: str = "j-0001") -> RetryScheduled:
    return RetryScheduled(job=job, series=series, start=int(NOON), attempt=attempt, wait=20.0, error="HTTP 503")


def test_what_goes_wrong_is_kept_by_series() -> None:
    state = reduce_many(
        ViewState(),
        [
            retry("a"),
            GapFound(job="j-0001", series="b", start=0, end=60, cause="absent"),
            WindowFailed(job="j-0001", series="a", start=0, end=60, attempts=5, error="HTTP 500"),
            RowsQuarantined(job="j-0002", series="a", reason="high < low", rows=2),
        ],
        1.0,
    )
    assert [each.kind for each in state.troubles["j-0001", "a"]] == ["retry", "failed"]
    assert [each.words for each in state.troubles["j-0001", "b"]] == ["absent"]
    assert state.troubles["j-0002", "a"][0].words == "2 rows in quarantine: high < low"


def test_what_goes_wrong_is_bounded() -> None:
    many = [retry("a", attempt) for attempt in range(folding.TROUBLES + 5)]
    state = reduce_many(ViewState(), many, 1.0)
    assert len(state.troubles["j-0001", "a"]) == folding.TROUBLES
    assert state.troubles["j-0001", "a"][-1].words.startswith(f"attempt {folding.TROUBLES + 4} ")
    each = [retry(f"s{number}") for number in range(folding.TROUBLED_SERIES)]
    state = reduce_many(state, each, 2.0)
    assert len(state.troubles) == folding.TROUBLED_SERIES
    assert ("j-0001", "a") not in state.troubles


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_every_line_fits(width: int) -> None:
    canvas = Canvas(width, ASCII, NOON, 1.0)
    gap = GapFound(job="j-0001", series="a", start=0, end=60, cause="x" * 300)
    state = reduce_many(ViewState(), [retry("a"), gap], 1)
    known = SeriesChanged(job="j-0001", series="spot_ohlcv/kraken/BTC-USD/1d", state="waiting", error="e" * 500,
                          retry_at=NOON + 29, windows_total=10, windows_done=3, reason="backfill")  # fmt: skip
    views = [
        job_series.troubles_view(state.troubles["j-0001", "a"], canvas, "nothing"),
        job_series.counters_view(known, "the minute quota resets in 29 s", canvas),
        job_series.counters_view(None, "", canvas),
    ]
    for view in views:
        for line in (view.head, *map(view.line, view.keys), *view.empty):
            assert cell_len(plain(line)) <= width or view.keys == ()
            assert plain(line).isascii()


def test_when_it_is_asked_again_is_said() -> None:
    known = SeriesChanged(job="j", series="a", state="waiting", retry_at=NOON + 29)
    view = job_series.counters_view(known, "", Canvas(80, ASCII, NOON))
    assert any("retry    at 12:00:29Z, in 29s" in plain(view.line(key)) for key in view.keys)
    view = job_series.counters_view(known, "", Canvas(80, ASCII, NOON + 60))
    assert any("retry    was at 12:00:29Z" in plain(view.line(key)) for key in view.keys)


async def opened(at: Driver, series: str) -> None:
    at.pane("jobs").select("j-0001")
    await at.press("enter")
    at.pane("series").select(series)
    await at.press("enter")


@pytest.mark.slow
async def test_three_keys_lead_to_the_cause() -> None:
    async with driving(FakeEngine()) as at:
        work_a_while(at.engine)
        await at.settle()
        await opened(at, FAILED)
        assert isinstance(at.app.screen, JobSeriesScreen)
        assert any("✖ given up" in line and "HTTP 500" in line for line in at.lines("troubles"))
        assert any("after 5 attempts: HTTP 500" in line for line in at.lines("troubles"))
        assert any("given up after 5 attempts" in line for line in at.lines("series_log"))
        assert not any("clock skew" in line for line in at.lines("series_log"))
        await at.press("enter")
        assert isinstance(at.app.screen, Reader)
        await at.press("escape", "escape")
        assert isinstance(at.app.screen, JobScreen)


@pytest.mark.slow
async def test_a_series_without_trouble_says_so_and_where_to_look() -> None:
    async with driving(size=(200, 40)) as at:
        await opened(at, series_of("j-0001")[0].series)
        assert any("tapewatch why spot_ohlcv/coinbase/BTC-USD/1d" in line for line in at.lines("troubles"))


@pytest.mark.slow
async def test_runs_of_before_stand_below_what_engines_tell() -> None:
    archive = FakeArchive()
    archive.journal = journal()
    archive.journal["r-0001"] = archive.journal["r-p0"]
    async with driving(archive=archive) as at:
        await at.press("2")
        await at.settle()
        keys = list(at.pane("all_jobs").view.keys)
        assert keys[-3:] == ["r-p0", "r-p1", "r-p2"]
        assert "r-0001" not in keys
        assert "3 of the journal" in at.lines("all_jobs")[0]
        at.pane("all_jobs").select("r-p1")
        await at.press("enter")
        await at.settle()
        assert any("HTTP 500, after 5 attempts" in line for line in at.lines("counters"))
        assert any("kraken/ETH-USD" in line and "✖ fail" in line for line in at.lines("series"))
        assert any("kraken/LTC-USD" in line and "■ left" in line for line in at.lines("series"))
        await at.press("enter")
        await at.settle()
        assert any("only its engine told" in line for line in at.lines("troubles"))
        await at.press("escape", "escape", "r")
        assert at.engine.commands == []


async def test_the_journal_is_shown_without_an_engine() -> None:
    archive = FakeArchive()
    archive.journal = journal()
    engine = FakeEngine()
    engine.trouble = OSError("nobody listens")
    async with driving(engine, archive=archive) as at:
        await at.press("2")
        await at.settle()
        assert list(at.pane("all_jobs").view.keys) == ["r-p0", "r-p1", "r-p2"]
        assert "nobody listens" in at.lines("all_jobs")[0]


async def test_series_that_the_engine_has_forgotten_come_from_the_journal() -> None:
    archive = FakeArchive()
    archive.journal = {"r-0010": next(iter(journal().values()))}
    engine = make_busy(FakeEngine())
    engine.publish(job(10, "complete_with_gaps"))
    async with driving(engine, archive=archive) as at:
        at.pane("jobs").select("j-0010")
        await at.press("enter")
        await at.settle()
        assert any("kraken/ETH-USD" in line for line in at.lines("series"))
