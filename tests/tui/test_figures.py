"""The Cache and the System tab: what they draw of what is counted."""

from collections.abc import Callable

import pytest
from archive_fakes_watch import NOON, components, past, spent, stored_types
from dashboard_fakes import FakeArchive, FakeEngine, job, make_busy
from rich.cells import cell_len
from test_behaviour import driving

from core.errors import StoreError
from tui.archive.figures import Past
from tui.folding import reduce
from tui.lookups import Answer
from tui.state import Link, ViewState
from tui.text import ASCII, UNICODE, Glyphs
from tui.views import cache, curves, health, quota, types
from tui.views.frame import Canvas, Listing, View, plain

NOTHING: Answer[Past] = Answer()


@pytest.fixture(scope="module")
def busy() -> ViewState:
    engine = make_busy(FakeEngine())
    return reduce(ViewState(link=Link("online")), engine.bus.snapshot(), now=engine.time.elapsed)


def lines(view: View) -> list[str]:
    return [plain(line) for line in (view.head, *(map(view.line, view.keys) if view.keys else view.empty))]


def test_values_are_fitted_to_columns() -> None:
    assert curves.fitted((1.0, 3.0, None, 5.0), 2) == [2.0, 5.0]
    assert curves.fitted((1.0, None), 4) == [1.0, 1.0, None, None]
    assert curves.fitted((), 4) == []
    assert curves.fitted((float("nan"), 1.0), 1) == [1.0]
    assert curves.fitted((1.0,), 0) == []


def test_columns_are_as_high_as_their_values() -> None:
    assert curves.columns((0.0, 4.0, 8.0), 3, 1, UNICODE.spark) == ("▁▄█",)
    assert curves.columns((0.0, 8.0, 16.0), 3, 2, UNICODE.spark) == ("  █", "▁██")
    assert curves.columns((None, 50.0), 2, 1, UNICODE.spark, 100.0) == (" ▄",)
    assert curves.columns((200.0,), 1, 1, UNICODE.spark, 100.0) == ("█",)
    assert curves.columns((0.0, 0.0), 2, 1, ASCII.spark) == ("__",)
    assert curves.columns((-3.0,), 1, 1, ASCII.spark) == ("_",)


VIEWS: dict[str, Callable[[ViewState, Canvas], View]] = {
    "tiers": cache.tiers_view,
    "rates": lambda state, canvas: cache.rates_view(state, Answer(past(3_600), 1.0), canvas),
    "rates unknown": lambda state, canvas: cache.rates_view(state, NOTHING, canvas),
    "kinds": cache.kinds_view,
    "limits": quota.limits_view,
    "forecast": lambda state, canvas: quota.forecast_view(state, Answer(spent(), 1.0), canvas),
    "spent": lambda _state, canvas: quota.spent_view(
        Answer(spent(), 1.0), Listing(list(quota.taken_of(Answer(spent()))), quota.DEFAULT), canvas
    ),
    "minutes": lambda _state, canvas: curves.past_view(Answer(past(60), 1.0), "Last", 1, canvas),
    "hours": lambda _state, canvas: curves.past_view(Answer(past(3_600), 1.0), "Last", 3, canvas),
    "hours unknown": lambda _state, canvas: curves.past_view(NOTHING, "Last", 3, canvas),
    "health": lambda state, canvas: health.view(state, Answer(components(), 1.0), canvas),
    "types": lambda state, canvas: types.view(Answer(stored_types(), 1.0), state.jobs, canvas),
    "timings": lambda _state, canvas: health.timings_view(Answer(past(60), 1.0), canvas),
}


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [38, 57, 79, 119, 199])
@pytest.mark.parametrize("name", VIEWS)
def test_every_line_fits(name: str, width: int, glyphs: Glyphs, busy: ViewState) -> None:
    for state in (busy, ViewState()):
        for line in lines(VIEWS[name](state, Canvas(width, glyphs, NOON + 40, 10.0))):
            assert cell_len(line) <= width
            assert glyphs is UNICODE or line.isascii()


def test_a_tier_that_is_away_says_so(busy: ViewState) -> None:
    _, memory, disk = lines(cache.tiers_view(busy, Canvas(120)))
    assert "✓ ok" in memory
    assert "▲ away" in disk
    assert disk.split()[-3:] == ["3", "1.1ms", "21ms"]


def test_what_was_called_for_most_comes_first(busy: ViewState) -> None:
    view = cache.kinds_view(busy, Canvas(120))
    assert view.keys == ["futures_instruments", "spot_instruments", "assets"]
    assert lines(view)[2].split() == ["spot_instruments", "93%", "310", "22", "4", "2", "0", "0"]


