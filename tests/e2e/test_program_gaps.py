"""Gaps, the quarantine, restatements and keeping house, as their users run them."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2e_program import DAY, NOW, NOW_TS, Processes, Program, Sandbox, until

from core.stores import migrate
from core.stores.sqlite_connection import connect
from core.windows import iso

START, END = NOW_TS - NOW_TS % DAY - 70 * DAY, NOW_TS - NOW_TS % DAY - 10 * DAY
NAMES = ("BTC-USD", "ETH-USD", "LTC-USD", "XRP-USD")
SPAN = ("--start", "2025-03-23", "--end", "2025-05-22")
INGEST = ("spot_ohlcv", "--market", "kraken", "--instrument", ",".join(NAMES), *SPAN)


def name(instrument: str) -> str:
    return f"spot_ohlcv/kraken/{instrument}/1d"


def day(number: int) -> str:
    """The n-th day of the span in ISO."""
    return iso(START + number * DAY)


FAULTS: list[dict[str, Any]] = [
    {"query": {"instrument": "BTC-USD"}, "mutate": {"rows": [10, 11], "set": {"VOLUME": -1}}},
    {"query": {"instrument": "ETH-USD"}, "drop_span": {"from": START + 20 * DAY, "to": START + 25 * DAY}},
    {"query": {"market": "kraken"}, "drop_span": {"from": START + 40 * DAY, "to": START + 42 * DAY}},
    {"query": {"instrument": "XRP-USD"}, "status": 404},
]
GAPS = {
    ("BTC-USD", day(10), day(12), "rejected_rows"),
    ("BTC-USD", day(40), day(42), "market_silent"),
    ("ETH-USD", day(20), day(25), "instrument_silent"),
    ("ETH-USD", day(40), day(42), "market_silent"),
    ("LTC-USD", day(40), day(42), "market_silent"),
    ("XRP-USD", day(0), day(60), "failed_fetch"),
}


@dataclass
class Damaged:
    """A store with gaps of several causes, on a sandbox that has recovered since."""

    program: Program
    recovered: Sandbox


@pytest.fixture(scope="module")
def damaged(market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Damaged]:
    """To be looked at only."""
    folder: Path = tmp_path_factory.mktemp("damaged")
    processes = Processes(folder)
    program = Program(processes, folder / "store.db", processes.sandbox(faults=FAULTS))
    program.ingest(*INGEST, code=1)
    yield Damaged(program.on(market), market)
    processes.close()


@pytest.fixture
def own(damaged: Damaged, processes: Processes, tmp_path: Path) -> Damaged:
    """A copy, to be worked on."""
    shutil.copy(damaged.program.db, tmp_path / "own.db")
    return Damaged(Program(processes, tmp_path / "own.db", damaged.recovered), damaged.recovered)


def change(program: Program, *statements: str) -> None:
    with closing(sqlite3.connect(program.db)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


@pytest.mark.slow
def test_gaps_are_listed_with_their_causes(damaged: Damaged) -> None:
    listed = damaged.program("gaps", "list", "--output", "json", code=0).json
    assert {(row["series"].split("/")[2], row["start"], row["end"], row["cause"]) for row in listed} == GAPS
    assert {row["state"] for row in listed} == {"new", "given up"}
    assert [row["bars"] for row in listed] == [2, 2, 5, 2, 2, 60]
    causes = damaged.program.store.all("SELECT DISTINCT cause FROM gap ORDER BY 1")
    assert [row["cause"] for row in causes] == ["instrument_silent", "market_silent", "rejected_rows"]
    text = damaged.program("gaps", "list", code=0).out
    assert "instrument_silent" in text
    assert text.splitlines()[0].split()[:4] == ["series", "start", "end", "bars"]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--instrument", "ETH-USD"), 2),
        (("--instrument", "XETHZUSD,BTC-USD"), 4),
        (("--cause", "market_silent"), 3),
        (("--cause", "failed_fetch,rejected_rows"), 2),
        (("--interval", "1h"), 0),
        (("--market", "binance"), 0),
        (("--data-type", "spot-ohlcv", "--market", "KRAKEN"), 6),
        (("--data_type", "indices_ohlcv"), 0),
    ],
)
def test_gaps_may_be_chosen(damaged: Damaged, options: tuple[str, ...], count: int) -> None:
    assert len(damaged.program("gaps", "list", *options, "--output", "jsonl", code=0).lines) == count


MISTAKES = {
    "a cause": (("gaps", "list", "--cause", "weather"), "choose vendor_short_page"),
    "a data type": (("gaps", "list", "--data_type", "stocks"), "choose spot_ohlcv"),
    "an interval": (("gaps", "list", "--interval", "5m"), "choose 1d, 1h, 1m"),
    "half a name": (("gaps", "explain", "kraken/BTC-USD"), "data_type/market/instrument/interval"),
    "nothing to explain": (("gaps", "explain"), "name a series"),
    "both": (("gaps", "explain", name("BTC-USD"), "--all"), "not both"),
    "half a repair": (("gaps", "repair", "BTC-USD"), "data_type/market/instrument/interval"),
    "no record": (("quarantine", "show", "99"), "no record 99"),
    "nothing to retry": (("quarantine", "retry"), "--reason"),
    "no time": (("restatements", "--since", "yesterday"), "not a date or time"),
    "no limits": (("series", "prune", "--yes"), "[retention]"),
    "half a series": (("why", "kraken"), "data_type/market/instrument/interval"),
    "no interval": (("why", "spot_ohlcv/kraken/BTC-USD/2h"), "1d, 1h, 1m"),
    "no length of time": (("changes", "--since", "3y"), "7d, 12h"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_a_sentence(damaged: Damaged, case: str) -> None:
    command, words = MISTAKES[case]
    assert words in damaged.program(*command, code=2).sentence


@pytest.mark.slow
def test_a_series_that_is_not_stored_is_said_to_be_so(damaged: Damaged) -> None:
    commands = (("gaps", "explain"), ("gaps", "repair"), ("series", "show"), ("series", "drop"), ("verify",))
    for command in commands:
        assert "is not stored" in damaged.program(*command, name("DOGE-USD"), code=2).sentence


@pytest.mark.slow
def test_explaining_says_why_and_what_happens_next(damaged: Damaged) -> None:
    said = damaged.program("gaps", "explain", name("ETH-USD"), code=0).out
    assert "instrument_silent: no bar inside an answer, while 2 of 2 other series of kraken have bars then" in said
    assert "market_silent: none of the 2 other series of kraken has a bar then" in said
    assert "seen   once" in said
    assert "tapewatch gaps repair" in said
    everything = damaged.program("gaps", "explain", "--all", "--output", "json", code=0).json
    assert len(everything) == len(GAPS)
    silent = next(row for row in everything if row["cause"] == "instrument_silent")
    assert silent["evidence"]["others"] == {"asked": 2, "silent": 0}
    assert silent["evidence"]["rows"] == 53
    refused = next(row for row in everything if row["cause"] == "failed_fetch")
    assert "404" in refused["words"] or "not found" in refused["words"]


@pytest.mark.slow
def test_a_repair_closes_what_can_be_closed_and_asks_for_nothing_else(own: Damaged) -> None:
    mark = len(own.recovered.calls)
    planned = own.program("gaps", "repair", "--dry_run", "--output", "json", code=0).json
    assert {part["start"] for part in planned["series"]} == {day(9), day(19), day(39), day(-1)}
    assert own.recovered.since(mark) == []
    summary = own.program("gaps", "repair", "--output", "json", code=0).json
    calls = own.recovered.since(mark)
    assert len(calls) == planned["requests"] == summary["requests"] == 4
    assert all(call.is_history for call in calls)
    assert {call.series: call.window for call in calls} == {
        name("BTC-USD"): (START + 9 * DAY, START + 43 * DAY),
        name("ETH-USD"): (START + 19 * DAY, START + 43 * DAY),
        name("LTC-USD"): (START + 39 * DAY, START + 43 * DAY),
        name("XRP-USD"): (START - DAY, END + DAY),
    }
    found = summary["repair"]
    assert (found["gaps"], found["closed"], found["bars_closed"], found["bars_open"]) == (6, 6, 73, 0)
    assert found["by_cause"]["failed_fetch"] == {
        "gaps": 1,
        "closed": 1,
        "bars_closed": 60,
        "bars_open": 0,
        "bars_new": 0,
    }
    assert own.program("gaps", "list", code=0).out == "no gaps\n"
    assert own.program.store.one("SELECT count(*) FROM spot_ohlcv") == 4 * 60 + 2
    again = own.program("gaps", "repair", code=0)
    assert again.out == "no gaps\n"
    assert own.recovered.since(mark) == calls
    assert own.program.ingest(*INGEST)["requests"] == 0


@pytest.mark.slow
def test_a_repair_of_a_part_says_what_is_still_open(own: Damaged) -> None:
    still = Program(own.program.processes, own.program.db, own.program.processes.sandbox(faults=FAULTS))
    ended = still("gaps", "repair", name("LTC-USD"), name("BTC-USD"), code=1)
    table = [line.split() for line in ended.out.splitlines()]
    assert table[-3:] == [
        ["market_silent", "2", "0", "0", "4", "0"],
        ["rejected_rows", "1", "1", "2", "0", "0"],
        ["all", "3", "1", "2", "4", "0"],
    ], "rows are spoiled by their place in a page, and the page is cut elsewhere"
    assert "tapewatch gaps explain" in ended.err
    mark = len(own.recovered.calls)
    refused = own.program("gaps", "repair", "--max_requests", "2", "--output", "json", code=2)
    assert "needs 4 requests, --max_requests allows 2" in refused.out + refused.err
    assert own.recovered.since(mark) == []


@pytest.mark.slow
def test_a_repair_runs_in_the_engine_that_holds_the_store(own: Damaged) -> None:
    engine = own.program.engine()
    summary = own.program("gaps", "repair", name("ETH-USD"), "--output", "json", code=0).json
    assert (summary["requests"], summary["repair"]["bars_closed"]) == (1, 7)
    assert len(own.program("gaps", "list", "--output", "json", code=0).json) == len(GAPS) - 2
    engine.end()


@pytest.mark.slow
def test_what_was_seen_twice_takes_a_word_more(own: Damaged) -> None:
    confirmed = f"sightings = 2, next_check = {4 * 10**9}"
    change(own.program, f"UPDATE gap SET {confirmed} WHERE cause = 'market_silent'", "DELETE FROM failed_fetch")
    mark = len(own.recovered.calls)
    ended = own.program("gaps", "repair", "--market", "kraken", code=0)
    assert {call.series for call in own.recovered.since(mark)} == {name("BTC-USD"), name("ETH-USD")}
    assert "take --all" in ended.err
    own.program("gaps", "repair", "--all", code=0)
    assert own.program("gaps", "list", code=0).out == "no gaps\n"


@pytest.mark.slow
def test_quarantined_rows_are_shown_and_looked_at_again(own: Damaged) -> None:
    program = own.program
    listed = program("quarantine", "list", "--output", "json", code=0).json
    assert [(row["id"], row["series"], row["start"], row["reason"], row["state"]) for row in listed] == [
        (1, name("BTC-USD"), day(10), "negative_amount", "open"),
        (2, name("BTC-USD"), day(11), "negative_amount", "open"),
    ]
    assert '"VOLUME":-1' in program("quarantine", "show", "1", code=0).out
    assert "0 of 2 accepted" in program("quarantine", "retry", "--reason", "negative_amount", code=1).err
    # As if the rule had been too strict: the stored text is right.
    change(program, "UPDATE quarantine SET raw = replace(raw, '\"VOLUME\":-1', '\"VOLUME\":0') WHERE id = 1")
    verdicts = program("quarantine", "retry", "1", "2", "--output", "json", code=1).json
    assert [(row["id"], row["accepted"]) for row in verdicts] in ([(1, True), (2, False)], [(1, False), (2, False)])


@pytest.mark.slow
@pytest.mark.parametrize("command", [("quarantine", "retry", "1"), ("series", "drop", name("BTC-USD"), "--yes")])
def test_what_writes_waits_for_nobody(own: Damaged, command: tuple[str, ...]) -> None:
    engine = own.program.engine()
    assert "the store is held by a dashboard" in own.program(*command, code=75).sentence
    engine.end()


@pytest.mark.slow
def test_restatements_are_listed(processes: Processes, market: Sandbox, tmp_path: Path) -> None:
    program = Program(processes, tmp_path / "r.db", market)
    one = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", *SPAN)
    program.ingest(*one)
    revise = {"revise": {"from": START + 5 * DAY, "to": START + 6 * DAY, "factor": 2}}
    summary = program.on(processes.sandbox(faults=[revise])).ingest(*one, "--full_refresh")
    found = program("restatements", "--since", "2025-01-01", "--output", "json", code=0).json
    assert {row["bar"] for row in found} == {day(5)}
    volume = next(row for row in found if row["column"] == "volume")
    assert volume["new"] == pytest.approx(2 * volume["old"])
    assert (volume["series"], volume["run_id"], volume["seen_at"]) == (name("BTC-USD"), summary["run_id"], NOW)
    assert program("restatements", "--since", "2025-06-02", code=0).out.startswith("no closed bar has changed")
    assert program("restatements", "--since", "2025-01-01", "--series", name("BTC-USD"), code=0).out.count(
        day(5)
    ) == len(found)


@pytest.mark.slow
def test_why_names_what_is_in_the_way(damaged: Damaged) -> None:
    asked = damaged.program("why", name("ETH-USD"), "--at", NOW, "--output", "json", code=0).json
    assert (asked["status"], asked["last_bar"], asked["expected_bar"]) == ("behind", day(59), "2025-05-31T00:00:00Z")
    assert (asked["bars_behind"], asked["gaps"]) == (10, {"new": 2, "confirmed": 0, "failed_fetch": 0})
    assert [blocker["what"] for blocker in asked["blockers"]] == ["schedule"]
    assert asked["command"] == "tapewatch spot_ohlcv --interval 1d --market kraken --instrument ETH-USD"
    assert (asked["engine"], asked["quota"]) == (None, None)
    failed = damaged.program("why", name("XRP-USD"), "--at", NOW, "--output", "json", code=0).json
    assert [blocker["what"] for blocker in failed["blockers"]] == [
        *("never_ingested", "last_run", "failed_fetch", "schedule")
    ]
    never = damaged.program("why", name("DOGE-USD"), code=0).out
    assert "never ingested" in never
    assert "--instrument DOGE-USD" in never


def test_why_is_one_screen(damaged: Damaged) -> None:
    lines = damaged.program("why", name("XRP-USD"), "--at", NOW, code=0).out.splitlines()
    assert len(lines) <= 24
    assert lines[0].split() == ["series", name("XRP-USD")]


@pytest.mark.slow
def test_why_asks_the_engine_that_holds_the_store(own: Damaged) -> None:
    engine = own.program.engine()
    asked = own.program("why", name("ETH-USD"), "--at", NOW, "--output", "json", code=0).json
    assert asked["engine"]["kind"] == "dashboard"
    assert "store_busy" not in {blocker["what"] for blocker in asked["blockers"]}
    # The quota is known once the engine has heard of it.
    own.program.ingest(*INGEST, "--full_refresh")

    def left() -> Any:
        quota = own.program("why", name("ETH-USD"), "--at", NOW, "--output", "json", code=0).json["quota"]
        return (quota or {}).get("day")

    assert until(left, "the quota of the day") > 0
    engine.end()


@pytest.mark.slow
def test_an_old_name_means_the_same_series(own: Damaged) -> None:
    change(
        own.program, f"INSERT INTO series_name SELECT id, 'XBT-USD', {NOW_TS} FROM series WHERE instrument = 'BTC-USD'"
    )
    asked = own.program("why", name("XBT-USD"), "--at", NOW, code=0).out
    assert f"{name('BTC-USD')}  (asked as {name('XBT-USD')})" in asked
    assert "rejected_rows" in own.program("gaps", "explain", name("XBT-USD"), code=0).out
    shown = own.program("series", "show", name("XBT-USD"), code=0).out
    assert "XBT-USD until 2025-06-01T12:00:00Z" in shown
    assert len(own.program("gaps", "list", "--instrument", "XBT-USD", "--output", "json", code=0).json) == 2


@pytest.mark.slow
def test_showing_a_series_explains_what_is_there(damaged: Damaged) -> None:
    shown = damaged.program("series", "show", name("BTC-USD"), code=0).out
    assert f"{day(0)} .. {day(60)}" in shown
    assert "rejected_rows (new): the vendor's rows did not pass the checks" in shown
    detail = damaged.program("series", "show", name("BTC-USD"), "--output", "json", code=0).json
    assert (detail["rows"], detail.get("history_start")) == (56, None)
    assert [gap["cause"] for gap in detail["gap"]] == ["rejected_rows", "market_silent"]


@pytest.mark.slow
def test_series_without_a_bar_that_is_kept_can_be_verified(own: Damaged) -> None:
    limit = {"TAPEWATCH_RETENTION__SPOT_OHLCV_1D": "1d"}
    program = Program(own.program.processes, own.program.db, own.recovered, limit)
    program("series", "prune", "--yes", code=0)
    for how in ("--dry_run", "--offline"):
        assert "0 series" in program("verify", how, code=0).out


@pytest.mark.slow
def test_pruning_says_what_would_go_and_does_it_when_told(own: Damaged) -> None:
    keep = (int(time.time()) - START) // DAY - 30
    program = Program(
        own.program.processes, own.program.db, own.recovered, {"TAPEWATCH_RETENTION__SPOT_OHLCV_1D": f"{keep}d"}
    )
    dry = program("series", "prune", "--dry_run", "--output", "json", code=0).json
    assert {row["series"]: row["rows"] for row in dry} in (
        {name("BTC-USD"): 28, name("ETH-USD"): 25, name("LTC-USD"): 30},
        {name("BTC-USD"): 29, name("ETH-USD"): 26, name("LTC-USD"): 31},
    )
    rows = program.store.one("SELECT count(*) FROM spot_ohlcv")
    assert "add --yes" in program("series", "prune", code=2).err
    assert program.store.one("SELECT count(*) FROM spot_ohlcv") == rows
    program("series", "prune", "--yes", code=0)
    assert program.store.one("SELECT count(*) FROM spot_ohlcv") == rows - sum(row["rows"] for row in dry)
    assert "were kept once" in program("series", "show", name("BTC-USD"), code=0).out
    assert program("series", "prune", "--yes", code=0).out == "nothing is older than is kept\n"
    # Without limits nothing of it is bought again either.
    mark = len(own.recovered.calls)
    ltc = ("spot_ohlcv", "--market", "kraken", "--instrument", "LTC-USD", "--start", day(0), "--end", day(30))
    planned = own.program(*ltc, "--dry_run", "--output", "json", code=0).json
    assert (planned["requests"], own.recovered.since(mark)) == (0, [])


@pytest.mark.slow
def test_a_store_of_an_older_version_is_read_by_nobody_until_a_run_has_mended_it(tapewatch: Program) -> None:
    with closing(connect(str(tapewatch.db))) as db, db.transaction():
        migrate._apply(db, migrate.migrations()[0], 0)
    before = tapewatch.db.read_bytes()
    for command in (("gaps", "list"), ("why", name("BTC-USD")), ("series", "list"), ("quarantine", "list")):
        said = tapewatch(*command, code=2).sentence
        assert str(tapewatch.db) in said
        assert "`tapewatch db migrate` brings it up to date" in said
    assert tapewatch.db.read_bytes() == before
    tapewatch.ingest("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", *SPAN)
    assert tapewatch("gaps", "list", code=0).out == "no gaps\n"
