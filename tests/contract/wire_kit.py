"""What the contract tests of the sandbox share: one frozen moment, requests, and what answers must be."""

import json
from typing import Any

from core.sandbox.gate import Gate
from core.sandbox.options import SandboxOptions, moment
from core.sandbox.wire import Answer, Request

NOW = moment("2025-06-15T12:34:56")
OPTIONS = SandboxOptions(now=NOW)
SPOT = "/spot/v1/historical"
FUTURES = "/futures/v1/historical"
INDEX = "/index/cc/v1/historical"
FUNDING = "/futures/v1/historical/funding-rate"
INTEREST = "/futures/v1/historical/open-interest"
UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60}


def get(gate: Gate, path: str, **query: Any) -> Answer:
    return gate.answer(Request(path, {name: str(value) for name, value in query.items()}))


def data(answer: Answer) -> Any:
    parsed = json.loads(answer.body)
    assert answer.status == 200, parsed
    assert list(parsed) == ["Data", "Err"]
    assert parsed["Err"] == {}
    return parsed["Data"]


def error(answer: Answer, status: int) -> Any:
    parsed = json.loads(answer.body)
    assert answer.status == status
    assert set(parsed["Err"]) == {"type", "message", "other_info"}
    assert not parsed["Data"]
    return parsed["Err"]
