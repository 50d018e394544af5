"""What alerts, series of jobs, cache, system and the command line look like. See test_screens on accepting changes."""

from collections.abc import Awaitable, Callable

import pytest
from archive_fakes_watch import journal, watched_alerts
from dashboard_fakes import Bench, FakeArchive, FakeEngine, bench, series_of, work_a_while
from test_screens import Compare, settle
from textual.pilot import Pilot

from core.errors import EngineUnreachable, StoreError
from tui.screens.job import JobScreen
from tui.screens.job_series import JobSeriesScreen

SIZES = [(40, 20), (80, 24), (120, 40), (200, 60)]
SCREENS = {
    "alerts": ("4",),
    "alert": ("4", "down", "enter"),
    "jobs": ("2", "G"),
    "run": ("2", "G", "up", "enter"),
    "cache": ("5",),
    "system": ("7",),
}
STATES = {
    "ack": ("4", "down", "a"),
    "silence": ("4", "down", "Z"),
    "silence refused": ("4", "down", "Z", "enter"),
    "end silence": ("4", "tab", "tab", "u"),
    "command": ("colon", *"si"),
    "command refused": ("colon", *"theme pink", "enter"),
    "silences maximised": ("4", "tab", "tab", "e"),
}


def watched(made: Bench, *keys: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    """Let the engine work, with an alert of every kind, then press `keys`."""

    async def run(pilot: Pilot[int]) -> None:
        await pilot.pause()
        work_a_while(made.engine)
        made.engine.publish(*watched_alerts())
        await settle(made, pilot)
        for key in keys:
            await pilot.press(key)
            await settle(made, pilot)

    return run


def remembering() -> FakeArchive:
    archive = FakeArchive()
    archive.journal = journal()
    return archive


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", SCREENS)
def test_busy(snap_compare: Compare, screen: str, size: tuple[int, int]) -> None:
    made = bench(archive=remembering())
    assert snap_compare(made.app, terminal_size=size, run_before=watched(made, *SCREENS[screen]))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_one_series_of_a_job(snap_compare: Compare, size: tuple[int, int]) -> None:
    made = bench()

    async def run(pilot: Pilot[int]) -> None:
        await watched(made)(pilot)
        made.app.push_screen(JobScreen(made.app.desk, "j-0001"))
        made.app.push_screen(JobSeriesScreen(made.app.desk, "j-0001", series_of("j-0001")[4].series))
        await settle(made, pilot)

    assert snap_compare(made.app, terminal_size=size, run_before=run)


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
def test_states_at_80(snap_compare: Compare, name: str) -> None:
    made = bench()
    assert snap_compare(made.app, terminal_size=(80, 24), run_before=watched(made, *STATES[name]))


@pytest.mark.slow
@pytest.mark.parametrize("screen", ["alerts", "cache", "system"])
def test_in_ascii(snap_compare: Compare, screen: str) -> None:
    made = bench(ascii=True)
    assert snap_compare(made.app, terminal_size=(120, 40), run_before=watched(made, *SCREENS[screen]))


@pytest.mark.parametrize("screen", ["alerts", "cache", "system"])
@pytest.mark.parametrize("what", ["nothing", "no store", "no engine"])
def test_without(snap_compare: Compare, what: str, screen: str) -> None:
    """An engine that has done nothing, a store that cannot be read, no engine at all."""
    archive, engine = FakeArchive(), FakeEngine()
    archive.kept_silences = []
    archive.trouble = StoreError("tapewatch.db is gone; was it moved?") if what == "no store" else None
    engine.trouble = EngineUnreachable("no engine answers; start one: tapewatch serve") if what == "no engine" else None
    made = bench(engine, archive=archive)

    async def run(pilot: Pilot[int]) -> None:
        await settle(made, pilot)
        await pilot.press(*SCREENS[screen])
        await settle(made, pilot)

    assert snap_compare(made.app, terminal_size=(80, 24), run_before=run)
