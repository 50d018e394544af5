"""Alerts: how they are listed, what is read of their past, and what can be ordered about them."""

from collections.abc import Mapping

import pytest
from archive_fakes_watch import NOON, alert_past, silences, watched_alerts
from dashboard_fakes import FakeArchive, FakeEngine
from rich.cells import cell_len
from test_behaviour import Driver, driving

from core.errors import EngineUnreachable, StoreError
from core.events import AlertChanged
from tui.archive.alerts import AlertPast
from tui.lookups import Answer
from tui.query import order
from tui.screens.alerts import AlertScreen
from tui.screens.forms import Form
from tui.screens.modals import Question, Reader
from tui.text import ASCII, UNICODE
from tui.views import alert, alerts
from tui.views import silences as silence_views
from tui.views.frame import Canvas, plain

KNOWN = {each.alert: each for each in watched_alerts()}


def engine(*more: AlertChanged) -> FakeEngine:
    made = FakeEngine()
    made.publish(*watched_alerts(), *more)
    return made


def standings(known: Mapping[str, AlertChanged]) -> dict[str, str]:
    return {each.rule: alerts.standing(each, NOON) for each in known.values()}


def test_a_state_is_one_word() -> None:
    assert standings(KNOWN) == {
        "vendor_unavailable": "firing",
        "data_freshness": "explained",
        "run_failed": "explained",
        "host_memory": "acked",
        "late_series": "silenced",
        "loop_lag": "recovering",
        "quota_month": "no data",
        "disk_space": "pending",
        "clock_skew": "resolved",
    }
    for glyphs in (UNICODE, ASCII):
        assert all(word in glyphs.states for word in standings(KNOWN).values())


def test_what_has_run_out_keeps_nothing_quiet() -> None:
    assert alerts.standing(KNOWN["host_memory:host"], NOON + 9_001) == "firing"
    assert alerts.standing(KNOWN["late_series:spot_ohlcv/kraken/ADA-EUR/1d"], NOON + 641) == "firing"


def test_causes_are_a_tree() -> None:
    keys = order(KNOWN, alerts.FIELDS, alerts.DEFAULT)
    tree = alerts.as_tree(keys, KNOWN)
    assert list(tree.items())[:3] == [
        ("vendor_unavailable:vendor", 0),
        ("run_failed:j-0004", 1),
        ("data_freshness:spot_ohlcv/kraken", 2),
    ]
    assert sorted(tree) == sorted(keys)


