"""The fixed windows and their headers."""

import pytest

from core.errors import ConfigError
from core.sandbox.options import loopback, moment
from core.sandbox.quota import PRESETS, Ledger, parse_limits

# 2025-06-15 12:00:30 UTC
AT = 1_749_988_830.0


def test_headers_before_any_call() -> None:
    headers = Ledger(PRESETS["paid"]).headers(AT)
    assert headers["X-RateLimit-Limit"].startswith('100000000, 38;window=1;burst=600;policy="fixed window", 2241')
    assert headers["X-RateLimit-Limit"].endswith('100000000;window=2678400;policy="fixed window"')
    assert headers["X-RateLimit-Remaining-All"].startswith("100000000, 600;window=1, 30000;window=60,")
    assert headers["X-RateLimit-Reset-All"] == (
        "1339170, 1;window=1, 30;window=60, 3570;window=3600, 43170;window=86400, 1339170;window=2678400"
    )
    assert headers["X-RateLimit-Reset"] == "1339170"


def test_calls_beyond_the_soft_cap_are_refused_until_the_window_turns() -> None:
    ledger = Ledger(parse_limits("minute=20"))
    assert [ledger.admit(AT) for _ in range(23)] == [True] * 22 + [False]
    assert "0;window=60" in ledger.headers(AT)["X-RateLimit-Remaining-All"]
    assert not ledger.admit(AT + 29.9)
    assert ledger.admit(AT + 30)
    assert ledger.used(AT + 30)["hour"] == 23


def test_the_month_is_the_calendars() -> None:
    ledger = Ledger(parse_limits("month=10"))
    ledger.admit(AT)
    end = AT + int(ledger.headers(AT)["X-RateLimit-Reset"])
    assert ledger.used(end - 1)["month"] == 1
    assert ledger.used(end)["month"] == 0


@pytest.mark.parametrize("text", ["cheap", "second=0", "second=x", "year=5", ""])
def test_bad_limits_are_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--limits"):
        parse_limits(text)


def test_options_are_checked() -> None:
    assert moment("2025-06-15T12:00:30") == moment("2025-06-15T14:00:30+02:00") == AT
    assert loopback("::1") == "::1"
    with pytest.raises(ConfigError, match="loopback"):
        loopback("192.0.2.1")
    with pytest.raises(ConfigError, match="--now"):
        moment("yesterday")
