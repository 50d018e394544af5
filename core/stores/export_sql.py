"""What an export reads: bars and entities in order, as they are or as the store knew them at an earlier time.

Nothing is kept twice for that. A bar was not known before its `known_at`; a value that was restated later
has its old one in `restatement`; columns of groups that a bar got later are named in `widened`. Reference
data are taken back by `metadata_change`. Everything is read in order and a row at a time.
"""

import json
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from core.datasets import Dataset, SeriesKey
from core.stores.database import Database
from core.stores.schema import group_names
from core.stores.selection import Selection
from core.windows import Grain, Window, clip

FOREVER = Window(-(2**62), 2**62)
_TOUCHED = ""
_TEXTS = {"time", "sampled_from"}

Row = tuple[Any, ...]
# To be closed before the database is.
Reading = Generator[Row, None, None]


@dataclass(frozen=True, slots=True)
class Question:
    """What of each series or list is read. Times are UTC epoch seconds.

    `as_of` asks what was known at that time, `changed_since` only for rows that came or changed from
    that time on. `include_open` adds bars that are still running.
    """

    columns: tuple[str, ...]
    window: Window = FOREVER
    as_of: int | None = None
    changed_since: int | None = None
    include_open: bool = False

    @property
    def until(self) -> int:
        """What came later than this is not known yet."""
        return FOREVER.end if self.as_of is None else self.as_of


class Stream(NamedTuple):
    """Rows that belong together: a series, or the entities of one place.

    `read` gives the rows of a window as `(ts, *columns)`, ascending; entities have no ts and ignore the
    window. `values` are what partitions are named after, `span` the bars that there are.
    """

    name: str
    values: Mapping[str, str]
    read: Callable[[Window], Reading]
    span: Window = FOREVER


class _Mark(NamedTuple):
    """A span of stored bars that got a group later, `at` when."""

    start: int
    end: int
    at: int


def schema_of(db: Database) -> dict[str, dict[str, str]]:
    """Every table and view of ours, with its columns and their types in order."""
    return {name: columns_of(db, name) for name in db.relations()}


def columns_of(db: Database, table: str) -> dict[str, str]:
    """The columns of one table or view with their types (INTEGER, REAL, TEXT), in order."""
    # What a view computes has no declared type.
    return {name: kind or ("TEXT" if name in _TEXTS else "INTEGER") for name, kind in db.columns(table).items()}


def shown(db: Database, name: str, flags: Collection[str]) -> str:
    """A column as an expression that is alike in both databases: times are ISO text, flags are numbers."""
    if name == "time":
        return db.iso_time
    return f"CAST({name} AS INTEGER)" if name in flags else name


def bar_streams(db: Database, dataset: Dataset, grain: Grain, selection: Selection, question: Question) -> list[Stream]:
    """The selected series by market and instrument."""
    found = db.execute(
        f"SELECT id, market, instrument FROM series WHERE {selection.where} ORDER BY market, instrument, id",
        selection.values,
    ).fetchall()
    return [
        Stream(
            str(SeriesKey(dataset.name, market, instrument, grain.name)),
            {"market": market, "instrument": instrument},
            _reader(db, dataset, grain, series_id, question),
            _span(db, dataset, grain, series_id, question.window),
        )
        for series_id, market, instrument in found
    ]


def _reader(
    db: Database, dataset: Dataset, grain: Grain, series_id: int, question: Question
) -> Callable[[Window], Reading]:
    return lambda window: read_bars(db, dataset, grain, series_id, question, clip(window, question.window))


def _span(db: Database, dataset: Dataset, grain: Grain, series_id: int, window: Window) -> Window:
    edge = f"SELECT {{}}(ts) FROM {dataset.name} WHERE series_id = ? AND ts >= ? AND ts < ?"
    first, last = (db.execute(edge.format(name), (series_id, *window)).fetchone()[0] for name in ("min", "max"))
    return Window(0, 0) if first is None else Window(first, last + grain.seconds)


def is_stored(db: Database, selection: Selection) -> bool:
    """Whether any series is selected."""
    query = f"SELECT 1 FROM series WHERE {selection.where} LIMIT 1"
    return db.execute(query, selection.values).fetchone() is not None


def pruned_before(db: Database, selection: Selection) -> int | None:
    """Before what bars of the selected series were removed, so that nobody can tell of them any more."""
    query = f"SELECT max(pruned_before) FROM series WHERE {selection.where}"
    found: int | None = db.execute(query, selection.values).fetchone()[0]
    return found


