"""The quality gate: every reason a row can be refused for, and that the fast look agrees with the slow one."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.datasets import (
    DATASETS,
    FUTURES_FUNDING_RATE,
    FUTURES_OHLCV,
    FUTURES_OPEN_INTEREST,
    INDICES_OHLCV,
    SPOT_OHLCV,
    Dataset,
    SeriesKey,
)
from core.errors import Malformed
from core.monitoring.quality import Checked, check_page
from core.monitoring.rules import Row, Rules, are_bounded, are_sound, doubt, fault, rules_for
from core.records import in_groups, row_type, values_of
from core.sources import Page, RejectedRow
from core.windows import GRAINS, MINUTE, Window

GROUPS = SPOT_OHLCV.default_groups
KEY = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")
WINDOW = Window(6_000, 6_600)
STAMPS = range(6_000, 6_600, 60)
GOOD = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0}
FIGURES = ("", "_settlement", "_mark_price", "_quote")


def plain(name: str, ts: int) -> float:
    """A value that is right for the column `name`."""
    if name.endswith("_timestamp"):
        return ts
    if name.endswith(("_buy", "_sell", "_unknown")):
        return 1
    if name in {"volume", "quote_volume", "total_trades"}:
        return 3
    good = {edge + figure: value for edge, value in GOOD.items() for figure in FIGURES}
    return good.get(name, 10 if "_trade_" in name or "_message_" in name else 1)


def make_row(ts: int, dataset: Dataset = SPOT_OHLCV, groups: tuple[str, ...] = GROUPS, **fields: Any) -> Any:
    columns = in_groups(dataset.columns, groups)
    values: dict[str, Any] = {column.name: column.kind(plain(column.name, ts)) for column in columns}
    identity = {"unit": "MINUTE", "market": "kraken", "instrument": "XXBTZUSD", "mapped_instrument": "BTC-USD"}
    return row_type(columns)(**{"timestamp": ts, **identity, **values, **fields})


def make_rows(**fields: Any) -> list[Any]:
    return [make_row(ts, **fields) for ts in STAMPS]


def check(rows: list[Any], rejected: tuple[RejectedRow, ...] = (), window: Window = WINDOW, **how: Any) -> Checked:
    dataset = how.get("dataset", SPOT_OHLCV)
    page = Page(rows, 9_999, list(rejected))
    return check_page(dataset, how.get("key", KEY), how.get("groups", GROUPS), window, page, how.get("symbol"))


def test_a_right_page_passes_as_it_is() -> None:
    checked = check(make_rows())
    assert [row[0] for row in checked.rows] == list(STAMPS)
    assert checked.rejected == []
    assert checked.columns == tuple(column.name for column in in_groups(SPOT_OHLCV.columns, GROUPS))
    assert dict(zip(checked.columns, checked.rows[0][1:], strict=True)) == {
        name: getattr(make_row(0), name) for name in checked.columns
    }


def test_an_empty_page_is_no_error() -> None:
    assert check([]) == Checked(check(make_rows()).columns, [], [])


REASONS: list[tuple[str, dict[str, Any]]] = [
    ("alignment", {"timestamp": 6_061}),
    ("outside_window", {"timestamp": 6_600}),
    ("outside_window", {"timestamp": 5_940}),
    ("outside_window", {"timestamp": -60}),
    ("timestamp_unit", {"timestamp": 6_060_000}),
    ("timestamp_unit", {"timestamp": 10**24}),
    ("unit", {"unit": "HOUR"}),
    ("unit", {"unit": ""}),
    ("another_market", {"market": "coinbase"}),
    ("another_instrument", {"instrument": "XETHZUSD", "mapped_instrument": "ETH-USD"}),
    ("another_instrument", {"instrument": "XETHZUSD", "mapped_instrument": None}),
    ("missing_field", {"open": None}),
    ("missing_field", {"volume": None}),
    ("missing_field", {"total_trades": None}),
    ("negative_amount", {"volume": -1e-9}),
    ("negative_amount", {"total_trades_buy": -1}),
    ("integer_range", {"total_trades": 2**63}),
    ("integer_range", {"total_trades_unknown": 10**40}),
    ("sides_do_not_add_up", {"total_trades": 4}),
    ("sides_do_not_add_up", {"volume_sell": 0.0}),
    ("sides_do_not_add_up", {"quote_volume": 3.0 + 1e-8}),
    ("sides_do_not_add_up", {"volume_buy": 1e308, "volume_sell": 1e308}),
    ("price_not_positive", {"low": 0.0}),
    ("price_not_positive", {"low": -1.0}),
    ("close_outside_range", {"close": 12.1}),
    ("close_outside_range", {"close": 8.9}),
    ("close_outside_range", {"high": 8.0}),
    ("open_outside_range", {"open": 12.1}),
    ("open_outside_range", {"open": 8.9}),
]


@pytest.mark.parametrize(("reason", "wrong"), REASONS, ids=[f"{reason}-{next(iter(w))}" for reason, w in REASONS])
def test_a_row_is_refused_for_its_reason_and_the_others_pass(reason: str, wrong: dict[str, Any]) -> None:
    rows = make_rows()
    rows[1] = make_row(**{"ts": 6_060, **({k: v for k, v in wrong.items() if k != "timestamp"})})
    if "timestamp" in wrong:
        rows[1] = make_row(wrong["timestamp"])
    checked = check(rows)
    assert [row[0] for row in checked.rows] == [ts for ts in STAMPS if ts != 6_060]
    [bad] = checked.rejected
    assert bad.reason == reason
    assert bad.ts == rows[1].timestamp
    assert reason in bad.detail
    assert '"TIMESTAMP":' in bad.raw


NOTHING = {f"{name}{side}": 0 for name in ("volume", "total_trades") for side in ("", "_buy", "_sell", "_unknown")}
MANY = {"total_trades": 2**63 - 1, "total_trades_buy": 2**63 - 3}
ALMOST = {"volume": 3.0 + 1e-9, "quote_volume": 3.0 - 1e-9}


@pytest.mark.parametrize("fields", [NOTHING, MANY, ALMOST, {"open": 12.0}, {"close": 9.0}])
def test_extremes_that_are_possible_pass(fields: dict[str, Any]) -> None:
    assert len(check(make_rows(**fields)).rows) == len(STAMPS)


def test_an_instrument_is_known_by_either_of_its_names() -> None:
    own = {"instrument": "XXBTZUSD", "mapped_instrument": "BTC-USD"}
    assert len(check(make_rows(**own), key=KEY._replace(instrument="XXBTZUSD")).rows) == len(STAMPS)
    renamed = {"instrument": "XXBTZUSD", "mapped_instrument": None}
    assert len(check(make_rows(**renamed), symbol="XXBTZUSD").rows) == len(STAMPS)
    # A row that says nothing about itself was asked for without the ID group.
    silent = {"instrument": None, "mapped_instrument": None, "market": None}
    assert len(check(make_rows(**silent)).rows) == len(STAMPS)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("first_trade_timestamp", 2**63),
        ("last_trade_timestamp", -(2**63) - 1),
        ("high_trade_timestamp", 10**30),
        ("low_trade_timestamp", -(10**30)),
    ],
)
def test_no_integer_column_can_overflow_the_database(column: str, value: int) -> None:
    rows = [make_row(ts, groups=SPOT_OHLCV.groups) for ts in STAMPS]
    rows[1] = make_row(6_060, groups=SPOT_OHLCV.groups, **{column: value})
    checked = check(rows, groups=SPOT_OHLCV.groups)
    assert [(bad.reason, bad.ts) for bad in checked.rejected] == [("integer_range", 6_060)]


def test_trades_may_be_absent_from_an_idle_bar() -> None:
    names = [column.name for column in in_groups(SPOT_OHLCV.columns, ["OHLC_TRADE"])]
    rows = [make_row(ts, groups=SPOT_OHLCV.groups, **dict.fromkeys(names)) for ts in STAMPS]
    assert len(check(rows, groups=SPOT_OHLCV.groups).rows) == len(STAMPS)


def reasons_of(dataset: Dataset, fields: dict[str, Any]) -> list[str]:
    """Why the fourth of ten rows of all groups is refused when it has `fields`."""
    rows = [make_row(ts, dataset, dataset.groups) for ts in STAMPS]
    rows[3] = make_row(6_180, dataset, dataset.groups, **fields)
    checked = check(rows, dataset=dataset, groups=dataset.groups)
    assert len(checked.rows) + len(checked.rejected) == len(STAMPS)
    return [bad.reason for bad in checked.rejected]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_right_rows_of_every_data_type_pass(dataset: Dataset) -> None:
    assert reasons_of(dataset, {}) == []


OTHERS: list[tuple[Dataset, str, dict[str, Any]]] = [
    *((dataset, "negative_amount", {"quote_volume": -1.0}) for dataset in (FUTURES_OHLCV, INDICES_OHLCV)),
    (FUTURES_OHLCV, "negative_amount", {"number_of_contracts": -1.0}),
    (FUTURES_OHLCV, "sides_do_not_add_up", {"volume": 2.5}),
    (FUTURES_OHLCV, "missing_field", {"number_of_contracts": None}),
    (FUTURES_OHLCV, "negative_amount", {"high_trade_price": -1.0}),
    (FUTURES_OHLCV, "trade_outside_range", {"high_trade_price": 12.5}),
    (FUTURES_OHLCV, "trade_outside_range", {"low_trade_price": 8.5}),
    (FUTURES_OHLCV, "trade_outside_range", {"first_trade_price": 12.5}),
    (FUTURES_OHLCV, "trade_outside_range", {"last_trade_price": 8.5}),
    (FUTURES_OHLCV, "trade_outside_bar", {"first_trade_timestamp": 6_179}),
    (FUTURES_OHLCV, "trade_outside_bar", {"last_trade_timestamp": 6_240}),
    (INDICES_OHLCV, "price_not_positive", {"low": 0.0}),
    (INDICES_OHLCV, "negative_amount", {"volume_top_tier": -1.0}),
    (INDICES_OHLCV, "trade_outside_range", {"low_message_value": 8.0}),
    (INDICES_OHLCV, "missing_field", {"total_index_updates": None}),
    (FUTURES_FUNDING_RATE, "missing_field", {"interval_ms": None}),
    (FUTURES_FUNDING_RATE, "interval_not_positive", {"interval_ms": 0}),
    (FUTURES_FUNDING_RATE, "negative_amount", {"interval_ms": -1}),
    (FUTURES_FUNDING_RATE, "missing_field", {"close": None}),
    (FUTURES_FUNDING_RATE, "open_outside_range", {"open": -1.0}),
    (FUTURES_FUNDING_RATE, "close_outside_range", {"high": 10.5}),
    (FUTURES_FUNDING_RATE, "negative_amount", {"total_funding_rate_updates": -1}),
    (FUTURES_FUNDING_RATE, "trade_outside_range", {"high_message_value": 13.0}),
    (FUTURES_OPEN_INTEREST, "missing_field", {"close_quote": None}),
    (FUTURES_OPEN_INTEREST, "negative_amount", {"low_settlement": -1.0}),
    (FUTURES_OPEN_INTEREST, "negative_amount", {"high_quote_mark_price": -1.0}),
    (FUTURES_OPEN_INTEREST, "negative_amount", {"high_message_quote_mark_price": -1.0}),
    (FUTURES_OPEN_INTEREST, "open_outside_range", {"open_settlement": 13.0}),
    (FUTURES_OPEN_INTEREST, "close_outside_range", {"close_mark_price": 8.0}),
    (FUTURES_OPEN_INTEREST, "open_outside_range", {"low_quote": 10.5}),
    (FUTURES_OPEN_INTEREST, "integer_range", {"total_open_interest_updates": 2**63}),
    (FUTURES_OPEN_INTEREST, "trade_outside_range", {"last_message_quote": 12.5}),
    (FUTURES_OPEN_INTEREST, "trade_outside_bar", {"low_message_quote_timestamp": 6_240}),
]


@pytest.mark.parametrize(
    ("dataset", "reason", "wrong"), OTHERS, ids=[f"{d.name}-{r}-{next(iter(w))}" for d, r, w in OTHERS]
)
def test_every_data_type_has_its_rules(dataset: Dataset, reason: str, wrong: dict[str, Any]) -> None:
    assert reasons_of(dataset, wrong) == [reason]


RATES = {"open": -2e-5, "high": 0.0, "low": -3e-5, "close": -1e-5}


@pytest.mark.parametrize(
    ("dataset", "fields"),
    [
        (FUTURES_FUNDING_RATE, {**RATES, **{f"{at}_message_value": -2e-5 for at in ("first", "high", "low", "last")}}),
        (FUTURES_OPEN_INTEREST, {f"{edge}{figure}": 0.0 for edge in GOOD for figure in FIGURES[1:]}),
        (INDICES_OHLCV, {"total_index_updates": 0, "volume_direct": 0.0}),
        (
            INDICES_OHLCV,
            {f"{name}_{tier}": None for name in ("volume", "quote_volume") for tier in ("direct", "top_tier")},
        ),
    ],
    ids=["negative rates", "no open interest", "converted index", "index without tiers"],
)
def test_what_is_odd_and_right_passes(dataset: Dataset, fields: dict[str, Any]) -> None:
    fields |= dict.fromkeys(told(dataset)) if dataset is FUTURES_OPEN_INTEREST else {}
    assert reasons_of(dataset, fields) == []


def test_rates_may_be_negative_whatever_groups_are_asked_for() -> None:
    groups = ("ID", "MAPPING", "OHLC_MESSAGE")
    rows = [make_row(ts, FUTURES_FUNDING_RATE, groups, low_message_value=-1.0) for ts in STAMPS]
    checked = check([*rows, rows[0]], dataset=FUTURES_FUNDING_RATE, groups=groups)
    assert (len(checked.rows), checked.rejected, checked.repeats) == (len(STAMPS), [], 1)


def told(dataset: Dataset) -> list[str]:
    """The columns that idle bars do not have."""
    return [column.name for column in in_groups(dataset.columns, ["OHLC_TRADE", "OHLC_MESSAGE"])]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
@pytest.mark.parametrize("count", [1, 9, 10])
def test_idle_bars_are_right_in_every_data_type(dataset: Dataset, count: int) -> None:
    idle = dict.fromkeys(told(dataset))
    rows = [make_row(ts, dataset, dataset.groups, **(idle if at < count else {})) for at, ts in enumerate(STAMPS)]
    checked = check(rows, dataset=dataset, groups=dataset.groups)
    assert (len(checked.rows), checked.rejected) == (len(STAMPS), [])


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_a_bar_that_is_half_idle_is_looked_at_closely(dataset: Dataset) -> None:
    """Where the first stamp is absent the others are still held to the rules."""
    first = told(dataset)[0]
    assert reasons_of(dataset, {first: None}) == []
    late = next(name for name in reversed(told(dataset)) if name.endswith("_timestamp"))
    assert reasons_of(dataset, {**dict.fromkeys(told(dataset)), late: 6_240}) == ["trade_outside_bar"]


def test_where_most_rows_break_an_inferred_rule_the_rule_is_doubted() -> None:
    """That sides add up is told by samples, not by the vendor: a whole history is not refused for it."""
    rows = [make_row(ts, total_trades=4 if at < 6 else 3) for at, ts in enumerate(STAMPS)]
    assert (len(check(rows).rows), check(rows).rejected) == (len(STAMPS), [])
    rows[0] = make_row(6_000)
    assert [bad.reason for bad in check(rows).rejected] == ["sides_do_not_add_up"] * 5


def test_a_doubted_row_disputes_nothing() -> None:
    checked = check([*make_rows(), make_row(6_000, total_trades=4)])
    assert (len(checked.rows), [bad.reason for bad in checked.rejected]) == (len(STAMPS), ["sides_do_not_add_up"])


def test_groups_without_prices_are_checked_for_the_rest() -> None:
    groups = ("ID", "MAPPING", "VOLUME")
    rows = [make_row(ts, groups=groups) for ts in STAMPS]
    assert len(check(rows, groups=groups).rows) == len(STAMPS)
    rows[0] = make_row(6_000, groups=groups, volume_sell=-1.0)
    assert [bad.reason for bad in check(rows, groups=groups).rejected] == ["negative_amount"]


def test_a_single_column_is_a_row_all_the_same() -> None:
    groups = ("ID", "MESSAGE")
    rows = [make_row(ts, INDICES_OHLCV, groups) for ts in STAMPS]
    assert check(rows, dataset=INDICES_OHLCV, groups=groups).rows == [(ts, 1) for ts in STAMPS]


def test_any_order_and_repetition_gives_the_same_rows(seed: int) -> None:
    chance = random.Random(seed)
    expected = check(make_rows()).rows
    for _ in range(50):
        rows = make_rows() + chance.sample(make_rows(), chance.randint(0, 10))
        chance.shuffle(rows)
        assert check(rows).rows == expected


def test_of_two_rows_that_differ_for_one_slot_none_is_believed() -> None:
    checked = check([*make_rows(), make_row(6_000, close=10.5)])
    assert [row.reason for row in checked.rejected] == ["conflicting_rows"] * 2
    assert 6_000 not in {row[0] for row in checked.rows}


def test_a_row_that_is_repeated_counts_once() -> None:
    checked = check([*make_rows(), make_row(6_000)])
    assert (len(checked.rows), checked.rejected, checked.repeats) == (len(STAMPS), [], 1)


def test_rows_that_came_rejected_stay_so() -> None:
    earlier = RejectedRow("type", "was text", "{}", 6_060)
    rows = [row for row in make_rows() if row.timestamp != 6_060]
    checked = check(rows, (earlier,))
    assert checked.rejected == [earlier]
    assert len(checked.rows) == len(STAMPS) - 1


@pytest.mark.parametrize("count", range(11))
def test_more_than_half_unusable_means_another_answer(count: int) -> None:
    rows = [make_row(ts, unit="HOUR" if at < count else "MINUTE") for at, ts in enumerate(STAMPS)]
    if count <= 5:
        assert len(check(rows).rows) == 10 - count
        return
    with pytest.raises(Malformed, match=f"{count} of 10 rows are unusable") as caught:
        check(rows)
    assert caught.value.reason == "unit"
    assert caught.value.raw.startswith(b'{"UNIT":"HOUR"')


def test_a_field_that_was_renamed_refuses_the_whole_answer() -> None:
    with pytest.raises(Malformed) as caught:
        check(make_rows(volume=None))
    assert caught.value.reason == "missing_field"


def test_another_instruments_answer_is_refused() -> None:
    with pytest.raises(Malformed) as caught:
        check(make_rows(instrument="XETHZUSD", mapped_instrument="ETH-USD"))
    assert caught.value.reason == "another_instrument"


def test_bars_that_the_vendor_added_from_before_are_surplus_not_faults() -> None:
    """It counts back from its own last bar: a window that reaches beyond brings older ones."""
    rows = [make_row(ts) for ts in range(5_700, 6_300, 60)]
    checked = check(rows)
    assert [row[0] for row in checked.rows] == list(range(6_000, 6_300, 60))
    assert (checked.rejected, checked.surplus) == ([], 5)
    beyond = check([make_row(ts) for ts in range(5_000 - 5_000 % 60, 5_400, 60)])
    assert (beyond.rows, beyond.rejected) == ([], [])
    assert beyond.surplus > 5


def test_older_bars_of_a_full_window_are_faults() -> None:
    checked = check([make_row(5_940), *make_rows()])
    assert [bad.reason for bad in checked.rejected] == ["outside_window"]
    assert checked.surplus == 0


# --- against a reference that looks at one row at a time and knows no fast path


def reference(row: Any, window: Window) -> bool:
    """Whether a spot row of the default groups may be stored, on its own."""
    numbers = [getattr(row, name) for name in check(make_rows()).columns]
    if row.timestamp % 60 or not window.start <= row.timestamp < window.end or row.unit != "MINUTE":
        return False
    if row.market not in {None, "kraken"} or row.mapped_instrument != "BTC-USD" or None in numbers:
        return False
    open_, high, low, close, *amounts = numbers
    if min(amounts) < 0 or max(amounts[:4]) >= 2**63:
        return False
    return 0 < low <= min(open_, close) and max(open_, close) <= high


def adds_up(row: Any) -> bool:
    sums = ("total_trades", "volume", "quote_volume")
    sides = {name: sum(getattr(row, f"{name}_{side}") for side in ("buy", "sell", "unknown")) for name in sums}
    return all(abs(getattr(row, name) - side) <= 1e-9 * max(side, getattr(row, name)) for name, side in sides.items())


def believable(rows: list[Any]) -> list[Any]:
    """Rows that are possible and, unless most of them do not, add up."""
    possible = [row for row in rows if reference(row, WINDOW)]
    sound = [row for row in possible if adds_up(row)]
    return possible if 2 * len(sound) < len(possible) else sound


PRICE = st.one_of(st.just(10.0), st.sampled_from([9.0, 11.0, 0.0, -1.0, None]), st.floats(5, 15))
AMOUNT = st.one_of(st.just(1.0), st.sampled_from([0.0, -0.0, -1.0, None, 1e300]))
COUNT = st.one_of(st.just(1), st.sampled_from([0, -1, None, 2**63 - 1, 2**63]))


@st.composite
def pages(draw):
    """Pages most of which are right: on the grid, with a few odd values."""
    rows = []
    for ts in STAMPS[: draw(st.integers(0, 10))]:
        fields: dict[str, Any] = {}
        if draw(st.integers(0, 3)) == 0:
            fields = draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "open": PRICE,
                        "high": PRICE,
                        "low": PRICE,
                        "close": PRICE,
                        "volume": AMOUNT,
                        "quote_volume_sell": AMOUNT,
                        "total_trades": COUNT,
                        "unit": st.sampled_from(["MINUTE", "HOUR"]),
                        "market": st.sampled_from(["kraken", "coinbase", None]),
                        "mapped_instrument": st.sampled_from(["BTC-USD", "ETH-USD"]),
                        "timestamp": st.sampled_from([ts, ts + 60, ts + 1, 6_600, 5_940]),
                    },
                )
            )
        rows.append(make_row(fields.pop("timestamp", ts), **fields))
    return draw(st.permutations(rows)) if draw(st.booleans()) else rows


@pytest.mark.slow
@given(pages())
def test_the_gate_agrees_with_the_reference(rows: list[Any]) -> None:
    names = ("timestamp", *check(make_rows()).columns)
    possible = [tuple(getattr(row, name) for name in names) for row in believable(rows)]
    believed = sorted({row for row in possible if all(row == other for other in possible if row[0] == other[0])})
    disputed = [row for row in possible if row not in believed]
    unusable = len(rows) - len(possible) + len(disputed)
    try:
        checked = check(rows)
    except Malformed:
        assert 2 * unusable > len(rows)
        return
    assert checked.rows == believed
    assert len(checked.rejected) + checked.surplus == unusable
    assert 2 * len(checked.rejected) <= len(rows)
    # Nothing is dropped in silence.
    assert len(rows) == len(checked.rows) + checked.repeats + len(checked.rejected) + checked.surplus


NUMBER = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, 1.0, 2.0, 3.0]))


@given(NUMBER, NUMBER, NUMBER, NUMBER)
def test_price_faults_against_the_rule_in_words(open_, high, low, close) -> None:
    rules = rules_for(SPOT_OHLCV, ("ID", "OHLC"))
    found = fault((6_000, open_, high, low, close), rules)
    if None in (open_, high, low, close):
        assert found == "missing_field"
        return
    encloses = low <= open_ <= high and low <= close <= high
    assert (found is None) == (low > 0 and encloses)


@pytest.mark.parametrize("grain", GRAINS.values(), ids=GRAINS)
def test_every_grain_has_its_unit(grain) -> None:
    key = KEY._replace(interval=grain.name)
    window = Window(0, 3 * grain.seconds)
    rows = [make_row(ts, unit=grain.unit) for ts in range(0, window.end, grain.seconds)]
    assert len(check(rows, window=window, key=key).rows) == 3
    wrong = "HOUR" if grain is MINUTE else "MINUTE"
    with pytest.raises(Malformed):
        check([make_row(row.timestamp, unit=wrong) for row in rows], window=window, key=key)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_what_passes_as_a_whole_passes_row_by_row(dataset: Dataset, seed: int) -> None:
    """The look at a whole page may be too strict, never too lenient, and lets good rows pass."""
    chance = random.Random(seed)
    rules = rules_for(dataset, dataset.groups)
    twists = (lambda _: None, lambda x: -1 - x, lambda x: x * 1.5, lambda x: x * (1 + 1e-12), lambda x: x + 60, int)
    passed = Counter[tuple[bool, bool]]()
    for _ in range(2_000):
        [row] = values_of([make_row(6_000, dataset, dataset.groups)])
        values = list(row)
        for at in chance.sample(range(1, len(values)), chance.randrange(3)):
            values[at] = chance.choice(twists)(values[at])
        is_fine = fault(tuple(values), rules) is None and doubt(tuple(values), rules, 60) is None
        passed[_passes_as_a_whole(tuple(values), rules), is_fine] += 1
    assert not passed[True, False]
    assert passed[True, True] > 500
    assert passed[False, False] > 100


def _passes_as_a_whole(row: Row, rules: Rules) -> bool:
    try:
        return are_bounded([row], rules) and are_sound([row], rules, 60)
    except TypeError:
        return False
