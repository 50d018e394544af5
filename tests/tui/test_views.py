"""Pure views: what they say, that they fit, at widths from 40 to 200."""

import math

import pytest
from dashboard_fakes import NOON, FakeEngine, alerts, caches, engine_sample, job, make_busy, quota, series_of
from rich.cells import cell_len

from core.events import MonthUsage
from tui import text
from tui.folding import reduce
from tui.query import Choice, Filter, FilterError, Ordering, order
from tui.state import History, Link, LogEntry, ViewState
from tui.text import ASCII, UNICODE
from tui.views import alerts as alert_views
from tui.views import header, jobs, log, panels, series
from tui.views import help as help_views
from tui.views.frame import Canvas, Column, Listing, choose, plain, width_of

WIDTHS = (40, 80, 120, 200)


@pytest.fixture(scope="module")
def busy() -> ViewState:
    engine = make_busy(FakeEngine())
    return reduce(ViewState(link=Link("online")), engine.bus.snapshot(), now=engine.time.elapsed)


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (950, "950"), (1_234, "1.2k"), (9_999, "10k"), (99_960, "100k"), (999_999, "1.0M"), (2.5e9, "2.5G"),
     (None, "-"), (math.nan, "-"), (math.inf, "-"), (-1_234, "-1.2k")],
)  # fmt: skip
def test_count(number: float | None, words: str) -> None:
    assert text.count(number) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0.2s"), (42, "42s"), (99.6, "2m"), (300, "5m"), (7_380, "2h03"), (300_000, "3d"), (-5, "0.0s"),
     (None, "-")],
)  # fmt: skip
def test_age(seconds: float | None, words: str) -> None:
    assert text.age(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1e-12, "0us"), (1.27e-6, "1.27us"), (4e-4, "400us"), (0.99951e-3, "1ms"), (0.0215, "21.5ms"), (1.5, "1.5s"),
     (998, "998s"), (999.6, "17m"), (0, "0us"), (-1, "0us"), (None, "-"), (math.nan, "-"), (math.inf, "-")],
)  # fmt: skip
def test_how_long_a_call_took_fits_into_its_column(seconds: float | None, words: str) -> None:
    assert text.took(seconds) == words
    assert all(len(text.took(digits * 10.0**power)) <= 7 for digits in (1, 1.2345, 9.996) for power in range(-10, 9))


def test_other_numbers() -> None:
    assert text.eta(252) == "0:04:12"
    assert text.eta(200_000) == "2d 07h"
    assert [text.eta(odd) for odd in (None, math.nan, math.inf, -1)] == ["-"] * 4
    assert text.size(34 << 20) == "34M"
    assert text.clock(NOON) == "12:00:00Z"
    assert text.moment(1e18) == "-"
    assert text.percent(999, 1000) == "99%"
    assert text.percent(1, 0) == "-"
    assert text.bar(1, 2, 4, UNICODE) == "██··"
    assert text.bar(1, 2, 4, ASCII) == "##.."
    assert text.spark((0.0, 1.0, 2.0), 4, UNICODE) == " ▁▅█"
    assert text.spark((math.nan,), 2, ASCII) == " _"


@pytest.mark.parametrize(
    "words", ["BTC-USD", "日本語テキスト", "a\u0301bc", "👩\u200d👧 family", "\x1b[31mred", "[/red]"]
)
@pytest.mark.parametrize("width", [0, 1, 2, 5, 9, 30])
def test_fit_is_exact_in_cells(words: str, width: int) -> None:
    for align in "<>|":
        fitted = text.fit(words, width, align)
        assert cell_len(fitted) == width
        assert "\x1b" not in fitted


def test_fit_cuts_the_middle_and_stays_ascii() -> None:
    assert text.fit("futures_open_interest", 14, "|") == "futures…terest"
    assert text.fit("日本 text", 8, "<", "~").isascii()


def test_wrap_folds_at_blanks() -> None:
    assert text.wrap("one two three four", 9) == ["one two", "three", "four"]
    assert text.wrap("x" * 20, 8) == ["x" * 8, "x" * 8, "x" * 4]


