"""Tests of rules on made-up readings."""

import tomllib
from pathlib import Path

import pytest

from core.alerting.rule_files import default_rules
from core.alerting.trials import failures, make_trial
from core.errors import ConfigError


def problems(series: str, *expect: str, every: str = "15s") -> list[str]:
    """What is wrong with the only case."""
    lines = ",\n".join(f"{{ {line} }}" for line in expect)
    given = tomllib.loads(f'every = "{every}"\n[[case]]\nname = "n"\nseries = [{{ {series} }}]\nexpect = [{lines}]')
    trial = make_trial(given, "f.toml")
    return failures(trial, trial.case[0], default_rules())


MEMORY = 'reading = "memory", source = "host", values = "50x4 97x20 50x20 _x40"'


def test_an_alert_goes_through_its_states() -> None:
    def at(time: str, state: str) -> str:
        return f'at = "{time}", alert = "memory:host", {state}'

    assert (
        problems(
            MEMORY,
            at("45s", 'state = "inactive"'),
            at("1m", 'state = "pending", level = "CRITICAL"'),
            at("2m", 'state = "firing", level = "CRITICAL", message = "97 %*"'),
            at("6m", 'state = "recovering"'),
            at("8m", 'state = "resolved"'),
            at("20m", 'state = "no_data"'),
            at("23m", 'state = "resolved"'),
        )
        == []
    )


def test_what_is_not_as_expected_is_told_in_words() -> None:
    assert problems(
        MEMORY,
        'at = "2m", alert = "memory:host", state = "firing", level = "WARNING"',
        'at = "2m", alert = "memory:host", state = "firing", message = "nothing"',
        'at = "2m", alert = "memory:other", state = "firing"',
    ) == [
        "at 2m memory:host is firing CRITICAL, not firing WARNING",
        "at 2m memory:host says '97 % of the memory is in use'",
        "at 2m memory:other is inactive, not firing",
    ]


@pytest.mark.parametrize(
    ("series", "expect", "words"),
    [
        ('reading = "memori", source = "h", values = "1"', 'at = "1m"', "case 'n': there is no reading 'memori'"),
        ('reading = "memory", source = "h", values = "1 x"', 'at = "1m"', "'x' is no value; write 50"),
        ('reading = "memory", source = "h", values = "1x999999"', 'at = "1m"', "more than 100,000 values"),
        ('reading = "memory", source = "h", values = "1"', 'at = "soon"', "'soon' is no length of time"),
        ('reading = "memory", source = "h", values = "1"', 'at = "999999d"', "more than 100,000 evaluations"),
        ('reading = "memory", source = "h", values = "1"', 'when = 3, at = "1m"', "f.toml: .*unknown field `when`"),
    ],
)
def test_a_file_that_is_wrong(series: str, expect: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        problems(series, f'{expect}, alert = "memory:h", state = "firing"')


def test_rates_of_few_samples_and_readings_that_are_no_numbers() -> None:
    few = 'reading = "api_error_rate", source = "h", values = "90x20", samples = 19'
    assert problems(few, 'at = "4m", alert = "api_error_rate:h", state = "inactive"') == []
    nan = 'reading = "memory", source = "h", values = "nanx80"'
    assert problems(nan, 'at = "18m", alert = "memory:h", state = "no_data"') == []


def test_the_example_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text("utf-8")
    trial = make_trial(tomllib.loads(page.split("```toml\n")[1].split("```")[0]), "docs/alerts.md")
    assert failures(trial, trial.case[0], default_rules()) == []
