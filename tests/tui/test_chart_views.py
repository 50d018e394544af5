"""Charts of bars: what stands where, that everything fits, and odd values."""

import math

import pytest

from core.windows import Window
from tui.archive.series import Bar
from tui.lookups import Answer
from tui.text import ASCII, UNICODE, Glyphs
from tui.views import chart, days, stored
from tui.views.chart import Room
from tui.views.frame import Canvas, plain, width_of
from tui.views.stored import Name

HOUR, DAY = 3_600, 86_400
MIDNIGHT = 1_795_392_000  # 2026-11-23 00:00:00 UTC
HOURLY = Name("spot_ohlcv", "kraken", "BTC-USD", "1h")
DAILY = HOURLY._replace(interval="1d")
FUNDING = Name("futures_funding_rate", "binance", "BTC-USDT", "1h")
INTEREST = Name("futures_open_interest", "binance", "BTC-USDT", "1h")


def bar(at: int, opens: float, high: float, low: float, close: float, amount: float | None = None) -> Bar:
    return Bar(MIDNIGHT + at * HOUR, True, opens, high, low, close, amount)


def picture(bars: list[Bar], width: int = 20, height: int = 5, glyphs: Glyphs = UNICODE) -> list[str]:
    return [plain(line) for line in chart.candles(bars, Room(width, height, glyphs, HOUR), "volume")]


RISING, FALLING = bar(0, 2, 10, 1, 8), bar(1, 8, 9, 2, 3)


def test_a_candle_that_rose_is_hollow_and_one_that_fell_is_filled() -> None:
    lines = picture([RISING, FALLING], height=6)
    assert [line[0] for line in lines[:5]] == ["│", "║", "║", "║", "╨"]
    assert [line[6] for line in lines[:5]] == ["╷", "█", "█", "█", "╵"]
    assert lines[5].startswith("11-23 00:00")
    ascii_lines = picture([RISING, FALLING], height=6, glyphs=ASCII)
    assert [line[0] for line in ascii_lines[:5]] == ["|", "O", "O", "O", "O"]
    assert [line[6] for line in ascii_lines[:5]] == [".", "#", "#", "#", "'"]


def test_up_and_down_differ_by_glyph_in_both_alphabets() -> None:
    for glyphs in (UNICODE, ASCII):
        up, down = (
            {line[0] for line in picture([each], glyphs=glyphs)} for each in (bar(0, 1, 3, 0, 2), bar(0, 2, 3, 0, 1))
        )
        assert (up - {"1"}) & {"║", "╥", "╨", "O"}
        assert not (up & {"█", "▄", "▀", "#"})
        assert (down - {"1"}) & {"█", "▄", "▀", "#"}


def test_a_slot_without_a_bar_is_a_blank_column_and_the_newest_bars_are_shown() -> None:
    bars = [bar(at, 1, 2, 1, 2) for at in range(40) if at != 37]
    lines = picture(bars, width=20, height=5)
    assert {line[2 * 7] for line in lines[:4]} == {" "}
    assert all(any(line[2 * slot] != " " for line in lines[:4]) for slot in (6, 8, 9))


def test_an_axis_names_prices_and_marks_the_newest() -> None:
    lines = [plain(line) for line in chart.candles([RISING, FALLING], Room(60, 12, UNICODE, HOUR), "volume")]
    assert lines[0].endswith(("┤9.8       ", "┤9.7       "))
    assert sum("◀3.0" in line for line in lines) == 1


def test_volume_stands_below_the_prices() -> None:
    bars = [bar(0, 1, 2, 1, 2, 100.0), bar(1, 2, 2, 1, 1, 50.0), bar(2, 1, 2, 1, 2, None)]
    lines = [plain(line) for line in chart.candles(bars, Room(60, 12, UNICODE, HOUR), "volume")]
    assert len(lines) == 12
    assert [lines[row][:18:6] for row in (9, 10)] == ["█  ", "██ "]
    assert lines[9].rstrip().endswith("100")
    assert lines[10].rstrip().endswith("volume")


