"""The overview as text."""

import pytest
from dashboard_fakes import FakeArchive, FakeEngine, FakeTime, job, make_busy
from rich.cells import cell_len

from core.events import LogLine
from tui.desk import DashboardOptions, Desk
from tui.screens.overview import OverviewScreen
from tui.state import Link
from tui.ticket import MOST_ROWS, NEWEST_LINES, overview_text

NAMES = {"types": "Data "}


def desk_of(engine: FakeEngine, **options: bool) -> Desk:
    desk = Desk(DashboardOptions(**options), engine.time.clock())
    desk.link_changed(Link("online", engine.time.elapsed))
    desk.receive(engine.hello)
    desk.receive(engine.bus.snapshot())
    desk.fold()
    return desk


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_line_is_wider_than_asked_for_or_ends_in_blanks(width: int) -> None:
    lines = list(overview_text(desk_of(make_busy(FakeEngine())), width, FakeArchive()))
    assert max(cell_len(line) for line in lines) <= width
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in "".join(lines)


def test_it_has_every_pane_of_the_overview_and_all_jobs() -> None:
    engine = make_busy(FakeEngine())
    text = "\n".join(overview_text(desk_of(engine), 160, FakeArchive()))
    for pane in OverviewScreen(desk_of(engine)).panes.keys() - {"selected"}:
        assert f"── {NAMES.get(pane, pane.title())}" in text
    assert all(f"j-{number:04d}" in text for number in range(1, 17))
    assert "2 commits failed in 5 minutes: disk is full" in text


def test_ascii_is_ascii() -> None:
    text = "\n".join(overview_text(desk_of(make_busy(FakeEngine()), ascii=True), 120, FakeArchive()))
    assert text.isascii()
    assert "-- Jobs" in text


def test_what_is_very_long_is_cut_and_says_so() -> None:
    engine = FakeEngine()
    for number in range(MOST_ROWS + 5):
        engine.publish(job(number))
    for number in range(NEWEST_LINES + 5):
        engine.publish(LogLine(level="info", text=f"line {number}."))
    text = "\n".join(overview_text(desk_of(engine), 120))
    assert "and 5 more" in text
    assert "line 24." in text
    assert "line 4." not in text


def test_what_cannot_be_asked_says_why_in_its_pane() -> None:
    archive = FakeArchive()
    archive.trouble = OSError("the disk is gone\x1b[2J")
    text = "\n".join(overview_text(desk_of(FakeEngine(FakeTime())), 120, archive))
    assert "the disk is gone" in text
    assert "\x1b" not in text
