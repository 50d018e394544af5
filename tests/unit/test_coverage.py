"""Missing work by groups, absences, and the life of a gap."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from core.coverage import (
    CONFIRMED_RECHECK_SECONDS,
    FIRST_RECHECK_SECONDS,
    SAME_SIGHTING_SECONDS,
    Absence,
    Covered,
    Gap,
    absent,
    missing,
    sight,
    without_prehistory,
)
from core.windows import MINUTE, Window, merge

W = Window
NARROW = frozenset({"ID", "OHLC"})
WIDE = frozenset({"ID", "OHLC", "VOLUME"})
NOW = 1_700_000_000


def new_gap(start: int, end: int, cause: str = "absent", at: int = NOW) -> Gap:
    return Gap(W(start, end), cause, 1, at, at, at + FIRST_RECHECK_SECONDS)


def test_nothing_covered_means_everything_is_missing() -> None:
    assert missing(W(0, 100), WIDE, []) == [W(0, 100)]


def test_what_was_asked_with_all_groups_is_not_missing() -> None:
    assert missing(W(0, 100), NARROW, [Covered(WIDE, W(0, 100))]) == []


def test_one_group_that_was_not_asked_makes_a_span_missing() -> None:
    assert missing(W(0, 100), WIDE, [Covered(NARROW, W(0, 100))]) == [W(0, 100)]


def test_groups_may_have_been_asked_one_by_one() -> None:
    covered = [Covered(NARROW, W(0, 80)), Covered(frozenset({"VOLUME"}), W(20, 100))]
    assert missing(W(0, 100), WIDE, covered) == [W(0, 20), W(80, 100)]


def test_missing_ignores_what_is_covered_elsewhere() -> None:
    assert missing(W(50, 60), NARROW, [Covered(NARROW, W(0, 50)), Covered(NARROW, W(60, 99))]) == [W(50, 60)]


GROUPS = st.frozensets(st.sampled_from(["ID", "OHLC", "VOLUME"]), min_size=1)
SPANS = st.tuples(st.integers(0, 30), st.integers(1, 20)).map(lambda pair: W(pair[0], pair[0] + pair[1]))


@given(st.lists(st.builds(Covered, GROUPS, SPANS), max_size=6), GROUPS)
def test_missing_against_a_point_by_point_reference(covered: list[Covered], groups: frozenset[str]) -> None:
    def is_missing(at: int) -> bool:
        asked = {group for entry in covered if entry.window.start <= at < entry.window.end for group in entry.groups}
        return not groups <= asked

    expected = merge(W(at, at + 1) for at in range(50) if is_missing(at))
    assert missing(W(0, 50), groups, covered) == expected


def test_absent_slots_are_runs_on_the_grid() -> None:
    window = W(0, 600)
    assert absent(window, [], MINUTE) == [window]
    assert absent(window, range(0, 600, 60), MINUTE) == []
    assert absent(window, [0, 60, 300, 540], MINUTE) == [W(120, 300), W(360, 540)]
    assert absent(window, [540, 300, 60, 0, 60], MINUTE) == [W(120, 300), W(360, 540)]


def test_a_first_sighting_is_not_confirmed() -> None:
    [gap] = sight([], W(0, 600), [Absence(W(60, 120), "absent")], NOW)
    assert gap == new_gap(60, 120)
    assert not gap.is_confirmed
    assert gap.next_check == NOW + 3_600


def test_seen_again_within_half_an_hour_is_the_same_sighting() -> None:
    [gap] = sight([new_gap(60, 120)], W(0, 600), [Absence(W(60, 120), "absent")], NOW + SAME_SIGHTING_SECONDS - 1)
    assert gap == new_gap(60, 120)


def test_seen_again_later_is_confirmed_and_checked_weekly() -> None:
    later = NOW + SAME_SIGHTING_SECONDS
    [gap] = sight([new_gap(60, 120)], W(0, 600), [Absence(W(60, 120), "rejected")], later)
    assert gap == Gap(W(60, 120), "rejected", 2, NOW, later, later + CONFIRMED_RECHECK_SECONDS)
    assert gap.is_confirmed


def test_what_is_no_longer_absent_is_forgotten() -> None:
    assert sight([new_gap(60, 120)], W(0, 600), [], NOW + 9_999) == []


def test_gaps_outside_the_window_stay_as_they_were() -> None:
    known = [new_gap(0, 60), new_gap(900, 960)]
    assert sight(known, W(300, 600), [Absence(W(300, 360), "absent")], NOW + 9_999) == [
        known[0],
        new_gap(300, 360, at=NOW + 9_999),
        known[1],
    ]


def test_a_gap_that_is_filled_in_part_is_cut() -> None:
    assert sight([new_gap(0, 600)], W(120, 240), [], NOW) == [new_gap(0, 120), new_gap(240, 600)]


def test_a_gap_that_grew_is_half_old_and_half_new() -> None:
    later = NOW + 9_999
    assert sight([new_gap(60, 120)], W(0, 600), [Absence(W(0, 180), "absent")], later) == [
        new_gap(0, 60, at=later),
        Gap(W(60, 120), "absent", 2, NOW, later, later + CONFIRMED_RECHECK_SECONDS),
        new_gap(120, 180, at=later),
    ]


DISJOINT = st.lists(st.integers(0, 40), unique=True, max_size=10).map(
    lambda cuts: [W(a, b) for a, b in zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False)]
)


@given(DISJOINT, SPANS, DISJOINT, st.integers(0, 4_000))
def test_after_a_sighting_gaps_are_what_was_outside_plus_what_is_absent(
    known: list[Window], window: Window, holes: list[Window], passed: int
) -> None:
    from core.windows import intersect, subtract

    absences = [Absence(hole, "absent") for hole in intersect(holes, [window])]
    gaps = [new_gap(*span) for span in known]
    after = sight(gaps, window, absences, NOW + passed)
    spans = [gap.window for gap in after]
    assert merge(spans) == merge([*subtract(known, [window]), *(entry.window for entry in absences)])
    assert sum(span.seconds for span in spans) == sum(span.seconds for span in merge(spans)), "gaps overlap"
    assert len({span.start for span in spans}) == len(spans)


def test_without_prehistory_cuts_at_the_start() -> None:
    gaps = [new_gap(0, 60), new_gap(60, 180), new_gap(240, 300)]
    assert without_prehistory(gaps, 120) == [replace(gaps[1], window=W(120, 180)), gaps[2]]
    assert without_prehistory(gaps, 0) == gaps
    assert without_prehistory(gaps, 300) == []


def test_what_is_gone_with_its_instrument_is_explained_at_first_sight_other_causes_are_not() -> None:
    assert new_gap(60, 120, "delisted").is_explained
    assert not new_gap(60, 120, "market_silent").is_explained
    assert replace(new_gap(60, 120, "market_silent"), sightings=2).is_explained
