"""What operators come to the dashboard for, done at 80x24 by keys alone: each task in no more keys than it says."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from e2e_program import HOUR, Processes, Program, Sandbox
from operator_kit import seated

from core.stores.migrate import migrate
from core.stores.sqlite_connection import connect
from core.windows import parse_time

pytestmark = pytest.mark.slow

KRAKEN = ("BTC-USD", "ETH-USD", "LTC-USD", "XRP-USD")
MAY = ("--start", "2025-05-01", "--end", "2025-06-01")
FAULTS = [
    {"path": "*/historical/*", "query": {"instrument": "XRP-USD"}, "status": 404},
    {"query": {"instrument": "BTC-USD"}, "mutate": {"rows": [10, 11], "set": {"VOLUME": -1}}},
    # Whoever asks a second time gets what was missing.
    {
        "path": "*/historical/*",
        "query": {"instrument": "ETH-USD"},
        "to": 1,
        "drop_span": {"from": "2025-05-20", "to": "2025-05-23"},
    },
    {"path": "*/historical/*", "query": {"market": "bitstamp"}, "delay": 30},
]
SCHEDULES = """
[schedules.yearly]
cron = "0 0 1 1 *"
operation = {data_type = "spot_ohlcv", market = "kraken", instrument = "BTC-USD", interval = "1d", start = "2025-05-25"}
"""
MARKETS = ("binance", "bitfinex", "bitstamp", "coinbase", "kraken")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A daemon at work on a vendor with faults, after a job that met them; what is done with it below adds up."""
    processes = Processes(tmp_path_factory.mktemp("desk"))
    program = Program(processes, processes.folder / "store.db", processes.sandbox(faults=FAULTS, limits=None))
    schedules = processes.folder / "schedules.toml"
    schedules.write_text(SCHEDULES)
    try:
        program.start("serve", "--listen", "127.0.0.1:0", "--schedules", str(schedules)).says(r"^engine \w+ ready")
        program("spot_ohlcv", "--market", "kraken", "--instrument", ",".join(KRAKEN), *MAY, code=1)
        yield program
    finally:
        processes.close()


def test_the_series_that_failed_and_why(desk: Program) -> None:
    with seated(desk, keys=3) as seat:
        seat.press("2")
        seat.sees(r"^>j-\w+ +spot_ohlcv +1d +✓ gaps")
        seat.press("enter")
        seat.sees(r"^>kraken/XRP-USD +✖ fail")
        seat.press("enter")
        seat.sees(r"error +kraken XRP-USD: not found: Injected status 404")


def test_an_alert_is_silenced_for_an_hour(desk: Program) -> None:
    with seated(desk, keys=9) as seat:
        seat.press("4")
        seat.sees(r"^>✖ ERROR ● firing .*retries_exhausted")
        seat.press("Z", *"moving")
        seat.sees(r"for +1h\b")
        seat.sees("matches 1 open alert")
        seat.press("enter")
        seat.sees(r"^>✖ ERROR ‖ silenced .*retries_exhausted")
    [silence] = desk("alerts", "silences", "--output", "json", code=0).json
    assert (silence["rule"], silence["comment"]) == ("retries_exhausted", "moving")
    assert parse_time(silence["until"]) - parse_time(silence["created"]) == HOUR


def test_an_alert_is_acknowledged_with_a_comment(desk: Program) -> None:
    with seated(desk, keys=13) as seat:
        seat.press("4")
        seat.filter("gaps")
        seat.sees(r"^>▲ WARN  ● firing .*gaps_open")
        seat.press("a", *"mine")
        seat.sees(r"comment +mine")
        seat.press("enter")
        seat.sees(r"^>▲ WARN  ◆ acked .*gaps_open")
    [alert] = desk("alerts", "--rule", "gaps_open", "--output", "json", code=0).json
    assert "(mine)" in alert["acked_by"]


def test_what_used_the_quota(desk: Program) -> None:
    with seated(desk, keys=1) as seat:
        seat.press("5")
        seat.sees("What used the quota")
        seat.sees(r"reason +backfill +\d+ +\d+ +100%")
        seat.sees(r"data type +spot_ohlcv +\d+ +\d+ +100%")


def test_how_two_days_of_a_series_compare(desk: Program) -> None:
    with seated(desk, keys=8) as seat:
        seat.press("3")
        seat.filter("ltc")
        seat.sees(r"^>spot_ohlcv +kraken +LTC-USD")
        seat.press("enter")
        seat.sees("Candles 1d")
        seat.press("c")
        seat.sees("2025-05-31 and the day before")
        seat.sees(r"close +[\d.,]+ +[\d.,]+ +[+-][\d.]+%")


