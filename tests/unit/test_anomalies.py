"""Detectors of anomalies: what each says of small series, that states survive restarts, and how much of what is planted
they find."""

import json
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from core.datasets import SeriesKey
from core.findings import Bars, Learned
from core.monitoring.anomalies import (
    BURST,
    CREEP,
    DROPOUT,
    ERRORS,
    FLAT,
    LATENCY,
    ROWS,
    SHIFT,
    SILENCE,
    SPIKE,
    VOLUME,
    Anomaly,
    Detector,
    Observation,
    installed_detectors,
)
from core.monitoring.anomalies.baseline import WEEK_HOURS, Baseline, shrunk
from core.monitoring.anomalies.figures import Figures
from core.monitoring.anomalies.memory import Memory
from core.monitoring.anomalies.runs import Runs
from core.monitoring.anomalies.seasonal import Seasonal, Track
from core.monitoring.anomalies.silence import Silence
from core.monitoring.anomalies.watch import AT_ONCE, LEARNED_BARS, LONGEST_STATE, TOGETHER, Watch, observations
from core.telemetry import Done
from core.windows import HOUR, Window
from tests.anomaly_kit import PER_KIND, Sizes, plant, score, silence, synthetic_panel, watch

START = 1_748_822_400
PLACE = ("spot_ohlcv/m", "A/1h")
DETECTORS: dict[str, Callable[[], Detector]] = {"runs": Runs, "seasonal": Seasonal, "silence": Silence}


def told(detector: Detector, values: Sequence[float | None], figure: str = VOLUME, start: int = START) -> list[Anomaly]:
    """What is found in hourly values of one series."""
    return [
        anomaly
        for at, value in enumerate(values)
        for anomaly in detector.observe(
            [Observation("spot_ohlcv/m", "A/1h", figure, start + at * HOUR.seconds, HOUR.seconds, value)]
        )
    ]


def noisy(seed: int, count: int, level: float = 100.0) -> list[float]:
    """Values with a daily wave."""
    dice = random.Random(seed)
    return [level * math.exp(0.5 * math.cos(at * math.pi / 12) + dice.gauss(0, 0.1)) for at in range(count)]


def test_the_median_of_few_values_is_drawn_towards_the_prior() -> None:
    assert shrunk([], 5.0, 2.0) == 5.0
    assert shrunk([1.0, 9.0, 1.0], 5.0, 3.0) == 3.0
    assert shrunk([1.0] * 30, 5.0, 0.0) == 1.0


def test_an_hour_of_the_week_has_its_own_usual_value_after_some_weeks() -> None:
    base = Baseline()
    assert base.usual(0) is None
    for hour in range(6 * WEEK_HOURS):
        base.add(hour, 10.0 if hour % WEEK_HOURS == 30 else float(hour % 24))
    at_thirty, at_six = base.usual(6 * WEEK_HOURS + 30), base.usual(6 * WEEK_HOURS + 54)
    assert at_thirty is not None
    assert at_six is not None
    assert 6.0 < at_six < at_thirty < 10.0
    assert abs(at_six - 6.0) < 0.2


def test_only_the_last_eight_weeks_are_kept() -> None:
    base = Baseline()
    for hour in range(8 * WEEK_HOURS):
        base.add(hour, 1.0)
    for hour in range(8 * WEEK_HOURS, 16 * WEEK_HOURS):
        base.add(hour, 2.0)
    assert base.usual(16 * WEEK_HOURS) == 2.0


