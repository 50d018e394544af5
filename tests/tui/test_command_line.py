"""The command line: completion, history, what each command does, and what is said of those that are none."""

import pytest
from archive_fakes_watch import silences, watched_alerts
from dashboard_fakes import FakeEngine, make_busy
from test_behaviour import Driver, driving

from tui import actions, commands, themes
from tui.folding import reduce
from tui.lookups import Answer
from tui.questions import SILENCES
from tui.state import ViewState
from tui.widgets.command_line import CommandLine


@pytest.fixture(scope="module")
def state() -> ViewState:
    engine = make_busy(FakeEngine())
    engine.publish(*watched_alerts())
    known = reduce(ViewState(answers={SILENCES.key: Answer(silences(), 1.0)}), engine.bus.snapshot(), 1.0)
    assert known.firing
    return known


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("job.h", ["job.hold"]),
        ("theme li", ["theme light", "theme blind"]),
        ("theme ", [f"theme {name}" for name in themes.THEMES]),
        ("ack host", ["ack host_memory:host"]),
        ("unack ", ["unack host_memory:host"]),
        ("silence quo", ["silence quota_month"]),
        ("silence quota_month 4", ["silence quota_month 4h", "silence quota_month 24h"]),
        ("silence quota_month 4h why", []),
        ("unsilence 3", ["unsilence 3f2a10"]),
        ("jobs sta", ["jobs state:"]),
        ("nonsense ", []),
        ("job.cancel ", []),
    ],
)
def test_a_line_is_completed(line: str, found: list[str], state: ViewState) -> None:
    assert commands.candidates(line, state) == found


def test_everything_that_has_a_key_has_a_command() -> None:
    assert {action.id for action in actions.ACTIONS} <= commands.COMMANDS.keys()
    assert set(actions.TABS) <= commands.COMMANDS.keys()
    assert set(commands.FILTERS) <= set(actions.TABS)


def test_how_it_is_used_is_said_while_it_is_typed(state: ViewState) -> None:
    assert commands.hint("ack", state).startswith("ack ALERT [SPAN] [comment]")
    assert "host_memory:host" in commands.hint("ack ho", state)
    assert "theme" in commands.hint("th", state)
    assert commands.hint("zz", state).startswith("nothing begins like that")


def line_of(at: Driver) -> CommandLine:
    return at.screen.command


def verdict(at: Driver) -> str:
    return str(line_of(at).hint.content)


async def typed(at: Driver, line: str) -> None:
    await at.press("colon")
    line_of(at).line.value = line
    await at.press("enter")


@pytest.mark.slow
async def test_it_goes_to_screens_and_filters_them() -> None:
    async with driving() as at:
        await typed(at, "jobs state:fail")
        assert at.screen.kind == "jobs"
        assert list(at.pane("all_jobs").view.keys) == ["j-0004"]
        assert not line_of(at).display
        await typed(at, "data kraken")
        assert at.screen.kind == "data"
        assert "filter: kraken" in at.lines("stored")[0]
        await typed(at, "overview")
        assert at.screen.kind == "overview"
        await typed(at, "overview state:run")
        assert set(at.ids()) == {"j-0001", "j-0002", "j-0005", "j-0015"}


@pytest.mark.slow
async def test_a_filter_that_is_none_is_said_and_nothing_moves() -> None:
    async with driving() as at:
        await typed(at, "jobs colour:red")
        assert at.screen.kind == "overview"
        assert "no field 'colour'" in verdict(at)
        assert line_of(at).display
        assert line_of(at).line.value == "jobs colour:red"
        await typed(at, "help me")
        await at.press("escape")
        assert not line_of(at).display


async def test_an_unknown_command_is_said_with_what_is_near() -> None:
    async with driving() as at:
        await typed(at, "silense x")
        assert verdict(at) == "no command 'silense'; silence?"
        await at.press("ctrl+u")
        assert "silense" not in verdict(at)


@pytest.mark.slow
async def test_it_changes_theme_and_rate() -> None:
    async with driving() as at:
        await typed(at, "theme light")
        assert at.app.theme == "tapewatch-light"
        await typed(at, "rate 2")
        assert at.app.desk.refresh_hz == 2.0
        for wrong, why in (("rate x", "a number"), ("rate 99", "from 0.5 to 10"), ("rate nan", "from 0.5"),
                           ("theme pink", "no theme 'pink'"), ("theme", "write: theme NAME")):  # fmt: skip
            await typed(at, wrong)
            assert why in verdict(at)
            await at.press("escape")


@pytest.mark.slow
async def test_it_orders_about_alerts() -> None:
    engine = make_busy(FakeEngine())
    engine.publish(*watched_alerts())
    async with driving(engine, user="ada") as at:
        await typed(at, "silence late_series 2h")
        await typed(at, "silence late_series:spot_ohlcv* 1d the vendor knows")
        await typed(at, "ack host_memory:host 30m on it")
        await typed(at, "unack host_memory:host")
        await typed(at, "unsilence 3f2a10")
        silence = {"author": "ada", "rule": "late_series", "level": "*"}
        assert at.engine.commands == [
            ("silence", {**silence, "source": "*", "seconds": 7_200.0, "comment": commands.UNSAID}),
            ("silence", {**silence, "source": "spot_ohlcv*", "seconds": 86_400.0, "comment": "the vendor knows"}),
            ("ack", {"alert": "host_memory:host", "by": "ada", "seconds": 1_800.0, "comment": "on it"}),
            ("unack", {"alert": "host_memory:host", "by": "ada"}),
            ("unsilence", {"silence": "3f2a10"}),
        ]
        for wrong, why in (
            ("silence *", "silence what?"),
            ("silence x soon", "write: silence RULE"),
            ("ack", "write: ack"),
        ):
            await typed(at, wrong)
            assert why in verdict(at)
            await at.press("escape")
        assert len(at.engine.commands) == 5


@pytest.mark.slow
async def test_every_action_has_its_name_there() -> None:
    async with driving() as at:
        at.pane().select("j-0002")
        await typed(at, "job.hold")
        assert at.engine.commands == [("hold", {"job": "j-0002"})]
        await typed(at, "pause")
        assert at.app.desk.paused
        await typed(at, "alerts")
        await typed(at, "job.hold")
        assert "job.hold works on overview" in verdict(at)
        await at.press("escape")
        await typed(at, "job.hold j-0002")
        assert "takes nothing" in verdict(at)


@pytest.mark.slow
async def test_who_only_looks_orders_nothing() -> None:
    async with driving(read_only=True) as at:
        for line in ("job.hold", "silence x 2h", "ack x"):
            await typed(at, line)
            assert verdict(at).startswith("read-only")
            await at.press("escape")
        assert at.engine.commands == []


@pytest.mark.slow
async def test_tab_completes_and_arrows_recall() -> None:
    async with driving() as at:
        await at.press("colon", "t", "h", "tab")
        assert line_of(at).line.value == "theme"
        await at.press("space", "tab", "tab", "shift+tab")
        assert line_of(at).line.value == "theme dark"
        await at.press("enter")
        await typed(at, "rate 2")
        await at.press("colon", "up")
        assert line_of(at).line.value == "rate 2"
        await at.press("up", "up")
        assert line_of(at).line.value == "theme dark"
        await at.press("down", "down")
        assert line_of(at).line.value == ""
        await at.press("escape")
        assert at.screen.focused is at.pane()


async def test_it_leaves() -> None:
    async with driving() as at:
        await typed(at, "q!")
        assert at.app.return_value == 0
