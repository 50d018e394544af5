"""Series-level checks: each finds what it is for, and says nothing of a healthy market."""

import random
import statistics
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

import pytest

from core.datasets import DATASETS, SeriesKey
from core.findings import Bars, Check, Finding, examine, joined
from core.monitoring.checks import installed_checks
from core.monitoring.robust import deviation, median, robust_scores
from core.sandbox.api import Api, synthetic
from core.sandbox.options import SandboxOptions
from core.windows import GRAINS, Window
from tests.mutation import PERPETUAL
from tests.sandbox_bars import NOW, sandbox_bars

KEY = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")
START = 1_748_736_000
OURS = installed_checks()
PAGE = Path(__file__).parents[2] / "docs" / "checks.md"


def healthy(key: SeriesKey = KEY, count: int = 400, seed: int = 1, **more: Any) -> Bars:
    """A plain walk with ordinary volumes; each bar opens at the close before it."""
    chance = random.Random(seed)
    closes = [100.0]
    for _ in range(count):
        closes.append(round(closes[-1] * (1 + chance.gauss(0, 0.0004)), 4))
    pairs = list(pairwise(closes))
    trades = [chance.randint(1, 40) for _ in pairs]
    columns: dict[str, list[Any]] = {
        "open": [open_ for open_, _ in pairs],
        "close": [close for _, close in pairs],
        "high": [max(pair) + 0.01 for pair in pairs],
        "low": [min(pair) - 0.01 for pair in pairs],
        "total_trades": trades,
        "volume": [0.1 * number * chance.lognormvariate(0, 0.5) for number in trades],
    }
    step = GRAINS[key.interval].seconds
    return Bars(key, list(range(START, START + count * step, step)), columns, **more)


def found(bars: Bars) -> dict[str, list[Finding]]:
    """What our checks find, by check."""
    broken: list[Any] = []
    by_name: dict[str, list[Finding]] = {}
    for finding in examine(bars, OURS, lambda *defect: broken.append(defect)):
        by_name.setdefault(finding.check, []).append(finding)
    assert broken == []
    return by_name


def bar(at: int, last: int | None = None, step: int = 60) -> Window:
    """The span of the bars at places `at`..`last`."""
    return Window(START + at * step, START + ((at if last is None else last) + 1) * step)


def flatten(bars: Bars, first: int, last: int) -> None:
    """No price moves from `first` to `last`; what follows goes on from there."""
    for name in ("open", "high", "low", "close"):
        level = bars.columns["open"][first]
        bars.columns[name][first : last + 1] = [level] * (last + 1 - first)  # type: ignore[index]
    if last + 1 < len(bars.ts):
        bars.columns["open"][last + 1] = level  # type: ignore[index]


def test_a_healthy_series_has_no_findings(seed: int) -> None:
    assert found(healthy(seed=seed)) == {}
    assert found(healthy(count=0)) == {}
    assert found(healthy(count=1)) == {}


@pytest.mark.parametrize(("bars_still", "is_found"), [(59, False), (60, True), (200, True)])
def test_a_price_that_stays_while_trades_go_on_is_frozen(bars_still: int, is_found: bool) -> None:
    bars = healthy()
    flatten(bars, 150, 150 + bars_still - 1)
    expected = [bar(150, 150 + bars_still - 1)] if is_found else []
    assert [finding.window for finding in found(bars).get("frozen", [])] == expected


def test_a_price_that_stays_without_trades_is_not_frozen_but_idle() -> None:
    bars = healthy()
    flatten(bars, 100, 199)
    for name in ("volume", "total_trades"):
        bars.columns[name][100:200] = [0] * 100  # type: ignore[index]
    assert {name: [finding.window for finding in each] for name, each in found(bars).items()} == {
        "idle": [bar(100, 199)]
    }


