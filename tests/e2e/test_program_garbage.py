"""Garbage from the vendor: nothing of it reaches a table, all of it is kept with its reason, nobody sees a traceback.

One run meets every kind of garbage, one series each, beside clean series; the tests then look at what became of each.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2e_program import DAY, Processes, Program, Sandbox

DAYS = "/spot/v1/historical/days"
START, END = 1_735_689_600, 1_738_368_000  # January 2025
COUNT = (END - START) // DAY
HTML = "<html><head><title>502 Bad Gateway</title></head></html>"
PAIRS = (
    *("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "DOGE-USD", "LTC-USD", "LINK-USD", "DOT-USD", "AVAX-USD"),
    *("UNI-USD", "BCH-USD", "ATOM-USD", "XLM-USD", "TRX-USD", "ETC-USD", "FIL-USD", "AAVE-USD", "ALGO-USD", "NEAR-USD"),
)


@dataclass(frozen=True)
class Kind:
    """A rule for one series and what has to come of it: `reason` is the quarantine's, `bad` bars are lost.

    A rule may also be made from the true rows: it gives the rows to send instead.
    """

    rule: Mapping[str, Any] | Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    reason: str = ""
    bad: int = 0
    raw: str = ""
    records: int | None = None


def rows(*indices: int, **values: Any) -> dict[str, Any]:
    return {"mutate": {"rows": list(indices), "set": values}}


STRANGER = {"INSTRUMENT": "XXX", "MAPPED_INSTRUMENT": "XXX-USD"}
# Only the first answer is spoilt: the window is asked again and everything is there in the end.
ONCE = {
    "truncated": Kind({"truncate": 0.6}, "unparsable", raw='{"Data":[{'),
    "HTML with status 200": Kind({"status": 200, "body": HTML}, "html", raw=HTML),
    "HTML with status 502": Kind({"status": 502, "body": HTML}),
    "an empty body": Kind({"status": 200, "body": ""}, "empty"),
    "JSON of another kind": Kind({"body": "[1, 2, 3]"}, "unparsable", raw="[1, 2, 3]"),
    "Data is an object": Kind({"body": '{"Data": {"kraken": 1}, "Err": {}}'}, "unparsable", raw='"kraken"'),
    "an error in a 200": Kind({"body": '{"Data": [], "Err": {"type": 99, "message": "busy", "other_info": {}}}'}),
    "deep nesting": Kind({"body": '{"Data": ' + "[" * 5000 + "]" * 5000 + ', "Err": {}}'}, "unparsable", raw="[[["),
    "invalid UTF-8 escapes": Kind({"body": '{"Data": [{"UNIT": "\\ud800"}], "Err": {}}'}, "unparsable"),
    "NaN somewhere": Kind(rows(3, VOLUME={"raw": "NaN"}), "unparsable", raw='{"Data":[{'),
    "an infinity somewhere": Kind(rows(3, CLOSE={"raw": "-Infinity"}), "unparsable"),
    "connection reset": Kind({"reset": True}),
    "connection cut": Kind({"cut": 0.5}),
    "another instrument's page": Kind({"mutate": {"set": STRANGER}}, "another_instrument", raw="XXX-USD"),
    "another market's page": Kind({"mutate": {"set": {"MARKET": "elsewhere"}}}, "another_market", raw="elsewhere"),
    "hours instead of days": Kind({"mutate": {"set": {"UNIT": "HOUR"}}}, "unit", raw="HOUR"),
    "every number a string": Kind({"mutate": {"set": {"OPEN": "1.5"}}}, "type", raw='"1.5"'),
}
# Some rows of every answer are spoilt: they are lost, the others are kept.
ALWAYS = {
    "1e999": Kind(rows(4, HIGH={"raw": "1e999"}), "type", 1, raw="1e999"),
    "a string for a number": Kind(rows(5, OPEN="1.5"), "type", 1, raw='"1.5"'),
    "a boolean for a count": Kind(rows(5, TOTAL_TRADES=True), "type", 1, raw="true"),
    "a float for a count": Kind(rows(5, TOTAL_TRADES=1.5), "type", 1, raw="1.5"),
    "a list for a price": Kind(rows(5, LOW=[1]), "type", 1, raw="[1]"),
    "null for a price": Kind(rows(5, CLOSE=None), "missing_field", 1),
    "a count beyond 64 bits": Kind(rows(5, TOTAL_TRADES={"raw": str(2**63)}), "integer_range", 1, raw=str(2**63)),
    "milliseconds": Kind(rows(1, TIMESTAMP=START * 1000), "timestamp_unit", 1, raw=str(START * 1000)),
    "a text for a time": Kind(rows(2, TIMESTAMP="2025-01-03"), "type", 1, raw="2025-01-03"),
    "off the grid": Kind(rows(7, TIMESTAMP=START + 7 * DAY + 1), "alignment", 1),
    "the future": Kind(rows(-1, TIMESTAMP=START + 900 * DAY), "outside_window", 1),
    "two rows of another instrument": Kind(rows(8, 9, **STRANGER), "another_instrument", 2, raw="XXX-USD"),
    "negative volume": Kind(rows(6, VOLUME=-1), "negative_amount", 1),
    "a price of nothing": Kind(rows(6, LOW=0), "price_not_positive", 1),
    "high below low": Kind(rows(6, HIGH={"raw": "1e-9"}), "close_outside_range", 1),
    "hostile text": Kind(rows(6, UNIT="\u001b]52;c;ZXZpbA==\u0007"), "unit", 1, raw="\\u001b]52"),
    "missing rows": Kind({"drop": [10, 11, 20]}, bad=3),
    "a short page": Kind({"short": 4}, bad=4),
    "no rows at all": Kind({"empty": True}, bad=COUNT),
    "newest first": Kind(lambda true: true[::-1]),
    "rows repeated": Kind(lambda true: [*true[:20], *true[5:]]),
    "another instrument's rows between": Kind(
        lambda true: [*true[:9], *[{**row, **STRANGER} for row in true[5:9]], *true[9:]],
        "another_instrument",
        records=4,
    ),
    "more rows than asked for": Kind(
        lambda true: [*[{**row, "TIMESTAMP": row["TIMESTAMP"] - COUNT * DAY} for row in true[-3:]], *true],
        "outside_window",
        records=3,
    ),
}
CLEAN = 2


def true_rows(market: Sandbox, place: tuple[str, str]) -> list[dict[str, Any]]:
    """What the vendor says without faults: any sandbox of the same seed does."""
    found: list[dict[str, Any]] = market.get(DAYS, market=place[0], instrument=place[1], to_ts=END - DAY, limit=COUNT)
    assert len(found) == COUNT
    return found


def body(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"body": json.dumps({"Data": rows, "Err": {}})}


class Mess:
    """The store after a run over every kind of `kinds`."""

    def __init__(self, folder: Path, market: Sandbox, kinds: Mapping[str, Kind], *, calls: list[int] | None) -> None:
        self.processes = Processes(folder)
        self.market = market
        markets = ("kraken", "coinbase")
        self.places = dict(zip(kinds, [(market, pair) for market in markets for pair in PAIRS], strict=False))
        assert len(self.places) == len(kinds)
        faults = []
        for name, kind in kinds.items():
            place = self.places[name]
            which = {} if calls is None else {"calls": calls}
            rule = body(kind.rule(true_rows(market, place))) if callable(kind.rule) else kind.rule
            query = {"market": place[0], "instrument": place[1]}
            faults.append({"path": DAYS, "query": query, **which, **rule})
        self.sandbox = self.processes.sandbox(faults=faults)
        self.program = Program(self.processes, folder / "store.db", self.sandbox)
        operations = [
            {"data_type": "spot_ohlcv", "market": m, "instrument": [p for n, p in self.places.values() if n == m]}
            for m in markets
        ]
        operations.append({"data_type": "spot_ohlcv", "market": "binance", "instrument": "BTC-USDT,ETH-USDT"})
        for operation in operations:
            operation |= {"start": "2025-01-01", "end": "2025-02-01"}
        batch = folder / "batch.json"
        batch.write_text(json.dumps([operation for operation in operations if operation["instrument"]]))
        self.done = self.program("batch", str(batch), "--continue_on_error", "--output", "json")
        self.summary = self.done.json

    def rows(self, name: str) -> list[dict[str, Any]]:
        query = "SELECT * FROM spot_ohlcv_1d WHERE market = ? AND instrument = ? ORDER BY ts"
        return self.program.store.all(query, *self.places[name])

    def quarantine(self, name: str) -> list[dict[str, Any]]:
        query = "SELECT q.* FROM quarantine q JOIN series s ON s.id = q.series_id WHERE market = ? AND instrument = ?"
        return self.program.store.all(query, *self.places[name])


def check_kept_rows(mess: Mess, name: str) -> None:
    """Every stored row is the vendor's true one."""
    truth = {row["TIMESTAMP"]: row for row in true_rows(mess.market, mess.places[name])}
    for row in mess.rows(name):
        source = truth[row["ts"]]
        for column in ("open", "high", "low", "close", "volume", "quote_volume", "total_trades"):
            assert row[column] == source[column.upper()], (name, row["time"], column)