@pytest.mark.parametrize(
    ("figure", "kind", "change"),
    [
        (VOLUME, SPIKE, lambda values: [8 * value for value in values[:3]]),
        (VOLUME, "drop", lambda values: [value / 8 for value in values[:3]]),
        (VOLUME, SHIFT, lambda values: [1.8 * value for value in values[:30]]),
        (LATENCY, CREEP, lambda values: [value * 1.03**at for at, value in enumerate(values[:40])]),
        (ROWS, "drop", lambda values: [value / 3 for value in values[:3]]),
    ],
)
def test_what_strays_is_called_by_its_kind(
    figure: str, kind: str, change: Callable[[list[float]], list[float]]
) -> None:
    values = noisy(4, 900)
    assert told(Seasonal(), values, figure) == []
    changed = change(values[700:])
    values[700 : 700 + len(changed)] = changed
    found = told(Seasonal(), values, figure)
    assert kind in {anomaly.kind for anomaly in found}
    first = min(found, key=lambda anomaly: anomaly.window.end)
    assert START + 700 * HOUR.seconds < first.window.end <= START + 745 * HOUR.seconds
    assert first.low < first.high


def test_a_burst_of_errors_is_told_once_and_an_error_now_and_then_is_not() -> None:
    dice = random.Random(8)
    values: list[float | None] = [float(dice.random() < 0.2) for _ in range(800)]
    assert told(Seasonal(), values, ERRORS) == []
    values[700:705] = [20.0] * 5
    [burst] = told(Seasonal(), values, ERRORS)
    assert burst.kind == BURST
    assert burst.detail.startswith("burst of errors: 20 where 0 to ")


def test_nothing_is_judged_before_there_is_something_to_go_by() -> None:
    values = noisy(5, 60)
    values[50:53] = [80 * value for value in values[50:53]]
    assert [kind for detector in (Seasonal(), Runs()) for kind in told(detector, values)] == []


def test_a_dropout_and_a_flat_line_are_told_once_each() -> None:
    values: list[float | None] = [*noisy(6, 500)]
    values[300:310] = [0.0, None] * 5
    values[400:410] = [values[400]] * 10
    found = told(Runs(), values)
    assert [anomaly.kind for anomaly in found] == [DROPOUT, FLAT]
    assert found[0].window == Window(START + 300 * HOUR.seconds, START + 304 * HOUR.seconds)


def test_a_series_that_often_rests_is_left_alone() -> None:
    dice = random.Random(3)
    assert told(Runs(), [float(dice.random() < 0.4) for _ in range(3_000)]) == []


def test_a_run_that_has_come_twice_is_usual() -> None:
    values = noisy(7, 900)
    for at in (300, 500, 700):
        values[at : at + 10] = [0.0] * 10
    assert len(told(Runs(), values)) == 2


def market_hours(hours: int, silent: dict[str, range]) -> list[list[Observation]]:
    """Five series on each of three markets; those in `silent` rest in these hours."""
    return [
        [
            Observation(
                f"spot_ohlcv/{market}",
                f"{number}/1h",
                VOLUME,
                START + hour * HOUR.seconds,
                HOUR.seconds,
                0.0 if hour in silent.get(market, ()) else 5.0,
            )
            for market in ("a", "b", "c")
            for number in range(5)
        ]
        for hour in range(hours)
    ]


def test_a_market_is_silent_when_others_trade() -> None:
    detector = Silence()
    found = [each for batch in market_hours(220, {"b": range(200, 204)}) for each in detector.observe(batch)]
    [silent] = found
    assert silent[:4] == (SILENCE, "spot_ohlcv/b", "", VOLUME)
    assert silent.window == Window(START + 200 * HOUR.seconds, START + 201 * HOUR.seconds)