def test_funding_rates_go_up_and_down_from_zero() -> None:
    rates = [
        Bar(MIDNIGHT + at * HOUR, True, None, None, None, rate, None) for at, rate in enumerate((2e-4, -1e-4, 0.0))
    ]
    lines = chart.columns(rates, Room(20, 8, UNICODE, HOUR), signed=True, percent=True)
    drawn = [plain(line) for line in lines]
    assert drawn[0][0] == "█"
    assert drawn[0][6] == " "
    assert drawn[6][0] == " "
    assert drawn[6][6] in "█▀"
    zero = next(line for line in drawn if "─" in line)
    assert zero[12:18] == "──────"
    wide = [plain(line) for line in chart.columns(rates, Room(60, 8, UNICODE, HOUR), signed=True, percent=True)]
    assert "0.0185%" in wide[0] or "0.019" in wide[0]
    styles = {span.style for line in lines for span in line if "█" in span.text}
    assert styles == {"ok", "warn"}


def test_open_interest_stands_on_the_lowest_value() -> None:
    bars = [Bar(MIDNIGHT + at * HOUR, True, None, None, None, 1_000.0 + at, None) for at in range(3)]
    lines = [plain(line) for line in chart.columns(bars, Room(20, 8, UNICODE, HOUR), signed=False, percent=False)]
    heights = [sum(line[x] in "█▄▀" for line in lines[:7]) for x in (0, 6, 12)]
    assert heights == sorted(heights)
    assert heights[0] >= 1
    assert heights[2] == 7


ODD = [
    [], [bar(0, 1, 1, 1, 1)], [bar(0, 0, 0, 0, 0)], [Bar(MIDNIGHT, True, None, None, None, None, None)],
    [Bar(MIDNIGHT, False, None, None, None, 5.0, None)], [bar(0, math.nan, 1, 1, 1)],
    [bar(0, 1, math.inf, 1, 1, math.nan)],
    [bar(0, 1e300, 1e308, -1e308, 1e-300, 1e308)], [bar(0, -5, -1, -9, -2, -3.0)],
    [bar(-10**9, 1, 2, 1, 2), bar(10**9, 1, 2, 1, 2)],
    [bar(0, 1e-12, 2e-12, 1e-12, 1.5e-12)], [Bar(10**17, True, 1, 2, 1, 2, 3)], [Bar(-(10**17), True, 1, 2, 1, 2, 3)],
]  # fmt: skip


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("bars", ODD, ids=range(len(ODD)))
def test_odd_bars_are_drawn_in_any_room(bars: list[Bar], glyphs: Glyphs) -> None:
    for width in (1, 7, 24, 40, 80, 200):
        for height in (1, 2, 3, 9, 40):
            for name in (HOURLY, FUNDING, INTEREST):
                lines = stored.draw(name, bars, Canvas(width, glyphs), height)
                assert len(lines) <= max(2, height)
                for line in lines:
                    assert width_of(line) <= max(width, 1)
                    assert glyphs is UNICODE or plain(line).isascii()


@pytest.mark.parametrize(
    ("value", "step", "words"),
    [(94_123.456, 250.0, "94,123"), (94_123.456, 0.25, "94,123.46"), (0.00001234, 1e-7, "0.00001234"),
     (1e15, 1e12, "1e+15"),
     (-3.5, 0.5, "-3.50"), (math.nan, 1.0, "-"), (0.0, 0.0, "0")],
)  # fmt: skip
def test_a_price_has_the_decimals_that_matter(value: float, step: float, words: str) -> None:
    assert chart.price(value, step, 12) == words


def test_the_newest_bar_is_told_in_words() -> None:
    answer = Answer([RISING, FALLING._replace(is_closed=False, amount=1_250.0)])
    view = stored.chart_view(HOURLY, answer, Canvas(80), 10, stored.draw)
    assert view.title == "Candles 1h"
    assert view.aside == "2026-11-23 01:00 (open)  3.0000  -62.50%  volume 1.2k"
    rates = Answer([Bar(MIDNIGHT, True, 1e-4, 1e-4, 1e-4, 1e-4, 9)])
    assert stored.chart_view(FUNDING, rates, Canvas(80), 10, stored.draw).aside == "2026-11-23 00:00  0.0100%"
    assert stored.chart_view(INTEREST, rates, Canvas(80), 10, stored.draw).title == "Open interest 1h"
    assert "No bar is stored" in plain(stored.chart_view(HOURLY, Answer([]), Canvas(80), 9, stored.draw).empty[0])
    assert plain(stored.chart_view(HOURLY, Answer(), Canvas(80), 9, stored.draw).empty[0]) == "Reading ..."


