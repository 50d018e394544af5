"""What is offered for what is selected: nothing that would do nothing."""

from dataclasses import replace

import msgspec
import pytest
from dashboard_fakes import NOON, FakeEngine, alerts, job, make_busy
from test_behaviour import driving

from core.alerting.silences import Silence
from core.events import FINAL_STATES, ScheduleChanged
from tui import actions
from tui.offers import Selected, label

NOTHING = Selected(now=NOON)


def named(action: str, selected: Selected = NOTHING) -> str:
    return label(actions.BY_ID[action], selected)


@pytest.mark.parametrize("state", ["queued", "planning", "running", "waiting", "cancelling"])
def test_a_job_at_work_can_be_held_and_cancelled(state: str) -> None:
    selected = replace(NOTHING, job=job(1, state))
    shown = {name: named(name, selected) for name in ("job.cancel", "job.hold", "job.retry", "job.again")}
    assert shown == {"job.cancel": "cancel", "job.hold": "hold", "job.retry": "", "job.again": ""}


def test_one_that_is_held_can_be_resumed() -> None:
    assert named("job.hold", replace(NOTHING, job=job(1, "held"))) == "resume"


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_one_that_has_ended_can_be_run_again_and_retried_unless_it_is_complete(state: str) -> None:
    selected = replace(NOTHING, job=job(1, state))
    assert (named("job.cancel", selected), named("job.hold", selected)) == ("", "")
    assert named("job.again", selected) == "run again"
    assert named("job.retry", selected) == ("" if state == "complete" else "retry")


def test_an_alert_is_acknowledged_once_and_that_is_taken_back() -> None:
    firing = msgspec.structs.replace(alerts()[0], state="firing", acked_by="", silenced_until=None)
    acked = msgspec.structs.replace(firing, acked_by="ada")
    silenced = msgspec.structs.replace(firing, silenced_until=NOON + 60)
    long_ago = msgspec.structs.replace(firing, silenced_until=NOON - 60)
    over = msgspec.structs.replace(acked, state="resolved")
    shown = [
        (named("alert.ack", replace(NOTHING, alert=each)), named("alert.back", replace(NOTHING, alert=each)))
        for each in (None, firing, acked, silenced, long_ago, over)
    ]
    assert shown == [("", ""), ("ack", ""), ("", "unack"), ("ack", "unsilence"), ("ack", ""), ("", "")]


def test_a_silence_under_the_cursor_is_ended_before_anything_of_an_alert() -> None:
    given = Silence("s-1", "r", "*", "*", "ada", "", 0.0, NOON + 60)
    acked = msgspec.structs.replace(alerts()[0], acked_by="ada")
    assert named("alert.back", replace(NOTHING, alert=acked, silence=given)) == "unsilence"


@pytest.mark.parametrize(("gaps", "shown"), [(None, "repair"), (3, "repair"), (0, "")])
def test_a_series_is_repaired_unless_it_is_known_to_have_no_gaps(gaps: int | None, shown: str) -> None:
    assert named("repair", replace(NOTHING, series="spot_ohlcv/kraken/BTC-USD/1d", gaps=gaps)) == shown
    assert named("repair", replace(NOTHING, gaps=gaps)) == ""


def test_a_schedule_that_is_paused_is_resumed() -> None:
    on = ScheduleChanged(schedule="hourly", cron="2 * * * *", what="spot_ohlcv 1h")
    paused = msgspec.structs.replace(on, paused_since=1.0)
    assert [named("schedule.pause", replace(NOTHING, schedule=each)) for each in (None, on, paused)] == [
        "",
        "hold",
        "resume",
    ]


def test_all_other_actions_go_by_their_own_names() -> None:
    assert named("job.new") == "new"
    assert named("theme") == "next theme"


@pytest.mark.slow
async def test_the_footer_and_the_palette_follow_the_cursor() -> None:
    engine = FakeEngine()
    engine.publish(job(1, "running"))
    async with driving(make_busy(engine), size=(200, 60)) as at:
        live = at.app.live
        assert live is not None
        shown = {}
        for key in list(live.panes["jobs"].view.keys):
            live.panes["jobs"].select(key)
            await at.settle()
            [shown[at.app.desk.state.listed[key].state]] = live.footer.text_lines()
        assert " x cancel " in shown["running"]
        assert " r retry " not in shown["running"]
        assert " x cancel " not in shown["failed"]
        assert " r retry " in shown["failed"]
        assert " p resume " in shown["held"]
        assert " p hold " in shown["running"]
        assert " a ack " not in shown["running"], "no alert is selected while the jobs have the focus"
        await at.press("tab", "tab")
        assert " a ack " in live.footer.text_lines()[0]
