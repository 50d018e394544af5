"""One message for one cause: what explains what, and what never does."""

from collections.abc import Iterable, Mapping, Sequence

import pytest

from core.alerting.causes import CAUSES, Causes
from core.alerting.rules import Rule, Rules
from core.events import AlertChanged

FIGURES = {name: Rule(name, "x", "b", reading=name, keep_seconds=60.0) for name in ("api_error_rate", "data_freshness")}


def alert(
    rule: str, source: str = "coindesk", level: str = "ERROR", state: str = "firing", over: float | None = None
) -> AlertChanged:
    return AlertChanged(
        alert=f"{rule}:{source}", rule=rule, level=level, state=state, since=0.0, message="m", source=source,
        resolved=over,
    )  # fmt: skip


def ended(rule: str, at: float, level: str = "ERROR", source: str = "coindesk") -> AlertChanged:
    return alert(rule, source, level, "resolved", at)


def inhibited_by(
    of: AlertChanged,
    alerts: Iterable[AlertChanged],
    causes: Mapping[str, Sequence[str]] = CAUSES,
    now: float = 10_000.0,
) -> str:
    rules = Rules(FIGURES, causes={name: tuple(above) for name, above in causes.items()})
    found = Causes(alerts, rules, now).explaining(of)
    return "" if found is None else found.alert


DRIFT = alert("quarantine_rate", "spot_ohlcv/kraken")
STALE = alert("data_freshness", "spot_ohlcv/kraken", "WARNING")


@pytest.mark.parametrize(
    ("causes", "by"),
    [
        ([], ""),
        ([STALE], ""),
        ([alert("vendor_unavailable")], "vendor_unavailable:coindesk"),
        ([alert("vendor_unavailable"), DRIFT], DRIFT.alert),
        ([alert("quarantine_rate", "spot_ohlcv")], "quarantine_rate:spot_ohlcv"),
        ([alert("quarantine_rate", "spot_ohlcv/krak")], ""),
        ([alert("quarantine_rate", "spot_ohlcv/binance")], ""),
        ([alert("store_unavailable", "sqlite:///a.db")], "store_unavailable:sqlite:///a.db"),
        ([alert("memory", "host")], ""),
    ],
)  # fmt: skip
def test_the_nearest_cause_explains_what_is_below_it(causes: list[AlertChanged], by: str) -> None:
    assert inhibited_by(STALE, causes) == by


@pytest.mark.parametrize("state", ["pending", "resolved", "inactive"])
def test_only_what_is_open_explains(state: str) -> None:
    assert inhibited_by(STALE, [alert("vendor_unavailable", state=state)]) == ""


@pytest.mark.parametrize(
    ("rule", "seconds", "explains"),
    [
        ("api_error_rate", 300 + 60 + 59, True),  # five minutes of calls, a minute to recover, one to notice
        ("api_error_rate", 300 + 60 + 60, False),
        ("data_freshness", 60 + 59, True),
        ("data_freshness", 60 + 60, False),
        ("retries_exhausted", 0, False),
    ],
)
def test_a_cause_that_is_over_explains_while_figures_look_back_on_it(rule: str, seconds: float, explains: bool) -> None:
    over = ended("vendor_unavailable", 10_000.0 - seconds)
    assert inhibited_by(alert(rule), [over]) == ("vendor_unavailable:coindesk" if explains else "")


def test_what_is_open_explains_before_what_is_over_and_what_ended_last_before_others() -> None:
    first, last = ended("vendor_unavailable", 9_000.0, source="a"), ended("vendor_unavailable", 9_900.0, source="b")
    graver = ended("vendor_unavailable", 9_800.0, "CRITICAL", "c")
    is_open = alert("vendor_unavailable", "d")
    assert inhibited_by(alert("api_error_rate"), [first, last]) == last.alert
    assert inhibited_by(alert("api_error_rate"), [last, first]) == last.alert
    assert inhibited_by(alert("api_error_rate", level="CRITICAL"), [last, graver]) == graver.alert
    assert inhibited_by(alert("api_error_rate"), [last, graver, is_open]) == is_open.alert


def test_a_warning_hides_nothing_that_is_graver() -> None:
    skewed = alert("clock_skew", level="WARNING")
    assert inhibited_by(alert("vendor_unavailable", level="CRITICAL"), [skewed]) == ""
    assert inhibited_by(alert("vendor_unavailable", level="WARNING"), [skewed]) == "clock_skew:coindesk"


def test_a_circle_of_causes_ends() -> None:
    causes = {"a": ("b",), "b": ("a",)}
    assert inhibited_by(alert("a"), [alert("a"), alert("b")], causes) == "b:coindesk"
    assert inhibited_by(alert("a"), [alert("a")], causes) == ""


def test_the_tree_has_no_circle() -> None:
    for rule in CAUSES:
        assert inhibited_by(alert(rule), [alert(rule)]) == ""
