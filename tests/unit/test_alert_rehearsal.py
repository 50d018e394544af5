"""What rules would have told of runs, restatements and figures of minutes."""

from core.alerting.rehearsal import Firing, blind, rehearsed
from core.alerting.rule_files import default_rules, make_rules
from core.alerting.rules import Rules
from core.history import Sample
from core.monitoring.past import JOURNAL, MEMORY, Past, past_moments
from core.stores.vitals import Ran

NOW = 1_748_779_200
HOUR = 3_600


def ran(ago: int, state: str = "failed", rows: int = 0, quarantined: int = 0) -> Ran:
    return Ran("spot_ohlcv", "1h", state, float(NOW - ago), rows, quarantined)


def rules(name: str, **keys: object) -> Rules:
    return make_rules({"rules": {name: keys}}, "test")


def fired(past: Past, of: Rules | None = None) -> list[tuple[str, str, int, int | None]]:
    """Rule, level, and minutes before now when it fired and ended."""

    chosen = of or default_rules()

    def ago(at: float | None) -> int | None:
        return None if at is None else round((NOW - at) / 60)

    def row(each: Firing) -> tuple[str, str, int, int | None]:
        return each.alert.rule, each.level, round((NOW - each.fired) / 60), ago(each.ended)

    return [row(each) for each in rehearsed(chosen, past_moments(past, chosen, NOW))]


def test_failures_in_a_row_fire_when_the_last_of_them_ended_and_end_with_success() -> None:
    past = Past([ran(9 * HOUR), ran(8 * HOUR), ran(7 * HOUR), ran(6 * HOUR, "complete")])
    assert fired(past) == [("consecutive_failures", "WARNING", 420, 360)]
    stricter = rules("consecutive_failures", above={"WARNING": 2, "CRITICAL": 3})
    assert fired(past, stricter) == [("consecutive_failures", "CRITICAL", 480, 360)]
    assert fired(past, rules("consecutive_failures", enabled=False)) == []


def test_what_is_not_over_has_no_end() -> None:
    assert fired(Past([ran(3 * HOUR)] * 3)) == [("consecutive_failures", "WARNING", 180, None)]


def test_rows_that_were_quarantined_count_for_an_hour() -> None:
    past = Past([ran(5 * HOUR, "complete", 1_000, 300)])
    assert fired(past) == [("quarantine_rate", "CRITICAL", 299, 235)]


def test_bars_that_changed_after_all() -> None:
    past = Past([ran(5 * HOUR, "complete", 1_000)], [("spot_ohlcv", "1h", NOW - 5 * HOUR, 150)])
    [(rule, level, _, _)] = fired(past)
    assert (rule, level) == ("restatement_rate", "ERROR")


def sample(name: str, ago: int, times: int = 1, newest: float = 0.0, outcome: str = "ok") -> Sample:
    labels = f'{{"kind":"history","outcome":"{outcome}"}}'
    return Sample(60, name, labels, NOW - ago, times, newest, newest, newest, newest, {})


def test_calls_that_failed_within_five_minutes() -> None:
    good = [sample("api", minute * 60, 100) for minute in range(60, 0, -1)]
    bad = [sample("api", minute * 60, 100, outcome="5xx") for minute in range(40, 30, -1)]
    past = Past(samples=[*good, *bad, sample("api", 1_800, 50, outcome="404")])
    [(rule, level, begin, end)] = fired(past)
    assert (rule, level) == ("api_error_rate", "CRITICAL")
    assert 30 < begin < 40
    assert end is not None
    assert 20 <= end <= 26, "once they are no more among the last five minutes, and a while later"
    assert past.known_since == {"api_error_rate": NOW - 3_600}


def test_memory_of_the_last_days() -> None:
    past = Past(
        samples=[sample(MEMORY, minute * 60, newest=0.97 if minute > 20 else 0.5) for minute in range(60, 0, -1)]
    )
    assert fired(past) == [("memory", "CRITICAL", 58, 18)]


def test_a_past_without_anything_has_nothing_to_tell() -> None:
    assert fired(Past()) == []


def test_rules_without_a_history_are_named() -> None:
    why = dict(blind(default_rules(), JOURNAL | {"memory"}))
    assert why["data_freshness"] == "no history of data_freshness is stored"
    assert why["run_failed"].startswith("the engine states it by itself")
    assert not {"consecutive_failures", "memory"} & why.keys()
