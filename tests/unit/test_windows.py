"""The interval algebra: tables with literals, and its laws on random windows."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from core.windows import (
    DAY,
    GRAINS,
    HOUR,
    MINUTE,
    Window,
    bundle,
    clip,
    intersect,
    iso,
    merge,
    pages,
    parse_since,
    parse_span,
    parse_time,
    subtract,
)

W = Window
SPANS = st.tuples(st.integers(-40, 40), st.integers(0, 25)).map(lambda pair: W(pair[0], pair[0] + pair[1]))
LISTS = st.lists(SPANS, max_size=8)


def points(windows: list[Window]) -> set[int]:
    return {at for window in windows for at in range(window.start, window.end)}


def is_normal(windows: list[Window]) -> bool:
    return all(window.start < window.end for window in windows) and all(
        earlier.end < later.start for earlier, later in itertools.pairwise(windows)
    )


@pytest.mark.parametrize(
    ("given_windows", "merged"),
    [
        ([], []),
        ([W(3, 3)], []),
        ([W(5, 3)], []),
        ([W(1, 2), W(2, 3)], [W(1, 3)]),
        ([W(2, 3), W(1, 2)], [W(1, 3)]),
        ([W(1, 9), W(2, 3)], [W(1, 9)]),
        ([W(1, 2), W(3, 4)], [W(1, 2), W(3, 4)]),
        ([W(1, 4), W(1, 2), W(3, 6), W(8, 9)], [W(1, 6), W(8, 9)]),
    ],
)
def test_merge(given_windows: list[Window], merged: list[Window]) -> None:
    assert merge(given_windows) == merged


@pytest.mark.parametrize(
    ("wanted", "taken", "left"),
    [
        ([W(0, 10)], [], [W(0, 10)]),
        ([], [W(0, 10)], []),
        ([W(0, 10)], [W(0, 10)], []),
        ([W(0, 10)], [W(-5, 20)], []),
        ([W(0, 10)], [W(10, 20)], [W(0, 10)]),
        ([W(0, 10)], [W(-5, 0)], [W(0, 10)]),
        ([W(0, 10)], [W(3, 4)], [W(0, 3), W(4, 10)]),
        ([W(0, 10)], [W(3, 4), W(4, 6)], [W(0, 3), W(6, 10)]),
        ([W(0, 10)], [W(8, 12), W(-1, 2)], [W(2, 8)]),
        ([W(0, 4), W(6, 10)], [W(3, 7)], [W(0, 3), W(7, 10)]),
        ([W(0, 4), W(6, 10)], [W(1, 2), W(7, 8)], [W(0, 1), W(2, 4), W(6, 7), W(8, 10)]),
        ([W(0, 4), W(4, 8)], [], [W(0, 8)]),
    ],
)
def test_subtract(wanted: list[Window], taken: list[Window], left: list[Window]) -> None:
    assert subtract(wanted, taken) == left


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ([W(0, 10)], [W(5, 15)], [W(5, 10)]),
        ([W(0, 10)], [W(10, 15)], []),
        ([W(0, 10)], [W(2, 3), W(5, 6)], [W(2, 3), W(5, 6)]),
        ([W(0, 3), W(5, 8)], [W(2, 6)], [W(2, 3), W(5, 6)]),
    ],
)
def test_intersect(first: list[Window], second: list[Window], both: list[Window]) -> None:
    assert intersect(first, second) == both


@given(LISTS)
def test_merge_keeps_every_point_and_is_normal(windows: list[Window]) -> None:
    merged = merge(windows)
    assert points(merged) == points(windows)
    assert is_normal(merged)
    assert merge(reversed(merged)) == merged


@given(LISTS, LISTS)
def test_subtract_and_what_was_cut_out_make_the_span_again(wanted: list[Window], taken: list[Window]) -> None:
    left, cut = subtract(wanted, taken), intersect(wanted, taken)
    assert is_normal(left)
    assert is_normal(cut)
    assert points(left) == points(wanted) - points(taken)
    assert points(cut) == points(wanted) & points(taken)
    assert merge([*left, *cut]) == merge(wanted)


@given(LISTS, LISTS)
def test_intersect_is_symmetric(first: list[Window], second: list[Window]) -> None:
    assert intersect(first, second) == intersect(second, first)


@pytest.mark.parametrize(
    ("window", "bounds", "clipped"),
    [
        (W(0, 10), W(2, 8), W(2, 8)),
        (W(2, 8), W(0, 10), W(2, 8)),
        (W(0, 5), W(3, 10), W(3, 5)),
        (W(5, 10), W(0, 7), W(5, 7)),
    ],
)
def test_clip(window: Window, bounds: Window, clipped: Window) -> None:
    assert clip(window, bounds) == clipped


@given(SPANS, SPANS)
def test_clip_is_the_intersection_of_two(window: Window, bounds: Window) -> None:
    clipped = clip(window, bounds)
    assert clipped.seconds >= 0
    assert points([clipped]) == points([window]) & points([bounds])


def test_pages_are_cut_from_the_newest_end() -> None:
    assert list(pages(W(0, 25), 10)) == [W(15, 25), W(5, 15), W(0, 5)]
    assert list(pages(W(0, 25), 10, newest_first=False)) == [W(0, 5), W(5, 15), W(15, 25)]
    assert list(pages(W(0, 20), 10)) == [W(10, 20), W(0, 10)]
    assert list(pages(W(7, 7), 10)) == []


@given(SPANS, st.integers(1, 30), st.booleans())
def test_pages_cover_the_window_once(window: Window, span: int, newest_first: bool) -> None:
    cut = list(pages(window, span, newest_first=newest_first))
    assert sum(page.seconds for page in cut) == window.seconds
    assert merge(cut) == merge([window])
    assert all(0 < page.seconds <= span for page in cut)
    assert cut == sorted(cut, reverse=newest_first)


def test_pages_are_lazy() -> None:
    newest = next(pages(W(0, 10**18), 60))
    assert newest == W(10**18 - 60, 10**18)


@pytest.mark.parametrize("grain", GRAINS.values(), ids=GRAINS)
@pytest.mark.parametrize("ts", [0, 1, 59, 60, 61, 86_399, 86_400, 1_700_000_000, -1, -86_400])
def test_floor_and_ceil_enclose_a_time(grain, ts: int) -> None:
    floor, ceil = grain.floor(ts), grain.ceil(ts)
    assert floor <= ts <= ceil
    assert floor % grain.seconds == ceil % grain.seconds == 0
    assert ceil - floor == (0 if ts % grain.seconds == 0 else grain.seconds)


def test_bars_counts_starts() -> None:
    assert DAY.bars(W(0, 10 * 86_400)) == 10
    assert HOUR.bars(W(3_600, 3_600)) == 0
    assert MINUTE.bars(W(60, 180)) == 2


@pytest.mark.parametrize(
    ("text", "ts"),
    [
        ("1970-01-01", 0),
        ("2024-01-31", 1_706_659_200),
        (" 2024-01-31 ", 1_706_659_200),
        ("2024-01-31T12:00", 1_706_702_400),
        ("2024-01-31T12:00:00Z", 1_706_702_400),
        ("2024-01-31T12:00:00+02:00", 1_706_695_200),
        ("2024-01-31T12:00:59.9", 1_706_702_459),
        ("1969-12-31T23:59:59Z", -1),
    ],
)
def test_parse_time_means_utc(text: str, ts: int) -> None:
    assert parse_time(text) == ts


@pytest.mark.parametrize("text", ["", "soon", "31.01.2024", "2024-02-30", "2024-01-31T25:00", "1706659200000", "٢٠٢٤"])
def test_parse_time_names_what_it_cannot_read(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a date or time; write 2024-01-31") as caught:
        parse_time(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["0001-01-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_parse_time_at_the_ends_of_the_calendar(text: str) -> None:
    assert abs(parse_time(text)) < 2**40


@given(st.integers(0, 4_102_444_800))
def test_iso_is_read_back(ts: int) -> None:
    assert parse_time(iso(ts)) == ts


def test_times_do_not_depend_on_the_local_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert parse_time("2024-01-31T12:00") == 1_706_702_400
        assert iso(1_706_702_400) == "2024-01-31T12:00:00Z"
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_bundle_takes_along_what_lies_between_where_it_fits() -> None:
    windows = [W(0, 10), W(30, 40), W(80, 90), W(300, 560)]
    assert bundle(windows, 100) == [W(460, 560), W(360, 460), W(300, 360), W(0, 90)]
    assert bundle([W(0, 20), W(85, 110)], 100) == [W(10, 110), W(0, 10)]
    assert bundle([], 100) == []


@given(LISTS, st.integers(1, 60))
def test_bundled_pieces_hold_everything_disjoint_and_within_the_span(found: list[Window], span: int) -> None:
    pieces = bundle(found, span)
    assert subtract(found, pieces) == []
    assert all(0 < piece.seconds <= span for piece in pieces)
    assert all(older.end <= newer.start for newer, older in itertools.pairwise(pieces))
    # Greedy from one end is the fewest: no two neighbours could have been one.
    assert all(newer.end - older.start > span for newer, older in itertools.pairwise(pieces))
    edges = {window.start for window in found} | {piece.end for piece in pieces}
    assert all(piece.start in edges for piece in pieces)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90d", 90 * 86_400), (" 12h ", 43_200), ("30m", 1_800), ("2w", 1_209_600)]
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds
    assert parse_since(text, 2_000_000_000.9) == 2_000_000_000 - seconds


@pytest.mark.parametrize("text", ["", "d", "0d", "-1d", "1.5h", "7 d", "7y", "9999999d", "\u0667d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="90d"):
        parse_span(text)
    with pytest.raises(ConfigError, match="not a date or time"):
        parse_since(text, 0)


def test_since_may_name_a_time() -> None:
    assert parse_since("2024-01-31T12:00", 5) == parse_time("2024-01-31T12:00:00Z")
