"""Text that others wrote, on its way to a terminal, a log or a table."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.text import clean, counted, is_name

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31mC1",
    "\x90dcs\x9c",
    "back\x08\x08space",
    "carriage\rreturn",
    "line\nfeed",
    "vertical\x0btab\x0cfeed",
    "nul\x00byte",
    "delete\x7f",
    "next\x85line",
    "separators\u2028and\u2029more",
    "bidi \u202edesrever\u202c",
    "isolates \u2066a\u2069",
    "zero\u200bwidth\u200c\u200d\u2060\ufeffjoiners",
    "marks \u200e\u200f\u061c",
    "soft\u00adhyphen",
    "mongolian\u180evowel",
    "tags \U000e0041\U000e007f",
    "annotation \ufff9a\ufffab\ufffb",
    "surrogate \ud800 alone",
    "surrogates \udfff\ud800 swapped",
    "[/nope][bold]markup[/]",
    "'; DROP TABLE series; --",
    '"}\nevil_metric 1',
    "../../etc/passwd",
    "<!channel> <script>alert(1)</script>",
    "emoji 👨\u200d👩\u200d👧 joined",
    "x" * 10_000,
    "\x1b" * 10_000,
    "",
    " \t ",
]


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text[:20]) for text in HOSTILE])
def test_nothing_hostile_is_left(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= 200
    assert cleaned.encode().decode() == cleaned
    for letter in cleaned:
        assert letter == " " or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}, ascii(letter)
    assert json.loads(json.dumps(cleaned)) == cleaned
    assert clean(cleaned) == cleaned


@given(st.text(st.characters(), max_size=60), st.integers(1, 50))
def test_laws_of_clean(text: str, limit: int) -> None:
    cleaned = clean(text, limit)
    assert len(cleaned) <= limit
    assert clean(cleaned, limit) == cleaned
    cleaned.encode()
    assert "\x1b" not in cleaned
    assert "\n" not in cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain words", "plain words"),
        ("übung für 東京 🚀", "übung für 東京 🚀"),
        ("a\x1b\x00\nb", "a b"),
        ("\n a \n", "a"),
        ("a\nb", "a b"),
    ],
)
def test_what_is_harmless_stays(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_cut_is_marked() -> None:
    assert clean("x" * 200) == "x" * 200
    assert clean("x" * 201) == "x" * 199 + "…"
    assert clean("abcdef", 3) == "ab…"


@pytest.mark.parametrize(
    "name", ["BTC-USD", "binance", "1INCH-USDT", "XBT/USD:BTC", "BTC_PERP", "a.b", "A$B@C", "x" * 100]
)
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a\n",
        "\na",
        "a\x00",
        "\x1b[2J",
        "ＢＴＣ",
        "BTC\u202e",
        "x" * 101,
        "'; DROP",
        "[/]",
        "a,b",
        "a&b",
    ],
)
def test_what_cannot_be_a_name(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "request", "0 requests"),
        (1, "request", "1 request"),
        (2735, "request", "2,735 requests"),
        (1, "series", "1 series"),
        (2, "series", "2 series"),
    ],
)
def test_nouns_agree_with_their_numbers(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words