@pytest.fixture(scope="module")
def once(market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mess]:
    mess = Mess(tmp_path_factory.mktemp("once"), market, ONCE, calls=[1])
    yield mess
    mess.processes.close()


@pytest.fixture(scope="module")
def always(market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mess]:
    mess = Mess(tmp_path_factory.mktemp("always"), market, ALWAYS, calls=None)
    yield mess
    mess.processes.close()


@pytest.mark.parametrize("name", ONCE)
def test_a_spoilt_answer_is_kept_and_asked_again(once: Mess, name: str) -> None:
    kind = ONCE[name]
    check_kept_rows(once, name)
    assert len(once.rows(name)) == COUNT
    kept = once.quarantine(name)
    assert {record["reason"] for record in kept} == ({kind.reason} if kind.reason else set())
    for record in kept:
        assert kind.raw in record["raw"]
        assert record["detail"]
        assert record["run_id"]
    asked = [(call.query["market"], call.query["instrument"]) for call in once.sandbox.history]
    assert asked.count(once.places[name]) == 2


def test_a_run_over_spoilt_answers_is_complete(once: Mess) -> None:
    assert once.done.code == 0
    assert once.summary["status"] == "complete"
    assert once.summary["retries"] == len(ONCE)
    assert once.summary["requests"] == len(ONCE) + CLEAN
    assert once.summary["rows_quarantined"] == sum(1 for kind in ONCE.values() if kind.reason)
    assert once.summary["rows_quarantined"] == once.program.store.one("SELECT count(*) FROM quarantine")
    assert once.summary["gaps_open"] == 0