def test_what_hardly_ever_moves_is_not_frozen() -> None:
    """A pair of two dollars keeps its price for hours, with trades."""
    bars = healthy(count=480)
    for first in range(0, 480, 80):
        flatten(bars, first, first + 69)
    assert "frozen" not in found(bars)


def test_what_seldom_trades_is_not_idle() -> None:
    bars = healthy(count=480)
    for name in ("volume", "total_trades"):
        values = bars.columns[name]
        for first in range(0, 480, 80):
            values[first : first + 70] = [0] * 70  # type: ignore[index]
    assert "idle" not in found(bars)


@pytest.mark.parametrize("factor", [100.0, 0.01, 1.05])
def test_a_sudden_price_is_an_outlier_and_so_is_the_way_back(factor: float) -> None:
    bars = healthy()
    for name in ("high", "close"):
        bars.columns[name][300] *= factor  # type: ignore[index]
    bars.columns["open"][301] = bars.columns["close"][300]  # type: ignore[index]
    assert [finding.window for finding in found(bars)["outlier_return"]] == [bar(300, 301)]
    score = float(found(bars)["outlier_return"][0].detail.rpartition(" ")[2])
    assert score * (factor - 1) > 0
    assert abs(score) == pytest.approx(abs(log(factor)) / 0.002, rel=0.1)


def test_a_move_that_fits_what_came_before_is_no_outlier() -> None:
    calm, wild = healthy(), healthy(seed=2)
    for at in range(1, 400):
        wild.columns["close"][at] *= 1.05 if at % 2 else 0.95  # type: ignore[index]
    assert "outlier_return" not in found(calm)
    assert "outlier_return" not in found(wild)


def test_a_sudden_volume_is_an_outlier_and_little_is_none() -> None:
    bars = healthy()
    bars.columns["volume"][350] *= 1_000  # type: ignore[index]
    bars.columns["volume"][320] /= 1_000  # type: ignore[index]
    [finding] = found(bars)["outlier_volume"]
    assert (finding.window, finding.level) == (bar(350), "info")


def test_a_bar_that_opens_elsewhere_is_discontinuous_but_not_after_a_hole() -> None:
    bars = healthy()
    bars.columns["open"][200] += 0.001  # type: ignore[index]
    assert [finding.window for finding in found(bars)["discontinuity"]] == [bar(200)]
    torn = Bars(KEY, [*bars.ts[:200], *(ts + 60 for ts in bars.ts[200:])], bars.columns)
    assert "discontinuity" not in found(torn)


OPEN_INTEREST = SeriesKey("futures_open_interest", *PERPETUAL, "1h")
FUNDING = SeriesKey("futures_funding_rate", *PERPETUAL, "1h")


def test_open_interest_is_continuous_in_each_of_its_figures() -> None:
    names = [f"{edge}_{figure}" for edge in ("open", "close") for figure in ("settlement", "mark_price", "quote")]
    columns = {name: [7.0] * 5 for name in names}
    columns["open_quote"][3] = 7.1
    bars = Bars(OPEN_INTEREST, range(START, START + 5 * 3_600, 3_600), columns)
    assert {name: [finding.window for finding in each] for name, each in found(bars).items()} == {
        "discontinuity": [bar(3, step=3_600)]
    }


def test_frozen_open_interest_is_found_and_a_resting_funding_rate_is_none() -> None:
    figures = ("settlement", "mark_price", "quote")
    columns: dict[str, list[Any]] = {
        f"{edge}_{f}": [7.0] * 30 for edge in ("open", "high", "low", "close") for f in figures
    }
    columns["total_open_interest_updates"] = [60] * 30
    bars = Bars(OPEN_INTEREST, range(START, START + 30 * 3_600, 3_600), columns)
    assert [finding.window for finding in found(bars)["frozen"]] == [bar(0, 29, 3_600)]
    columns = {name: [1e-4] * 30 for name in ("open", "high", "low", "close")}
    columns |= {"total_funding_rate_updates": [60] * 30, "interval_ms": [28_800_000] * 30}
    assert found(Bars(FUNDING, bars.ts, columns)) == {}


