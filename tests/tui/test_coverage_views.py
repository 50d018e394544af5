"""Months reckoned from spans, and how they are shown."""

import random

import pytest
from archive_fakes_series import bars_of, coverage_of
from dashboard_fakes import DAY, NOON, stored_series

from core.windows import Window, merge, subtract
from tui.archive.series import Coverage
from tui.coverage import Share, month_of, month_window, months_of, share_of
from tui.lookups import Answer
from tui.query import Choice
from tui.text import ASCII, UNICODE
from tui.views import heat
from tui.views.frame import Canvas, Listing, plain, width_of

JANUARY = 12 * 2025
START = month_window(JANUARY).start
HOUR = 3_600


def hourly(**fields: object) -> Coverage:
    given = {"seconds": HOUR, "start": START, "pruned_before": None, "asked": (Window(START, START + 90 * DAY),)}
    return Coverage(**(given | fields))  # type: ignore[arg-type]


def test_a_month_is_a_number() -> None:
    assert (month_of(START - 1), month_of(START), month_of(START + 31 * DAY)) == (JANUARY - 1, JANUARY, JANUARY + 1)
    assert month_window(12 * 2024 + 1).seconds == 29 * DAY


def test_every_slot_of_a_month_is_one_thing() -> None:
    coverage = hourly(
        start=START + DAY,
        asked=(Window(START + DAY, START + 20 * DAY),),
        gaps=(Window(START + 2 * DAY, START + 2 * DAY + HOUR), Window(START + 5 * DAY, START + 6 * DAY)),
        explained=(Window(START + 10 * DAY, START + 10 * DAY + 3 * HOUR),),
    )
    until = START + 25 * DAY
    assert share_of(coverage, JANUARY, until) == Share(stored=19 * 24 - 25 - 3, gaps=25, explained=3, unasked=5 * 24)
    assert share_of(coverage, JANUARY, until).expected == 24 * 24  # type: ignore[union-attr]
    assert share_of(coverage, JANUARY - 1, until) is None
    assert share_of(coverage, JANUARY + 1, until) is None
    assert months_of(coverage) == range(JANUARY, JANUARY + 1)


def test_months_begin_where_bars_were_first_asked_for_not_where_the_history_does() -> None:
    week = (Window(START + 200 * DAY, START + 207 * DAY),)
    assert months_of(hourly(start=START - 3_000 * DAY, asked=week)) == range(JANUARY + 6, JANUARY + 7)
    assert months_of(hourly(start=None, asked=())) == range(0)
    assert share_of(hourly(start=None, asked=week), JANUARY + 6, START + 300 * DAY) == Share(168, 0, 0, 31 * 24 - 168)


