"""Who is told, and in which words."""

import json
import textwrap
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alerting import Entry
from core.alerting.messages import MOST_BYTES, Message, compose, message_id, plain, trial
from core.alerting.routes import Route, Routes
from core.events import AlertChanged

NOW = 1_750_000_000.0
HOSTILE = "\x1b[2J\x1b]52;c;aGk=\x07a\n\"b' <b>@everyone</b> `x` *y* [z](http://e) | \ud800 \u202e &amp; \\ #c"
RAW = set("\x1b\x07\n\"'<>`*[]|@&\\#~\ud800\u202e")


def alert(**fields: Any) -> AlertChanged:
    given = {"alert": "slow:book", "rule": "slow", "level": "ERROR", "state": "firing", "since": NOW - 60,
             "message": "it is slow", "source": "book", "incident": "i1", "sequence": 1, "fired": NOW}  # fmt: skip
    return AlertChanged(**{**given, **fields})


def entry(kind: str = "fired", created: float = NOW, **fields: Any) -> Entry:
    told = alert(**fields)
    return Entry("hook", f"{told.level}:{told.rule}", kind, told, created, NOW)


def made(*entries: Entry) -> Message:
    return compose(message_id(entries), entries)


def test_a_message_says_what_since_when_what_is_done_and_what_to_do() -> None:
    found = made(entry(value=12.5, doing="Calls are retried", command="tapewatch status"))
    assert found.subject == "ERROR fired: slow, book"
    assert found.text == textwrap.dedent(
        """\
        ERROR fired: slow, book

        ERROR fired: it is slow
        book
        since 2025-06-15T15:06:40Z
        last value 12.5

        The engine: Calls are retried
        Next: tapewatch status"""
    )
    assert all(len(line) <= 40 for line in found.text.splitlines())


def test_what_was_over_before_it_could_be_told_is_said_in_one() -> None:
    over = {"state": "resolved", "resolved": NOW + 90, "sequence": 2, "command": "x"}
    found = made(entry(), entry("resolved", **over))
    assert found.subject == "ERROR fired and resolved: slow, book"
    assert "since 2025-06-15T15:06:40Z\nuntil 2025-06-15T15:08:10Z" in found.text
    assert "Next:" not in found.text
    assert [item["what"] for item in found.body["data"]["alerts"]] == ["fired and resolved"]
    assert len(found.alerts) == 1


@pytest.mark.parametrize(
    ("kinds", "word"),
    [
        (["fired", "raised"], "fired"),
        (["raised"], "raised"),
        (["raised", "lowered"], "lowered"),
        (["repeated"], "repeated"),
        (["escalated"], "escalated"),
        (["escalated", "raised"], "escalated"),
        (["escalated", "resolved"], "fired and resolved"),
        (["lowered", "resolved"], "resolved"),
        (["fired", "resolved", "fired"], "fired"),
    ],
)
def test_of_one_incident_the_last_counts(kinds: list[str], word: str) -> None:
    found = made(*(entry(kind, sequence=number) for number, kind in enumerate(kinds)))
    assert [item["what"] for item in found.body["data"]["alerts"]] == [word]


def test_of_many_twenty_are_listed_the_gravest_first_and_all_are_counted() -> None:
    many = [entry(incident=f"i{number}", source=f"s{number}", level="WARNING") for number in range(99)]
    found = made(*many, entry(incident="last", level="CRITICAL"))
    assert found.subject == "CRITICAL fired: 100 of slow"
    assert found.text.count("since ") == 20
    assert found.text.endswith("and 80 more alerts: tapewatch alerts")
    assert found.body["data"]["count"] == 100
    assert found.body["data"]["alerts"][0]["level"] == "CRITICAL"
    assert len(found.alerts) == 100


def test_a_message_is_never_large_and_says_what_it_leaves_out() -> None:
    long = {"message": "ü" * 5_000, "doing": "é" * 5_000, "command": "x" * 5_000}
    found = made(*(entry(incident=f"i{number}", source="ß" * 5_000 + str(number), **long) for number in range(40)))
    assert len(found.json) <= MOST_BYTES
    listed = len(found.body["data"]["alerts"])
    assert 1 < listed < 20
    assert f"and {40 - listed} more alerts" in found.text


def test_the_same_entries_are_the_same_message() -> None:
    assert made(entry(), entry(incident="i2")) == made(entry(), entry(incident="i2"))
    ids = {made(entry()).id, made(entry("repeated")).id, made(entry(sequence=2)).id, made(entry(incident="i2")).id}
    assert len(ids) == 4
    assert all(name.startswith("msg_") and "." not in name for name in ids)


def test_hostile_labels_reach_no_part_of_a_message() -> None:
    fields = dict.fromkeys(["alert", "rule", "source", "message", "doing", "command"], HOSTILE)
    found = made(entry(**fields))
    texts = [found.subject, *found.text.split("\n"), *_strings(json.loads(found.json))]
    texts.remove(found.text)
    assert not [text for text in texts if RAW & set(text)]
    assert "∗y∗ (z)" in found.text


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _strings(part)]


@pytest.mark.slow
@given(st.text(), st.integers(1, 300))
def test_plain_text_is_one_short_line_without_what_acts(text: str, limit: int) -> None:
    found = plain(text, limit)
    assert len(found) <= limit
    assert not RAW & set(found)
    found.encode()


def test_a_test_says_that_it_is_one() -> None:
    found = trial("hook", NOW)
    assert found.subject == "TEST ERROR test: test, hook"
    assert "This is a test: nothing is wrong" in found.text


ROUTES = Routes(
    [Route("log"), Route("pager", level="CRITICAL"), Route("data", rule="data_*"), Route("data", source="spot*")]
)


@pytest.mark.parametrize(
    ("fields", "channels"),
    [
        ({}, ("log",)),
        ({"level": "CRITICAL"}, ("log", "pager")),
        ({"rule": "data_freshness"}, ("log", "data")),
        ({"rule": "data_freshness", "source": "spot_ohlcv/kraken"}, ("log", "data")),
        ({"source": "futures"}, ("log",)),
        ({"rule": "delivery_failures", "source": "log"}, ("pager", "data")),
        ({"rule": "delivery_failures", "source": "pager"}, ("log",)),
        ({"rule": "delivery_failures", "source": "log", "level": "CRITICAL"}, ("pager",)),
    ],
)
def test_an_alert_goes_where_a_route_takes_it(fields: dict[str, str], channels: tuple[str, ...]) -> None:
    assert ROUTES.channels(alert(**fields)) == channels


def test_without_routes_nobody_is_told() -> None:
    assert Routes().channels(alert()) == ()
    assert Routes([Route("log")]).channels(alert(rule="delivery_failures", source="log")) == ()
