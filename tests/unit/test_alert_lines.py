"""Alerts within 40, 80 and 120 columns, with hostile names."""

import re

import msgspec
import pytest

from core.alerting import Change
from core.alerting.incidents import Memory
from core.alerting.listing import Wanted, listed
from core.alerting.rule_files import default_rules
from core.alerting.rules import Rules
from core.alerting.silences import Silence
from core.cli import alert_lines
from core.events import AlertChanged
from core.stores.alerts import Logged

NOW = 1_748_779_200.0
HOSTILE = "a\x1b[2Jb\n\"c'\ud800[red]d[/red]\x9b1m\u202e"
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202e]")


def alert(rule: str = "run_failed", source: str = "spot_ohlcv/1d", **changes: object) -> AlertChanged:
    made = AlertChanged(
        alert=f"{rule}:{source}",
        rule=rule,
        level="ERROR",
        state="firing",
        since=NOW - 600,
        message="kraken BTC-USD: not found, and a few words more that make the line a long one",
        source=source,
        incident=f"{rule}-1",
        doing="The next run of the data type tries again",
        command="tapewatch jobs list",
    )
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_everything_is_said_within_the_width(width: int) -> None:
    told = alert(acked_by="ann", acked_until=NOW, inhibited_by="key_refused:v", silenced_until=NOW, is_flapping=True)
    lines = list(alert_lines.block(told, width, colour=False))
    assert max(map(len, lines)) <= width
    text = re.sub(r"\s+", " ", " ".join(line.strip() for line in lines))
    for words in (
        *("ERROR", "firing", "2025-06-01T11:50:00Z", "run_failed:spot_ohlcv/1d", "acked by ann", "flapping"),
        *("silenced until", "explained by key_refused:v", "make the line a long one"),
        *("engine: The next run of the data type tries again", "next: tapewatch jobs list"),
    ):
        assert words in text


def test_a_narrow_terminal_gets_a_block_and_a_wide_one_a_row() -> None:
    narrow, wide = (list(alert_lines.block(alert(), width, colour=False)) for width in (40, 120))
    assert narrow[:2] == ["ERROR     firing  2025-06-01T11:50:00Z", "  run_failed:spot_ohlcv/1d"]
    assert wide[0] == "ERROR     firing      2025-06-01T11:50:00Z  run_failed:spot_ohlcv/1d"
    assert wide[1].startswith(" " * 44 + "kraken BTC-USD")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_that_a_terminal_would_obey(width: int) -> None:
    texts = ("message", "doing", "command", "acked_by", "inhibited_by")
    told = alert(source=HOSTILE, acked_until=NOW, **dict.fromkeys(texts, HOSTILE))
    lines = list(alert_lines.block(told, width, colour=False))
    assert max(map(len, lines)) <= width
    assert not any(UNSAFE.search(line) for line in lines)
    assert not any(UNSAFE.search(str(value)) for row in alert_lines.rows([told]) for value in row.values())
    change = Logged(7, told)
    assert not UNSAFE.search(alert_lines.change_line(told, NOW, colour=False))
    for found in (alert_lines.as_object(told), alert_lines.change_object(change)):
        assert not any(UNSAFE.search(str(value)) for value in found.values())


def test_only_the_level_has_a_colour() -> None:
    plain, painted = (alert_lines.change_line(alert(), NOW, colour=colour) for colour in (False, True))
    assert painted == plain.replace("ERROR   ", "\x1b[31mERROR   \x1b[0m")
    assert plain == (
        "2025-06-01T12:00:00Z  ERROR     firing      run_failed:spot_ohlcv/1d: "
        "kraken BTC-USD: not found, and a few words more that make the line a long one"
    )


def kept(*alerts: AlertChanged) -> list[Change]:
    return [Change(each, Memory().written()) for each in alerts]


def silence(**patterns: str) -> Silence:
    given = {"rule": "*", "source": "*", "level": "*", **patterns}
    return Silence("s", created=NOW - 60, until=NOW + 60, author="ann", comment="c", **given)


def test_the_gravest_come_first_and_what_is_over_last() -> None:
    over = alert("gaps_open", state="resolved", resolved=NOW - 5)
    found = listed(kept(over, alert(), alert("store_unavailable", level="CRITICAL")), [], default_rules(), NOW)
    assert [each.rule for each in found] == ["store_unavailable", "run_failed", "gaps_open"]


def test_what_keeps_an_alert_from_being_told() -> None:
    alerts = kept(
        alert("key_refused", "v", level="CRITICAL"),
        alert(acked_by="ann", acked_until=NOW - 1),
        alert("gaps_open", "x", acked_by="ann", acked_until=NOW + 1),
    )
    found = {each.rule: each for each in listed(alerts, [silence(source="x")], default_rules(), NOW)}
    assert found["run_failed"].inhibited_by == "key_refused:v"
    assert found["run_failed"].acked_by == ""
    assert (found["gaps_open"].acked_by, found["gaps_open"].silenced_until) == ("ann", NOW + 60)
    assert found["key_refused"].silenced_until is None


def test_words_come_from_the_rules() -> None:
    [found] = listed(kept(alert(doing="", command="")), [], default_rules(), NOW)
    assert found.command == "tapewatch jobs list"
    [found] = listed(kept(alert()), [], Rules(), NOW)
    assert found.command == ""


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        (Wanted(), True),
        (Wanted(level="ERROR"), True),
        (Wanted(level="CRITICAL"), False),
        (Wanted(rule="run_*"), True),
        (Wanted(rule="run"), False),
        (Wanted(source="spot?ohlcv/*"), True),
        (Wanted(source="[s]*"), False),
    ],
)
def test_filters(wanted: Wanted, has: bool) -> None:
    assert wanted.has(alert()) is has