def test_columns_are_given_up_by_priority() -> None:
    columns = (
        Column("a", "A", 5, priority=9),
        Column("b", "B", 5, priority=1),
        Column("c", "C", 5, priority=5, grow=1),
    )
    assert [(column.name, width) for column, width in choose(columns, 20)] == [("a", 5), ("b", 5), ("c", 8)]
    assert [(column.name, width) for column, width in choose(columns, 12)] == [("a", 5), ("c", 6)]
    assert [(column.name, width) for column, width in choose(columns, 3)] == [("a", 3)]


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_line_fits(busy: ViewState, width: int, glyphs: text.Glyphs) -> None:
    canvas = Canvas(width, glyphs, NOON, 1_040.0)
    log_lines = [LogEntry(1, NOON, "error", "x" * 500, "spot_ohlcv/kraken/BTC-USD/1d")]
    views = [
        jobs.view(busy, Listing(list(busy.jobs), jobs.DEFAULT), canvas),
        jobs.job_view(busy, "j-0004", canvas),
        series.view(busy.series["j-0001"], Listing(list(busy.series["j-0001"]), series.DEFAULT), canvas),
        alert_views.view(busy, Listing(list(busy.alerts), alert_views.DEFAULT), canvas),
        panels.cache_view(busy, canvas),
        panels.quota_view(busy, canvas),
        panels.engine_view(busy, canvas),
        log.view(log_lines, log.DEFAULT, canvas),
        help_views.view([("Move", "j", "down")], canvas),
    ]
    for view in views:
        assert view.keys
        for key in view.keys:
            line = view.line(key)
            assert width_of(line) <= width
            if glyphs is ASCII:
                assert plain(line).isascii(), view.title


@pytest.mark.parametrize("width", WIDTHS)
def test_a_job_row_says_its_state_in_words(width: int) -> None:
    row = plain(jobs.line(job(3, "waiting", waiting="the minute quota"), width, UNICODE))
    assert "j-0003" in row
    assert "▲ wait" in row
    assert ("the minute" in row) == (width >= 80)


def test_jobs_at_80() -> None:
    states = {"a": job(1), "b": job(4, "failed", error="HTTP 401: no such role")}
    rows = [plain(row) for row in jobs.rows(states, jobs.DEFAULT, 80, UNICODE)]
    assert rows[0].split() == [
        "j-0004",
        "futures…terest",
        "1h",
        "✖",
        "fail",
        "38%",
        "413k",
        "-",
        "-",
        "HTTP",
        "401:",
        "no…",
    ]
    assert rows[1].split() == ["j-0001", "futures_ohlcv", "1h", "●", "run", "12%", "103k", "620", "0:05:12"]


def test_series_rows() -> None:
    known = {item.series: item for item in series_of("j")}
    rows = [plain(row) for row in series.rows(known, Choice(sort="rows", descending=True), 120, UNICODE)]
    assert rows[0].startswith("kraken/DOGE-USDT")


@pytest.mark.parametrize("odd", [math.nan, math.inf, -1.0])
def test_odd_numbers_are_drawn(odd: float) -> None:
    strange = job(1, rows_per_second=odd, eta_seconds=odd, windows_done=9, windows_total=3)
    for width in WIDTHS:
        assert width_of(jobs.line(strange, width, UNICODE)) <= width
        jobs.counters(strange, History(0.0, (odd, odd)), width, UNICODE)
    order({"a": strange, "b": job(2)}, jobs.FIELDS, Choice(sort="rate"))


def test_header_puts_alerts_first_and_fits(busy: ViewState) -> None:
    moment = header.Moment(now=1_041.0, time=NOON, paused=4.0, held=7, read_only=True)
    for width in (1, 10, 40, 80, 120, 200):
        line = header.line(busy, moment, width, UNICODE)
        assert width_of(line) <= width
        assert plain(line).startswith("✖1 ▲1"[:width].rstrip()[: max(0, width - 1)])
    words = plain(header.line(busy, moment, 200, UNICODE))
    for part in (
        "LIVE 1.0s",
        "4 run",
        "PAUSED 4.0s, 7 held",
        "quota 3% month",
        "cpu 53%",
        "read-only",
        "12:00:00Z",
    ):
        assert part in words


def test_header_says_how_the_link_is() -> None:
    lost = ViewState(link=Link("lost", 0.0, "gone", retry_at=13.0), heard=1.0)
    assert "DISCONNECTED retry 3s" in plain(header.line(lost, header.Moment(10.0, NOON), 80, UNICODE))