def test_a_holiday_of_all_markets_is_no_silence_of_one() -> None:
    rest = range(200, 210)
    detector = Silence()
    batches = market_hours(220, {"a": rest, "b": rest, "c": rest})
    assert [each for batch in batches for each in detector.observe(batch)] == []


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_that_is_restored_goes_on_as_if_nothing_had_been(name: str) -> None:
    batches = market_hours(230, {"b": range(150, 154), "c": range(220, 224)})
    dice = random.Random(1)
    batches = [
        [seen._replace(value=seen.value * math.exp(dice.gauss(0, 0.3))) for seen in batch if seen.value is not None]
        for batch in batches
    ]
    batches[180] = [seen._replace(value=1_000.0) for seen in batches[180]]
    through, before, after = DETECTORS[name](), DETECTORS[name](), DETECTORS[name]()
    whole = [through.observe(batch) for batch in batches]
    parts = [before.observe(batch) for batch in batches[:151]]
    for market in ("a", "b", "c"):
        for place in [(f"spot_ohlcv/{market}", series) for series in ("", *(f"{number}/1h" for number in range(5)))]:
            after.restore(*place, json.loads(json.dumps(before.state(*place))))
    parts += [after.observe(batch) for batch in batches[151:]]
    assert parts == whole
    assert after.state("spot_ohlcv/b", "3/1h") == through.state("spot_ohlcv/b", "3/1h") != {}
    assert any(whole) or name == "runs"


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(
    "state", [{"a": 1}, {"version": 1, "parts": {}}, {"version": 2, "parts": {"volume": {"usual": 3}}}, {"habits": 3}]
)
def test_what_is_no_state_is_refused(name: str, state: dict[str, Any]) -> None:
    detector = DETECTORS[name]()
    detector.observe([Observation("m", "s", VOLUME, 0, 60, 1.0)])
    assert detector.state("m", "s") != {}
    with pytest.raises(ValueError, match="not the state of a detector"):
        detector.restore("m", "s", state)
    if name != "silence":
        assert detector.state("m", "s") == {}
    detector.restore("m", "s", {})
    assert detector.state("m", "s") == {}


def test_what_was_not_heard_of_longest_is_forgotten_first() -> None:
    memory = Memory(Track, Track.restored, most=2)
    for name in "abac":
        memory.of("m", name, VOLUME)
    assert list(memory) == [("m", "a"), ("m", "c")]


def test_ours_come_by_the_door_of_all_detectors() -> None:
    assert installed_detectors().items() >= DETECTORS.items()


def bars(instrument: str, values: Sequence[float | None], market: str = "m") -> Bars:
    key = SeriesKey("spot_ohlcv", market, instrument, "1h")
    return Bars(key, [START + at * HOUR.seconds for at in range(len(values))], {"volume": values})


def watching(complaints: list[str] | None = None, **detectors: Detector) -> Watch:
    def complain(name: str, _defect: Exception) -> None:
        assert complaints is not None
        complaints.append(name)

    return Watch(detectors, complain)


def fresh_of(watch: Watch, given: Bars) -> list[Observation]:
    """What is to be judged of a series once it was caught up with."""
    deque(watch.catch_up(given), maxlen=0)
    return watch.fresh(given)


def test_new_bars_are_judged_once_and_count_for_their_market_for_a_while() -> None:
    watch = watching(seasonal=Seasonal())
    values = noisy(9, 303)
    now = START + 303 * HOUR.seconds
    assert watch.judge(fresh_of(watch, bars("A", values[:300])) + fresh_of(watch, bars("B", values)), now) == []
    [reading] = watch.readings(now, now)
    assert (reading.source, reading.value) == ("spot_ohlcv/m", 0.0)
    values[300:] = [20 * value for value in values[300:]]
    fresh = watch.fresh(bars("A", values))
    assert [seen.ts for seen in fresh] == [START + at * HOUR.seconds for at in (300, 301, 302)]
    [(key, finding)] = watch.judge(fresh, now)
    assert (key, finding.check) == (SeriesKey("spot_ohlcv", "m", "A", "1h"), "anomaly_spike")
    assert watch.fresh(bars("A", values)) == []
    [reading] = watch.readings(now + 60, now + 60)
    assert reading.value == 50.0
    assert reading.about.startswith("1 of 2 series; spike of volume")
    assert watch.readings(now + 4 * HOUR.seconds, now + 4 * HOUR.seconds)[0].value == 0.0


def test_a_silent_market_counts_as_all_of_it() -> None:
    watch = watching(silence=Silence())
    rests = [5.0] * 200 + [0.0] * 3
    fresh = [
        seen
        for market, values in (("a", [5.0] * 203), ("b", rests))
        for instrument in "VWXYZ"
        for seen in fresh_of(watch, bars(instrument, values, market))
    ]
    now = START + 203 * HOUR.seconds
    [(key, _)] = watch.judge(fresh, now)
    assert key == SeriesKey("spot_ohlcv", "b")
    assert [reading.value for reading in watch.readings(now, now)] == [0.0, 100.0]


