"""How a dashboard was left is how it comes back."""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dashboard_fakes import FakeArchive, FakeEngine, make_busy
from test_behaviour import Driver

from tui import text
from tui.app import Dashboard, DashboardOptions
from tui.memory import Memory, Notebook, lasting
from tui.query import Choice

NOON = 1_795_435_200.0


@asynccontextmanager
async def opened(path: Path, **options: object) -> AsyncIterator[Driver]:
    engine = make_busy(FakeEngine())
    app = Dashboard(
        engine.connect,
        DashboardOptions(**options),  # type: ignore[arg-type]
        engine.time.clock(),
        archive=FakeArchive(),
        notebook=Notebook(path),
        by_hand=True,
    )
    async with app.run_test(size=(120, 40)) as pilot:
        driver = Driver.__new__(Driver)
        driver.app, driver.engine, driver.time, driver.pilot = app, engine, engine.time, pilot
        await driver.settle()
        yield driver
        await driver.settle()


@pytest.fixture(autouse=True)
def _utc_again() -> object:
    yield
    text.show_local_time(False)


@pytest.mark.slow
async def test_it_comes_back_as_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "state" / "dashboard.json"
    async with opened(path) as at:
        await at.press("plus", "t", "z", "2", "slash", *"state:run", "enter", "s", *"rows", "enter", "e")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["dashboard.json"]
    async with opened(path) as at:
        assert at.screen.kind == "jobs"
        assert at.screen.has_class("-max")
        assert at.app.desk.refresh_hz == 10.0
        assert at.app.desk.is_local_time
        assert at.screen.table is not None
        assert at.screen.table.choice.filter == "state:run"
        assert at.screen.table.choice.sort == "rows"
        await at.press("e")
        assert not at.screen.has_class("-max")
    assert Notebook(path).memory.theme == "light"


async def test_read_only_remembers_too(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.json"
    async with opened(path, read_only=True) as at:
        await at.press("7")
    assert Notebook(path).memory.tab == "system"


async def test_a_theme_of_the_command_line_is_for_this_once(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.json"
    async with opened(path, theme="contrast"):
        pass
    assert Notebook(path).memory.theme is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"theme": 5}', b'{"tables": {"jobs": 1}}', b"\xff\x00", b"[" * 9_000]
)
async def test_a_broken_file_is_said_and_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dashboard.json"
    path.write_bytes(content)
    async with opened(path) as at:
        assert any("what the dashboard remembered is lost" in entry.text for entry in at.app.desk.state.log)
    assert Notebook(path).trouble == ""


async def test_what_is_unknown_by_now_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.json"
    Notebook(path).keep(Memory("no such", 77.0, False, "no such", {"overview": "no such"}, {"x": Choice("y")}))
    async with opened(path) as at:
        assert at.screen.kind == "overview"
        assert at.app.desk.refresh_hz == 4.0
        assert not at.screen.has_class("-max")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be kept" in Notebook(tmp_path / "file" / "dashboard.json").keep(Memory())


def test_tables_of_one_job_are_not_remembered() -> None:
    assert lasting({"jobs": Choice("a"), "series:j-1": Choice("b")}) == {"jobs": Choice("a")}


async def test_times_in_the_zone_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        async with opened(tmp_path / "dashboard.json") as at:
            assert "Z" in at.header[-9:]
            await at.press("z")
            assert at.header.endswith("21:00:40+09")
            assert text.moment(NOON) == "2026-11-23 21:00"
            await at.press("z")
            assert at.header.endswith("12:00:40Z")
            assert text.moment(NOON) == "2026-11-23 12:00"
    finally:
        monkeypatch.undo()
        time.tzset()