def test_shares_agree_with_counting(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(100):
        cuts = sorted(draw.sample(range(24 * 120), 8))
        asked = [Window(START + a * HOUR, START + b * HOUR) for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
        holes = [Window(window.start + HOUR, window.start + 3 * HOUR) for window in asked if window.seconds > 4 * HOUR]
        coverage = hourly(asked=tuple(merge(asked)), gaps=tuple(holes))
        until = START + draw.randrange(1, 24 * 120) * HOUR
        kept = {ts for window in subtract(asked, holes) for ts in range(*window, HOUR)}
        for month in range(JANUARY, JANUARY + 4):
            slots = set(range(max(START, month_window(month).start), min(until, month_window(month).end), HOUR))
            share = share_of(coverage, month, until)
            assert (share.stored, share.expected) == (len(slots & kept), len(slots)) if share else not slots


@pytest.mark.parametrize(
    ("share", "glyphs", "marked"),
    [
        (None, "  ", " "), (Share(10, 0, 0, 0), "█#", " "), (Share(95, 0, 0, 5), "▓+", " "),
        (Share(95, 5, 0, 0), "▓+", "!"), (Share(50, 0, 0, 50), "▒=", " "), (Share(1, 0, 0, 99), "░-", " "),
        (Share(0, 10, 0, 0), "░-", "!"), (Share(0, 0, 0, 10), "·.", " "), (Share(90, 0, 10, 0), "▓+", "~"),
        (Share(90, 1, 9, 0), "▓+", "!"), (Share(9_999, 1, 0, 0), "▓+", "!"),
    ],
)  # fmt: skip
def test_shades_tell_stored_from_gap_from_not_asked(share: Share | None, glyphs: str, marked: str) -> None:
    assert heat.shade(share, UNICODE)[0] + heat.shade(share, ASCII)[0] == glyphs
    assert heat.mark(share)[0] == marked


def test_years_of_one_series() -> None:
    [(_, series)] = stored_series(1)
    view = heat.years_view(Answer(coverage_of(series)), Canvas(60, ASCII, NOON))
    assert list(view.keys) == ["2026", "2025", "2024", "2023", "2022", "2021", "legend"]
    assert plain(view.head) == "     Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec "
    assert plain(view.line("2026")) == "2026 ##  ##  ##  ##  ##  ##  ##  ##  ##  ##  ##      100%"
    assert plain(view.line("2022")) == "2022 ##  ##  ##  ##  ##  ##  ##  ==~ ##  ++~ ##  ##   97%"
    assert plain(view.line("2023")) == "2023 ##  ##  ##  ##  ..  --  ##  ##  ##  ##  ##  ##   86%"
    assert plain(view.line("2021")) == "2021             ##  ##  ##  ##  ##  ##  ##  ##  ##  100%"
    assert plain(view.line("legend")).startswith("! gap ~ explained  # all + 90%")


def test_a_new_gap_is_marked_in_its_month() -> None:
    series = dict(stored_series(2))["futures_ohlcv/binance/ETH-USD-1/1d"]
    view = heat.years_view(Answer(coverage_of(series)), Canvas(40, ASCII, NOON))
    assert plain(view.line("2026")) == "2026 # # # # # # # # # # +!   99%"


def test_nothing_asked_nothing_read_and_trouble_say_so() -> None:
    canvas = Canvas(80, UNICODE, NOON)
    assert "Nothing was asked for yet" in plain(heat.years_view(Answer(hourly(asked=())), canvas).empty[0])
    assert plain(heat.years_view(Answer(), canvas).empty[0]) == "Reading ..."
    assert "Unknown: gone" in plain(heat.years_view(Answer(trouble="gone"), canvas).empty[0])


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_months_of_many_series_fit_and_end_with_this_month(width: int, glyphs: object) -> None:
    stored = dict(stored_series(6))
    coverages = {name: coverage_of(series) for name, series in stored.items()}
    canvas = Canvas(width, glyphs, NOON)  # type: ignore[arg-type]
    view = heat.list_view(Answer(coverages), Listing(list(stored), Choice(sort="type")), canvas)
    lines = [plain(view.line(key)) for key in view.keys]
    assert all(width_of(view.line(key)) == width for key in view.keys)
    newest = [share_of(each, month_of(NOON), int(NOON)) for each in coverages.values()]
    drawn = [heat.mark(share)[0].strip() or heat.shade(share, canvas.glyphs)[0] for share in newest]
    assert [line[-1] for line in lines] == drawn
    assert plain(view.head).rstrip().endswith("2026")
    if width >= 120:
        assert all(line[49:].count("~") == 2 for line in lines)


def test_only_lines_that_are_drawn_cost_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = dict(stored_series(2_000))
    asked: list[int] = []
    monkeypatch.setattr(heat, "share_of", lambda coverage, month, until: asked.append(month))
    coverages = dict.fromkeys(stored, coverage_of(stored["spot_ohlcv/coinbase/BTC-USD-0/1d"]))
    view = heat.list_view(Answer(coverages), Listing(list(stored), Choice()), Canvas(100, UNICODE, NOON))
    assert asked == []
    view.line("spot_ohlcv/coinbase/BTC-USD-0/1d")
    assert len(asked) <= 100


def test_fake_bars_leave_holes() -> None:
    series = dict(stored_series(1))["spot_ohlcv/coinbase/BTC-USD-0/1d"]
    bars = bars_of(series, 100)
    assert 90 < len(bars) < 101
