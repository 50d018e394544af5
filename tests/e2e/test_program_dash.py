"""The dashboard as its users run it: in a terminal, by keys, over a real engine and the sandbox."""

import signal

import pytest
from e2e_program import PROMPTLY, Program, until
from operator_kit import seated

LONG = (
    *("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD,ETH-USD", "--interval", "1h"),
    *("--start", "2024-06-01", "--end", "2025-05-01", "--parallel_workers", "1"),
)


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 20)])
def test_a_job_is_started_by_keys_alone_and_its_rows_arrive(tapewatch: Program, columns: int, rows: int) -> None:
    tapewatch.engine()
    with seated(tapewatch, keys=53, columns=columns, rows=rows) as seat:
        seat.sees("No jobs yet")
        seat.press("n")
        seat.sees("Start a job")
        seat.press("tab", "tab", *"kraken", "tab", *"BTC-USD,ETH-USD")
        seat.press("tab", "tab", *"2025-05-01", "tab", *"2025-05-11", "enter")
        seat.sees("2 series: 2 requests")
        assert not tapewatch.store.all("SELECT * FROM run")
        seat.press("enter")
        seat.sees("started spot_ohlcv")
        until(lambda: len(tapewatch.store.table("spot_ohlcv_1d")) == 20, "two series of ten days")
        until(lambda: tapewatch.store.all("SELECT * FROM run WHERE state = 'complete'"), "the end of the job")


@pytest.mark.slow
def test_an_engine_works_on_when_its_dashboard_is_killed(tapewatch: Program) -> None:
    slow = tapewatch.on(tapewatch.processes.sandbox(latency=300))
    engine = slow.engine()
    slow(*LONG, "--detach", code=0)
    with seated(slow, keys=0) as seat:
        seat.sees("spot_ohlcv .* run")
        seat.kill()
    assert slow.store.one("SELECT state FROM run") == "running"
    until(lambda: slow.store.all("SELECT * FROM run WHERE state = 'complete'"), "the end of the job")
    with seated(slow, keys=0) as seat:
        seat.sees("spot_ohlcv .* done")
    engine.signal(signal.SIGTERM)
    assert engine.done(PROMPTLY).code == 143
