"""What analysts get on top of the vendor's fields: funding payments, and open interest by a plain name."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from engine_kit import NOW, ask
from sandbox_kit import SandboxKit

from core.datasets import FUTURES_FUNDING_RATE, SeriesKey
from core.sandbox.options import SandboxOptions
from core.stores.sqlite import SQLiteStore
from core.windows import DAY, HOUR, MINUTE, Window, iso
from tests.fakes import VirtualClock, waited_for

BEGIN = DAY.floor(NOW) - 3 * DAY.seconds
EIGHT_HOURS = ("binance", "BTC-USDT-VANILLA-PERPETUAL", 8 * HOUR.seconds)
ONE_HOUR = ("hyperliquid", "BTC-USDT-QUANTO-PERPETUAL", HOUR.seconds)
PAYMENTS = (
    "SELECT market, instrument, ts, time, rate, interval_ms, sampled_from, derived, known_at "
    "FROM futures_funding_payments ORDER BY ts"
)


@pytest.fixture
async def kit() -> AsyncIterator[SandboxKit]:
    clock = VirtualClock(NOW)
    store = await SQLiteStore.open("sqlite:///:memory:", clock.wall)
    yield SandboxKit(waited_for(store), clock, SandboxOptions())
    await store.close()


async def read(kit: SandboxKit, market: str, instrument: str, interval: str, window: Window, **fields: Any) -> None:
    data_type = fields.pop("data_type", "futures_funding_rate")
    span = {"start": iso(window.start), "end": iso(window.end)}
    job = await kit.run(
        ask(data_type=data_type, market=market, instrument=instrument, interval=interval, **span, **fields)
    )
    assert job.state == "complete", job


async def published(kit: SandboxKit, market: str, instrument: str, at: int) -> float:
    """The rate that stood last before `at`, as the vendor's minutes say."""
    key = SeriesKey("futures_funding_rate", market, instrument, "1m")
    page = await kit.answer(key, Window(at - MINUTE.seconds, at), FUTURES_FUNDING_RATE.groups, NOW)
    return float(page.rows[0].close)


@pytest.mark.slow
@pytest.mark.parametrize("contract", [EIGHT_HOURS, ONE_HOUR], ids=["8h", "1h"])
async def test_one_payment_an_interval_from_minutes_where_there_are_any_else_from_hours(
    kit: SandboxKit, contract: tuple[str, str, int]
) -> None:
    market, instrument, every = contract
    window = Window(BEGIN, BEGIN + 3 * DAY.seconds)
    of_minutes = Window(BEGIN + DAY.seconds, BEGIN + 2 * DAY.seconds)
    await read(kit, market, instrument, "1h", window)
    from_hours = await kit.query(PAYMENTS)
    await read(kit, market, instrument, "1m", of_minutes)
    found = await kit.query(PAYMENTS)
    ends = list(range(BEGIN + every, window.end + 1, every))
    assert [row[2] for row in found] == ends == [row[2] for row in from_hours]
    for market_found, name, ts, time, rate, interval_ms, sampled_from, derived, known_at in found:
        assert (market_found, name, time, derived, interval_ms) == (market, instrument, iso(ts), 1, every * 1000)
        assert sampled_from == ("1m" if of_minutes.start < ts <= of_minutes.end else "1h")
        assert rate == await published(kit, market, instrument, ts)
        assert NOW <= known_at <= kit.clock.wall()
    assert [row[4] for row in found] == [row[4] for row in from_hours], "both sample the same stream"
    assert len({row[4] for row in found}) >= 3


@pytest.mark.parametrize("groups", ["OHLC", "VALUE"])
async def test_minutes_that_cannot_tell_leave_it_to_the_hours(kit: SandboxKit, groups: str) -> None:
    """Neither a rate without its interval nor an interval without a rate is a payment."""
    market, instrument, every = EIGHT_HOURS
    window = Window(BEGIN, BEGIN + DAY.seconds)
    await read(kit, market, instrument, "1m", window, groups=groups)
    assert await kit.query(PAYMENTS) == []
    await read(kit, market, instrument, "1h", window)
    assert [(row[2], row[6]) for row in await kit.query(PAYMENTS)] == [(BEGIN + n * every, "1h") for n in (1, 2, 3)]
    await read(kit, market, instrument, "1m", window, groups="OHLC,VALUE")
    assert [row[6] for row in await kit.query(PAYMENTS)] == ["1m"] * 3


async def test_a_running_bar_pays_nothing(kit: SandboxKit) -> None:
    market, instrument, _ = ONE_HOUR
    await read(kit, market, instrument, "1h", Window(HOUR.floor(NOW) - 7_200, NOW + 3_600))
    stored = await kit.query("SELECT ts + 3600, closed FROM futures_funding_rate ORDER BY ts")
    assert stored[-1][1] == 0
    assert [row[2] for row in await kit.query(PAYMENTS)] == [end for end, closed in stored if closed]


@pytest.mark.parametrize("interval", ["1d", "1h", "1m"])
async def test_open_interest_has_a_plain_name(kit: SandboxKit, interval: str) -> None:
    market, instrument, _ = EIGHT_HOURS
    window = Window(NOW - 3 * DAY.seconds, NOW) if interval == "1d" else Window(NOW - 7_200, NOW)
    await read(kit, market, instrument, interval, window, data_type="futures_open_interest")
    columns = "open_interest, open_interest_quote, close_settlement, close_quote, close_mark_price"
    found = await kit.query(f"SELECT {columns} FROM futures_open_interest_{interval} WHERE closed")
    assert len(found) >= 1
    for settlement, quote, *whole, mark in found:
        assert [settlement, quote] == whole
        assert quote == pytest.approx(settlement * mark, rel=1e-9), "a vanilla contract"