def test_a_funding_interval_that_changes_is_said() -> None:
    columns = {"interval_ms": [28_800_000, 28_800_000, None, 14_400_000, 14_400_000, 28_800_000]}
    bars = Bars(FUNDING, range(START, START + 6 * 3_600, 3_600), columns)
    [finding] = found(bars)["funding_interval"]
    assert (finding.window, finding.level) == (bar(5, step=3_600), "info")
    assert finding.detail == "14400000 ms became 28800000 ms"


@pytest.mark.parametrize(
    ("asked", "market", "stale"),
    [
        (403, None, False),
        (404, None, True),
        (404, 403, True),
        (404, 402, False),
        (404, 399, False),
        (400, 500, False),
        (None, 500, False),
    ],
)
def test_a_series_is_stale_when_the_vendor_had_nothing_new_of_it_alone(
    asked: int | None, market: int | None, stale: bool
) -> None:
    """The last bar is at place 399; `asked` is the end of what was asked for, `market` the others' newest bar."""
    bars = healthy(
        asked_until=None if asked is None else START + asked * 60,
        market_last=None if market is None else START + market * 60,
    )
    assert [finding.window for finding in found(bars).get("stale", [])] == ([bar(400, 403)] if stale else [])


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("volume", 0.0, "trades without volume"),
        ("total_trades", 0, "volume without trades"),
        ("volume_buy", 50.0, "sides do not add up"),
        ("first_trade_timestamp", START - 1, "trade outside bar"),
        ("high_trade_price", 1e6, "trade outside range"),
    ],
)
def test_what_a_bar_says_of_its_trades_must_fit_together(column: str, value: float, reason: str) -> None:
    bars = healthy()
    columns = {
        **bars.columns,
        "volume_buy": bars.columns["volume"],
        "volume_sell": [0.0] * 400,
        "volume_unknown": [0.0] * 400,
    }
    if column == "volume":
        columns = dict(bars.columns)
    columns[column] = list(columns.get(column, [None] * 400))
    columns[column][7] = value
    [finding] = found(Bars(KEY, bars.ts, columns))["contradiction"]
    assert (finding.window, finding.detail) == (bar(7), reason)


def test_an_index_may_have_volume_without_updates() -> None:
    bars = Bars(
        KEY._replace(data_type="indices_ohlcv", market="cadli"), [START], {"volume": [5.0], "total_index_updates": [0]}
    )
    assert found(bars) == {}


def test_columns_that_were_not_stored_are_no_findings() -> None:
    for name in DATASETS:
        for interval in GRAINS:
            key = SeriesKey(name, "m", "i", interval)
            step = GRAINS[interval].seconds
            assert found(Bars(key, range(0, 300 * step, step), {})) == {}


# --- a year and five of the sandbox's healthy markets


MARKETS = {
    "spot_ohlcv": [("kraken", "BTC-USD"), ("kraken", "ETH-EUR"), ("binance", "SOL-USDT")],
    "futures_ohlcv": [PERPETUAL],
    "futures_funding_rate": [PERPETUAL],
    "futures_open_interest": [PERPETUAL],
    "indices_ohlcv": [("cadli", "ETH-USD")],
}


@pytest.mark.parametrize(
    ("interval", "days"),
    [
        ("1d", 1_000),
        ("1h", 90),
        pytest.param("1h", 365, marks=pytest.mark.slow),
        pytest.param("1m", 14, marks=pytest.mark.slow),
    ],
)
def test_the_sandbox_has_next_to_no_findings(interval: str, days: int) -> None:
    api = Api(synthetic(SandboxOptions(seed=7)))
    seen = findings = 0
    for name, instruments in MARKETS.items():
        for market, instrument in instruments:
            bars = sandbox_bars(api, SeriesKey(name, market, instrument, interval), NOW - NOW % 86_400, days)
            seen += len(bars.ts)
            findings += sum(map(len, found(bars).values()))
    assert seen > 7 * 900
    assert findings <= seen / 4_000


