"""Slow links: what is left out, how little is sent, and that nothing queues up before a terminal that is slow."""

import io
from itertools import count
from math import inf
from types import SimpleNamespace

import pytest
from dashboard_fakes import FakeEngine, bench, make_busy
from rich.text import Text
from test_behaviour import driving

from tui.driver import Meter
from tui.glass import Glass
from tui.pacing import Backpressure

CURVES = set("▁▂▃▄▅▆▇")


@pytest.mark.slow
async def test_lean_leaves_out_what_moves_all_the_time() -> None:
    async with driving(lean=True) as at:
        assert "lean" in at.header
        assert not at.pane("engine").is_on_screen
        assert not at.screen.query_one("#lower").display
        await at.press("7")
        assert not CURVES & set("".join(at.lines("vitals")))
        await at.press("L")
        assert "lean" not in at.header
        assert CURVES & set("".join(at.lines("vitals")))


async def test_lean_is_redrawn_once_a_second_at_most() -> None:
    async with driving(lean=True) as at:
        assert at.app.desk.interval == 1.0
        await at.press("plus")
        assert (at.app.desk.lean, at.app.desk.interval) == (False, 0.25)


async def test_a_terminal_that_does_not_keep_up_makes_it_lean_and_it_says_so() -> None:
    async with driving() as at:
        at.app.terminal_is_slow()
        at.app.terminal_is_slow()
        await at.settle()
        assert "lean: slow terminal" in at.header
        assert sum("does not keep up" in line for line in at.lines("log")) == 1
        await at.press("L")
        assert "slow terminal" not in at.header


def test_one_stall_is_no_slow_terminal() -> None:
    pressure = Backpressure()
    pressure.note(1_000, 30.0, 100.0)
    assert not pressure.is_slow
    for second in range(100):
        pressure.note(1_000, 0.01, 100.0 + second)
        assert not pressure.is_slow


def test_a_little_that_is_held_up_once_says_nothing_of_the_speed() -> None:
    pressure = Backpressure()
    for second in range(100):
        pressure.note(300, (0.01, 0.3)[second % 10 == 0], float(second))
        assert pressure.frame == inf
    pressure.note(300, 0.3, 100.0)
    pressure.note(300, 0.3, 101.0)
    assert pressure.frame < inf, "twice in a row is no accident"


def test_waiting_more_than_a_fifth_of_the_time_is_one() -> None:
    pressure = Backpressure()
    for second in range(100):
        pressure.note(1_000, 0.09, float(second))
        assert not pressure.is_slow
    for second in range(20):
        pressure.note(1_000, 0.4, 100.0 + second)
    assert pressure.is_slow


def test_what_was_once_full_is_left_to_drain() -> None:
    """10 kB took a second, 4 of them at once: from now on half as much is sent, frames taken at once included."""
    pressure = Backpressure()
    assert pressure.note(2_000, 0.001, 0.0) == 0
    assert pressure.frame == inf
    assert pressure.note(10_000, 1.0, 1.0) == pytest.approx(0.5)
    assert pressure.frame == pytest.approx(6_000 / 4, rel=0.1)
    assert pressure.note(1_000, 0.0, 3.0) == pytest.approx(1_000 / 3_000, rel=0.1)
    assert pressure.note(10**6, 0.0, 3.0) == 0.5


def test_what_was_not_faster_is_tried_again_later() -> None:
    """Frames of which each is taken at once, until four times as much is sent as the terminal took before."""

    def seconds_until_it_is_taken_for_fast() -> int:
        slow, since = pressure.rate, next(now)
        while pressure.rate < 4 * slow:
            pressure.note(100, 0.0, float(next(now)))
        return next(now) - since

    pressure, now, tries = Backpressure(), count(), []
    for _ in range(6):
        pressure.note(10_000, 1.0, float(next(now)))
        tries.append(seconds_until_it_is_taken_for_fast())
    assert tries[0] == pytest.approx(480, abs=5)
    assert tries == sorted(tries)
    assert tries[-2:] == pytest.approx([1920, 1920], abs=5)


def test_nothing_is_taken_for_slower_than_a_lean_dashboard_needs() -> None:
    pressure = Backpressure()
    pressure.note(5_000, 4.9, 0.0)
    assert pressure.rate == 2_000


def test_a_meter_is_even_when_everything_promised_is_out() -> None:
    told: list[bool] = []
    meter = Meter(io.StringIO())
    meter.when_even = lambda: told.append(True)
    meter.promise(5)
    meter.write("ab")
    meter.flush()
    assert not meter.is_even
    meter.write("cde")
    assert not meter.is_even
    assert told == []
    meter.flush()
    assert meter.is_even
    assert told == [True]


async def test_while_a_frame_is_under_way_none_is_drawn_and_then_the_newest() -> None:
    """The driver of the terminal stands still: frames are dropped, not queued."""
    made = bench(make_busy(FakeEngine()))
    meter, glass = Meter(io.StringIO()), Glass()
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app, screen = made.app, made.app.screen
        app._terminal = SimpleNamespace(meter=meter, glass=glass)  # type: ignore[assignment]
        meter.when_even = app._terminal_is_even
        meter.promise(1)
        app._display(screen, Text("first"))
        assert app._batch_count == 1
        for _ in range(50):
            app._display(screen, Text("dropped"))
            assert app._batch_count == 1
        meter.write("x")
        meter.flush()
        await pilot.pause()
        assert app._batch_count == 0
        assert not app._has_skipped


async def test_a_dashboard_that_is_busy_is_no_slow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame is taken when the terminal has it, not when the dashboard gets round to hearing of it."""
    now = 1_000.0
    monkeypatch.setattr("tui.pacing.monotonic", lambda: now)
    made = bench(make_busy(FakeEngine()))
    meter = Meter(io.StringIO())
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app = made.app
        app._terminal = SimpleNamespace(meter=meter, glass=Glass())  # type: ignore[assignment]
        meter.when_even = app._terminal_is_even
        for taken_after, is_slow in (0.01, False), (0.01, False), (0.5, False), (0.5, True):
            meter.promise(100)
            app._display(app.screen, Text("a frame"))
            now += taken_after
            meter.write("x" * 100)
            meter.flush()
            now += 3.0
            await pilot.pause()
            assert (app.backpressure.rate < inf) == is_slow


@pytest.mark.parametrize("step", [1, -1])
async def test_minus_stays_lean(step: int) -> None:
    async with driving(lean=True) as at:
        at.app.desk.change_rate(step)
        assert at.app.desk.lean == (step < 0)