def test_causes_in_a_circle_are_all_listed() -> None:
    def circular(name: str, cause: str) -> AlertChanged:
        return AlertChanged(
            alert=name, rule=name, level="ERROR", state="firing", since=1.0, message="", inhibited_by=cause
        )

    known = {name: circular(name, cause) for name, cause in (("a", "b"), ("b", "a"), ("c", "c"), ("d", "gone"))}
    assert sorted(alerts.as_tree(known, known)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_every_line_fits(width: int, glyphs: object) -> None:
    canvas = Canvas(width, glyphs, NOON, 10.0)  # type: ignore[arg-type]
    found = Answer(alert_past(), 9.0)
    views = [
        silence_views.view(Answer(silences(), 9.0), silence_views.counts(silences(), KNOWN.values()), canvas),
        alert.changes_view(found, canvas),
        alert.notices_view(found, canvas),
        *(alert.facts_view(each, KNOWN, canvas) for each in KNOWN.values()),
    ]
    for view in views:
        for line in (view.head, *(view.line(key) for key in view.keys), *view.empty):
            assert cell_len(plain(line)) <= max(width, 25)
            assert glyphs is UNICODE or plain(line).isascii()


def test_facts_say_what_to_try() -> None:
    facts = dict(alert.facts(KNOWN["vendor_unavailable:vendor"], KNOWN, NOON))
    assert facts["next"] == "tapewatch explain vendor"
    assert facts["engine"] == "asks again every 30 s; jobs wait"
    assert facts["explains"] == "1 alert: run_failed:j-0004"
    facts = dict(alert.facts(KNOWN["data_freshness:spot_ohlcv/kraken"], KNOWN, NOON))
    assert facts["because"] == "run_failed:j-0004: run_failed does not hold for j-0004"
    assert "acked" not in facts
    assert dict(alert.facts(KNOWN["host_memory:host"], KNOWN, NOON))["acked"].startswith(
        "by ada (more is ordered) until"
    )


def test_why_nothing_is_known_is_said() -> None:
    canvas = Canvas(80)
    nothing: Answer[AlertPast] = Answer()
    assert plain(alert.changes_view(nothing, canvas).empty[0]) == "Reading ..."
    assert plain(alert.notices_view(Answer(trouble="no store"), canvas).empty[0]) == "Unknown: no store"
    assert plain(alert.notices_view(Answer(AlertPast((), ()), 1.0), canvas).empty[0]) == alert.NOT_TOLD


async def opened(at: Driver, key: str) -> None:
    await at.press("4")
    at.pane("all_alerts").select(key)
    await at.settle()


@pytest.mark.slow
async def test_the_list_is_filtered_by_state_and_sorted() -> None:
    async with driving(engine()) as at:
        await at.press("4", "slash", *"state:acked", "enter")
        assert at.pane("all_alerts").view.keys == ["host_memory:host"]
        await at.press("escape", "s", *"rule", "enter")
        assert at.pane("all_alerts").view.keys[0] == "clock_skew:vendor"


@pytest.mark.slow
async def test_an_alert_is_opened_with_its_past_and_who_was_told() -> None:
    async with driving(engine()) as at:
        await opened(at, "vendor_unavailable:vendor")
        await at.press("enter")
        assert isinstance(at.app.screen, AlertScreen)
        assert any("tapewatch explain vendor" in line for line in at.lines("alert_facts"))
        assert any("pager" in line and "✓ sent" in line for line in at.lines("notices"))
        await at.press("tab", "enter")
        assert isinstance(at.app.screen, Reader)
        await at.press("escape", "escape")
        assert at.screen.kind == "alerts"


async def test_an_alert_that_is_gone_stays_on_its_screen() -> None:
    async with driving(engine()) as at:
        await opened(at, "loop_lag:engine")
        await at.press("enter")
        at.engine.connections[-1].say(FakeEngine().bus.snapshot())
        await at.settle()
        assert any("loop_lag does not hold" in line for line in at.lines("alert_facts"))


@pytest.mark.slow
async def test_it_is_acknowledged_with_a_comment() -> None:
    async with driving(engine(), user="ada") as at:
        await opened(at, "vendor_unavailable:vendor")
        await at.press("a", *"asked", "up", "down", "enter")
        given = {"alert": "vendor_unavailable:vendor", "by": "ada", "seconds": 43_200.0, "comment": "asked"}
        assert at.engine.commands == [("ack", given)]
        assert "the engine agreed" in at.toasts()[-1]


@pytest.mark.slow
async def test_what_is_no_length_of_time_is_said_and_stays() -> None:
    async with driving(engine()) as at:
        await opened(at, "vendor_unavailable:vendor")
        await at.press("a", "shift+tab", "ctrl+u", *"soon", "enter")
        assert isinstance(at.app.screen, Form)
        assert "write 90d, 12h, 30m" in str(at.app.screen.verdict.content)
        assert at.engine.commands == []


@pytest.mark.slow
async def test_it_is_silenced_and_how_much_that_covers_is_said_before() -> None:
    async with driving(engine(), user="ada") as at:
        await opened(at, "vendor_unavailable:vendor")
        await at.press("Z")
        form = at.app.screen
        assert isinstance(form, Form)
        assert str(form.verdict.content) == "matches 1 open alert: vendor_unavailable:vendor"
        await at.press("tab", "ctrl+u", *"*", "tab", "ctrl+u", *"*")
        assert str(form.verdict.content).startswith("matches 7 open alerts: ")
        await at.press("enter")
        assert "say who silences, and why" in str(form.verdict.content)
        await at.press("tab", "tab", "tab", *"known", "enter")
        assert "silence what?" in str(form.verdict.content)
        await at.press("shift+tab", "shift+tab", "down", "down", "enter")
        [(command, given)] = at.engine.commands
        assert command == "silence"
        assert given == {
            "rule": "*", "source": "*", "level": "WARNING", "seconds": 3_600.0, "comment": "known", "author": "ada",
        }  # fmt: skip


async def test_the_store_is_asked_again_after_an_order() -> None:
    archive = FakeArchive()
    async with driving(engine(), archive=archive) as at:
        await opened(at, "vendor_unavailable:vendor")
        before = archive.asked.count("silences")
        await at.press("a", "enter")
        assert archive.asked.count("silences") == before + 1


@pytest.mark.slow
async def test_both_are_taken_back() -> None:
    async with driving(engine(), user="ada") as at:
        await opened(at, "host_memory:host")
        await at.press("u")
        assert at.engine.commands.pop() == ("unack", {"alert": "host_memory:host", "by": "ada"})
        await opened(at, "late_series:spot_ohlcv/kraken/ADA-EUR/1d")
        await at.press("u")
        assert isinstance(at.app.screen, Question)
        assert "It covers 1 open alert." in at.app.screen.question
        await at.press("y")
        assert at.engine.commands.pop() == ("unsilence", {"silence": "3f2a10"})
        await opened(at, "loop_lag:engine")
        await at.press("u")
        assert "neither acknowledged nor silenced" in at.toasts()[-1]


@pytest.mark.slow
async def test_silences_that_match_nothing_are_told_and_ended_from_their_pane() -> None:
    async with driving(engine()) as at:
        await at.press("4", "tab", "tab")
        assert "Silences 2" in at.lines("silences")[0]
        at.engine.publish(AlertChanged(alert="quota_month:quota", rule="quota_month", level="WARNING",
                                       state="resolved", since=NOON, message=""))  # fmt: skip
        await at.settle()
        assert "1 matching nothing" in at.lines("silences")[0]
        await at.press("down", "u", "y")
        assert at.engine.commands == [("unsilence", {"silence": "77c0de"})]


async def test_who_only_looks_orders_nothing() -> None:
    async with driving(engine(), read_only=True) as at:
        await opened(at, "vendor_unavailable:vendor")
        for key in ("a", "Z", "u"):
            await at.press(key)
            assert at.screen.kind == "alerts"
            assert "read-only" in at.toasts()[-1]
        assert at.engine.commands == []


async def test_a_store_that_cannot_be_read_says_so() -> None:
    archive = FakeArchive()
    archive.trouble = StoreError("the disk is gone")
    async with driving(engine(), archive=archive) as at:
        await opened(at, "vendor_unavailable:vendor")
        assert any("the disk is gone" in line for line in at.lines("silences"))
        await at.press("enter")
        assert any("the disk is gone" in line for line in at.lines("changes"))


@pytest.mark.slow
async def test_without_an_engine_the_alerts_are_those_of_the_store() -> None:
    archive = FakeArchive()
    archive.kept_alerts = [KNOWN["vendor_unavailable:vendor"]]
    alone = FakeEngine()
    alone.trouble = EngineUnreachable("no engine answers")
    async with driving(alone, archive=archive) as at:
        await at.press("4")
        await at.settle()
        assert at.pane("all_alerts").view.keys == ["vendor_unavailable:vendor"]
        assert "no engine answers" in at.lines("all_alerts")[0]
        await at.press("enter")
        await at.settle()
        assert any("tapewatch explain vendor" in line for line in at.lines("alert_facts"))
        assert any("pager" in line for line in at.lines("notices"))
        await at.press("a", "enter")
        assert "not connected to an engine" in at.toasts()[-1]