# --- the arithmetic


def test_scores_are_those_of_median_and_mad(seed: int) -> None:
    chance = random.Random(seed)
    values = [chance.choice((None, chance.gauss(0, 1), chance.gauss(0, 1), 1.0)) for _ in range(300)]
    scores = robust_scores(values, 0.01, span=50, least=10)
    for at, value in enumerate(values):
        before = [other for other in values[:at] if other is not None][-50:]
        if value is None or len(before) < 10:
            assert scores[at] is None
            continue
        middle = statistics.median(before)
        spread = 1.4826 * statistics.median_low([abs(other - middle) for other in before])
        assert scores[at] == pytest.approx((value - middle) / max(0.01, spread))


def test_the_deviation_of_few_values() -> None:
    assert [median([3.0]), median([1.0, 2.0])] == [3.0, 1.5]
    assert deviation([3.0], 3.0) == 0.0
    assert deviation([1.0, 2.0, 9.0], 2.0) == 1.0
    assert deviation([0.0] * 9 + [5.0], 0.0) == 0.0


# --- checks of others


def test_a_defective_check_is_named_and_the_others_go_on() -> None:
    def broken(_bars: Bars) -> list[Finding]:
        raise ZeroDivisionError

    def nonsense(_bars: Bars) -> list[Finding]:
        return [Finding("nonsense", Window(5, 5), "warning", "")]

    def hostile(bars: Bars) -> list[Finding]:
        return [Finding("host\x1bile", bars.span(0, 1), "info", "a\nb\x1b]52;c")]

    defects: dict[str, Exception] = {}
    checks: dict[str, Check] = {"broken": broken, "nonsense": nonsense, "hostile": hostile}
    assert examine(healthy(), checks, defects.__setitem__) == [Finding("host ile", bar(0, 1), "info", "a b ]52;c")]
    assert {name: type(defect) for name, defect in defects.items()} == {
        "broken": ZeroDivisionError,
        "nonsense": ValueError,
    }


THEIRS = """
from core.findings import Finding


def check(bars):
    return [Finding("round", bars.span(0, 0), "info", "")]
"""


def test_a_package_registers_its_check_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_checks.py").write_text(THEIRS)
    about = tmp_path / "their_checks-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-checks\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[tapewatch.checks]\nround = their_checks:check\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    checks = installed_checks()
    assert {*checks} - {*OURS} == {"round"}
    assert [finding.check for finding in examine(healthy(), {"round": checks["round"]}, lambda *_: None)] == ["round"]


def test_findings_of_one_check_that_touch_are_one() -> None:
    a, b, c = (Finding("x", Window(*span), "info", str(span)) for span in ((0, 60), (60, 120), (180, 240)))
    other = Finding("y", Window(0, 60), "info", "")
    assert joined([c, b, other, a]) == [Finding("x", Window(0, 120), "info", "(0, 60)"), c, other]


def test_the_documented_check_works() -> None:
    page = PAGE.read_text()
    code = page.partition("<!-- tested -->\n```python\n")[2].partition("```")[0]
    defined: dict[str, Any] = {}
    exec(code, defined)  # noqa: S102 - our own page
    bars = healthy(KEY._replace(interval="1h"), count=30, seed=3)
    few = [at for at, trades in enumerate(bars.values("total_trades")) if trades < 5]
    found = examine(bars, {"thin": defined["thin"]}, lambda *_: None)
    covered = [at for each in found for at, ts in enumerate(bars.ts) if each.window.start <= ts < each.window.end]
    assert covered == few != []


def test_the_page_lists_our_checks_with_their_levels() -> None:
    page = PAGE.read_text()
    listed = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert listed == {*OURS}
