"""Rules of faults: which calls they meet, what they do to answers, how mistakes are reported."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import ConfigError
from core.sandbox.faults import Faults, Rule, read_rules
from core.sandbox.wire import Answer, Request

DATA = Path(__file__).parents[1] / "data" / "sandbox"
REQUEST = Request("/spot/v1/historical/days", {"instrument": "BTC-USD"})
ROWS = [
    {"UNIT": "DAY", "TIMESTAMP": ts, "OPEN": 1.5, "TOTAL_TRADES": 6, "TOTAL_TRADES_BUY": 4,
     "TOTAL_TRADES_SELL": 2, "TOTAL_TRADES_UNKNOWN": 0, "VOLUME": 3, "VOLUME_BUY": 1, "VOLUME_SELL": 2,
     "VOLUME_UNKNOWN": 0}
    for ts in range(0, 5 * 86_400, 86_400)
]  # fmt: skip
PAGE = Answer(200, json.dumps({"Data": ROWS, "Err": {}}).encode())


def rule(**keys: Any) -> Rule:
    return msgspec.convert(keys, Rule)


def spoil(**keys: Any) -> Answer:
    return Faults([rule(**keys)]).apply(REQUEST, PAGE)


def rows(answer: Answer) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = json.loads(answer.body)["Data"]
    return data


@pytest.mark.parametrize(
    ("selector", "met"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"calls": [2, 5]}, [2, 5]),
        ({"every": 3}, [3, 6]),
        ({"from": 2, "to": 4}, [2, 3, 4]),
        ({"query": {"instrument": "ETH-USD"}}, []),
        ({"path": "/spot/*/days"}, [1, 2, 3, 4, 5, 6]),
        ({"path": "/futures/*"}, []),
    ],
)
def test_which_calls_are_met(selector: dict[str, Any], met: list[int]) -> None:
    faults = Faults([rule(status=500, **selector)])
    statuses = [faults.apply(REQUEST, PAGE).status for _ in range(6)]
    assert [n for n, status in enumerate(statuses, 1) if status == 500] == met


def test_status_and_body() -> None:
    plain = spoil(status=503)
    assert plain.status == 503
    assert json.loads(plain.body)["Data"] == []
    html = spoil(status=502, body="<html>bad</html>", headers={"Server": "proxy"})
    assert (html.status, html.body) == (502, b"<html>bad</html>")
    assert html.headers["Content-Type"] == "text/html"
    assert html.headers["Server"] == "proxy"


def test_rows_go_missing() -> None:
    assert [row["TIMESTAMP"] // 86_400 for row in rows(spoil(drop=[0, -1, 99]))] == [1, 2, 3]
    assert [row["TIMESTAMP"] // 86_400 for row in rows(spoil(drop_ts=[86_400]))] == [0, 2, 3, 4]
    assert len(rows(spoil(short=3))) == 2
    assert rows(spoil(empty=True)) == []
    assert len(rows(spoil(delay=0))) == 5


def test_values_are_set_even_to_what_is_no_json() -> None:
    changed = rows(spoil(mutate={"rows": [-1], "set": {"OPEN": "1.5", "TIMESTAMP": 5, "NEW": None}}))
    assert changed[4] == {**ROWS[4], "OPEN": "1.5", "TIMESTAMP": 5, "NEW": None}
    assert changed[:4] == ROWS[:4]
    assert spoil(mutate={"set": {"OPEN": {"raw": "NaN"}}}).body.count(b'"OPEN":NaN') == 5


def test_revised_bars_keep_their_sums() -> None:
    changed = rows(spoil(revise={"from": 86_400, "to": 172_800, "factor": 2}))
    assert changed[1]["VOLUME"] == changed[1]["VOLUME_BUY"] + changed[1]["VOLUME_SELL"] == 6
    assert changed[1]["TOTAL_TRADES"] == 12
    assert changed[1]["OPEN"] == 1.5
    assert changed[0] == ROWS[0]
    assert changed[2] == ROWS[2]


def test_delivery() -> None:
    answer = spoil(truncate=0.5, delay=1.0, slow=2.0, reset=True, cut=0.25)
    assert len(answer.body) == len(PAGE.body) // 2
    assert (answer.delivery.delay, answer.delivery.drip) == (1.0, 2.0)
    assert (answer.delivery.reset, answer.delivery.cut) == (True, 0.25)


def test_files_in_both_formats() -> None:
    assert [r.status for r in read_rules(DATA / "faults.toml")] == [503, None]
    sample = Path(__file__).parents[2] / "sample_configs" / "faults.json"
    assert len(read_rules(sample)) >= 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"status": 500}, {"satus": 1}]', "rule 1.*satus"),
        ('[{"status": "500"}]', "rule 0.*status"),
        ('[{"path": "/x"}]', "rule 0.*nothing"),
        ('[{"cut": 7}]', "rule 0.*cut"),
        ('{"status": 500}', "list"),
        ("[", "faults.json"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "faults.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        read_rules(file)
    assert "faults.json" in str(caught.value)