def test_what_the_vendor_sent_in_a_row_that_was_refused(desk: Program) -> None:
    with seated(desk, keys=12) as seat:
        seat.press("3")
        seat.filter("btc")
        seat.sees(r"^>spot_ohlcv +kraken +BTC-USD")
        seat.press("enter")
        seat.sees("quarantined 2")
        seat.press("tab", "tab", "tab", "tab")
        seat.sees(r"^>.*negative_amount")
        seat.press("enter")
        seat.sees(r'"VOLUME":-1\b')


def test_a_gap_its_cause_and_its_repair(desk: Program) -> None:
    with seated(desk, keys=9) as seat:
        seat.press("3")
        seat.filter("eth")
        seat.sees(r"^>spot_ohlcv +kraken +ETH-USD .* 1$")
        seat.press("enter")
        seat.sees(r"^>2025-05-20 00:00 +3 ▲ new +instrument_silent")
        seat.press("R")
        seat.sees("1 series: 1 request")
        seat.press("enter")
        seat.sees("No gap, no window given up, nothing suspect")
    assert desk("gaps", "list", "--instrument", "ETH-USD", "--output", "jsonl", code=0).lines == []


def test_the_command_about_a_row_is_copied(desk: Program) -> None:
    with seated(desk, keys=7) as seat:
        seat.press("3")
        seat.filter("xrp")
        seat.sees(r"^>spot_ohlcv +kraken +XRP-USD")
        seat.press("Y")
        seat.has_copied("tapewatch why spot_ohlcv/kraken/XRP-USD/1d")


def test_when_a_schedule_runs_next_and_that_it_shall_not(desk: Program) -> None:
    with seated(desk, keys=3) as seat:
        seat.press("6")
        seat.sees(r"^>yearly +✓ on ")
        seat.sees(r"next run +\d{4}-01-01 00:00 UTC")
        seat.press("p")
        seat.sees("1  for an hour")
        seat.press("1")
        seat.sees(r"^>yearly +‖ paused ")


def test_a_job_is_started_its_cost_known_and_its_rows_arrive(desk: Program) -> None:
    with seated(desk, keys=20) as seat:
        seat.press("n", "tab", "tab", *"kraken", "tab", *"ADA-USD", "enter")
        seat.sees(r"1 series: \d+ requests? \([\d,]+ rows")
        seat.sees(r"budget: a run may send [\d,]+ requests")
        seat.press("enter")
        job = seat.sees(r"started spot_ohlcv 1d: (j-\w+)")[1]
        seat.press("2")
        seat.sees(rf"^[> ]{job} +spot_ohlcv +1d +✓ done +100% +[1-9]")
    assert desk.store.one("SELECT count(*) FROM spot_ohlcv_1d WHERE instrument = 'ADA-USD'")


def test_a_job_at_work_is_cancelled(desk: Program) -> None:
    desk("spot_ohlcv", "--market", "bitstamp", "--instrument", "BTC-USD", *MAY, "--detach", code=0)
    with seated(desk, keys=3) as seat:
        seat.press("2")
        seat.sees(r"^>j-\w+ +spot_ohlcv +1d +● run")
        seat.press("x")
        seat.sees(r"Cancel job j-\w+ \(spot_ohlcv 1d\)\?")
        seat.press("y")
        seat.sees(r"^>j-\w+ +spot_ohlcv +1d +■ cancel\b")


@pytest.fixture
def crowded(processes: Processes, market: Sandbox) -> Program:
    """An engine over a store of 10,000 series."""
    program = Program(processes, processes.folder / "crowded.db", market)
    with closing(connect(str(program.db))) as db:
        migrate(db, 0)
    with closing(sqlite3.connect(program.db)) as db, db:
        db.executemany(
            "INSERT INTO series (source, data_type, market, instrument, interval, created) "
            "VALUES ('coindesk', 'spot_ohlcv', ?, ?, '1d', 0)",
            [(name, f"C{number}-USD") for name in MARKETS for number in range(2_000)],
        )
    program.engine()
    return program


def test_one_market_among_ten_thousand_series(crowded: Program) -> None:
    with seated(crowded, keys=9) as seat:
        seat.press("3")
        seat.sees("Stored series 10000")
        seat.filter("kraken")
        seat.sees("Stored series 2000 of 10000")
        seat.sees(r"^>spot_ohlcv +kraken +C0-USD")
