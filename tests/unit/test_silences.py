"""Silences end, say who and why, and cover what they match and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from core.alerting.silences import LONGEST_SECONDS, Silence, is_silenced, make_silence
from core.errors import ConfigError
from core.events import AlertChanged

NOW = 1_000.0
ALERT = AlertChanged(
    alert="data_freshness:spot_ohlcv/kraken",
    rule="data_freshness",
    source="spot_ohlcv/kraken",
    level="ERROR",
    state="firing",
    since=0.0,
    message="m",
)


def made(until: float = NOW + 60, **given: Any) -> Silence:
    return make_silence(**{"silence": "s", "now": NOW, "until": until, "author": "ann", "comment": "work", **given})


@pytest.mark.parametrize(
    ("patterns", "covers"),
    [
        ({}, True),
        ({"rule": "data_*"}, True),
        ({"rule": "data"}, False),
        ({"source": "spot_ohlcv/*", "level": "error"}, True),
        ({"source": "*/binance"}, False),
        ({"level": "WARNING"}, False),
        ({"source": "spot?ohlcv/kraken"}, True),
        ({"source": "[s]pot*"}, False),
    ],
)
def test_all_patterns_have_to_match(patterns: dict[str, str], covers: bool) -> None:
    assert bool(is_silenced(ALERT, [made(**patterns)], NOW)) is covers


def test_it_covers_from_its_beginning_until_its_end() -> None:
    assert [bool(is_silenced(ALERT, [made()], at)) for at in (NOW - 1, NOW, NOW + 59, NOW + 60)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_of_several_the_one_that_ends_last_tells_until_when() -> None:
    longer = replace(made(NOW + 120), silence="t")
    assert is_silenced(ALERT, [made(), longer], NOW) == longer


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"until": NOW}, "--for: a silence ends"),
        ({"until": NOW + LONGEST_SECONDS + 1}, "--for: a silence ends"),
        ({"until": float("nan")}, "--for: a silence ends"),
        ({"until": float("inf")}, "--for: a silence ends"),
        ({"author": "\x1b"}, "--author: say who"),
        ({"comment": " "}, "--comment: say who"),
        ({"rule": ""}, "--rule: write up to"),
        ({"source": "*a" * 9}, "--source: write up to"),
        ({"source": "a" * 201}, "--source: write up to"),
        ({"level": "FATAL"}, "--level 'FATAL': choose INFO"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        made(**given)


def test_words_are_clean() -> None:
    assert made(author="a\x1b[2Jb", comment="c\nd").comment == "c d"
