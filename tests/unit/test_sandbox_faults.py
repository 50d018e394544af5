"""Rules of faults: which calls they meet, what they do to answers, how mistakes are reported."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from core.sandbox.faults import Faults, Rule, read_rules, rule_of
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
    return rule_of(keys)


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


def test_rows_go_missing_by_span() -> None:
    day = 86_400
    assert [row["TIMESTAMP"] // day for row in rows(spoil(drop_span={"from": day, "to": 3 * day}))] == [0, 3, 4]
    spans = [{"from": "1970-01-01", "to": "1970-01-02"}, {"from": 4 * day, "to": 5 * day}]
    assert [row["TIMESTAMP"] // day for row in rows(spoil(drop_span=spans))] == [1, 2, 3]


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("VOLUME", {"VOLUME": 4.5, "VOLUME_BUY": 1.5, "VOLUME_SELL": 3}),
        ("TOTAL_TRADES", {"TOTAL_TRADES": 9, "TOTAL_TRADES_BUY": 6, "TOTAL_TRADES_SELL": 3}),
        ("HIGH", {"HIGH": 3, "HIGH_TRADE_PRICE": 3}),
        ("LOW", {"LOW": 1, "LOW_TRADE_PRICE": 1}),
    ],
)
def test_damaged_bars_are_valid_and_wrong(field: str, changed: dict[str, float]) -> None:
    whole = [{**row, "HIGH": 2, "HIGH_TRADE_PRICE": 2, "LOW": 1.5, "LOW_TRADE_PRICE": 1.5} for row in ROWS]
    page = Answer(200, json.dumps({"Data": whole, "Err": {}}).encode())
    faults = Faults([rule(damage={"span": [86_400, "1970-01-03"], "field": field, "factor": 1.5})])
    found = rows(faults.apply(REQUEST, page))
    assert found == [whole[0], {**whole[1], **changed}, *whole[2:]]


def test_damage_of_small_counts_and_of_idle_bars() -> None:
    def trades(count: int, factor: float) -> Any:
        row = {"TIMESTAMP": 0, "TOTAL_TRADES": count, "TOTAL_TRADES_BUY": count, "TOTAL_TRADES_SELL": 0,
               "TOTAL_TRADES_UNKNOWN": 0}  # fmt: skip
        page = Answer(200, json.dumps({"Data": [row], "Err": {}}).encode())
        damage = {"span": [0, 1], "field": "TOTAL_TRADES", "factor": factor}
        [found] = rows(Faults([rule(damage=[damage])]).apply(REQUEST, page))
        assert found["TOTAL_TRADES"] == found["TOTAL_TRADES_BUY"]
        return found["TOTAL_TRADES"]

    assert trades(1, 1.5) == 2
    assert trades(1, 0.5) == 2
    assert trades(10, 0.5) == 5
    assert trades(0, 1.5) == 0


def test_rules_hold_for_a_time_of_the_vendor() -> None:
    faults = Faults([rule(status=500, since=1_000, until="1970-01-01T00:30:00", calls=[1, 2])])
    statuses = [faults.apply(REQUEST, PAGE, now).status for now in (999, 1_000, 1_800, 1_799, 1_500)]
    assert statuses == [200, 500, 200, 500, 200]


def test_queries_are_globs() -> None:
    for pattern, met in (("BTC-*", True), ("*-USD", True), ("ETH-*", False), ("BTC", False)):
        assert (spoil(status=500, query={"instrument": pattern}).status == 500) is met
    assert spoil(status=500, query={"market": "*"}).status == 500
    assert spoil(status=500, query={"market": "krak*"}).status == 200


def test_rows_are_written_once_however_many_rules_change_them() -> None:
    day = 86_400
    rules = [rule(drop_ts=[day]), rule(mutate={"set": {"OPEN": {"raw": "NaN"}}, "rows": [0]}), rule(drop_ts=[2 * day])]
    body = Faults(rules).apply(REQUEST, PAGE).body
    assert body.count(b'"OPEN":NaN') == 1
    assert body.count(b"TIMESTAMP") == 3
    rules = [rule(truncate=0.5), rule(short=1), rule(mutate={"set": {"TIMESTAMP": "x"}}), rule(drop_ts=[5])]
    assert len(Faults(rules).apply(REQUEST, PAGE).body) == len(PAGE.body) // 2


def test_csv_and_lists_stay_as_they_are() -> None:
    page = Answer(200, b"UNIT,TIMESTAMP\nDAY,0\n", {"Content-Type": "text/csv; charset=UTF-8"})
    assert Faults([rule(empty=True)]).apply(REQUEST, page) == page
    listed = Answer(200, b'{"Data":{"kraken":{}},"Err":{}}')
    assert Faults([rule(short=1)]).apply(REQUEST, listed) == listed


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
        ('[{"drop_span": {"from": "soon", "to": 5}}]', "rule 0: drop_span.from.*soon"),
        ('[{"drop_span": {"from": 1, "until": 5}}]', "rule 0.*until"),
        ('[{"damage": {"span": [1], "field": "LOW"}}]', "rule 0: damage.span"),
        ('[{"damage": {"span": [1, 2], "field": "OPEN"}}]', "rule 0: damage.field.*OPEN"),
        ('[{"damage": {"span": [1, 2], "field": "LOW", "factor": 1}}]', "rule 0: damage.factor"),
        ('[{"since": "noon", "empty": true}]', "rule 0: since.*noon"),
        ('[{"since": 5}]', "rule 0.*nothing"),
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