# --- two days

TWO_DAYS = [bar(at, 100 + at, 102 + at, 99 + at, 101 + at, 10.0) for at in range(-24, 24)]


def test_a_day_is_the_first_open_the_highest_high_the_lowest_low_and_the_last_close() -> None:
    older, newer = days.split(TWO_DAYS, MIDNIGHT)
    assert days.total(older, adds=True) == days.Day(76, 101, 75, 100, 240.0, 24)
    assert days.total(newer, adds=False) == days.Day(100, 125, 99, 124, 10.0, 24)
    assert days.total([], adds=True) == days.Day(None, None, None, None, None, 0)


def test_both_days_and_the_change_are_in_figures() -> None:
    view = days.figures_view(HOURLY, MIDNIGHT, Answer(TWO_DAYS), Canvas(80))
    assert plain(view.head).split() == ["2026-11-22", "2026-11-23", "CHANGE"]
    rows = {key: plain(view.line(key)).split() for key in view.keys}
    assert rows["close"] == ["close", "100.000", "124.000", "+24.00%", "+24.0000"]
    assert rows["volume"] == ["volume", "240", "240", "+0.00%", "0"]
    assert list(rows) == ["open", "high", "low", "close", "volume", "bars"]
    empty = days.figures_view(HOURLY, MIDNIGHT, Answer([]), Canvas(80)).empty[0]
    assert "[ goes back" in plain(empty)


def test_rates_are_told_in_percent_and_have_no_change_between_gain_and_loss() -> None:
    bars = [bar(at, rate, rate, rate, rate, 3) for at, rate in ((-1, 1e-4), (0, -2e-4))]
    view = days.figures_view(FUNDING, MIDNIGHT, Answer(bars), Canvas(80))
    assert plain(view.line("close")).split() == ["close", "0.0100%", "-0.0200%", "-", "-0.0300%"]
    assert "updates" in view.keys


def test_minutes_are_folded_to_what_there_is_room_for() -> None:
    minutes = [Bar(MIDNIGHT + at * 60, True, at, at + 1, at - 1, at + 0.5, 1.0) for at in range(1_440)]
    folded, step = days.folded(minutes, 60, 30, adds=True)
    assert step == HOUR
    assert len(folded) == 24
    assert folded[0] == Bar(MIDNIGHT, True, 0, 60, -1, 59.5, 60.0)
    assert days.folded(TWO_DAYS[:24], HOUR, 200, adds=True)[1] == HOUR


def test_daily_bars_are_compared_with_the_weeks_before_them() -> None:
    assert days.window_of(MIDNIGHT, HOURLY) == Window(MIDNIGHT - DAY, MIDNIGHT + DAY)
    assert days.window_of(MIDNIGHT, DAILY) == Window(MIDNIGHT - 30 * DAY, MIDNIGHT + DAY)
    daily = [each._replace(start=MIDNIGHT + at * DAY) for at, each in zip(range(-5, 1), TWO_DAYS, strict=False)]
    older, newer = (
        days.day_view(DAILY, MIDNIGHT, Answer(daily), Canvas(60), 12, newer=newer) for newer in (False, True)
    )
    assert (older.title, newer.title) == ("to 2026-11-22", "to 2026-11-23")
    assert plain(older.line("0"))[-11:] == plain(newer.line("0"))[-11:] or "◀" in plain(newer.line("0"))


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_two_days_fit(width: int) -> None:
    for name in (HOURLY, DAILY, FUNDING, INTEREST):
        for which in (False, True):
            view = days.day_view(name, MIDNIGHT, Answer(TWO_DAYS), Canvas(width), 12, newer=which)
            assert all(width_of(view.line(key)) <= width for key in view.keys)
        figures = days.figures_view(name, MIDNIGHT, Answer(TWO_DAYS), Canvas(width))
        assert all(width_of(figures.line(key)) <= width for key in figures.keys)
