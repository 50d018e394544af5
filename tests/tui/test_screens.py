"""What the screens look like. Accept a wanted change with `pytest tests/tui --snapshot-update`, after looking."""

from collections.abc import Awaitable, Callable

import pytest
from dashboard_fakes import Bench, FakeEngine, bench, others, work_a_while
from textual.pilot import Pilot

from core.errors import EngineUnreachable

SIZES = [(40, 20), (80, 24), (120, 40), (200, 60)]
KEYS = {
    "overview": (),
    "jobs": ("2",),
    "job": ("enter",),
    "data": ("3",),
    "alerts": ("4",),
    "cache": ("5",),
    "schedules": ("6",),
    "system": ("7",),
    "help": ("question_mark",),
}
Compare = Callable[..., bool]


def busy(made: Bench, *keys: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    """Let the engine work, then press `keys`."""

    async def run(pilot: Pilot[int]) -> None:
        await pilot.pause()
        work_a_while(made.engine)
        await settle(made, pilot)
        await pilot.press(*keys)
        await settle(made, pilot)

    return run


async def settle(made: Bench, pilot: Pilot[int]) -> None:
    await pilot.pause()
    made.app.flush()
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", KEYS)
def test_busy(snap_compare: Compare, screen: str, size: tuple[int, int]) -> None:
    made = bench()
    assert snap_compare(made.app, terminal_size=size, run_before=busy(made, *KEYS[screen]))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_fleet(snap_compare: Compare, size: tuple[int, int]) -> None:
    made = bench()

    async def run(pilot: Pilot[int]) -> None:
        await busy(made)(pilot)
        made.app.fleet_changed(others(), "")
        await settle(made, pilot)
        await pilot.press("s", *"job", "enter")
        made.app.screen.query_one("#jobs").select("r-live")  # type: ignore[attr-defined]
        await settle(made, pilot)

    assert snap_compare(made.app, terminal_size=size, run_before=run)


@pytest.mark.parametrize("theme", ["light", "ansi", "contrast", "blind"])
def test_themes(snap_compare: Compare, theme: str) -> None:
    made = bench(theme=theme)
    assert snap_compare(made.app, terminal_size=(120, 40), run_before=busy(made))


def test_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    made = bench()
    assert snap_compare(made.app, terminal_size=(80, 24), run_before=busy(made))


def test_ascii(snap_compare: Compare) -> None:
    made = bench(ascii=True)
    assert snap_compare(made.app, terminal_size=(120, 40), run_before=busy(made))


QUESTIONS = {
    "cancel": ("j", "x"),
    "quit": ("q",),
    "palette": ("ctrl+p",),
    "sort": ("s",),
    "filter": ("slash", *"run"),
    "paused": ("space",),
    "maximised": ("tab", "e"),
    "reader": ("7", "up", "up", "enter"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_states_at_80(snap_compare: Compare, name: str) -> None:
    made = bench()
    assert snap_compare(made.app, terminal_size=(80, 24), run_before=busy(made, *QUESTIONS[name]))


def test_empty(snap_compare: Compare) -> None:
    made = bench()

    async def run(pilot: Pilot[int]) -> None:
        await settle(made, pilot)

    assert snap_compare(made.app, terminal_size=(80, 24), run_before=run)


def test_connecting(snap_compare: Compare) -> None:
    made = bench()
    made.engine.trouble = EngineUnreachable(
        "no engine answers on /run/tapewatch/e.sock; start one with `tapewatch serve`"
    )

    async def run(pilot: Pilot[int]) -> None:
        await settle(made, pilot)
        made.time.advance(4)
        await settle(made, pilot)

    assert snap_compare(made.app, terminal_size=(80, 24), run_before=run)


def test_stale(snap_compare: Compare) -> None:
    made = bench()

    async def run(pilot: Pilot[int]) -> None:
        await busy(made)(pilot)
        made.time.advance(37)
        await settle(made, pilot)

    assert snap_compare(made.app, terminal_size=(120, 40), run_before=run)


def test_disconnected(snap_compare: Compare) -> None:
    made = bench()

    async def run(pilot: Pilot[int]) -> None:
        await busy(made)(pilot)
        made.engine.trouble = EngineUnreachable("gone")
        made.engine.connections[-1].end()
        await settle(made, pilot)

    assert snap_compare(made.app, terminal_size=(120, 40), run_before=run)


def test_engine_of_another_version(snap_compare: Compare) -> None:
    engine = FakeEngine()
    engine.hello = type(engine.hello)(
        protocol=9, engine="e", pid=1, version="9", store="s", source="c", kind="serve", read_only=False
    )
    made = bench(engine)

    async def run(pilot: Pilot[int]) -> None:
        await settle(made, pilot)

    assert snap_compare(made.app, terminal_size=(80, 24), run_before=run)
