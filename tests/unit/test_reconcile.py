"""Days, hours and minutes against one another: wrong figures are traced to their hour, right ones left alone."""

import random

import pytest

from core.datasets import DATASETS, SeriesKey, page_seconds
from core.findings import Bars
from core.monitoring.reconcile import Difference, Guilty, composed, compositions, reconcile, rereads
from core.sandbox.api import Api, synthetic
from core.sandbox.options import SandboxOptions
from core.windows import DAY, GRAINS, HOUR, MINUTE, Window
from tests.mutation import PERPETUAL
from tests.sandbox_bars import sandbox_bars

KEY = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1h")
END = 1_748_736_000  # 2025-06-01
DAYS = 4
FIGURES = ("volume", "total_trades", "high", "low")

Family = dict[str, Bars]


@pytest.fixture(scope="module")
def api() -> Api:
    return Api(synthetic(SandboxOptions(seed=7)))


def family(api: Api, key: SeriesKey = KEY, days: int = DAYS) -> Family:
    """The bars of one instrument at all three intervals."""
    return {name: sandbox_bars(api, key._replace(interval=name), END, days) for name in GRAINS}


@pytest.fixture
def bars(api: Api) -> Family:
    return family(api)


def damage(bars: Bars, at: int, column: str) -> None:
    """One bar is wrong by itself: still possible, but not what was."""
    values = bars.columns[column]
    factor = {"low": 0.3, "high": 3.0}.get(column, 2)
    values[at] = values[at] * factor + (1 if column in {"volume", "total_trades"} else 0)  # type: ignore[index]


@pytest.mark.parametrize("name", DATASETS)
def test_healthy_intervals_agree_in_every_data_type(api: Api, name: str) -> None:
    markets = {"spot_ohlcv": ("kraken", "ARB-BTC"), "indices_ohlcv": ("cadli", "ETH-USD")}
    market, instrument = markets.get(name, PERPETUAL)
    found = family(api, SeriesKey(name, market, instrument, "1h"))
    assert [len(found[interval].ts) for interval in ("1d", "1h", "1m")] == [DAYS, 24 * DAYS, 1_440 * DAYS]
    assert reconcile(found) == []
    assert len(compositions(name)) >= 5


@pytest.mark.parametrize("column", FIGURES)
@pytest.mark.parametrize("with_day", [True, False])
def test_a_wrong_minute_makes_its_hour_guilty(bars: Family, column: str, with_day: bool) -> None:
    damage(bars["1m"], 1_440 + 130, column)
    if not with_day:
        del bars["1d"]
    [guilty] = reconcile(bars)
    assert (guilty.key, guilty.window.start, guilty.fine) == (KEY, bars["1h"].ts[26], "1m")
    assert {difference.column for difference in guilty.differences} == {column}
    assert guilty.suspect == ("1m" if with_day else "")
    assert guilty.reread == KEY._replace(interval="1m")


@pytest.mark.parametrize("column", FIGURES)
def test_a_wrong_hour_is_told_from_wrong_minutes_by_its_day(bars: Family, column: str) -> None:
    damage(bars["1h"], 30, column)
    [guilty] = reconcile(bars)
    assert (guilty.key, guilty.window, guilty.suspect) == (KEY, Window(bars["1h"].ts[30], bars["1h"].ts[31]), "1h")


@pytest.mark.parametrize("column", FIGURES)
def test_a_wrong_day_is_told_by_hours_that_agree_with_their_minutes(bars: Family, column: str) -> None:
    damage(bars["1d"], 2, column)
    [guilty] = reconcile(bars)
    day = KEY._replace(interval="1d")
    assert (guilty.key, guilty.window, guilty.fine, guilty.suspect) == (day, bars["1d"].span(2, 2), "1h", "1d")
    del bars["1m"]
    [guilty] = reconcile(bars)
    assert (guilty.key, guilty.suspect, guilty.reread) == (day, "", KEY)


def test_first_open_and_last_close_are_those_of_the_longer_bar(bars: Family) -> None:
    bars["1m"].columns["open"][60] *= 1.0001  # type: ignore[index]
    bars["1m"].columns["close"][239] *= 1.0001  # type: ignore[index]
    bars["1m"].columns["close"][300] *= 1.0001  # type: ignore[index]
    found = reconcile(bars)
    assert [(each.window.start, [d.column for d in each.differences]) for each in found] == [
        (bars["1h"].ts[1], ["open"]),
        (bars["1h"].ts[3], ["close"]),
    ]


def test_days_are_held_against_minutes_where_there_are_no_hours(bars: Family) -> None:
    del bars["1h"]
    assert reconcile(bars) == []
    damage(bars["1m"], 1_500, "volume")
    [guilty] = reconcile(bars)
    assert (guilty.key.interval, guilty.window.start, guilty.fine, guilty.suspect) == ("1d", bars["1d"].ts[1], "1m", "")


def test_one_interval_has_nothing_to_disagree_with(bars: Family) -> None:
    for name in GRAINS:
        assert reconcile({name: bars[name]}) == []
    assert reconcile({}) == []


