"""What detectors have learned in a store: the newest is kept, and what nobody writes any more goes."""

from core.findings import Learned
from core.stores.baselines import KEPT_SECONDS
from core.stores.sql_store import SQLStore
from tests.stores import Wall

MARKET, SERIES = "spot_ohlcv/kraken", "BTC-USD/1h"


def learned(newest: int = 3_600, series: str = SERIES, detector: str = "runs", state: str = '{"a": [1.5]}') -> Learned:
    return Learned(MARKET, series, detector, newest, state)


async def test_what_is_kept_of_a_series_is_found_by_its_name(store: SQLStore) -> None:
    kept = [learned(), learned(detector="seasonal", state="x" * 60_000)]
    await store.keep_baselines([*reversed(kept), learned(series="ETH-USD/1h"), learned(series="")])
    assert await store.baselines(MARKET, SERIES) == kept
    assert await store.baselines("spot_ohlcv/other", SERIES) == []
    assert await store.baselines_of_markets() == [learned(series="")]
    await store.keep_baselines([])


async def test_who_knows_newer_bars_is_believed(store: SQLStore) -> None:
    for newest, state in ((7_200, "of one"), (3_600, "of another that was late"), (7_200, "the same again")):
        await store.keep_baselines([learned(newest, state=state)])
    assert await store.baselines(MARKET, SERIES) == [learned(7_200, state="the same again")]


async def test_what_is_not_written_any_more_is_forgotten(store: SQLStore, wall: Wall) -> None:
    await store.keep_baselines([learned(), learned(series="ETH-USD/1h")])
    wall.now += KEPT_SECONDS - 60
    await store.keep_baselines([learned(7_200)])
    await store.forget_baselines()
    assert await store.baselines(MARKET, "ETH-USD/1h") == [learned(series="ETH-USD/1h")]
    wall.now += 120
    await store.forget_baselines()
    assert await store.baselines(MARKET, "ETH-USD/1h") == []
    assert await store.baselines(MARKET, SERIES) == [learned(7_200)]
