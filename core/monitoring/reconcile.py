"""Days against their hours, hours against their minutes: whose figures do not add up, told from the store alone. Pure.

A bar is made of the shorter ones of its span: volumes and counts are their sums, its high is their highest, it
opens with the first and closes with the last. Where that fails the bar or one of the shorter ones is wrong;
a third interval often tells which. Spans with a missing bar are left alone.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from math import isclose
from typing import Any, NamedTuple

from core.datasets import DATASETS, SeriesKey, page_seconds
from core.findings import Bars
from core.windows import DAY, GRAINS, HOUR, MINUTE, Grain, Window

Parts = Sequence[Any]
Values = dict[str, Any]
ADDED_GROUPS = frozenset({"VOLUME", "TRADE", "MESSAGE"})
FIGURES = ("", "_settlement", "_mark_price", "_quote")


class Difference(NamedTuple):
    """A column of a bar, and what the shorter bars of its span make of it."""

    column: str
    stored: Any
    composed: Any


class Guilty(NamedTuple):
    """A span whose bar in `key` contradicts its bars at the interval `fine`.

    `suspect` is the interval whose bars are wrong as far as a third one tells, empty when none does.
    """

    key: SeriesKey
    window: Window
    fine: str
    differences: tuple[Difference, ...]
    suspect: str = ""

    @property
    def reread(self) -> SeriesKey:
        """The series to ask the vendor about: the suspect one, or else that of the shorter bars."""
        return self.key._replace(interval=self.suspect or self.fine)


def _first(parts: Parts) -> Any:
    return parts[0]


def _last(parts: Parts) -> Any:
    return parts[-1]


@cache
def compositions(data_type: str) -> dict[str, Callable[[Parts], Any]]:
    """How each column of a bar follows from the shorter bars of its span, for those that do."""
    columns = DATASETS[data_type].columns
    edges: dict[str, Callable[[Parts], Any]] = {"open": _first, "high": max, "low": min, "close": _last}
    ways: dict[str, Callable[[Parts], Any]] = {edge + figure: way for edge, way in edges.items() for figure in FIGURES}
    ways |= {column.name: sum for column in columns if column.group in ADDED_GROUPS}
    return {column.name: ways[column.name] for column in columns if column.name in ways}


def composed(fine: Bars, coarse: Grain) -> dict[int, Values]:
    """What bars of the interval `coarse` would say, by start; only of spans with all their shorter bars."""
    ways = compositions(fine.key.data_type)
    columns = {name: fine.values(name) for name in ways}
    return {
        start: {name: _compose(way, columns[name][first:after]) for name, way in ways.items()}
        for start, first, after in _spans(fine.ts, coarse)
        if after - first == coarse.seconds // fine.grain.seconds
    }


def _spans(stamps: Sequence[int], coarse: Grain) -> Iterator[tuple[int, int, int]]:
    """The start of each longer bar, with the places where its shorter ones begin and end."""
    starts = [coarse.floor(ts) for ts in stamps]
    edges = [0, *(at for at, (a, b) in enumerate(pairwise(starts), 1) if a != b), len(starts)]
    return ((starts[first], first, after) for first, after in pairwise(edges) if first < after)


def _compose(way: Callable[[Parts], Any], parts: Parts) -> Any:
    return None if None in parts else way(parts)


def _stored(bars: Bars) -> dict[int, Values]:
    columns = {name: bars.values(name) for name in compositions(bars.key.data_type)}
    return {ts: {name: values[at] for name, values in columns.items()} for at, ts in enumerate(bars.ts)}


def differences(stored: Values, made: Values) -> tuple[Difference, ...]:
    """The columns that differ; values that are not there are not compared."""
    pairs = ((name, value, made.get(name)) for name, value in stored.items())
    return tuple(
        Difference(name, value, other)
        for name, value, other in pairs
        if value is not None and other is not None and not isclose(value, other, abs_tol=1e-15)
    )


def reconcile(bars: Mapping[str, Bars]) -> list[Guilty]:
    """The guilty spans of one instrument, by time: `bars` holds its bars of the same time by interval.

    Hours are held against minutes and days against hours, or against minutes where there are no hours.
    """
    days, hours, minutes = (_if_any(bars.get(grain.name)) for grain in (DAY, HOUR, MINUTE))
    shorter = hours or minutes
    found = _guilty_hours(hours, minutes, days) if hours and minutes else []
    if days and shorter:
        settled = {} if minutes is None or shorter is minutes else composed(minutes, DAY)
        found += _guilty_days(days, shorter, settled.keys(), found)
    return sorted(found, key=lambda guilty: guilty.window)


def _if_any(bars: Bars | None) -> Bars | None:
    return bars if bars and bars.ts else None


def _contradicted(coarse: Mapping[int, Values], made: Mapping[int, Values]) -> dict[int, tuple[Difference, ...]]:
    """By start the longer bars that differ from what their shorter ones make."""
    both = ((ts, differences(values, made[ts])) for ts, values in coarse.items() if ts in made)
    return {ts: found for ts, found in both if found}


def _guilty_hours(hours: Bars, minutes: Bars, days: Bars | None) -> list[Guilty]:
    """Where the day's bar is there too, it may tell whether the hours or the minutes are wrong."""
    stored, made = _stored(hours), composed(minutes, HOUR)
    wrong = _contradicted(stored, made)
    whole = _stored(days) if days else {}
    told = {HOUR.name: stored, MINUTE.name: {**stored, **{ts: made[ts] for ts in wrong}}}

    def suspect(ts: int, found: Sequence[Difference]) -> str:
        """Whether the day denies the hours, or them with what the minutes make of the wrong ones."""
        day, names = DAY.floor(ts), [difference.column for difference in found]
        denied = [name for name, parts in told.items() if _denies(hours.key, day, whole.get(day, {}), parts, names)]
        return denied[0] if len(denied) == 1 else ""

    return [
        Guilty(hours.key, Window(ts, ts + HOUR.seconds), MINUTE.name, found, suspect(ts, found))
        for ts, found in wrong.items()
    ]