@pytest.mark.parametrize("name", ALWAYS)
def test_a_spoilt_row_costs_one_row(always: Mess, name: str) -> None:
    kind = ALWAYS[name]
    check_kept_rows(always, name)
    assert len(always.rows(name)) == COUNT - kind.bad
    kept = always.quarantine(name)
    if kind.reason:
        count = kind.bad if kind.records is None else kind.records
        assert [record["reason"] for record in kept] == [kind.reason] * count
        assert all(kind.raw in record["raw"] and record["detail"] for record in kept)
    gaps = always.program.store.all(
        'SELECT (g."end" - g.start) / 86400 AS bars, cause FROM gap g JOIN series s ON s.id = series_id '
        "WHERE market = ? AND instrument = ?",
        *always.places[name],
    )
    assert sum(gap["bars"] for gap in gaps) == kind.bad


def test_a_run_with_unexplained_holes_is_not_complete(always: Mess) -> None:
    assert always.done.code == 1
    assert always.summary["status"] == "complete_with_gaps"
    assert always.summary["rows_quarantined"] == always.program.store.one("SELECT count(*) FROM quarantine")
    assert always.summary["gaps_open"] == always.program.store.one("SELECT count(*) FROM gap")
    stored = always.program.store.one("SELECT count(*) FROM spot_ohlcv")
    assert always.summary["rows_inserted"] == stored
    lost = sum(kind.bad for kind in ALWAYS.values())
    assert stored == (len(ALWAYS) + CLEAN) * COUNT - lost


def test_no_control_character_of_the_vendor_is_printed(always: Mess) -> None:
    assert "\x1b" not in always.done.err + always.done.out
    assert "\x07" not in always.done.err + always.done.out


@pytest.mark.parametrize("mess", ["once", "always"])
def test_nothing_impossible_is_in_the_table(mess: str, request: pytest.FixtureRequest) -> None:
    store = request.getfixturevalue(mess).program.store
    assert store.is_sound
    impossible = (
        "typeof(ts) <> 'integer' OR ts % 86400 OR ts < 1735689600 OR ts >= 1738368000 "
        "OR typeof(open) <> 'real' OR typeof(volume) <> 'real' OR abs(close) > 1e300 OR low <= 0 OR high < low "
        "OR volume < 0 OR total_trades < 0 OR closed <> 1"
    )
    assert store.all(f"SELECT * FROM spot_ohlcv WHERE {impossible}") == []


@pytest.mark.slow
def test_a_gap_is_filled_when_the_vendor_has_it(always: Mess) -> None:
    """The same store, an hour later by the vendor's clock, and no more faults."""
    later = always.program.on(always.processes.sandbox(now="2025-06-01T13:30:00Z"))
    market, pair = always.places["missing rows"]
    summary = later.ingest(
        *("spot_ohlcv", "--market", market, "--instrument", pair),
        *("--start", "2025-01-01", "--end", "2025-02-01"),
    )
    assert (summary["status"], summary["rows_inserted"]) == ("complete", 3)
    assert len(always.rows("missing rows")) == COUNT


@pytest.mark.slow
def test_of_two_rows_that_differ_none_is_believed(tapewatch: Program) -> None:
    fault = {"path": DAYS, "mutate": {"rows": [12], "set": {"TIMESTAMP": START + 11 * DAY}}}
    program = tapewatch.on(tapewatch.processes.sandbox(faults=[fault]))
    command = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD")
    summary = program.ingest(*command, "--start", "2025-01-01", "--end", "2025-02-01", code=1)
    assert summary["rows_inserted"] == COUNT - 2
    assert summary["rows_quarantined"] == 2