def test_spans_with_a_missing_bar_are_left_alone(bars: Family) -> None:
    for at in (70, 130, 190):
        damage(bars["1m"], at, "volume")
    minutes = bars["1m"]
    kept = [at for at in range(len(minutes.ts)) if at != 150]
    columns = {name: [values[at] for at in kept] for name, values in minutes.columns.items()}
    torn = Bars(minutes.key, [minutes.ts[at] for at in kept], columns)
    assert [each.window.start for each in reconcile({**bars, "1m": torn})] == [bars["1h"].ts[1], bars["1h"].ts[3]]
    hours = bars["1h"]
    lost = Bars(hours.key, hours.ts[2:], {name: values[2:] for name, values in hours.columns.items()})
    # Without all its hours the first day tells nothing, and the hour that is left is named all the same.
    [guilty] = reconcile({**bars, "1h": lost, "1m": torn})
    assert (guilty.window.start, guilty.suspect) == (hours.ts[3], "")


def test_columns_that_were_not_stored_are_not_compared(bars: Family) -> None:
    hours = bars["1h"]
    fewer = Bars(hours.key, hours.ts, {name: hours.columns[name] for name in ("open", "high", "low", "close")})
    damage(bars["1m"], 100, "volume")
    assert reconcile({**bars, "1h": fewer}) == []
    damage(bars["1m"], 100, "high")
    assert len(reconcile({**bars, "1h": fewer})) == 1


def test_the_last_digit_is_no_contradiction(bars: Family) -> None:
    bars["1h"].columns["volume"][5] *= 1 + 1e-12  # type: ignore[index]
    assert reconcile(bars) == []
    bars["1h"].columns["volume"][5] *= 1 + 1e-6  # type: ignore[index]
    assert len(reconcile(bars)) == 1


def test_what_minutes_make_of_an_hour(bars: Family) -> None:
    made = composed(bars["1m"], HOUR)
    hours = bars["1h"]
    assert list(made) == list(hours.ts)
    for at, ts in enumerate(hours.ts):
        assert {name: made[ts][name] for name in ("open", "high", "low", "close", "total_trades")} == {
            name: hours.values(name)[at] for name in ("open", "high", "low", "close", "total_trades")
        }
    assert list(composed(bars["1h"], DAY)) == list(bars["1d"].ts)


@pytest.mark.parametrize("days", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_every_guilty_hour_is_named_and_no_other(api: Api, days: int, seed: int) -> None:
    chance = random.Random(seed)
    found = family(api, days=days)
    minutes = found["1m"]
    spoilt = chance.sample(range(len(minutes.ts)), 3 * days)
    for at in spoilt:
        damage(minutes, at, chance.choice(FIGURES))
    named = reconcile(found)
    assert [each.window.start for each in named] == sorted({HOUR.floor(minutes.ts[at]) for at in spoilt})
    assert {each.suspect for each in named} <= {"1m", ""}


# --- what is read again


def guilty(start: int, interval: str = "1h", suspect: str = "", fine: str = "1m") -> Guilty:
    key = KEY._replace(interval=interval)
    window = Window(start, start + GRAINS[interval].seconds)
    return Guilty(key, window, fine, (Difference("volume", 1.0, 2.0),), suspect)


def test_hours_within_a_page_of_minutes_are_read_with_one_call() -> None:
    page = page_seconds(MINUTE)
    assert page == 2_000 * 60
    hours = [0, 3_600, 115_200, 118_800, 300_000]
    windows = rereads([guilty(start) for start in reversed(hours)])
    assert windows == {
        KEY._replace(interval="1m"): [Window(0, 118_800), Window(118_800, 122_400), Window(300_000, 303_600)]
    }
    assert all(window.seconds <= page for each in windows.values() for window in each)


def test_each_suspect_interval_is_read_for_itself() -> None:
    found = rereads(
        [guilty(0), guilty(3_600, suspect="1h"), guilty(86_400, "1d", "1d", "1h"), guilty(0, "1d", "", "1h")]
    )
    assert {key.interval: windows for key, windows in found.items()} == {
        "1m": [Window(0, 3_600)],
        "1h": [Window(0, 86_400)],
        "1d": [Window(86_400, 172_800)],
    }
    assert rereads([]) == {}


SPREADS: list[list[int]] = [[], [5], [0, 33], [0, 34], [*range(100)], [*range(0, 999, 33)], [*range(0, 999, 34)]]


@pytest.mark.parametrize("hours", SPREADS, ids=lambda hours: f"{len(hours)}-hours")
def test_no_fewer_calls_hold_all_guilty_hours(hours: list[int]) -> None:
    windows = rereads([guilty(hour * 3_600) for hour in hours]).get(KEY._replace(interval="1m"), [])
    calls, reach = 0, -1
    for hour in hours:
        if hour > reach:
            calls, reach = calls + 1, hour + 32  # a page holds 33 whole hours
    assert len(windows) == calls
    assert all(any(w.start <= hour * 3_600 < w.end for w in windows) for hour in hours)