def test_empty_states_say_what_next() -> None:
    canvas = Canvas(80, UNICODE, NOON, 10.0)
    online = ViewState(link=Link("online"), heard=1.0)
    hint = jobs.view(online, Listing([], jobs.DEFAULT), canvas).empty
    assert any("tapewatch spot_ohlcv" in plain(line) for line in hint)
    waiting = ViewState(link=Link("connecting", since=9.0, reason="no engine answers"))
    assert len(jobs.view(waiting, Listing([], jobs.DEFAULT), canvas).empty) == 1
    late = canvas._replace(now=12.5)
    assert "no engine answers" in plain(jobs.view(waiting, Listing([], jobs.DEFAULT), late).empty[1])
    assert "No job matches" in plain(
        jobs.view(ViewState(jobs={"a": job(1)}, heard=1.0), Listing([], Choice("zzz")), canvas).empty[0]
    )


def test_alert_order_and_quota_order(busy: ViewState) -> None:
    known = {alert.alert: alert for alert in alerts()}
    assert order(known, alert_views.FIELDS, alert_views.DEFAULT) == ["a-2", "a-1", "a-3"]
    assert list(panels.quota_view(busy, Canvas(60)).keys) == [
        *("month", "day", "hour", "minute", "second"),
        *("(ours)", "(budget)", "(limit)"),
    ]
    assert quota().windows
    assert caches()
    assert engine_sample()


def test_filter_grammar() -> None:
    known = {"a": job(1), "b": job(3, "waiting"), "c": job(4, "failed")}
    for words, keys in (("", "abc"), ("indices", "b"), ("state:run", "a"), ("!state:run", "bc"), ("rows>200000", "bc"),
                        ("retries<1", "c"), ("futures state:fail", "c"), ("zzz", "")):  # fmt: skip
        assert order(known, jobs.FIELDS, Choice(words, "job")) == list(keys)
    for wrong, reason in (("colour:red", "no field 'colour'"), ("rows>many", "a number is needed")):
        with pytest.raises(FilterError, match=reason):
            Filter.parse(wrong, jobs.FIELDS)


def test_an_order_holds_still_and_keeps_the_last_good_filter() -> None:
    ordering = Ordering(jobs.FIELDS)
    rate = Choice(sort="rate")
    known = {"a": job(1, rows_per_second=1.0), "b": job(2, rows_per_second=2.0)}
    assert ordering.keys(known, rate, now=0.0) == ["a", "b"]
    known = {
        "a": job(1, rows_per_second=3.0),
        "b": job(2, rows_per_second=2.0),
        "c": job(3, rows_per_second=0.0),
    }
    assert ordering.keys(known, rate, now=0.5) == ["a", "b", "c"]
    assert ordering.keys(known, rate, now=5.0, hold=True) == ["a", "b", "c"]
    assert ordering.keys(known, rate, now=5.0) == ["c", "b", "a"]
    known = {name: known[name] for name in ("a", "c")}
    assert ordering.keys(known, rate, now=5.1) == ["c", "a"]
    assert ordering.keys(known, Choice("rows>x", "rate"), now=5.2) == ["c", "a"]
    assert "a number is needed" in ordering.error


@pytest.mark.parametrize("width", [24, 28, 48, 78])
def test_the_quota_pane_shows_what_is_left_and_when_it_resets_at_any_width(busy: ViewState, width: int) -> None:
    view = panels.quota_view(busy, Canvas(width, UNICODE, NOON))
    month = plain(view.line("month"))
    assert "430" in month
    assert month.rstrip().endswith("7d")
    assert ("11k used" in month) == (width >= 42)
    assert view.aside == "month to 12k"
    assert plain(view.line("(ours)")).startswith("ours 9.2k, 12k by end")
    assert "11-29" in plain(view.line("(budget)"))
    assert "11-25" in plain(view.line("(limit)"))


def test_of_a_month_that_nobody_bounds_only_the_calls_are_told() -> None:
    assert list(panels.month_lines(MonthUsage(0, 0), 24, UNICODE)) == ["(ours)"]
    lines = panels.month_lines(MonthUsage(10, 10, 10, NOON), 60, UNICODE)
    assert lines["(budget)"][0].style == "bad"
    assert panels.month_lines(MonthUsage(1, 2, 10), 60, UNICODE)["(budget)"][0].text.startswith("budget 9 left")