def read_bars(
    db: Database, dataset: Dataset, grain: Grain, series_id: int, question: Question, window: Window
) -> Reading:
    """Bars of one series that start inside `window`, as `(ts, *columns)`, ascending."""
    derived, group_of = dict(dataset.derived), group_names(dataset)
    flags = {"closed", *(column.name for column in (*dataset.columns, *dataset.constants) if column.kind is bool)}
    sources = [derived.get(name, name) for name in question.columns]
    groups = {group_of[name] for name in sources if name in group_of}
    for part, marks in _parts(window, _marks(db, series_id, question, groups)):
        later = {name: marks[group] for name in sources if (group := group_of.get(name)) in marks}
        seen = ["NULL" if name in later else shown(db, name, flags) for name in sources]
        rows = _select_bars(db, f"{dataset.name}_{grain.name}", series_id, question, part, seen, _TOUCHED in marks)
        if question.as_of is None:
            yield from rows
        else:
            yield from undone(rows, _restated_later(db, series_id, part, question.as_of, later), sources)


def _marks(db: Database, series_id: int, question: Question, groups: set[str]) -> dict[str, list[_Mark]]:
    """Where any of `groups` were added later than the question knows of; under no name, where since its time."""
    since = FOREVER.end if question.changed_since is None else question.changed_since
    query = 'SELECT groups, start, "end", at FROM widened WHERE series_id = ? AND (at > ? OR at >= ?) ORDER BY start'
    marks: dict[str, list[_Mark]] = {}
    for group, *mark in db.execute(query, (series_id, question.until, since)):
        if group in groups:
            marks.setdefault(group if mark[2] > question.until else _TOUCHED, []).append(_Mark(*mark))
    return marks


def _parts(window: Window, marks: Mapping[str, Sequence[_Mark]]) -> Iterator[tuple[Window, dict[str, int]]]:
    """`window` cut where any mark begins or ends; each part with the names that mark it and their earliest time.

    The marks of a name ascend by their starts.
    """
    edges = {edge for found in marks.values() for mark in found for edge in (mark.start, mark.end)}
    cuts = sorted({*window, *(edge for edge in edges if window.start < edge < window.end)})
    waiting = {name: deque(found) for name, found in marks.items()}
    open_marks: dict[str, list[tuple[int, int]]] = {name: [] for name in marks}
    for start, end in pairwise(cuts):
        for name, found in open_marks.items():
            while waiting[name] and waiting[name][0].start <= start:
                mark = waiting[name].popleft()
                heappush(found, (mark.at, mark.end))
            while found and found[0][1] <= start:
                heappop(found)
        yield Window(start, end), {name: found[0][0] for name, found in open_marks.items() if found}


def _select_bars(
    db: Database,
    view: str,
    series_id: int,
    question: Question,
    window: Window,
    columns: Sequence[str],
    is_touched: bool,
) -> Iterator[Row]:
    names = ", ".join(["ts", *columns])
    where = ["series_id = :series", f"{db.bar_start} >= :start", f"{db.bar_start} < :end"]
    where += [] if question.include_open else ["closed"]
    where += [] if question.as_of is None else ["known_at <= :until"]
    if question.changed_since is not None and not is_touched:
        restated = "SELECT ts FROM restatement WHERE series_id = :series AND seen_at BETWEEN :since AND :until"
        where.append(f"(known_at >= :since OR NOT closed OR ts IN ({restated}))")
    query = f"SELECT {names} FROM {view} WHERE {' AND '.join(where)} ORDER BY {db.bar_start}"
    given = {"since": question.changed_since, "until": question.until, "start": window.start, "end": window.end}
    return db.stream(query, {"series": series_id, **given})


def _restated_later(
    db: Database, series_id: int, window: Window, as_of: int, later: Mapping[str, int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """What was stored at `as_of` and has been replaced since, by bar: the oldest of the old values counts.

    `later` says when columns were filled that were empty at the time: what was replaced after that is no matter.
    """
    query = (
        "SELECT ts, old, seen_at FROM restatement WHERE series_id = ? AND ts >= ? AND ts < ? AND seen_at > ? "
        "ORDER BY ts, id DESC"
    )
    found = db.stream(query, (series_id, *window, as_of))
    for ts, changes in groupby(found, lambda change: change[0]):
        old: dict[str, Any] = {}
        for _, text, seen_at in changes:
            values = json.loads(text)
            old |= {name: value for name, value in values.items() if seen_at < later.get(name, FOREVER.end)}
        yield ts, old


def undone(rows: Iterable[Row], patches: Iterator[tuple[int, dict[str, Any]]], columns: Sequence[str]) -> Iterator[Row]:
    """`(key, *columns)` rows with the patches of their keys put in; both ascend."""
    key, patch = next(patches, (None, {}))
    for row in rows:
        while key is not None and key < row[0]:
            key, patch = next(patches, (None, {}))
        if key == row[0]:
            yield (key, *(patch.get(name, value) for name, value in zip(columns, row[1:], strict=True)))
        else:
            yield row
