"""Late revisions: which bars change, when, how; seen through the gate and against the oracle."""

import json
from typing import Any

import pytest

from core.sandbox.bars import Marks, Trade
from core.sandbox.catalog import Catalog
from core.sandbox.gate import Gate
from core.sandbox.market import Market
from core.sandbox.options import SandboxOptions, moment
from core.sandbox.revisions import Revisions, revisions_of
from core.sandbox.wire import Request
from core.windows import DAY, GRAINS, HOUR, MINUTE

NOW = moment("2025-06-15T12:00:00")
SHARE = 0.2
SERIES = [
    ("spot", "/spot/v1", "kraken", "BTC-USD"),
    ("spot", "/spot/v1", "bitstamp", "UNI-EUR"),
    ("futures", "/futures/v1", "binance", "BTC-USD-INVERSE-PERPETUAL"),
    ("index", "/index/cc/v1", "cadli", "ETH-USD"),
]


def page(options: SandboxOptions, now: int, path: str, grain: str, market: str, instrument: str) -> dict[int, Any]:
    """A page at vendor time `now`, straight from the source: no answer is served twice."""
    gate = Gate(options, clock=lambda: float(now))
    query = {"market": market, "instrument": instrument, "limit": "300", "to_ts": str(NOW)}
    answer = gate.answer(Request(f"{path}/historical/{GRAINS[grain].path}", query))
    return {row["TIMESTAMP"]: row for row in json.loads(answer.body)["Data"]}


@pytest.mark.parametrize(("kind", "path", "market", "instrument"), SERIES)
@pytest.mark.parametrize("grain", ["1m", "1h", "1d"])
def test_a_bar_changes_once_when_the_oracle_says(
    kind: str, path: str, market: str, instrument: str, grain: str
) -> None:
    series = Catalog(7).instruments[kind][market][instrument].series
    options = SandboxOptions(revisions=SHARE)
    seconds = GRAINS[grain].seconds
    final = page(options, NOW + 10 * DAY.seconds, path, grain, market, instrument)
    assert final == page(SandboxOptions(), NOW + 10 * DAY.seconds, path, grain, market, instrument)
    found = 0
    for ts in reversed(final):
        lag = revisions_of(series, GRAINS[grain], ts, SHARE)
        if lag is None or "VOLUME" not in final[ts] or not final[ts]["VOLUME"]:
            continue
        assert 0 < lag <= 5_400
        early = page(options, ts + seconds + lag - 1, path, grain, market, instrument)[ts]
        late = page(options, ts + seconds + lag, path, grain, market, instrument)[ts]
        assert late == final[ts]
        assert early["VOLUME"] < late["VOLUME"]
        total = "TOTAL_INDEX_UPDATES" if kind == "index" else "TOTAL_TRADES"
        assert early[total] < late[total]
        changed = {name for name in early if early[name] != late[name]}
        assert all("VOLUME" in name or name.startswith(("TOTAL_", "NUMBER_")) for name in changed)
        if kind != "index":
            for name in ("VOLUME", "QUOTE_VOLUME", "TOTAL_TRADES"):
                sides = sum(early[f"{name}_{side}"] for side in ("BUY", "SELL", "UNKNOWN"))
                assert early[name] == pytest.approx(sides, rel=1e-12)
        assert early["LOW"] * (1 - 1e-9) <= early["QUOTE_VOLUME"] / early["VOLUME"] <= early["HIGH"] * (1 + 1e-9)
        found += 1
        if found == 2:
            break
    assert found


def test_bars_without_a_lag_are_whole_at_once() -> None:
    kind, path, market, instrument = SERIES[0]
    series = Catalog(7).instruments[kind][market][instrument].series
    revised = page(SandboxOptions(revisions=SHARE), NOW + 60, path, "1m", market, instrument)
    plain = page(SandboxOptions(), NOW + 60, path, "1m", market, instrument)
    differing = {ts for ts in plain if plain[ts] != revised[ts]}
    pending = {
        ts for ts in plain if ts + 60 + (revisions_of(series, MINUTE, ts, SHARE) or -(10**9)) > NOW + 60
    }  # fmt: skip
    assert differing == pending
    assert pending


def test_about_a_share_of_bars_is_revised_within_the_time() -> None:
    series = Catalog(7).instruments["spot"]["kraken"]["BTC-USD"].series
    for grain in GRAINS.values():
        lags = [revisions_of(series, grain, n * grain.seconds, 0.01, 600) for n in range(20_000)]
        late = [lag for lag in lags if lag is not None]
        assert 150 < len(late) < 250
        assert 1 <= min(late) < 60
        assert 540 < max(late) <= 600
    assert revisions_of(series, HOUR, 0, 0.0) is None
    assert revisions_of(series, HOUR, 0, 1.0) is not None


def test_the_smallest_bars_change_too() -> None:
    series = Catalog(7).instruments["spot"]["kraken"]["BTC-USD"].series
    [bar, *_] = Market(7).bars(series, MINUTE, NOW - 60, NOW, NOW + 10**6)
    trade = Trade(bar.start, 0, bar.opening)
    tiny = bar._replace(
        marks=Marks(trade, trade, trade, trade), counts=(1, 1), lots=(1, 1), values=(bar.opening, bar.opening)
    )
    [seen] = Revisions(1.0).seen(series, MINUTE, [tiny], NOW)
    assert sum(seen.counts) == 1
    assert sum(seen.lots) == 1


def test_aggregates_are_made_of_what_is_published() -> None:
    gate = Gate(SandboxOptions(revisions=0.5, now=NOW))
    query = {"market": "kraken", "instrument": "BTC-USD", "to_ts": str(NOW - 1)}
    path = "/spot/v1/historical/minutes"
    [bucket] = json.loads(gate.answer(Request(path, {**query, "aggregate": "10", "limit": "1"})).body)["Data"]
    bars = json.loads(gate.answer(Request(path, {**query, "limit": "10"})).body)["Data"]
    assert bucket["TOTAL_TRADES"] == sum(bar["TOTAL_TRADES"] for bar in bars)