def test_the_scarcest_limit_comes_first(busy: ViewState) -> None:
    view = quota.limits_view(busy, Canvas(79, time=NOON))
    assert view.keys == ["month", "day", "hour", "minute", "second"]
    assert "✖" in lines(view)[1]


def test_the_month_is_foreseen(busy: ViewState) -> None:
    found = lines(quota.forecast_view(busy, Answer(spent(), 1.0), Canvas(79)))
    assert "ours     9,204 calls, about 12,300 by its end" in found
    assert "budget   2,796 of 12,000 left, lasts to 2026-11-29 12:00" in found
    assert "vendor   the month's limit is used up about 2026-11-25 12:00" in found
    assert "today    582 calls" in found


def test_why_figures_are_unknown_is_said() -> None:
    canvas = Canvas(79)
    assert lines(curves.past_view(Answer(trouble="no store"), "Last", 1, canvas))[1:] == ["Unknown: no store"]
    assert lines(curves.past_view(Answer(Past(0, 60, {}, ()), 1.0), "Last", 1, canvas))[1:] == [curves.EMPTY]
    assert "No cache in use." in lines(cache.tiers_view(ViewState(heard=1.0), canvas))


@pytest.mark.slow
async def test_what_used_the_quota_is_filtered_and_sorted() -> None:
    async with driving() as at:
        await at.press("5", "slash", *"by:label", "enter")
        assert list(at.pane("spent").view.keys) == ["label:nightly", "label:"]
        await at.press("escape", "s", *"today", "enter", "S")
        assert at.pane("spent").view.keys[0] == "label:nightly"


async def test_the_system_tab_asks_for_its_past_and_its_parts() -> None:
    archive = FakeArchive()
    async with driving(archive=archive, size=(200, 60)) as at:
        await at.press("7")
        assert {"components", "past 60", "past 3600"} <= set(archive.asked)
        assert any("✖ failing" in line for line in at.lines("health"))
        assert any("pid      42, serve engine e-1" in line for line in at.lines("health"))
        assert any("database" in line for line in at.lines("minutes"))
        assert any("commit" in line and "31ms" in line for line in at.lines("timings"))


async def test_a_store_that_cannot_be_read_leaves_what_the_engine_tells() -> None:
    archive = FakeArchive()
    archive.trouble = StoreError("the disk is gone")
    async with driving(archive=archive) as at:
        await at.press("7")
        assert any("the disk is gone" in line for line in at.lines("health"))
        assert any("serve engine e-1" in line for line in at.lines("health"))
        await at.press("5")
        assert any("memory" in line for line in at.lines("tiers"))
        assert any("the disk is gone" in line for line in at.lines("spent"))


def test_ingestors_are_what_is_stored_and_what_is_fetched() -> None:
    jobs = [job(1), job(6), job(16, "complete"), job(3)]  # two of futures_ohlcv, of which one is over
    found = types.ingestors(stored_types(), jobs)
    futures = found["futures_ohlcv 1h"]
    assert (futures.stored, futures.jobs) == (stored_types()[0], 1)
    assert (futures.windows_done, futures.windows_total) == (53, 437)
    assert found["futures_ohlcv 1d"].stored is None
    assert found["spot_ohlcv 1d"].jobs == 0
    assert len(found) == 6


def test_what_is_late_comes_first_and_says_so() -> None:
    view = types.view(Answer(stored_types(), 1.0), {}, Canvas(100, time=NOON))
    assert view.keys == ["spot_ohlcv 1m", "futures_ohlcv 1h", "spot_ohlcv 1d", "futures_funding_rate 1h"]
    assert "▲ 14m" in plain(view.line("spot_ohlcv 1m"))
    assert "✓ 60m" in plain(view.line("futures_ohlcv 1h"))
    assert "- none" in plain(view.line("futures_funding_rate 1h"))
    assert view.title == "Data 4 types, 1 late"


def test_the_header_tells_of_late_data_before_the_engine() -> None:
    said = [plain(form) for form in types.summary(Answer(stored_types(), 1.0), NOON, UNICODE)]
    assert said == ["late 1/4 gaps 5", "late 1/4"]
    fresh = [each for each in stored_types() if each.interval == "1d"]
    assert [plain(form) for form in types.summary(Answer(fresh, 1.0), NOON, UNICODE)] == ["✓ fresh gaps 2", "✓ fresh"]
    assert types.summary(Answer(), NOON, UNICODE) == ()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "said"), [(40, "late 1/4"), (80, "late 1/4 gaps 5"), (120, "late 1/4 gaps 5")])
async def test_it_is_told_on_every_screen(width: int, said: str) -> None:
    async with driving(size=(width, 24)) as at:
        for key in ("1", "2", "4", "7"):
            await at.press(key)
            assert f" {said} " in at.header
            assert "quota" in at.header or width == 40