def test_a_long_history_is_learned_from_its_newest_bars() -> None:
    counted: list[int] = []

    class Counting(Runs):
        def observe(self, batch: Sequence[Observation]) -> list[Anomaly]:
            counted.append(len(batch))
            return super().observe(batch)

    watch = watching(counting=Counting())
    watch.judge(fresh_of(watch, bars("A", [1.0] * 2 * LEARNED_BARS)), START)
    assert sum(counted) == LEARNED_BARS


def test_a_defective_detector_is_named_once_and_left_out() -> None:
    class Broken(Runs):
        def observe(self, batch: Sequence[Observation]) -> list[Anomaly]:
            raise ZeroDivisionError

    class Lying(Runs):
        def observe(self, batch: Sequence[Observation]) -> list[Anomaly]:
            return [Anomaly("\x1b[31m", "m", "s", VOLUME, Window(0, 1), 1.0, 1.0, 0.0, 0.0)]

    class Mute(Runs):
        def state(self, market: str, series: str) -> dict[str, Any]:
            return {"a": {1}}

    complaints: list[str] = []
    watch = watching(complaints, broken=Broken(), lying=Lying(), mute=Mute(), good=Runs())
    assert watch.judge(fresh_of(watch, bars("A", [1.0] * 30)), START) == []
    assert sorted(complaints) == ["broken", "lying"]
    assert [learned.detector for learned in watch.take(PLACE)] == ["good"]
    assert complaints[2:] == ["mute"]


def test_what_the_engine_does_becomes_figures_of_spans_that_are_over() -> None:
    now = [START + 10.0]
    figures = Figures(lambda: now[0])
    for outcome, seconds in (("ok", 0.1), ("timeout", 8.0), ("ok", 0.3), ("cancelled", 0.1)):
        figures(Done("api", "history", outcome, seconds))
    figures(Done("rows", "spot_ohlcv", "inserted", 0.0, 60))
    assert figures.take() == []
    now[0] += 300
    figures(Done("api", "history", "ok", 0.1))
    assert figures.take() == [
        Observation("api/history", "", ERRORS, START, 300, 1.0),
        Observation("api/history", "", LATENCY, START, 300, pytest.approx(0.2)),
    ]
    assert figures.take() == []
    now[0] += 3_600
    assert Observation("rows/spot_ohlcv", "", ROWS, START, 3_600, 60.0) in figures.take()


def test_a_burst_of_errors_of_the_engine_is_a_reading() -> None:
    watch = watching(seasonal=Seasonal())
    values = []
    for slot in range(200):
        now = START + (slot + 1) * 300
        errors = 40.0 if slot > 196 else 0.0
        watch.note([Observation("api/history", "", ERRORS, START + slot * 300, 300, errors)], now)
        values += [reading.value for reading in watch.readings(now, now)]
    assert values == [0.0] * 197 + [100.0] * 3


def handed_over(one: Watch, other: Watch, change: Callable[[Learned], Learned] = lambda learned: learned) -> None:
    for place in one.unsaved():
        other.restore(place, [change(learned) for learned in one.take(place)])


def spiky() -> list[float]:
    values = noisy(9, 303)
    values[300:] = [20 * value for value in values[300:]]
    return values


def test_what_a_watch_knows_survives_a_restart() -> None:
    values, now = spiky(), START + 303 * HOUR.seconds
    one, other = (watching(seasonal=Seasonal(), silence=Silence()) for _ in range(2))
    one.judge(fresh_of(one, bars("A", values[:300])), START)
    handed_over(one, other)
    assert one.unsaved() == other.unsaved() == []
    assert len(other.fresh(bars("A", values))) == 3
    other.restore(PLACE, [])
    [found, expected] = [
        watch.judge(
            [seen for seen in observations(bars("A", values)) if seen.ts >= START + 300 * HOUR.seconds],
            now,
        )
        for watch in (other, one)
    ]
    assert found == expected != []
    assert [reading.value for reading in other.readings(now, now)] == [100.0]
    assert set(other.unsaved()) == {PLACE, ("spot_ohlcv/m", "")}


