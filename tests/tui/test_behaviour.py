"""What keys do, seen through the Pilot and a scripted engine. Time moves only when a test says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from dashboard_fakes import Bench, FakeEngine, bench, hello, job, make_busy, series_of
from rich.console import RenderableType
from textual.binding import Binding
from textual.events import Key
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from core.errors import ConfigError, EngineUnreachable
from core.events import PROTOCOL, LogLine, Rang, Snapshot
from tui import actions
from tui.app import Dashboard, DashboardOptions, run_dashboard
from tui.screens.compare import CompareScreen
from tui.screens.live import LiveScreen
from tui.screens.modals import Picker, Question
from tui.screens.registry import SCREENS
from tui.screens.stored import StoredScreen
from tui.widgets.pane import Pane


class Driver:
    """A running dashboard and short words for what tests do with it."""

    def __init__(self, bench: Bench, pilot: Pilot[int]) -> None:
        self.app: Dashboard = bench.app
        self.engine = bench.engine
        self.time = bench.time
        self.retry = bench.retry
        self.pilot = pilot

    @property
    def screen(self) -> LiveScreen:
        assert isinstance(self.app.screen, LiveScreen)
        return self.app.screen

    async def settle(self) -> None:
        await self.pilot.pause()
        self.app.flush()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    def pane(self, name: str = "jobs") -> Pane:
        return self.screen.panes[name]

    def lines(self, name: str = "jobs") -> list[str]:
        return self.pane(name).text_lines()

    def ids(self) -> list[str]:
        return list(self.pane("jobs").view.keys)

    @property
    def header(self) -> str:
        return self.screen.header.text_lines()[0]

    def toasts(self) -> list[str]:
        return [toast.message for toast in self.app._notifications]


@asynccontextmanager
async def driving(
    engine: FakeEngine | None = None, size: tuple[int, int] = (120, 40), **options: object
) -> AsyncIterator[Driver]:
    made = bench(engine or make_busy(FakeEngine()), **options)
    async with made.app.run_test(size=size) as pilot:
        driver = Driver(made, pilot)
        await driver.settle()
        yield driver


async def test_it_rings_when_a_channel_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[Dashboard] = []

    def ring(app: Dashboard) -> None:
        rung.append(app)

    monkeypatch.setattr(Dashboard, "bell", ring)
    async with driving() as at:
        at.app.heard(LogLine(level="error", text="quiet"))
        assert rung == []
        at.app.heard(Rang(channel="bell", level="ERROR", text="ERROR fired: memory, host"))
        assert rung == [at.app]


async def test_jobs_are_listed_by_urgency() -> None:
    async with driving() as at:
        assert at.ids()[:2] == ["j-0004", "j-0003"]
        assert "Jobs 16" in at.lines()[0]


@pytest.mark.slow
async def test_the_cursor_follows_its_key_through_sort_and_removal() -> None:
    async with driving() as at:
        await at.press("j", "j", "down")
        assert at.pane().cursor == "j-0005"
        at.time.advance(5)
        await at.press("s", *"created", "enter")
        assert at.pane().cursor == "j-0005"
        assert at.ids().index("j-0005") == 4
        assert any(line.startswith("│>j-0005") for line in at.lines())
        await at.press("S")
        assert at.ids()[0] == "j-0016"
        assert at.pane().cursor == "j-0005"


async def test_when_the_row_is_gone_the_cursor_stays_where_it_was() -> None:
    engine = FakeEngine()
    engine.publish(job(1), job(2), job(3))
    async with driving(engine) as at:
        await at.press("j")
        gone = at.pane().cursor
        at.engine.connections[-1].say(_snapshot_without(engine, gone or ""))
        await at.settle()
        assert at.pane().cursor == at.ids()[1] != gone


def _snapshot_without(engine: FakeEngine, gone: str) -> Snapshot:
    kept = tuple(event for event in engine.bus.snapshot().events if getattr(event, "job", "") != gone)
    return Snapshot(events=kept)


@pytest.mark.slow
async def test_filter_is_live_and_esc_clears_it() -> None:
    async with driving() as at:
        await at.press("slash", *"state:run")
        assert at.ids() == ["j-0015", "j-0005", "j-0002", "j-0001"]
        assert "Jobs 4 of 16" in at.lines()[0]
        await at.press("enter")
        assert isinstance(at.app.focused, Pane)
        assert "filter: state:run" in at.lines()[0]
        await at.press("escape")
        assert len(at.ids()) == 16


@pytest.mark.parametrize(
    ("keys", "typed"),
    [
        (("slash", *"pr"), "pr"),
        (("2", "slash", *"pr"), "pr"),
        (("4", "a", *"pr"), "pr"),
        (("s", *"rows"), "rows"),
        (("colon", *"pr"), "pr"),
    ],
)
async def test_keys_that_come_at_once_are_for_what_the_first_of_them_opens(keys: tuple[str, ...], typed: str) -> None:
    """`p` holds a job, and `r` retries one."""
    async with driving() as at:
        for key in keys:
            at.app.post_message(Key(key, key if len(key) == 1 else {"slash": "/", "colon": ":"}[key]))
        await at.settle()
        await at.settle()
        assert at.app.screen.query_one("Input:focus", Input).value == typed
        assert at.engine.commands == []


async def test_a_wrong_filter_says_so_and_keeps_the_last_good_one() -> None:
    async with driving() as at:
        await at.press("slash")
        for words in ("state:run", "state:run rows>x"):
            at.screen.filter_line.value = words
            await at.settle()
        assert "a number is needed" in at.lines()[0]
        assert len(at.ids()) == 4


@pytest.mark.slow
async def test_drill_down_and_back() -> None:
    engine = make_busy(FakeEngine())
    async with driving(engine) as at:
        at.pane().select("j-0001")
        await at.press("enter")
        assert at.screen.kind == actions.JOB
        assert any("kraken/SOL-USDT" in line for line in at.lines("series"))
        engine.publish(*(item for item in series_of("j-0001", 1)))
        await at.press("slash", *"kraken", "enter", "enter")
        assert at.screen.kind == actions.JOB_SERIES
        await at.press("escape")
        await at.press("escape")
        assert at.screen.kind == actions.JOB
        await at.press("escape")
        assert at.screen.kind == actions.OVERVIEW
        await at.press("escape")
        assert at.app.is_running


async def test_pause_freezes_rows_while_the_header_goes_on() -> None:
    engine = make_busy(FakeEngine())
    async with driving(engine, size=(200, 60)) as at:
        await at.press("space")
        before = at.lines()
        engine.publish(job(1, "failed", rows_fetched=9), job(99))
        engine.time.advance(42)
        await at.settle()
        assert at.lines() == before
        assert "PAUSED 42s, 2 held" in at.header
        assert "2 fail" in at.header
        await at.press("space")
        assert "j-0099" in at.ids()
        assert "PAUSED" not in at.header


@pytest.mark.slow
async def test_cancel_asks_first_and_names_the_job() -> None:
    async with driving() as at:
        at.pane().select("j-0005")
        await at.press("x")
        question = at.app.screen
        assert isinstance(question, Question)
        assert "j-0005" in question.question
        await at.press("enter")
        await at.press("escape")
        assert at.engine.commands == []
        await at.press("x", "y")
        assert at.engine.commands == [("cancel", {"job": "j-0005"})]


async def test_a_job_that_has_ended_is_not_cancelled_or_held() -> None:
    async with driving() as at:
        at.pane().select("j-0004")
        await at.press("x", "p")
        assert at.toasts() == ["j-0004 has ended: failed"] * 2
        assert at.engine.commands == []


async def test_the_command_goes_to_the_job_that_was_asked_about() -> None:
    engine = make_busy(FakeEngine())
    async with driving(engine) as at:
        at.pane().select("j-0005")
        await at.press("x")
        engine.publish(job(77, "failed"))
        engine.time.advance(5)
        await at.press("y")
        assert engine.commands == [("cancel", {"job": "j-0005"})]


async def test_hold_resume_and_retry() -> None:
    async with driving() as at:
        for name in ("j-0005", "j-0006"):
            at.pane().select(name)
            await at.press("p")
        await at.press("r")
        sent = [(name, args["job"]) for name, args in at.engine.commands]
        assert sent == [("hold", "j-0005"), ("resume", "j-0006"), ("retry", "j-0006")]


async def test_a_refusal_is_a_toast_and_a_log_line() -> None:
    async with driving() as at:
        at.engine.refusal = "[/red] job j-0004 is over"
        await at.press("r")
        assert any("is over" in toast for toast in at.toasts())
        assert "is over" in at.app.desk.state.log[-1].text


@pytest.mark.parametrize("by_engine", [False, True])
async def test_read_only_refuses_to_act(by_engine: bool) -> None:
    engine = make_busy(FakeEngine())
    engine.hello = hello(read_only=by_engine)
    async with driving(engine, read_only=not by_engine) as at:
        await at.press("x")
        await at.press("p", "r")
        assert engine.commands == []
        assert any("read-only" in toast for toast in at.toasts())
        assert "cancel" not in at.screen.footer.text_lines()[0]


async def test_q_asks_while_jobs_run() -> None:
    async with driving() as at:
        await at.press("q", "escape")
        assert at.app.is_running
        await at.press("q", "enter")
        assert at.app.return_value == 0
        assert not at.app.engine_stopped
        assert at.engine.commands == []


async def test_q_can_stop_the_engine() -> None:
    async with driving() as at:
        await at.press("q", "s")
        assert at.engine.commands == [("stop", {})]
        assert at.app.engine_stopped
        assert at.app.return_value == 0


async def test_an_engine_that_is_gone_before_it_answers_has_stopped() -> None:
    async with driving() as at:
        at.engine.gone = EngineUnreachable("the engine went away before it answered")
        await at.press("q", "s")
        assert at.app.engine_stopped


@pytest.mark.slow
async def test_an_engine_that_refuses_to_stop_keeps_us_here() -> None:
    async with driving() as at:
        at.engine.refusal = "a backup is being written"
        await at.press("q", "s")
        assert not at.app.engine_stopped
        assert at.app.return_value is None
        assert any("a backup is being written" in toast for toast in at.toasts())


@pytest.mark.parametrize(("owned", "asks"), [(False, False), (True, True)])
async def test_q_without_jobs(owned: bool, asks: bool) -> None:
    async with driving(FakeEngine(), owns_engine=owned) as at:
        await at.pilot.press("q")
        await at.pilot.pause()
        assert isinstance(at.app._exit, bool)
        assert (at.app.return_value is None) == asks


@pytest.mark.parametrize("key", ["Q", "ctrl+c"])
async def test_quitting_at_once_works_even_before_a_question(key: str) -> None:
    async with driving() as at:
        if key == "ctrl+c":
            at.pane().select("j-0005")
            await at.press("x")
            assert isinstance(at.app.screen, Question)
        await at.pilot.press(key)
        assert at.app.return_value == 0


@pytest.mark.slow
async def test_the_screens_by_number_and_help() -> None:
    async with driving() as at:
        for key, kind in (
            ("4", "alerts"),
            ("7", "system"),
            ("2", "jobs"),
            ("3", "data"),
            ("5", "cache"),
            ("question_mark", "help"),
            ("1", "overview"),
        ):
            await at.press(key)
            assert at.screen.kind == kind
        await at.press("7", "q")
        assert at.screen.kind == "overview"


@pytest.mark.slow
async def test_help_and_palette_show_every_action() -> None:
    async with driving(size=(120, 60)) as at:
        await at.press("question_mark")
        words = "\n".join(at.lines("help"))
        for action in actions.ACTIONS:
            assert action.title[:30] in words, action.id
        await at.press("escape", "ctrl+p", *"maximise", "enter")
        assert at.screen.has_class("-max")
        assert at.pane().size.height == 57
        await at.press("escape")
        assert not at.screen.has_class("-max")


def test_bindings_have_unique_ids_and_keys() -> None:
    made = [binding for binding in actions.bindings() if isinstance(binding, Binding)]
    assert len({binding.id for binding in made}) == len(made)
    for screen in (*actions.TABS, actions.JOB, actions.HELP):
        here = [action.keys for action in actions.ACTIONS if action.keys and action.works_on(screen)]
        keys = ",".join(here).split(",")
        assert len(keys) == len(set(keys)), screen
    for action in actions.ACTIONS:
        where, _, name = action.does.partition("(")[0].rpartition(".")
        owners = [*SCREENS.values(), StoredScreen, CompareScreen] if where == "screen" else [Dashboard]
        assert any(hasattr(owner, f"action_{name}") for owner in owners), action.id


async def test_tab_walks_through_visible_panes_only() -> None:
    async with driving(size=(80, 24)) as at:
        seen = []
        for _ in range(5):
            seen.append(at.screen.pane.id)
            await at.press("tab")
        assert seen == ["jobs", "alerts", "types", "quota", "log"]
        assert at.screen.pane.id == "jobs"


@pytest.mark.slow
async def test_the_log_follows_until_the_reader_moves_up() -> None:
    engine = make_busy(FakeEngine())
    async with driving(engine) as at:
        await at.press("7")
        assert "follow" in at.lines("all_log")[0]
        await at.press("up")
        held = at.pane("all_log").cursor
        top = at.lines("all_log")[1]
        engine.publish(*(LogLine(level="info", text=f"more {n}") for n in range(5)))
        await at.settle()
        assert at.pane("all_log").cursor == held
        assert at.lines("all_log")[1] == top
        assert "held, 5 new" in at.lines("all_log")[0]
        await at.press("G")
        assert "more 4" in at.lines("all_log")[-2]


async def test_copy_sends_the_id_to_the_clipboard() -> None:
    async with driving() as at:
        await at.press("y")
        assert at.app.clipboard == "j-0004"


async def test_refresh_rate() -> None:
    async with driving(size=(200, 60)) as at:
        await at.press("minus")
        assert "2 Hz" in at.header
        await at.press("plus", "plus", "plus")
        assert "10 Hz" in at.header


async def test_sort_is_refused_where_there_is_none() -> None:
    async with driving() as at:
        await at.press("7", "S", "s")
        assert not isinstance(at.app.screen, Picker)


async def test_disconnect_and_reconnect() -> None:
    engine = make_busy(FakeEngine())
    async with driving(engine) as at:
        engine.trouble = EngineUnreachable("no engine answers on /run/x.sock")
        engine.connections[-1].end()
        await at.settle()
        assert "DISCONNECTED retry" in at.header
        assert at.ids()
        at.retry.set()
        await at.settle()
        assert "DISCONNECTED" in at.header
        engine.trouble = None
        at.retry.set()
        await at.settle()
        assert "LIVE" in at.header
        assert len(engine.connections) == 2
        assert engine.connections[0].closed


async def test_stale_data_is_called_stale() -> None:
    async with driving() as at:
        at.time.advance(37)
        await at.settle()
        assert "STALE 37s" in at.header


async def test_another_protocol_is_named_with_both_versions() -> None:
    engine = FakeEngine()
    engine.hello = hello(protocol=7)
    async with driving(engine) as at:
        words = "\n".join(at.lines())
        assert "speaks protocol 7" in words
        assert f"this dashboard {PROTOCOL}" in words


async def test_what_connect_says_is_shown_after_three_seconds() -> None:
    engine = FakeEngine()
    engine.trouble = EngineUnreachable("no engine: start one with `tapewatch serve`")
    async with driving(engine) as at:
        assert not any("tapewatch serve" in line for line in at.lines())
        at.time.advance(3.5)
        await at.settle()
        assert any("tapewatch serve" in line for line in at.lines())


async def test_a_pane_that_fails_does_not_take_the_others_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> object:
        raise ZeroDivisionError("of a kind")

    monkeypatch.setattr("tui.views.panels.quota_view", broken)
    async with driving() as at:
        assert any("this pane failed" in line for line in at.lines("quota"))
        assert len(at.ids()) == 16


async def test_only_changed_lines_are_painted() -> None:
    engine = make_busy(FakeEngine())
    async with driving(engine) as at:
        await at.settle()
        before = {name: pane.painted_lines for name, pane in at.screen.panes.items()}
        await at.settle()
        assert {name: pane.painted_lines for name, pane in at.screen.panes.items()} == before
        engine.publish(job(5, rows_fetched=1))
        await at.settle()
        assert at.pane().painted_lines == before["jobs"] + 1


async def test_the_clock_goes_on_each_second_and_ages_every_other_one() -> None:
    async with driving() as at:
        header, view = at.header, at.pane().view
        at.time.advance(1)
        at.app.beat()
        assert at.header != header
        assert at.pane().view is view
        at.time.advance(1)
        at.app.beat()
        assert at.pane().view is not view
        await at.press("q")
        behind = at.app.screen_stack[-2]
        assert isinstance(behind, LiveScreen)
        header = behind.header.text_lines()[0]
        at.time.advance(1)
        at.app.beat()
        assert behind.header.text_lines()[0] != header, "it goes on behind a question"


async def test_only_the_header_that_is_seen_is_drawn() -> None:
    async with driving() as at:
        overview = at.screen.header
        await at.press("2")
        header = overview.text_lines()
        at.time.advance(5)
        at.app.beat()
        assert overview.text_lines() == header != at.screen.header.text_lines()


async def test_nothing_hidden_is_drawn() -> None:
    async with driving(size=(80, 24)) as at:
        assert at.pane("cache").text_lines() == []
        await at.press("e")
        assert at.pane("log").size.height == 0 or not at.pane("log").is_on_screen


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (10, 3), (40, 10), (60, 14), (99, 29), (240, 70)])
async def test_any_size_works(size: tuple[int, int]) -> None:
    async with driving(size=size) as at:
        await at.press(
            "j", "enter", "escape", "2", "3", "4", "5", "7", "question_mark", "1", "x", "escape", "ctrl+p", "escape"
        )
        await at.pilot.resize_terminal(80, 24)
        await at.settle()
        assert "j-0003" in "\n".join(at.lines())
        await at.press("q")
        assert isinstance(at.app.screen, Question)


@pytest.mark.parametrize("theme", ["dark", "light", "ansi", "contrast"])
async def test_themes(theme: str) -> None:
    async with driving(theme=theme) as at:
        await at.press("t")
        assert at.app.is_running


async def test_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with driving() as at:
        assert any(line.startswith("│>j-0004") for line in at.lines())


async def test_ascii_draws_ascii_only() -> None:
    engine = make_busy(FakeEngine())
    engine.publish(job(50, label="тест 日本"))
    async with driving(engine, ascii=True) as at:
        for name in at.screen.panes:
            assert all(line.isascii() for line in at.lines(name)), name
        assert at.header.isascii()
        assert at.screen.footer.text_lines()[0].isascii()


async def test_rows_can_be_clicked() -> None:
    async with driving() as at:
        await at.pilot.click("#jobs", offset=(5, 4))
        await at.settle()
        chosen = at.pane().cursor
        assert chosen == at.ids()[2]
        await at.pilot.click("#jobs", offset=(5, 4))
        await at.settle()
        assert at.screen.kind == actions.JOB


def test_without_a_terminal_it_names_the_command_that_needs_none() -> None:
    async def never() -> object:
        raise AssertionError

    with pytest.raises(ConfigError, match="tapewatch status"):
        run_dashboard(never, DashboardOptions())  # type: ignore[arg-type]


def test_an_unknown_theme_is_refused() -> None:
    with pytest.raises(ConfigError, match="dark, light, ansi, contrast"):
        bench(theme="pink")


async def test_a_list_of_no_height_can_be_moved_in() -> None:
    async with driving() as at:
        engine = at.pane("engine")
        engine.focus()
        engine.styles.height = 1
        await at.settle()
        assert (engine.selectable, engine.page_rows) == (False, 0)
        await at.press("G", "pagedown")
        assert engine.cursor == engine.view.keys[-1]


async def test_the_first_frame_of_a_screen_is_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither empty panes nor the layout of another size are seen for a moment."""
    first: dict[Screen[Any], tuple[str, ...]] = {}
    real = Dashboard._display

    def looked_at(app: Dashboard, screen: Screen[Any], frame: RenderableType | None) -> None:
        real(app, screen, frame)
        if isinstance(screen, LiveScreen) and frame is not None:
            first.setdefault(screen, shown(screen))

    def shown(screen: LiveScreen) -> tuple[str, ...]:
        return tuple(line for pane in screen.panes.values() if pane.is_on_screen for line in pane.text_lines())

    monkeypatch.setattr(Dashboard, "_display", looked_at)
    async with driving(size=(80, 24)) as at:
        for key in "212":  # what the others show is asked of the store first
            first.clear()
            await at.press(key)
            assert first[at.screen] == shown(at.screen) != ()


async def test_what_was_hidden_is_shown_as_it_is_now() -> None:
    async with driving() as at:
        jobs = at.pane()
        before = jobs.text_lines()
        at.pane("alerts").focus()
        await at.press("e")
        at.engine.publish(job(1, "failed"))
        await at.settle()
        assert not jobs.is_on_screen
        await at.pilot.press("e")
        seen = ["".join(part.text for part in strip) for strip in jobs.render_lines(jobs.size.region)]
        await at.settle()
        assert seen == jobs.text_lines() != before
