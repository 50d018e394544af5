"""`dash --snapshot`: the overview for a ticket, with an engine and without one."""

import re

import pytest
from e2e_program import Program

TICKET = ("dash", "--snapshot")


@pytest.mark.slow
def test_from_the_engine_that_runs(tapewatch: Program) -> None:
    engine = tapewatch.engine(linger=600)
    tapewatch("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", "--start", "2025-05-01", code=0)
    shown = tapewatch(*TICKET, code=0)
    assert "LIVE" in shown.out
    assert "\x1b" not in shown.out
    assert "spot_ohlcv" in shown.out
    engine.end()


@pytest.mark.slow
def test_from_the_journal_when_none_does(tapewatch: Program) -> None:
    done = tapewatch("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", "--start", "2025-05-01")
    assert done.code == 0
    shown = tapewatch(*TICKET, "--ascii")
    assert shown.code == 0
    assert shown.out.isascii()
    assert re.search(r"^j-\w+ .*spot_ohlcv .*done", shown.out, re.MULTILINE)
    assert "no engine is running" in shown.out
    assert re.search(r"^spot_ohlcv +1d  v ", shown.out, re.MULTILINE), "late by the vendor's clock only, not by ours"
    assert max(map(len, shown.out.splitlines())) <= 120


def test_without_a_store_there_is_nothing_to_tell(tapewatch: Program) -> None:
    shown = tapewatch(*TICKET)
    assert shown.code == 3
    assert shown.out == ""
    assert "there is no store" in shown.err
