"""The Data tab and what is below it: what keys do there, and what it looks like."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from dashboard_fakes import DAY, NOON, Bench, FakeArchive, FakeEngine, bench, job, stored_series
from test_behaviour import Driver, driving
from test_screens import SIZES, Compare, busy, settle
from textual.pilot import Pilot

from core.errors import StoreError
from core.events import SeriesChanged
from tui import actions
from tui.archive.series import StoredSeries
from tui.lookups import Answer
from tui.query import Choice, order
from tui.screens.compare import CompareScreen
from tui.screens.data import DataScreen
from tui.screens.modals import Reader
from tui.screens.stored import StoredScreen
from tui.text import ASCII, UNICODE
from tui.views import data, stored, troubles
from tui.views.frame import Canvas, Listing, plain, width_of

CANDLES = "spot_ohlcv/kraken/BTC-USD-5/1d"
HOURLY = "spot_ohlcv/coinbase/BTC-USD-15/1h"
RATES = "futures_funding_rate/binance/SOL-USDT-7/1d"
INTEREST = "futures_open_interest/coinbase/XRP-USD-9/1d"


async def open_series(at: Driver, name: str = CANDLES) -> StoredScreen:
    await at.press("3")
    at.pane("stored").select(name)
    await at.press("enter")
    assert isinstance(at.app.screen, StoredScreen)
    return at.app.screen


# --- the list


def late_series() -> dict[str, StoredSeries]:
    ends = {"fresh": NOON - 120, "late": NOON - 60 * 10, "never": None}
    last_bars = {name: None if end is None else int(end) - 60 for name, end in ends.items()}
    return {name: StoredSeries("spot_ohlcv", "m", "i", "1m", 60, 1, None, last, 0) for name, last in last_bars.items()}


def test_how_late_a_series_is_is_told_in_bars() -> None:
    known, canvas = late_series(), Canvas(120, UNICODE, NOON)
    # Until 65 s after its end a bar of a minute may still change.
    assert [series.late(NOON) for series in known.values()] == [0, 8, None]
    assert [data.lateness(series, canvas)[0] for series in known.values()] == ["on time", "▲ 8 bars", "no bar yet"]
    assert data.lateness(known["fresh"], canvas._replace(time=NOON + 60))[0] == "1 bar"
    # What a sandbox of last year has just told is not a year late.
    assert data.lateness(known["fresh"], canvas._replace(time=NOON + DAY, vendor_ahead=-DAY))[0] == "on time"
    ended = replace(known["late"], has_ended=True)
    assert (data.lateness(ended, canvas)[0], ended.late(NOON)) == ("ended", 0)


def test_lateness_and_age_are_sorted_and_filtered_at_the_time_of_the_clock() -> None:
    known, now = late_series(), [NOON]
    fields = data.fields(lambda: now[0])
    for choice, keys in (
        (Choice("", "late"), ["fresh", "late", "never"]),
        (Choice("", "age", descending=True), ["never", "late", "fresh"]),
        (Choice("late>3", "late"), ["late", "never"]),
        (Choice("age<121", "late"), ["fresh"]),
    ):
        assert order(known, fields, choice) == keys
    now[0] += 3_600
    assert order(known, fields, Choice("late>3", "late")) == ["fresh", "late", "never"]


def test_only_rows_on_the_screen_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(stored_series(10_000))
    drawn: list[str] = []
    cell = data.cell
    monkeypatch.setattr(data, "cell", lambda series, name, canvas: drawn.append(name) or cell(series, name, canvas))
    view = data.view(Answer(known), Listing(list(known), data.DEFAULT), Canvas(120, UNICODE, NOON))
    assert (len(view.keys), drawn) == (10_000, [])
    view.line(view.keys[5])
    assert len(drawn) == len(set(drawn)) <= len(data.COLUMNS)


@pytest.mark.slow
async def test_ten_thousand_series_are_sorted_once_and_not_for_every_redraw(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = FakeArchive()
    archive.stored = dict(stored_series(10_000))
    sorted_now: list[int] = []
    monkeypatch.setattr("tui.query.order", lambda rows, *rest: sorted_now.append(len(rows)) or order(rows, *rest))
    async with driving(archive=archive) as at:
        await at.press("3")
        assert "Stored series 10000" in at.lines("stored")[0]
        for _ in range(5):
            await at.press("j")
        assert sorted_now.count(10_000) == 1


@pytest.mark.slow
async def test_the_list_is_filtered_copied_and_has_a_ready_command() -> None:
    async with driving() as at:
        await at.press("3", "slash", *"kraken interval:1d late>2", "enter")
        assert all("/kraken/" in key and key.endswith("/1d") for key in at.pane("stored").view.keys)
        assert "Stored series 1 of 30" in at.lines("stored")[0]
        at.pane("stored").select(CANDLES)
        await at.press("y")
        assert at.app.clipboard == CANDLES
        await at.press("Y")
        assert at.app.clipboard == f"tapewatch why {CANDLES}"


@pytest.mark.slow
async def test_a_key_turns_figures_into_months_and_keeps_filter_and_cursor() -> None:
    async with driving() as at:
        await at.press("3", "slash", *"btc", "enter", "j", "j")
        cursor = at.pane("stored").cursor
        await at.press("m")
        assert isinstance(at.app.screen, DataScreen)
        assert "Coverage by month of series 6 of 30" in at.lines("stored")[0]
        assert at.pane("stored").cursor == cursor
        assert any("!" in line for line in at.lines("stored")[2:])
        await at.press("m")
        assert "Stored series 6 of 30" in at.lines("stored")[0]


@pytest.mark.slow
async def test_months_are_asked_for_only_while_they_are_shown() -> None:
    archive = FakeArchive()
    async with driving(archive=archive) as at:
        await at.press("3")
        assert "coverages" not in archive.asked
        await at.press("m")
        assert archive.asked.count("coverages") == 1
        at.time.advance(31)
        await at.press("m")
        assert archive.asked.count("coverages") == 1


async def test_all_series_are_read_again_soon_only_while_a_job_may_write() -> None:
    archive, engine = FakeArchive(), FakeEngine()
    async with driving(engine, archive=archive) as at:
        await at.press("3")
        asked = archive.asked.count("series")
        at.time.advance(11)
        await at.settle()
        assert archive.asked.count("series") == asked
        engine.publish(job(1))
        await at.settle()
        await at.settle()
        assert archive.asked.count("series") == asked + 1
        engine.publish(job(1, "complete"))
        at.time.advance(59)
        await at.settle()
        assert archive.asked.count("series") == asked + 1
        at.time.advance(1)
        await at.settle()
        assert archive.asked.count("series") == asked + 2


# --- one series


@pytest.mark.slow
async def test_enter_opens_a_series_and_esc_goes_back() -> None:
    async with driving() as at:
        screen = await open_series(at)
        assert screen.crumbs() == (CANDLES,)
        assert "3 Data" in at.screen.tabs.text_lines()[0]
        assert CANDLES in at.screen.tabs.text_lines()[0]
        facts = "\n".join(at.lines("extent"))
        for words in ("late by ▲ 5 bars", "rows 6,000", "new gaps 1", "given up 1", "quarantined 2"):
            assert words in facts
        assert any("◀" in line for line in at.lines("chart"))
        await at.press("y")
        assert at.app.clipboard == CANDLES
        await at.press("escape")
        assert at.screen.kind == actions.DATA
        assert at.pane("stored").cursor == CANDLES


@pytest.mark.slow
async def test_what_is_drawn_follows_the_data_type() -> None:
    async with driving() as at:
        for name, title in ((HOURLY, "Candles 1h"), (RATES, "Funding rate 1d"), (INTEREST, "Open interest 1d")):
            await open_series(at, name)
            assert title in at.lines("chart")[0]
            await at.press("escape")


@pytest.mark.slow
async def test_the_chart_follows_a_job_and_is_left_alone_without_one() -> None:
    archive, engine = FakeArchive(), FakeEngine()
    async with driving(engine, archive=archive) as at:
        await open_series(at)
        asked = archive.asked.count("bars")
        at.time.advance(3)
        await at.settle()
        assert archive.asked.count("bars") == asked
        engine.publish(
            job(1), SeriesChanged(job="j-0001", series=CANDLES, state="running", windows_total=4, windows_done=1)
        )
        await at.settle()
        assert "job j-0001 run 25%" in "\n".join(at.lines("extent"))
        assert archive.asked.count("bars") == asked + 1
        at.time.advance(2)
        await at.settle()
        assert archive.asked.count("bars") == asked + 2
        engine.publish(job(1, "complete"))
        await at.settle()
        assert "job j-0001" not in "\n".join(at.lines("extent"))


@pytest.mark.slow
async def test_a_picture_is_drawn_again_only_for_other_bars_or_other_room(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = stored.draw

    def counted(*given: object) -> object:
        drawn.append(1)
        return draw(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(stored, "draw", counted)
    async with driving() as at:
        await open_series(at)
        before = len(drawn)
        for _ in range(5):
            await at.settle()
        assert len(drawn) == before
        at.time.advance(11)
        await at.settle()
        await at.settle()
        assert len(drawn) == before + 1
        await at.pilot.resize_terminal(140, 45)
        await at.settle()
        assert len(drawn) > before + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((200, 60), [{"chart", "months", "holes", "restated", "refused"}] * 5),
        ((120, 40), [{"chart", "months", "holes", "restated"}] * 4 + [{"chart", "months", "holes", "refused"}]),
        ((80, 24), [{"chart", "holes"}, {"months", "holes"}, {"months", "holes"}, {"months", "restated"},
                    {"months", "refused"}]),
        ((40, 20), [{"chart"}, {"months"}, {"holes"}, {"restated"}, {"refused"}]),
        ((40, 10), [{"chart"}, {"months"}, {"holes"}, {"restated"}, {"refused"}]),
    ],
)  # fmt: skip
async def test_panes_fold_and_tab_brings_each_to_the_front(size: tuple[int, int], shown: list[set[str]]) -> None:
    async with driving(size=size) as at:
        screen = await open_series(at)
        seen = []
        for _ in range(5):
            assert screen.pane.size.area > 0
            seen.append(
                (
                    screen.pane.id,
                    {
                        name
                        for name in (*shown[0], "chart", "months", "holes", "restated", "refused")
                        if screen.panes[name].is_on_screen and screen.panes[name].size.area
                    },
                )
            )
            await at.press("tab")
        assert [name for name, _ in seen] == ["chart", "months", "holes", "restated", "refused"]
        assert [visible for _, visible in seen] == shown
        assert screen.pane.id == "chart"
        await at.press("shift+tab")
        assert screen.pane.id == "refused"


@pytest.mark.slow
async def test_a_maximised_pane_has_the_screen_and_tab_maximises_the_next() -> None:
    async with driving(size=(80, 24)) as at:
        screen = await open_series(at)
        await at.press("e")
        assert screen.panes["chart"].size.height == 21
        await at.press("tab", "tab")
        assert screen.pane.id == "holes"
        assert screen.panes["holes"].size.height == 21
        assert not screen.panes["chart"].is_on_screen
        await at.press("escape")
        assert not screen.has_class("-max")
        assert screen.panes["holes"].size.height == 7


@pytest.mark.slow
async def test_rows_are_read_in_full_with_the_raw_text_of_the_quarantine() -> None:
    async with driving(size=(120, 40)) as at:
        await open_series(at)
        for tabs, words in ((2, "cause"), (1, "93950.7"), (1, '"OPEN":94012.1')):
            await at.press(*["tab"] * tabs, "enter")
            assert isinstance(at.app.screen, Reader)
            await at.settle()
            assert words in "".join(line.strip(" │") for line in at.app.screen.list.text_lines())
            await at.press("escape")


@pytest.mark.slow
async def test_what_is_wrong_has_ready_commands() -> None:
    async with driving(size=(80, 24)) as at:
        await open_series(at)
        copied = []
        for _ in range(5):
            await at.press("Y", "tab")
            copied.append(at.app.clipboard)
        since = f"tapewatch restatements --since 2009-01-01 --series {CANDLES}"
        why = f"tapewatch why {CANDLES}"
        assert copied == [why, why, f"tapewatch gaps explain {CANDLES}", since, "tapewatch quarantine show 7"]


@pytest.mark.slow
async def test_troubles_are_filtered_and_sorted() -> None:
    async with driving() as at:
        await open_series(at)
        await at.press("tab", "tab", "slash", *"state:confirmed", "enter")
        assert "Gaps and findings 1 of 4" in at.lines("holes")[0]
        await at.press("escape", "s", *"bars", "enter", "S")
        assert at.pane("holes").view.keys[0].startswith("gap")


async def test_a_store_that_cannot_be_asked_is_told_and_what_was_read_stays() -> None:
    archive = FakeArchive()
    async with driving(archive=archive) as at:
        await open_series(at)
        before = at.lines("chart")[1:]
        archive.trouble = StoreError("the disk is gone")
        at.time.advance(11)
        await at.settle()
        await at.settle()
        assert "the disk is gone" in at.lines("chart")[0]
        assert at.lines("chart")[1:] == before


@pytest.mark.slow
async def test_a_series_that_was_dropped_meanwhile_says_so() -> None:
    archive = FakeArchive()
    async with driving(archive=archive) as at:
        await open_series(at)
        del archive.stored[CANDLES]
        at.time.advance(11)
        await at.settle()
        await at.settle()
        assert "is not stored" in "\n".join(at.lines("extent"))
        await at.press("tab", "tab", "enter", "escape", "escape")
        assert at.screen.kind == actions.DATA


@pytest.mark.slow
async def test_a_series_can_be_opened_while_the_display_is_paused() -> None:
    async with driving() as at:
        await at.press("3", "space")
        at.pane("stored").select(CANDLES)
        await at.press("enter")
        assert any("◀" in line for line in at.lines("chart"))


# --- two days


@pytest.mark.slow
async def test_two_days_are_compared_and_the_days_move() -> None:
    async with driving() as at:
        await open_series(at, HOURLY)
        await at.press("c")
        assert isinstance(at.app.screen, CompareScreen)
        assert "2026-11-23 and the day before" in at.lines("figures")[0]
        assert any("close" in line and "%" in line for line in at.lines("figures"))
        await at.press("left_square_bracket", "left_square_bracket")
        assert "2026-11-21 and the day before" in at.lines("figures")[0]
        assert "2026-11-20" in at.lines("older")[0]
        assert any("◀" in line for line in at.lines("newer"))
        await at.press(*["right_square_bracket"] * 5)
        assert "2026-11-23 and the day before" in at.lines("figures")[0]
        await at.press("y", "escape")
        assert at.app.clipboard == HOURLY
        assert isinstance(at.app.screen, StoredScreen)


@pytest.mark.slow
async def test_days_without_bars_say_which_way_to_go() -> None:
    async with driving() as at:
        await open_series(at, HOURLY)
        await at.press("c", *["left_square_bracket"] * 130)
        assert "[ goes back" in at.lines("figures")[1], at.lines("figures")


@pytest.mark.slow
async def test_the_palette_and_keys_of_other_screens_do_no_harm() -> None:
    async with driving() as at:
        await at.press("m", "c", "left_square_bracket", "2", "m", "c")
        assert at.screen.kind == actions.JOBS
        await open_series(at)
        await at.press("ctrl+p", *"compare two", "enter")
        assert isinstance(at.app.screen, CompareScreen)


# --- widths


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_every_line_fits(width: int, glyphs: object) -> None:
    archive, canvas = FakeArchive(), Canvas(width, glyphs, NOON, 5.0)  # type: ignore[arg-type]
    known = stored.Known(
        Answer(archive.series()),
        Answer(archive.coverage(CANDLES)),
        Answer(archive.holes(CANDLES)),
        Answer(archive.restatements(CANDLES)),
        Answer(archive.refused(CANDLES)),
    )
    state = bench().app.desk.state
    views = [
        data.view(known.series, Listing(list(archive.stored), data.DEFAULT), canvas),
        stored.facts_view(CANDLES, known, state, canvas),
        troubles.holes_view(known.holes, Listing(list(known.holes.found or ()), troubles.NEWEST), canvas),
        troubles.restated_view(known.restated, Listing(list(known.restated.found or ()), troubles.NEWEST_SEEN), canvas),
        troubles.refused_view(known.refused, Listing(list(known.refused.found or ()), troubles.NEWEST_SEEN), canvas),
    ]
    for view in views:
        assert view.keys
        for key in view.keys:
            assert width_of(view.line(key)) <= width
            assert glyphs is UNICODE or plain(view.line(key)).isascii()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [(100.0, 101.0, "+1.00%"), (-2.0, -1.0, "+50.00%"), (1.0, -1.0, "-"), (0.0, 1.0, "-"), (None, 1.0, "-"),
     ("a", "b", "-"), (1e-9, 1e9, "+1e+20%"), (3, 3, "+0.00%")],
)  # fmt: skip
def test_a_change_in_per_cent(old: float | str | None, new: float | str | None, words: str) -> None:
    assert troubles.percent_words(old, new) == words


# --- what it looks like


def on_series(made: Bench, name: str, *keys: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    """Open that series, then press `keys`."""

    async def run(pilot: Pilot[int]) -> None:
        await busy(made, "3")(pilot)
        pilot.app.screen.query_one("#stored").select(name)  # type: ignore[attr-defined]
        for key in ("enter", *keys):
            await pilot.press(key)
            await settle(made, pilot)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", [CANDLES, RATES], ids=["candles", "rates"])
def test_series_screen(snap_compare: Compare, name: str, size: tuple[int, int]) -> None:
    made = bench()
    assert snap_compare(made.app, terminal_size=size, run_before=on_series(made, name))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_months_of_all(snap_compare: Compare, size: tuple[int, int]) -> None:
    made = bench()
    assert snap_compare(made.app, terminal_size=size, run_before=busy(made, "3", "m"))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_two_days(snap_compare: Compare, size: tuple[int, int]) -> None:
    made = bench()
    assert snap_compare(made.app, terminal_size=size, run_before=on_series(made, HOURLY, "c"))


STATES = {
    "interest": (INTEREST, ()),
    "list": (CANDLES, ("tab", "tab", "tab", "tab")),
    "raw": (CANDLES, ("tab", "tab", "tab", "tab", "enter")),
    "nothing wrong": ("spot_ohlcv/coinbase/BTC-USD-0/1d", ("tab", "tab")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
def test_series_states_at_80(snap_compare: Compare, name: str) -> None:
    made, (series, keys) = bench(), STATES[name]
    assert snap_compare(made.app, terminal_size=(80, 24), run_before=on_series(made, series, *keys))


@pytest.mark.slow
def test_series_in_ascii(snap_compare: Compare) -> None:
    made = bench(ascii=True)
    assert snap_compare(made.app, terminal_size=(120, 40), run_before=on_series(made, CANDLES))


@pytest.mark.slow
def test_a_store_that_is_gone(snap_compare: Compare) -> None:
    archive = FakeArchive()
    made = bench(archive=archive)

    async def run(pilot: Pilot[int]) -> None:
        await on_series(made, CANDLES)(pilot)
        archive.trouble = StoreError("the disk is gone")
        made.time.advance(3)
        await settle(made, pilot)
        await settle(made, pilot)

    assert snap_compare(made.app, terminal_size=(80, 24), run_before=run)


@pytest.mark.parametrize("trouble", ["", "the disk is gone"], ids=["empty", "trouble"])
def test_no_series(snap_compare: Compare, trouble: str) -> None:
    archive = FakeArchive()
    archive.stored.clear()
    archive.trouble = StoreError(trouble) if trouble else None
    made = bench(archive=archive)
    assert snap_compare(made.app, terminal_size=(80, 24), run_before=busy(made, "3"))
