"""What is typed into the job form as an operation, and operations as command lines."""

import random
import shlex

import pytest

from core.datasets import DATA_TYPES, DATASETS
from core.operations import Operation, make_operation
from core.options import CHOICES, OPTIONS
from tui import command_lines, forms

EMPTY = dict.fromkeys(forms.LABELS, "") | {"data_type": "spot_ohlcv", "interval": "1d"}


def test_what_is_left_empty_keeps_its_default() -> None:
    operation, problems = forms.read(EMPTY)
    assert problems == {}
    assert operation == make_operation({"data_type": "spot_ohlcv"})


def test_what_is_typed_becomes_an_operation() -> None:
    typed = {"market": " kraken, binance ", "pair_limit": "5", "start": "listing", "label": "mine", "max_requests": "9"}
    operation, problems = forms.read(EMPTY | typed)
    assert problems == {}
    assert operation is not None
    assert (operation.market, operation.pair_limit, operation.start) == (("kraken", "binance"), 5, "listing")
    assert (operation.label, operation.max_requests) == ("mine", 9)


def test_what_a_data_type_does_not_take_is_left_out() -> None:
    typed = EMPTY | {"data_type": "exchange_metadata", "market": "kraken", "start": "nonsense", "exchange_type": "spot"}
    assert forms.read(typed) == (make_operation({"data_type": "exchange_metadata", "exchange_type": "spot"}), {})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("pair_limit", "ten", "write a number"),
        ("pair_limit", "٣", "write a number"),
        ("pair_limit", "0", "must be from 1"),
        ("max_requests", "-1", "write a number"),
        ("start", "yesterday", "is not a date or time"),
        ("end", "2025-02-30", "is not a date or time"),
        ("instrument", "/[/", "is no regular expression"),
        ("market", "kra ken", "cannot be the name of a market"),
    ],
)
def test_what_is_wrong_is_said_of_its_field(name: str, text: str, words: str) -> None:
    operation, problems = forms.read(EMPTY | {name: text})
    assert operation is None
    assert list(problems) == [name]
    assert words in problems[name]


@pytest.mark.parametrize("data_type", DATA_TYPES)
@pytest.mark.parametrize("interval", CHOICES["interval"])
def test_every_field_says_what_it_means_when_empty(data_type: str, interval: str) -> None:
    for name in forms.LABELS:
        if forms.takes(data_type, name) and name not in {"data_type", "interval"}:
            assert forms.hint(name, data_type, interval), name


def drawn(chance: random.Random) -> Operation:
    """Any operation, of few words."""
    data_type = chance.choice(list(DATA_TYPES))
    values = {
        "interval": chance.choice(["1d", "1h", "1m"]), "pair_limit": chance.randint(1, 9),
        "market": ["kraken", "binance"],
        "instrument": ["BTC-USD", "/^ETH-(A|B)$/"], "start": "2025-01-01", "end": "2025-02-01T12:00",
        "groups": "OHLC", "full_refresh": True, "recheck": 7, "order": "oldest", "max_requests": 3, "yes": True,
        "parallel_workers": 5, "include_inactive": True, "enable_caching": False, "enable_monitoring": True,
        "label": "it's; rm -rf /", "exchange_type": "spot",
    }  # fmt: skip
    if data_type in DATASETS and "OHLC" not in DATASETS[data_type].groups:
        del values["groups"]
    taken = {name: value for name, value in values.items() if name in OPTIONS[data_type] and chance.random() < 0.5}
    if "full_refresh" in taken and data_type in DATASETS:
        taken["yes"] = True
    return make_operation({"data_type": data_type, **taken})


def read_back(line: str) -> Operation:
    """The operation of a command line, as a shell would hand it over."""
    program, data_type, *words = shlex.split(line)
    assert program == "tapewatch"
    given: dict[str, object] = {"data_type": data_type}
    while words:
        flag = words.pop(0).removeprefix("--")
        if flag.startswith("disable_"):
            given[flag.replace("disable", "enable")] = False
        else:
            is_switch = not words or words[0].startswith("--")
            text = "" if is_switch else words.pop(0)
            given[flag] = True if is_switch else int(text) if text.isdecimal() else text
    return make_operation(given)


def test_a_command_line_means_the_same_operation(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        operation = drawn(chance)
        assert read_back(command_lines.of_operation(operation)) == operation


def test_a_batch_file_is_quoted() -> None:
    assert command_lines.of_batch("my batch.json", 5) == "tapewatch batch 'my batch.json' --max_requests 5"