@pytest.mark.parametrize(
    "change",
    [
        lambda learned: learned._replace(state="no JSON"),
        lambda learned: learned._replace(state=learned.state.replace('"version": 2', '"version": 1')),
        lambda learned: learned._replace(detector="another"),
    ],
)
def test_what_cannot_be_read_is_learned_anew(change: Callable[[Learned], Learned]) -> None:
    values, now = spiky(), START + 303 * HOUR.seconds
    one, other = watching(seasonal=Seasonal()), watching(seasonal=Seasonal())
    one.judge(fresh_of(one, bars("A", values[:300])), START)
    handed_over(one, other, change)
    assert other.place(bars("A", []).key) == PLACE
    assert [finding.check for _, finding in other.judge(fresh_of(other, bars("A", values)), now)] == ["anomaly_spike"]


def test_a_series_is_learned_a_few_bars_at_a_time_and_once_by_several_jobs() -> None:
    watch, given = watching(seasonal=Seasonal()), bars("A", noisy(9, 303))
    steps = zip(watch.catch_up(given), watch.catch_up(given), strict=False)
    assert 5 < len(list(steps)) <= math.ceil((303 - TOGETHER) / AT_ONCE)
    alone = watching(seasonal=Seasonal())
    assert fresh_of(alone, given) == fresh_of(watch, given)
    assert alone.take(PLACE) == watch.take(PLACE)


def test_what_a_detector_knows_beyond_a_length_is_not_kept() -> None:
    class Hoarding(Runs):
        def state(self, market: str, series: str) -> dict[str, Any]:
            return {"all": "x" * LONGEST_STATE}

    watch = watching(hoarding=Hoarding(), runs=Runs())
    watch.judge(fresh_of(watch, bars("A", [1.0] * 30)), START)
    assert [learned.detector for learned in watch.take(PLACE)] == ["runs"]


def test_a_state_is_as_long_as_the_documents_say() -> None:
    watch = watching(**{name: make() for name, make in DETECTORS.items()})
    values = noisy(3, 8 * WEEK_HOURS)
    for at in range(0, len(values), LEARNED_BARS):
        watch.judge(fresh_of(watch, bars("A", values[: at + LEARNED_BARS])), START)
    assert 12_000 < sum(len(learned.state) for learned in watch.take(PLACE)) < 18_000


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 21])
def test_what_is_planted_is_found_at_an_alarm_a_day_or_less_per_100_series(seed: int) -> None:
    """200 anomalies of six kinds, and silent markets, within 30 days of 140 hourly series after six weeks before.

    The limits were chosen on other seeds: 11, 12 and 13.
    """
    sizes = Sizes(
        spike=8.0, spike_bars=3, shift=5.0, shift_bars=36, dropout_bars=10, flat_bars=6, burst=12.0, burst_bars=3
    )
    panel = synthetic_panel(seed)
    plant(panel, seed, sizes, PER_KIND)
    silence(panel, seed, sizes, 10)
    found = [anomaly for make in DETECTORS.values() for anomaly in watch(panel, make())]
    result = score(panel, found)
    print(f"seed {seed}: {result}")
    assert sum(PER_KIND.values()) == 200
    of_kinds = sum(result.found[kind] for kind in PER_KIND)
    assert of_kinds >= 180
    assert result.false_a_day <= 1.0
    assert result.found[SILENCE] == 10


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [3, 22])
def test_clean_data_give_an_alarm_a_day_or_less_per_100_series(seed: int) -> None:
    panel = synthetic_panel(seed)
    result = score(panel, [anomaly for make in DETECTORS.values() for anomaly in watch(panel, make())])
    print(f"seed {seed}: {result}")
    assert result.false_a_day <= 1.0
