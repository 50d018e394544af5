"""The book of alerts: incidents and what is told of them, flapping, restarts, silences, and a store that is away."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alerting import Change, Reading, unrecorded
from core.alerting.book import SLICE
from core.alerting.causes import CAUSES
from core.alerting.flaps import REPEAT_SECONDS
from core.alerting.routes import Escalation
from core.alerting.rules import ALERT, KEEP, Level, Rule, Rules
from core.alerting.silences import make_silence
from tests.unit.alert_kit import LEVELS, PLAIN, START, Desk

HOUR = 3_600.0


def test_an_incident_has_one_name_from_its_beginning_to_its_end_and_each_telling_a_number() -> None:
    desk = Desk()
    for value in (0, 6, 12, 30, 6, 0):
        desk.see(value)
    assert desk.kinds == ["fired", "raised", "raised", "lowered", "resolved"]
    [incident] = {entry.alert.incident for entry in desk.told}
    assert incident.endswith(f"-{round((START + 30) * 1000)}")
    assert [entry.alert.sequence for entry in desk.told] == [1, 2, 3, 4, 5]
    assert [entry.grouping for entry in desk.told] == [
        "WARNING:r", "ERROR:r", "CRITICAL:r", "WARNING:r", "WARNING:r",
    ]  # fmt: skip
    waits = [entry.not_before - entry.created for entry in desk.told]
    assert waits == [10.0, 10.0, 0.0, 10.0, 10.0], "what is critical does not wait for others"


def test_the_next_incident_has_another_name() -> None:
    desk = Desk()
    for value in (6, 0):
        desk.see(value)
    desk.see(6, wait=2 * HOUR)
    first, _, second = desk.told
    assert first.alert.incident != second.alert.incident
    assert second.alert.sequence == 1


def test_an_alert_says_what_since_when_and_what_next() -> None:
    rule = Rule("r", "{value} of {source}", "b", LEVELS, reading="figure", unit="%", doing="It waits",
                command="tapewatch why {source}", for_seconds=30)  # fmt: skip
    desk = Desk((rule,))
    for _ in range(3):
        desk.see(6.25, "spot/kraken")
    alert = desk.said[-1]
    assert (alert.message, alert.value, alert.doing, alert.command) == (
        "6.2 % of spot/kraken", 6.25, "It waits", "tapewatch why spot/kraken",
    )  # fmt: skip
    assert (alert.since, alert.fired) == (START + 15, START + 45)
    assert desk.states == ["pending", "firing"]


def test_what_never_fired_is_never_told() -> None:
    desk = Desk((Rule("r", "x", "b", LEVELS, reading="figure", for_seconds=60),))
    for value in (6, 0, 6, 0):
        desk.see(value)
    assert desk.states == ["pending", "inactive"] * 2
    assert desk.told == []


def test_an_hour_of_flapping_is_three_messages_and_calm_tells_the_rest() -> None:
    desk = Desk()
    for second in range(3_600):
        desk.see(6.0 if second % 2 == 0 else 0.0, wait=1.0)
    assert desk.kinds == ["fired", "resolved", "fired"]
    assert desk.said[-1].is_flapping
    for _ in range(61):
        desk.see(0.0)
    assert desk.kinds == ["fired", "resolved", "fired", "resolved"]
    assert not desk.said[-1].is_flapping
    assert desk.told[2].alert.incident == desk.told[3].alert.incident


@pytest.mark.parametrize("period", [2, 15, 30, 120, 600, 890])
def test_an_hour_of_flapping_is_three_messages_however_slow(period: int) -> None:
    desk = Desk()
    for tick in range(240):
        desk.see(6.0 if tick * 15 // period % 2 == 0 else 0.0)
    assert len(desk.told) <= 3


def test_what_becomes_critical_while_it_flaps_is_told() -> None:
    desk = Desk()
    for tick in range(20):
        desk.see(6.0 if tick % 2 == 0 else 0.0)
    desk.see(30.0)
    assert desk.kinds[3:] == ["raised"]
    assert desk.told[-1].alert.level == "CRITICAL"


def test_an_escalation_is_no_flapping() -> None:
    desk = Desk()
    for value in (6, 12, 30, 0):
        desk.see(value)
    assert desk.kinds == ["fired", "raised", "raised", "resolved"]
    assert not any(alert.is_flapping for alert in desk.said)


def test_what_fires_is_told_again_every_four_hours_until_somebody_sees_to_it() -> None:
    desk = Desk()
    desk.see(6)
    for _ in range(9):
        desk.see(6, wait=HOUR)
    assert desk.kinds == ["fired", "repeated", "repeated"]
    assert [entry.alert.sequence for entry in desk.told] == [1, 2, 3]
    alert = desk.alerts.open_alerts()[0]
    desk.alerts.acknowledge(_acked(alert, desk.now + 6 * HOUR))
    for _ in range(5):
        desk.see(6, wait=HOUR)
    assert len(desk.told) == 3
    for _ in range(2):
        desk.see(6, wait=HOUR)
    assert desk.kinds[3:] == ["repeated"], "an acknowledgement ends"


def test_information_is_told_once() -> None:
    desk = Desk((Rule("r", "x", "b", (Level("INFO", 5, 5),), reading="figure"),))
    for _ in range(9):
        desk.see(6, wait=HOUR)
    assert desk.kinds == ["fired"]


def _acked(alert: Any, until: float) -> Any:
    import msgspec

    return msgspec.structs.replace(alert, acked_by="ann", acked_until=until)


def test_silenced_alerts_are_shown_with_the_end_of_the_silence_and_not_repeated() -> None:
    desk = Desk()
    desk.alerts.silence([make_silence("x", START, START + 10 * HOUR, "ann", "work", source="s*")])
    desk.see(6)
    assert desk.said[-1].silenced_until == START + 10 * HOUR
    desk.see(6, wait=REPEAT_SECONDS)
    assert desk.kinds == ["fired"]
    desk.alerts.silence([])
    desk.see(6)
    assert desk.said[-1].silenced_until is None
    assert desk.kinds == ["fired", "repeated"]


def test_a_cause_is_named_and_groups_what_it_explains() -> None:
    rule = Rule("data_freshness", "x", "b", LEVELS, reading="figure")
    desk = Desk((rule,))
    desk.alerts.rules = Rules({rule.name: rule}, causes=CAUSES)
    desk.alerts.fire("vendor_unavailable", "CRITICAL", "coindesk", "gone", desk.now)
    desk.see(6, "spot_ohlcv/kraken/1m")
    assert desk.said[-1].inhibited_by == "vendor_unavailable:coindesk"
    assert desk.told[-1].grouping == "WARNING:vendor_unavailable"
    desk.alerts.resolve("vendor_unavailable", "coindesk")
    desk.see(6, "spot_ohlcv/kraken/1m")
    desk.see(6, "spot_ohlcv/kraken/1m")
    assert desk.said[-1].inhibited_by == ""


def stored(desk: Desk) -> list[Change]:
    """What the store has of each alert."""
    return list({change.alert.alert: change for change in desk.alerts.unrecorded()}.values())


@pytest.mark.parametrize("pause", [1.0, HOUR, 40 * 24 * HOUR])
def test_a_restart_changes_nothing(pause: float) -> None:
    rule = Rule("r", "x", "b", LEVELS, reading="figure", for_seconds=60, keep_seconds=60)
    desk = Desk((rule,))
    desk.see(6)
    desk.open_book(stored(desk))
    desk.now += pause
    desk.see(6, wait=60)
    assert (desk.states[-1], desk.said[-1].since) == ("firing", START + 15)
    fired = desk.said[-1]
    desk.open_book(stored(desk))
    desk.now += pause
    desk.see(6)
    assert desk.kinds in ([], ["repeated"]), "who was told before is not told again"
    desk.see(0)
    desk.open_book(stored(desk))
    desk.now += pause
    desk.see(0, wait=60)
    assert desk.kinds == ["resolved"]
    assert desk.told[0].alert.incident == fired.incident


def test_flapping_is_remembered() -> None:
    desk = Desk()
    told = 0
    for tick in range(40):
        desk.see(6.0 if tick % 2 == 0 else 0.0)
        told += len(desk.told)
        desk.open_book(stored(desk))
    assert told == 3


def test_an_alert_of_a_version_without_memories_goes_on_firing() -> None:
    desk = Desk()
    desk.see(6)
    [change] = stored(desk)
    old = Change(_acked(change.alert, 0.0), "{}")
    desk.open_book([old])
    desk.see(6)
    assert desk.kinds == []
    desk.see(0)
    assert desk.kinds == ["resolved"]


def test_a_source_that_is_not_there_any_more_is_over_and_one_nobody_asked_about_is_not() -> None:
    desk = Desk()
    desk.see(6, "a")
    desk.see(6, "b")
    desk.alerts.observe([Reading("figure", "b", 6, desk.now)], desk.now, complete=["figure"])
    assert desk.alerts.firing("r") == ["b"]
    desk.alerts.observe([], desk.now)
    assert desk.alerts.firing("r") == ["b"]


def test_an_alert_of_a_rule_that_was_switched_off_is_over() -> None:
    desk = Desk()
    desk.see(6)
    known = stored(desk)
    desk.rules = ()
    desk.open_book(known)
    desk.alerts.observe([], desk.now)
    assert desk.kinds == ["resolved"]


def test_three_failures_are_an_alert_of_their_own_and_resolve_nothing() -> None:
    desk = Desk()
    desk.see(6)
    for _ in range(3):
        desk.now += 15
        desk.alerts.failed(["figure"], "the store is slow", desk.now)
    assert {alert.source: alert.state for alert in desk.alerts.open_alerts()} == {"s": "firing", "*": "error"}
    assert desk.said[-1].message == "r cannot be evaluated: the store is slow"
    desk.see(6)
    assert [alert.source for alert in desk.alerts.open_alerts()] == ["s"]


def test_silence_of_a_feed_is_the_failure() -> None:
    rule = Rule("r", "x", "b", LEVELS, reading="figure", no_data=ALERT, no_data_seconds=30)
    desk = Desk((rule,))
    for _ in range(3):
        desk.see(None)
    assert (desk.states[-1], desk.said[-1].level) == ("no_data", "WARNING")
    assert "there has been nothing to go by about s since 2025-06-15T15:06:55Z" in desk.said[-1].message
    desk.see(1)
    assert desk.kinds == ["fired", "resolved"]


def test_more_sources_than_a_rule_may_have_are_one_alert() -> None:
    desk = Desk((Rule("r", "x", "b", LEVELS, reading="figure", limit=3),))
    for _ in range(2):
        desk.now += 15
        desk.alerts.observe([Reading("figure", f"s{number}", 6, desk.now) for number in range(5)], desk.now)
    assert sorted(alert.source for alert in desk.alerts.open_alerts()) == ["*", "s0", "s1", "s2"]
    assert desk.alerts.level("r", "*") == "WARNING"


def test_conditions_count_up_and_take_the_level_they_are_given() -> None:
    desk = Desk()
    for level in ("WARNING", "WARNING", "CRITICAL"):
        desk.alerts.fire("run_failed", level, "spot", "bad\x1b[2J", desk.now)
    assert [(alert.level, alert.count, alert.message) for alert in desk.said] == [
        ("WARNING", 1, "bad [2J"), ("WARNING", 2, "bad [2J"), ("CRITICAL", 3, "bad [2J"),
    ]  # fmt: skip
    desk.alerts.resolve("run_failed", "spot")
    desk.alerts.resolve("run_failed", "spot")
    assert desk.kinds == ["fired", "raised", "resolved"]
    assert desk.alerts.level("run_failed", "spot") == ""


def test_a_condition_may_be_held_for_a_while() -> None:
    desk = Desk((Rule("held", is_condition=True, keep_seconds=60),))
    desk.alerts.fire("held", "ERROR", "s", "m", desk.now)
    desk.alerts.resolve("held", "s")
    assert desk.states[-1] == "recovering"
    desk.see(0, wait=60)
    assert desk.states[-1] == "resolved"


def escalating(after: float = 900.0) -> Desk:
    desk = Desk()
    desk.alerts.escalations = lambda _alert: [Escalation("pager", after)]
    return desk


def told_on(desk: Desk, channel: str) -> list[str]:
    return [entry.kind for entry in desk.told if entry.channel == channel]


def test_what_nobody_sees_to_is_told_elsewhere_once_and_its_end_too() -> None:
    desk = escalating()
    for _ in range(60):
        desk.see(6)
    assert told_on(desk, "pager") == [], "15 minutes are not over"
    for _ in range(3):
        desk.see(6)
    assert told_on(desk, "pager") == ["escalated"]
    desk.see(30, wait=900)
    desk.see(0)
    assert told_on(desk, "pager") == ["escalated", "raised", "resolved"]
    assert told_on(desk, "log") == ["fired", "raised", "resolved"]
    sequences = [entry.alert.sequence for entry in desk.told if entry.channel == "pager"]
    assert sequences == sorted(set(sequences))


def test_what_is_over_in_time_is_told_nowhere_else() -> None:
    desk = Desk((Rule("r", "x", "b", LEVELS, reading="figure", keep_seconds=600),))
    desk.alerts.escalations = lambda _alert: [Escalation("pager", 60.0)]
    for value in (6, 6, 0, *[0] * 45):
        desk.see(value)
    assert told_on(desk, "pager") == []
    assert told_on(desk, "log") == ["fired", "resolved"]


def test_who_sees_to_it_in_time_is_not_passed_over_until_that_ends() -> None:
    desk = escalating()
    desk.see(6)
    desk.alerts.acknowledge(_acked(desk.alerts.open_alerts()[0], desk.now + HOUR))
    desk.see(6, wait=HOUR - 1)
    assert told_on(desk, "pager") == []
    for wait in (2, 890):
        desk.see(6, wait=wait)
        assert told_on(desk, "pager") == [], "the time begins anew"
    desk.see(6, wait=15)
    assert told_on(desk, "pager") == ["escalated"]


def test_what_is_silenced_is_nobodys_fault() -> None:
    desk = escalating()
    desk.alerts.silence([make_silence("x", START, START + 2 * HOUR, "ann", "work", source="s")])
    for _ in range(7):
        desk.see(6, wait=900)
    assert told_on(desk, "pager") == []


def test_a_new_incident_is_told_elsewhere_again() -> None:
    desk = escalating()
    for value, wait in ((6, 15), (6, 900), (0, 15), (6, 2 * HOUR), (6, 900)):
        desk.see(value, wait=wait)
    assert told_on(desk, "pager") == ["escalated", "resolved", "escalated"]


@pytest.mark.parametrize("before", [60.0, 900.0])
def test_restarts_neither_lose_nor_repeat_what_is_told_elsewhere(before: float) -> None:
    desk, told, kept = escalating(), list[str](), dict[str, Change]()
    desk.see(6)
    desk.see(6, wait=before)
    for _ in range(4):
        told += told_on(desk, "pager")
        kept |= {change.alert.alert: change for change in stored(desk)}
        desk.open_book(kept.values())
        desk.alerts.escalations = lambda _alert: [Escalation("pager", 900.0)]
        desk.see(6, wait=400)
    assert [*told, *told_on(desk, "pager")] == ["escalated"]


def test_a_condition_that_is_switched_off_is_nothing() -> None:
    desk = Desk()
    desk.alerts.rules = Rules(off=frozenset({"run_failed"}))
    desk.alerts.fire("run_failed", "ERROR", "s", "m", desk.now)
    assert desk.said == []


def test_a_condition_that_is_switched_off_while_it_fires_is_over() -> None:
    desk = Desk()
    desk.alerts.fire("run_failed", "ERROR", "s", "m", desk.now)
    desk.alerts.rules = Rules(off=frozenset({"run_failed"}))
    desk.alerts.observe([], desk.now)
    assert desk.kinds == ["fired", "resolved"]


def test_what_another_engine_did_is_adopted_unless_ours_is_newer() -> None:
    ours, theirs = Desk(), Desk()
    for desk in (ours, theirs):
        desk.see(6)
    theirs.open_book(stored(ours))
    ours.see(0)
    theirs.alerts.adopt(stored(ours), seq=99)
    assert theirs.states[-1] == "resolved"
    assert theirs.told == [], "who resolved it tells of it"
    ours.see(6)
    ours.alerts.adopt(stored(theirs), seq=99)
    assert ours.alerts.level("r", "s") == "WARNING"


def test_recording_forgets_what_was_written_and_nothing_else() -> None:
    desk = Desk()
    desk.see(6)
    written = desk.alerts.unrecorded()
    desk.see(12)
    desk.alerts.recorded(written)
    [left] = desk.alerts.unrecorded()
    assert [entry.kind for entry in left.entries] == ["raised"]
    desk.alerts.recorded([left])
    assert desk.alerts.unrecorded() == []


def test_what_counts_up_while_it_is_written_is_written_once() -> None:
    desk = Desk()
    desk.alerts.fire("c", "ERROR", "s", "m", desk.now)
    written = desk.alerts.unrecorded()
    desk.alerts.fire("c", "ERROR", "s", "n", desk.now)
    desk.alerts.recorded(written)
    [left] = desk.alerts.unrecorded()
    assert (left.alert.count, left.entries, left.is_logged) == (2, (), False)


def test_while_the_store_is_away_memory_is_bounded_and_no_end_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrecorded, "MOST", 100)
    desk, kept = Desk(), unrecorded.Unrecorded()
    for number in range(250):
        desk.see(6.0 if number % 2 == 0 else 0.0, f"s{number // 2 % 10}", wait=400.0)
        for change in desk.alerts.unrecorded():
            kept.add(change)
        desk.alerts.recorded(desk.alerts.unrecorded())
    assert len(kept.all()) <= 100
    last = {change.alert.alert: change.alert.state for change in kept.all()}
    assert set(last.values()) == {"resolved"}
    assert {entry.alert.alert for change in kept.all() for entry in change.entries} == set(last)


def outage(minutes_after: int, fault: float) -> Desk:
    """Calls fail with the vendor away for ten minutes, and are at `fault` percent for a while after that."""
    rule = Rule("api_error_rate", "{value}", "b", LEVELS, reading="api_error_rate", keep_seconds=60.0)
    desk = Desk((rule,))
    desk.alerts.rules = Rules({rule.name: rule}, causes=CAUSES)
    desk.alerts.fire("vendor_unavailable", "CRITICAL", "coindesk", "away", desk.now)
    rates = [30.0] * 40 + [fault] * (4 * minutes_after)
    for number, rate in enumerate(rates):
        desk.now += 15.0
        desk.alerts.observe([Reading("api_error_rate", "coindesk", rate, desk.now)], desk.now)
        if number == 40:
            desk.alerts.resolve("vendor_unavailable", "coindesk")
    return desk


def test_what_an_outage_explains_is_explained_while_the_figures_look_back_on_it() -> None:
    for minutes, explained in ((6, True), (8, False)):
        [alert] = outage(minutes, 30.0).alerts.open_alerts()
        assert bool(alert.inhibited_by) == explained, minutes


def test_a_cause_that_is_over_still_explains_after_a_restart() -> None:
    desk = outage(3, 30.0)
    desk.open_book(stored(desk))
    [alert] = desk.alerts.open_alerts()
    desk.alerts.rules = Rules(desk.alerts.rules.rules, causes=CAUSES)
    found = desk.alerts.causes(desk.now).explaining(alert)
    assert found is not None
    assert found.alert == "vendor_unavailable:coindesk"


@pytest.mark.slow
def test_ten_thousand_alerts_are_one_group() -> None:
    rules = tuple(Rule(f"r{number}", "x", "b", LEVELS, reading="figure") for number in range(5))
    desk = Desk(rules)
    readings = [Reading("figure", f"s{number}", 6, desk.now) for number in range(2_000)]
    desk.alerts.observe(readings, desk.now)
    assert len(desk.told) == 10_000
    assert len({entry.grouping for entry in desk.told}) == 5


def crowd(desk: Desk, value: float) -> list[Reading]:
    return [Reading("figure", f"s{number}", value, desk.now) for number in range(1_000)]


def test_many_are_evaluated_in_slices() -> None:
    desk = Desk((PLAIN, Rule("quiet", "x", "b", LEVELS, reading="figure", source="s1*")))
    for value, changed in ((6, 1_111), (12, 1_111), (0, 1_111), (0, 0)):
        desk.now += 15
        slices, said = [], len(desk.said)
        for _ in desk.alerts.observing(crowd(desk, value), desk.now):
            slices.append(len(desk.said) - said)
            said = len(desk.said)
        slices.append(len(desk.said) - said)
        assert max(slices) <= SLICE
        assert sum(slices) == changed
        assert len(slices) >= 2 * 1_111 // SLICE


def test_what_happens_between_two_slices_stays() -> None:
    desk = Desk()
    desk.alerts.fire("run_failed", "ERROR", "a", "m", desk.now)
    desk.alerts.observe(crowd(desk, 6), desk.now)
    desk.now += 15
    for number, _ in enumerate(desk.alerts.observing(crowd(desk, 6)[:500], desk.now, ["figure"])):
        desk.alerts.fire("run_failed", "ERROR", f"new{number}", "m", desk.now)
        acked = next(alert for alert in desk.alerts.open_alerts() if alert.alert == f"r:s{number}")
        desk.alerts.acknowledge(_acked(acked, desk.now + HOUR))
        if number == 1:
            desk.alerts.resolve("run_failed", "a")
    assert number >= 4
    assert set(desk.alerts.firing("run_failed")) == {f"new{each}" for each in range(number + 1)}
    assert len(desk.alerts.firing("r")) == 500
    acks = {alert.source for alert in desk.alerts.open_alerts() if alert.acked_by == "ann"}
    assert acks == {f"s{each}" for each in range(number + 1)}


FIGURES = st.one_of(st.none(), st.sampled_from([0.0, 6.0, 12.0, 30.0, float("nan")]))
STEPS = st.lists(st.tuples(FIGURES, st.sampled_from([1.0, 15.0, 900.0, 4_000.0]), st.booleans()), max_size=40)
SPANS = st.sampled_from([0.0, 30.0, 600.0])


@given(STEPS, SPANS, SPANS, st.sampled_from([KEEP, ALERT]))
def test_whatever_comes_nobody_hears_of_an_end_before_a_beginning(
    steps: list[tuple[float | None, float, bool]], wait: float, keep: float, policy: str
) -> None:
    rule = Rule("r", "x", "b", LEVELS, reading="figure", for_seconds=wait, keep_seconds=keep, no_data=policy)
    desk, entries = Desk((rule,)), list[tuple[str, str, int]]()
    for value, pause, restarts in steps:
        desk.see(value, wait=pause)
        entries += [(entry.alert.incident, entry.kind, entry.alert.sequence) for entry in desk.told]
        known = stored(desk)
        desk.alerts.recorded(desk.alerts.unrecorded())
        if restarts and known:
            desk.open_book(known)
    for incident in {entry[0] for entry in entries}:
        told = [entry for entry in entries if entry[0] == incident]
        assert told[0][1] == "fired"
        assert [entry[1] for entry in told].count("fired") == 1
        assert "resolved" not in [entry[1] for entry in told[:-1]]
        assert [entry[2] for entry in told] == sorted({entry[2] for entry in told})
