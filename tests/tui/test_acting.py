"""Starting, repairing, retrying and pausing from the keyboard: what is asked, what is shown, what is sent."""

import asyncio
from pathlib import Path

import pytest
from acting_fakes import quote, schedules
from dashboard_fakes import FakeEngine, hello, job, make_busy
from test_behaviour import Driver, driving
from test_hostile import CORPUS, FORBIDDEN, drawn
from textual.events import Paste
from textual.widgets import Input

from core.errors import EngineUnreachable, TapewatchError
from core.events import ScheduleChanged
from tui import actions
from tui.screens.modals import Question, Reader
from tui.screens.orders import OrderScreen, RepairForm


@pytest.fixture
def engine() -> FakeEngine:
    made = make_busy(FakeEngine())
    made.replies = {"quote": quote(), "submit_batch": {"jobs": ["j-9999"]}, "repair": quote()}
    return made


def form(at: Driver) -> OrderScreen:
    assert isinstance(at.app.screen, OrderScreen)
    return at.app.screen


def plan(at: Driver) -> str:
    """What the pane below the fields shows, as one line without its frame."""
    return " ".join(line.strip("│ ") for line in form(at).plan.text_lines())


async def go_to(at: Driver, name: str) -> None:
    """By tab alone."""
    for _ in range(20):
        focused = at.app.focused
        if focused is not None and focused.id == name:
            return
        await at.press("tab")
    raise AssertionError(f"no tab leads to {name}")