def _denies(key: SeriesKey, ts: int, day: Values, hours: Mapping[int, Values], names: Sequence[str]) -> bool:
    """Whether the day at `ts` contradicts its hours in the columns `names`; what is not all there does not."""
    around = range(ts, ts + DAY.seconds, HOUR.seconds)
    if any(start not in hours for start in around):
        return False
    parts, ways = [hours[start] for start in around], compositions(key.data_type)
    made = {name: _compose(ways[name], [values[name] for values in parts]) for name in names}
    return bool(differences({name: day.get(name) for name in names}, made))


def _guilty_days(days: Bars, shorter: Bars, settled: Container[int], hours: Sequence[Guilty]) -> list[Guilty]:
    """Days that contradict their hours, or minutes; `settled` are days whose minutes are all there.

    A wrong hour makes its day contradict it, so a day with one is not named. Hours that agree with their
    minutes are right, so that the day is not.
    """
    accused = {DAY.floor(guilty.window.start) for guilty in hours}
    explained = {DAY.floor(guilty.window.start) for guilty in hours if guilty.suspect == HOUR.name}
    wrong = _contradicted(_stored(days), composed(shorter, DAY))
    return [
        Guilty(
            days.key,
            Window(ts, ts + DAY.seconds),
            shorter.key.interval,
            found,
            DAY.name if ts in settled and ts not in accused else "",
        )
        for ts, found in wrong.items()
        if ts not in explained
    ]


def rereads(guilty: Iterable[Guilty]) -> dict[SeriesKey, list[Window]]:
    """The fewest windows of a page that hold every guilty span, by the series to read again."""
    found: dict[SeriesKey, list[Window]] = {}
    for each in sorted(guilty, key=lambda guilty: (guilty.reread, guilty.window)):
        windows = found.setdefault(each.reread, [])
        page = page_seconds(GRAINS[each.reread.interval])
        if windows and each.window.end - windows[-1].start <= page:
            windows[-1] = Window(windows[-1].start, max(windows[-1].end, each.window.end))
        else:
            windows.append(each.window)
    return found
