"""Recorded pages: the same text comes back, merged over files."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.datasets import DATASETS
from core.errors import ConfigError
from core.sandbox.gate import Gate
from core.sandbox.options import SandboxOptions
from core.sandbox.replay import group_of
from core.sandbox.rows import GROUPS
from core.sandbox.wire import Answer, Request

DATA = Path(__file__).parents[1] / "data" / "sandbox" / "replay"
DAYS = "/spot/v1/historical/days"


@pytest.fixture
def gate() -> Gate:
    return Gate(SandboxOptions(replay=DATA))


def days(gate: Gate, **query: Any) -> Answer:
    asked = {"market": "kraken", "instrument": "TEST-USD", **{name: str(value) for name, value in query.items()}}
    return gate.answer(Request(DAYS, asked))


def stamps(answer: Answer) -> list[int]:
    return [row["TIMESTAMP"] for row in json.loads(answer.body)["Data"]]


def test_rows_keep_their_text_and_files_are_merged(gate: Gate) -> None:
    answer = days(gate)
    assert stamps(answer) == [1_700_006_400, 1_700_092_800, 1_700_179_200]
    assert b'"OPEN": 10.0, "HIGH": 1.25e1, "LOW": 9.50' in answer.body
    assert answer.headers["X-Tapewatch-Sandbox"] == "replay"
    assert stamps(days(gate, instrument="XTESTZUSD")) == stamps(answer)


def test_groups_keep_the_figures_text(gate: Gate) -> None:
    answer = days(gate, groups="VOLUME,OHLC", limit=1, to_ts=1_700_006_400)
    assert answer.body == (
        b'{"Data":[{"UNIT":"DAY","TIMESTAMP":1700006400,"VOLUME":3.10,"OPEN":10.0,"HIGH":1.25e1,'
        b'"LOW":9.50,"CLOSE":12}],"Err":{}}'
    )


def test_limit_to_ts_and_fill(gate: Gate) -> None:
    assert stamps(days(gate, limit=1)) == [1_700_179_200]
    assert stamps(days(gate, to_ts=1_700_092_801)) == [1_700_006_400, 1_700_092_800]
    assert stamps(days(gate, fill="false")) == [1_700_006_400, 1_700_179_200]
    before = days(gate, to_ts=1_700_006_399)
    assert before.status == 404
    info = json.loads(before.body)["Err"]["other_info"]
    assert (info["first"], info["last"]) == (1_700_006_400, 1_700_179_200)
    assert days(gate, instrument="NONE-USD").status == 404


def test_recorded_pages_are_plain_bars_in_json(gate: Gate) -> None:
    for name, value in (("aggregate", 2), ("response_format", "CSV")):
        refused = days(gate, **{name: value})
        assert refused.status == 400
        assert json.loads(refused.body)["Err"]["other_info"]["param"] == name


def test_other_kinds_have_their_own_paths(gate: Gate) -> None:
    query = {"market": "bybit", "instrument": "TESTUSDT", "groups": "VALUE"}
    answer = gate.answer(Request("/futures/v1/historical/funding-rate/hours", query))
    assert json.loads(answer.body)["Data"] == [{"UNIT": "HOUR", "TIMESTAMP": 1_700_006_400, "INTERVAL_MS": 28_800_000}]
    assert gate.answer(Request("/spot/v2/markets")).status == 404


def test_files_that_are_no_pages_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    Gate(SandboxOptions(replay=DATA))
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ConfigError, match="--replay"):
        Gate(SandboxOptions(replay=DATA / "nowhere"))


def test_groups_of_fields_agree_with_the_datasets() -> None:
    for dataset in DATASETS.values():
        if dataset.kind in GROUPS:
            for column in (*dataset.columns, *dataset.constants):
                assert group_of(column.field) == column.group