@pytest.mark.slow
async def test_a_job_is_typed_quoted_and_started_by_keys_alone(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("n", "right", "tab", "right")
        await go_to(at, "market")
        await at.press(*"binance", "tab", *"BTC-USDT", "tab", "tab", *"2025-01-01")
        assert "$ tapewatch futures_ohlcv --interval 1h --market binance" in plan(at)
        await at.press("enter")
        [(command, args)] = engine.commands
        wanted = {"data_type": "futures_ohlcv", "interval": "1h", "market": ("binance",), "start": "2025-01-01"}
        assert command == "quote"
        assert wanted.items() <= args["operations"][0].items()  # type: ignore[index]
        assert "40 series: 12 requests (23,400 rows" in plan(at)
        assert "enter starts it" in plan(at)
        await at.press("enter")
        assert engine.commands[1] == ("submit_batch", args)
        assert at.app.live
        assert at.toasts() == ["started futures_ohlcv 1h: j-9999"]


@pytest.mark.slow
async def test_what_is_wrong_is_said_while_it_is_typed(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("n")
        await go_to(at, "pair_limit")
        await at.press(*"1o")
        assert "how many: write a number" in plan(at)
        assert form(at).entries["pair_limit"].has_class("-faulty")
        await at.press("backspace", "tab", *"2025-13-01", "enter")
        assert "start: '2025-13-01' is not a date or time" in plan(at)
        assert engine.commands == []
        await at.press(*["backspace"] * 10)
        assert "Not yet" not in plan(at)
        assert not form(at).entries["start"].has_class("-faulty")


@pytest.mark.slow
async def test_what_is_pasted_is_cleaned(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("n")
        await go_to(at, "label")
        at.app.post_message(Paste("\x1b]0;owned\x07mine"))
        await at.settle()
        assert form(at).value("label") == "]0;owned mine"


@pytest.mark.slow
async def test_only_what_a_data_type_takes_is_asked_for(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("n", "e")
        shown = {name for name, entry in form(at).entries.items() if entry.display}
        assert form(at).value("data_type") == "exchange_metadata"
        assert shown == {"data_type", "exchange_type", "label"}
        await at.press("left", "left", "i")
        assert form(at).value("data_type") == "indices_ohlcv"
        market = form(at).entries["market"].field
        assert isinstance(market, Input)
        assert market.placeholder == "cadli"


@pytest.mark.slow
async def test_while_the_engine_works_out_the_cost_that_is_said_and_can_be_left(engine: FakeEngine) -> None:
    engine.held = asyncio.Event()
    async with driving(engine) as at:
        await at.press("n", "enter")
        at.time.advance(12)
        await at.settle()
        assert "the engine works out what it costs: 12s" in plan(at)
        await at.press("enter")
        assert len(engine.commands) == 1
        await at.press("escape")
        assert "works out" not in plan(at)
        engine.held.set()
        await at.settle()
        assert form(at).ordered.phase == "editing"
        await at.press("escape")
        assert at.app.live


@pytest.mark.slow
async def test_a_changed_form_has_to_be_quoted_again(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("n", "enter")
        await at.press("right", "enter")
        assert [name for name, _ in engine.commands] == ["quote", "quote"]
        await at.press("escape", "escape")
        assert at.app.live
        assert [name for name, _ in engine.commands] == ["quote", "quote"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (TapewatchError("--market: no such market nowhere\nsecond [/red] line"), "second [/red] line"),
        (EngineUnreachable("the engine went away before it answered"), "the engine went away"),
        (TapewatchError("\x1b]0;owned\x07"), "]0;owned"),
        ({"data_type": "batch"}, "the engine's answer is not understood"),
        (None, "the engine's answer is not understood"),
        ({**quote(), "budget": {"is_enough": False}, "month": None}, "the engine's answer is not understood"),
        ({**quote(), "series": [{"series": 5}]}, "the engine's answer is not understood"),
    ],
)
async def test_what_the_engine_refuses_is_said_in_its_words(engine: FakeEngine, reply: object, words: str) -> None:
    engine.replies["quote"] = reply
    async with driving(engine) as at:
        await at.press("n", "enter")
        assert words in plan(at)
        assert plan(at).isprintable()
        assert form(at).ordered.phase == "editing"


@pytest.mark.slow
async def test_a_plan_that_would_be_refused_says_what_allows_it(engine: FakeEngine) -> None:
    engine.replies["quote"] = quote(5_000)
    async with driving(engine) as at:
        await at.press("n", "enter", "enter")
        assert "it takes 5,000 calls: allow as many by `calls at most`" in plan(at)
        assert [name for name, _ in engine.commands] == ["quote"]
        assert at.app.focused is form(at).entries["max_requests"].field
        engine.replies["quote"] = quote(5_000, allowed=5_000)
        await at.press(*"5000", "enter", "enter")
        assert engine.commands[-1][0] == "submit_batch"
        assert engine.commands[-1][1]["operations"][0]["max_requests"] == 5_000  # type: ignore[index]


async def test_a_start_that_is_refused_leaves_the_form(engine: FakeEngine) -> None:
    engine.replies["submit_batch"] = TapewatchError("this engine belongs to a command")
    async with driving(engine) as at:
        await at.press("n", "enter", "enter")
        assert "this engine belongs to a command" in plan(at)


@pytest.mark.slow
async def test_the_form_works_by_mouse(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("n")
        await at.pilot.click("#data_type")
        await at.pilot.click("#label")
        await at.press(*"by hand")
        assert form(at).value("data_type") == "futures_ohlcv"
        assert form(at).value("label") == "by hand"
        await at.pilot.click("#keys", offset=(2, 0))
        await at.settle()
        assert form(at).ordered.phase == "quoted"
        await at.pilot.click("#keys", offset=(14, 0))
        await at.settle()
        assert form(at).ordered.phase == "editing"
        for _ in range(2):
            await at.pilot.click("#keys", offset=(2, 0))
            await at.settle()
        assert [command for command, _ in engine.commands] == ["quote", "quote", "submit_batch"]
        assert at.app.live


@pytest.mark.slow
async def test_a_question_is_answered_by_mouse(engine: FakeEngine, operator: str) -> None:
    async with driving(engine) as at:
        await at.press("6", "p")
        await at.pilot.click("#question")
        assert isinstance(at.app.screen, Question)
        await at.pilot.click("#answers", offset=(9, 1))
        await at.settle()
        await at.press("p")
        await at.pilot.click("#answers", offset=(9, 4))
        await at.settle()
        assert at.app.live
    assert [args["seconds"] for _, args in engine.commands] == [14_400.0]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(40, 20), (80, 24), (20, 8), (1, 1)])
async def test_every_field_can_be_reached_in_a_small_terminal(engine: FakeEngine, size: tuple[int, int]) -> None:
    async with driving(engine, size) as at:
        await at.press("n")
        for name in ("interval", "market", "instrument", "pair_limit", "start", "end", "label", "max_requests", "plan"):
            await at.press("tab")
            assert at.app.focused is not None
            assert at.app.focused.id == name
        await at.press("enter")
        assert form(at).ordered.phase == "quoted"
        await at.press("shift+tab", "up")
        assert at.app.focused.id == "label"


# --- batch files


async def test_a_batch_file_is_read_here_quoted_and_started(engine: FakeEngine, tmp_path: Path) -> None:
    file = tmp_path / "batch.json"
    file.write_text('[{"data_type": "spot_ohlcv", "pair_limit": 5}, {"data_type": "asset_metadata"}]')
    async with driving(engine) as at:
        await at.press("b", "enter")
        assert "file: name a batch file" in plan(at)
        type_in(at, str(file))
        await at.press("enter", "enter")
        sent = engine.commands[-1]
        assert sent[0] == "submit_batch"
        assert [each["data_type"] for each in sent[1]["operations"]] == [  # type: ignore[attr-defined]
            "spot_ohlcv",
            "asset_metadata",
        ]
        assert at.toasts() == ["started batch.json (2 operations): j-9999"]


def type_in(at: Driver, text: str) -> None:
    assert isinstance(at.app.focused, Input)
    at.app.focused.value = text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        ("[{]", "cannot be read as JSON: Expecting property name"),
        ('[{"data_type": "spot_ohlcv", "intervall": "1d"}]', "operation 1: [0].intervall: there is no such option"),
    ],
)
async def test_faults_of_a_batch_file_name_the_place(
    engine: FakeEngine, tmp_path: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "batch.json").write_text(content)
    async with driving(engine, (200, 60)) as at:
        await at.press("b")
        type_in(at, str(tmp_path / "batch.json"))
        await at.press("enter")
        assert words in plan(at)
        assert engine.commands == []


# --- repairs, retries, the cache


@pytest.mark.slow
@pytest.mark.parametrize("keys", [("R",), ("enter", "R")], ids=["of the list", "of its own screen"])
async def test_a_repair_shows_its_cost_first_and_names_the_series(engine: FakeEngine, keys: tuple[str, ...]) -> None:
    async with driving(engine) as at:
        await at.press("3")
        await at.press("j")
        series = at.pane("stored").cursor
        await at.press(*keys)
        assert isinstance(at.app.screen, RepairForm)
        await at.settle()
        assert engine.commands == [("repair", {"series": [series], "all": False, "dry_run": True})]
        engine.replies["repair"] = {"jobs": ["j-1", "j-2"]}
        await at.press("enter")
        assert engine.commands[-1] == ("repair", {"series": [series], "all": False})
        assert at.toasts() == ["started a repair: j-1, j-2"]


@pytest.mark.slow
async def test_a_repair_of_everything_is_in_the_palette_and_may_take_confirmed_gaps(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("ctrl+p", *"gaps of all", "enter")
        await at.press("right", "enter")
        assert engine.commands[-1] == ("repair", {"series": [], "all": True, "dry_run": True})


@pytest.mark.slow
async def test_a_retry_is_of_what_failed_where_something_did(engine: FakeEngine) -> None:
    engine.publish(job(4, "failed", series_failed=2))
    async with driving(engine) as at:
        await at.press("r")
        assert engine.commands == [("retry", {"job": "j-0004", "failed": True})]
        await at.press("ctrl+p", *"all of the job", "enter")
        assert engine.commands[1] == ("retry", {"job": "j-0004"})
        engine.publish(job(4, "failed", series_failed=0))
        await at.settle()
        await at.press("r")
        assert engine.commands[2] == ("retry", {"job": "j-0004"})


@pytest.mark.slow
async def test_the_cache_is_warmed_at_once_and_cleared_after_a_question(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("5", "w", "C")
        assert isinstance(at.app.screen, Question)
        assert "Clear the cache?" in at.app.screen.question
        await at.press("escape", "C", "y")
        assert engine.commands == [("warm_cache", {}), ("clear_cache", {})]


# --- schedules


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    return "ann"


async def test_schedules_come_by_their_next_run(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("6")
        assert at.pane("schedules").view.keys == ["hourly", "funding", "minutes", "nightly", "lists"]
        lines = "\n".join(at.lines("schedules"))
        for words in ("✓ on", "● running", "‖ paused", "○ off", "✖ fail"):
            assert words in lines
        await at.press("j", "j")
        assert "paused by ann until 2026-11-23 13:00: moving house" in "\n".join(at.lines("this_schedule"))
        await at.press("enter")
        assert isinstance(at.app.screen, Reader)


async def test_a_schedule_runs_now_after_a_question(engine: FakeEngine, operator: str) -> None:
    async with driving(engine) as at:
        await at.press("6", "r")
        assert isinstance(at.app.screen, Question)
        assert at.app.screen.question == "Run schedule hourly now (spot_ohlcv 1h, futures_ohlcv 1h)?"
        await at.press("y")
        assert engine.commands == [("run_schedule", {"schedule": "hourly", "by": operator})]


@pytest.mark.slow
@pytest.mark.parametrize(("key", "seconds"), [("1", 3_600.0), ("4", 14_400.0), ("d", 86_400.0), ("e", None)])
async def test_a_schedule_is_paused_with_an_end_or_without(
    engine: FakeEngine, operator: str, key: str, seconds: float | None
) -> None:
    async with driving(engine) as at:
        await at.press("6", "p", "escape", "p", key)
        assert engine.commands == [("pause_schedule", {"schedule": "hourly", "by": operator, "seconds": seconds})]
        await at.press("j", "j", "p")
        assert engine.commands[1] == ("resume_schedule", {"schedule": "minutes", "by": operator})


async def test_a_schedule_that_is_removed_leaves_the_list(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("6")
        gone = next(each for each in schedules() if each.schedule == "lists")
        engine.publish(type(gone)(schedule="lists", cron=gone.cron, is_removed=True))
        await at.settle()
        assert "lists" not in at.pane("schedules").view.keys
        assert len(at.pane("schedules").view.keys) == 4


async def test_without_schedules_it_says_what_has_them() -> None:
    async with driving(FakeEngine()) as at:
        await at.press("6", "r")
        assert "tapewatch serve --schedules FILE" in "\n".join(at.lines("schedules"))
        assert at.toasts() == ["no schedule selected"]


# --- read-only, copying


ACTS = [
    *(("overview", key) for key in ("n", "b", "r")),
    *(("data", key) for key in ("R", "n")),
    *(("cache", key) for key in ("w", "C")),
    *(("schedules", key) for key in ("r", "p")),
]


@pytest.mark.parametrize(("screen", "key"), ACTS)
async def test_read_only_refuses_to_act(engine: FakeEngine, screen: str, key: str) -> None:
    engine.hello = hello(read_only=True)
    async with driving(engine) as at:
        await at.press(actions.TABS[screen][0] if screen != "overview" else "escape")
        await at.press(key)
        assert at.toasts() == ["read-only: nothing can be changed from here"]
        assert at.app.live
        assert engine.commands == []


async def test_a_form_that_is_open_when_the_engine_turns_read_only_starts_nothing(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("n")
        engine.connections[-1].say(hello(read_only=True))
        await at.settle()
        await at.press("enter")
        assert "read-only: nothing can be started from here" in plan(at)
        assert engine.commands == []


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("Y",), "tapewatch jobs show j-0004"),
        (("3", "Y"), "tapewatch why futures_funding_rate/binance/SOL-USDT-22/1m"),
        (("4", "Y"), "tapewatch alerts ack a-2"),
        (("6", "Y"), "tapewatch status"),
    ],
)
async def test_a_command_line_for_the_row_is_copied(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...], line: str
) -> None:
    copied: list[str] = []
    async with driving(engine) as at:
        monkeypatch.setattr(at.app, "copy_to_clipboard", copied.append)
        for key in keys:
            await at.press(key)
        assert copied == [line]


async def test_a_key_means_one_thing_on_a_screen(engine: FakeEngine) -> None:
    async with driving(engine) as at:
        await at.press("5", "r", "p", "R")
        assert (engine.commands, at.toasts()) == ([], [])
        assert at.app.live


@pytest.mark.slow
@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
async def test_hostile_text_is_only_text(engine: FakeEngine, text: str) -> None:
    """In schedules, in plans, in what the engine refuses with, in what is asked before something is done."""
    engine.publish(
        ScheduleChanged(schedule=text, cron=text, what=text, last_state=text, last_note=text, next_run=0.0),
        ScheduleChanged(schedule=f"p{text}", cron="", paused_since=1.0, paused_by=text, comment=text, next_run=1.0),
    )
    told = quote()
    engine.replies["quote"] = {**told, "errors": [text], "series": [{**told["series"][0], "series": text}]}
    engine.replies["submit_batch"] = TapewatchError(text or "-")
    seen = []
    async with driving(engine, (160, 50)) as at:
        for keys in (("6",), ("r",), ("escape",), ("j",), ("p", "1"), ("enter", "escape"), ("n", "enter"), ("enter",)):
            await at.press(*keys)
            seen += at.app.screen.plan.text_lines() if isinstance(at.app.screen, OrderScreen) else drawn_by(at)
        assert at.app.is_running
        assert "\x1b" not in at.app.export_screenshot()
    assert not any("this pane failed" in line for line in seen)
    assert not any(FORBIDDEN & set(line) for line in seen)


def drawn_by(at: Driver) -> list[str]:
    return drawn(at.app.screen) if at.app.live else []
