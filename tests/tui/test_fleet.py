"""Runs of other engines on the same database: listed and marked, looked at only, and read from a real one."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from dashboard_fakes import Bench, FakeEngine, bench, job, others
from msgspec.structs import replace
from textual.pilot import Pilot

from core.cli.fleet import fleet_of
from core.config import load
from core.errors import EngineUnreachable, StoreUnavailable
from core.stores import RunRecord
from core.stores.lock import Holder
from core.stores.postgres import PostgresStore
from tests.services import run_sql
from tui.app import Dashboard, DashboardOptions
from tui.client import FleetWatch
from tui.screens.live import LiveScreen
from tui.state import OtherJob


@asynccontextmanager
async def beside_others(made: Bench) -> AsyncIterator[Pilot[int]]:
    async with made.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        made.engine.publish(job(1))
        made.app.fleet_changed(others(), "")
        await settle(made, pilot)
        yield pilot


async def settle(made: Bench, pilot: Pilot[int]) -> None:
    await pilot.pause()
    made.app.flush()
    await pilot.pause()


def lines(app: Dashboard, pane: str = "jobs") -> list[str]:
    assert isinstance(app.screen, LiveScreen)
    return app.screen.panes[pane].text_lines()


def text(app: Dashboard, pane: str = "jobs") -> str:
    return "\n".join(lines(app, pane))


async def test_runs_of_other_engines_are_listed_with_their_engine() -> None:
    made = bench()
    async with beside_others(made):
        listed = lines(made.app)
        assert "Jobs 4, 3 of other engines" in listed[0]
        assert "ENGINE" in listed[1]
        # Our engine's own run is in the journal too; one of the others has the same job id.
        assert [line.strip("│>").split()[:2] for line in listed[2:6]] == [
            ["j-00f1", "d4d4d4"],
            ["j-0001", "futures_ohlcv"],
            ["j-0001", "b2b2b2"],
            ["j-00d0", "c3c3c3"],
        ]
        assert "? lost" in listed[2]
        assert "2 run" in made.app.screen.query_one("#header").text_lines()[0]  # type: ignore[attr-defined]


@pytest.mark.slow
async def test_a_filter_finds_an_engine() -> None:
    made = bench()
    async with beside_others(made) as pilot:
        await pilot.press("slash", *"engine:worker-2")
        await settle(made, pilot)
        assert "Jobs 1 of 4" in text(made.app)


@pytest.mark.slow
async def test_an_action_on_anothers_job_says_whose_it_is() -> None:
    made = bench()
    async with beside_others(made) as pilot:
        for run, words in (
            ("r-live", "j-0001 belongs to engine b2b2b2 on worker-2 (pid 77); act on it there"),
            ("r-lost", "j-00f1 belongs to engine d4d4d4 on worker-9 (pid 99), not at work any more"),
            ("r-done", "j-00d0 belongs to engine c3c3c3, not at work any more"),
        ):
            made.app.screen.query_one("#jobs").select(run)  # type: ignore[attr-defined]
            for key in ("x", "p", "r"):
                made.app.clear_notifications()
                await pilot.press(key)
                await settle(made, pilot)
                assert next(toast.message for toast in made.app._notifications).startswith(words)
        assert made.engine.commands == []
        assert isinstance(made.app.screen, LiveScreen)


async def test_anothers_job_can_be_opened() -> None:
    made = bench()
    async with beside_others(made) as pilot:
        made.app.screen.query_one("#jobs").select("r-live")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await settle(made, pilot)
        assert "of engine b2b2b2 on worker-2 (pid 77): read-only here" in text(made.app, "counters")
        assert "tapewatch jobs show r-live" in text(made.app, "series")
        await pilot.press("x")
        assert any("belongs to engine b2b2b2" in toast.message for toast in made.app._notifications)
        assert made.engine.commands == []


async def test_others_are_seen_without_an_engine_of_ours() -> None:
    made = bench()
    made.engine.trouble = EngineUnreachable("the engine did not start: no room")
    async with made.app.run_test(size=(120, 40)) as pilot:
        made.app.fleet_changed(others(), "")
        await settle(made, pilot)
        # Nobody knows which of them is ours.
        assert "Jobs 4, 4 of other engines" in lines(made.app)[0]
        assert "no room" in lines(made.app)[0]


async def test_a_database_that_is_away_is_said_once() -> None:
    made = bench()
    async with beside_others(made) as pilot:
        for _ in range(2):
            made.app.fleet_changed((), "the database is away")
        await settle(made, pilot)
        assert "other engines are not known" in lines(made.app)[0]
        said = [entry.text for entry in made.app.desk.state.log if "is away" in entry.text]
        assert said == ["jobs of other engines are not known: the database is away"]
        made.app.fleet_changed(others(), "")
        await settle(made, pilot)
        assert "other engines are not known" not in lines(made.app)[0]


async def test_a_hostile_name_is_text() -> None:
    made = bench()
    async with beside_others(made) as pilot:
        hostile = [replace(other, engine="[/red]\x1b]0;t\x07", host="\x9b31m\n") for other in others()]
        made.app.fleet_changed(hostile, "\x1b[2J")
        await pilot.press("x")
        await settle(made, pilot)
        assert "[/red]" in text(made.app)
        assert not {"\x1b", "\x07", "\x9b"} & set(text(made.app) + text(made.app, "log"))


async def test_what_came_while_paused_is_shown_after_it() -> None:
    made = bench()
    async with beside_others(made) as pilot:
        await pilot.press("space")
        made.app.fleet_changed((), "")
        await settle(made, pilot)
        assert "b2b2b2" in text(made.app)
        await pilot.press("space")
        await settle(made, pilot)
        assert "b2b2b2" not in text(made.app)


def test_the_watch_tells_what_it_read_or_why_not() -> None:
    heard: list[tuple[Sequence[OtherJob], str]] = []
    has_heard = threading.Event()

    def tell(jobs: Sequence[OtherJob], trouble: str) -> None:
        heard.append((jobs, trouble))
        has_heard.set()

    def fail() -> Sequence[OtherJob]:
        raise StoreUnavailable("away")

    for read in (others, fail):
        has_heard.clear()
        watch = FleetWatch(read, tell)
        watch.start()
        assert has_heard.wait(20)
        watch.stop()
    assert heard == [(others(), ""), ((), "away")]


def test_a_file_has_one_engine_and_is_not_looked_at() -> None:
    assert fleet_of(load({}, {"TAPEWATCH_DB": "sqlite:///store.db"})) is None


async def test_on_a_real_database(postgres_store_url: str) -> None:
    """Two engines, one of them ours; runs that ended long ago or were lost are told apart from those under way."""
    now = time.time()

    def run(name: str, engine: str, state: str, age: float = 60.0) -> RunRecord:
        finished = now - age if state == "complete" else None
        summary = {"series": 3, "windows": 4, "windows_total": 8, "rows_fetched": 8_000, "errors": ["HTTP 500"]}
        return RunRecord(name, engine, "spot_ohlcv", "1h", "", state, now - age, now - age, finished, summary)

    day = 86_400.0
    store = await PostgresStore.open(postgres_store_url, lambda: now, name="b2b2b2")
    place = Holder(pid=os.getpid(), kind="serve", socket="", protocol=1, since=4e9, name="b2b2b2", host="worker-2")
    await store.enter(place, "1.0")
    await store.journal(
        [
            run("20260101T000000-aaaa0001", "e-1", "running"),  # ours
            run("20260101T000000-aaaa0002", "b2b2b2", "running", 3 * day),
            run("20260101T000000-aaaa0003", "b2b2b2", "complete"),
            run("20260101T000000-aaaa0004", "b2b2b2", "complete", 2 * day),
            run("20260101T000000-aaaa0005", "gone", "running"),
            run("20260101T000000-aaaa0006", "gone", "running", 2 * day),
        ],
        (),
        (),
    )
    has_read = asyncio.Event()

    class Watched(Dashboard):
        def fleet_changed(self, jobs: Sequence[OtherJob], trouble: str) -> None:
            super().fleet_changed(jobs, trouble)
            has_read.set()

    engine = FakeEngine()
    app = Watched(
        engine.connect,
        DashboardOptions(),
        engine.time.clock(),
        fleet_of(load({}, {"TAPEWATCH_DB": postgres_store_url})),
    )
    async with asyncio.timeout(20), app.run_test(size=(120, 40)) as pilot:
        await has_read.wait()
        await pilot.pause()
        app.flush()
        found = {
            key: (row.state, row.engine, row.host)
            for key, row in app.desk.state.listed.items()
            if isinstance(row, OtherJob)
        }
        assert found == {
            "20260101T000000-aaaa0002": ("running", "b2b2b2", "worker-2"),
            "20260101T000000-aaaa0003": ("complete", "b2b2b2", "worker-2"),
            "20260101T000000-aaaa0005": ("interrupted", "gone", ""),
        }
        shown = next(line for line in lines(app) if "j-0002" in line)
        assert all(words in shown for words in ("b2b2b2", "ker-2", "● run", "50%", "8.0k", "HTTP 500"))
    await store.close()
    assert run_sql(postgres_store_url, "SELECT count(*) FROM tapewatch.run")[0][0] == 6
