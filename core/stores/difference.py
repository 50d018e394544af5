"""What differs between two stores: by digests of days first, then by the rows of the days that differ.

Series are matched by their names, so the stores may have come to their data in any way. Bars of a day are read
only where its digest differs, so a difference costs what it is large, and a store without any is read once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.datasets import DATASETS
from core.stores.database import Database, Row
from core.stores.digest_sql import EVER, EVERYTHING, VALUES, Bars, Digest, digests, rows_of
from core.stores.selection import Selection
from core.stores.sides import Side
from core.stores.small_tables import SERIES_NAMES, TABLES, SmallTable, paired, read_rows, read_series
from core.windows import Window, clip, iso

CHANGED, ONLY_IN_A, ONLY_IN_B = "changed", "only_in_a", "only_in_b"
# What a series is, apart from how and when we came to its bars.
BOOKKEEPING = ("created", "refreshed", "total", "page_checked", "audit_from", "audited_at")
FIGURES = ("history_start", "first_bar", "last_bar", "rows", "pruned_before", *BOOKKEEPING)

WHOLE = Selection(lists=True)

Progress = Callable[[int, int, str], None]
"""Hears how many bars and series are compared, and which series is."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared: all, or the `selection` and the bars that begin in `window`.

    `only_values` leaves aside when and by which run things came. No more than `limit` differing rows are
    told; past them only days and tables are counted.
    """

    selection: Selection = WHOLE
    window: Window = EVER
    only_values: bool = False
    limit: int = 1_000

    @property
    def tables(self) -> tuple[SmallTable, ...]:
        """What does not belong to series is compared with whole stores only."""
        is_whole = self == Question(only_values=self.only_values, limit=self.limit)
        chosen = [table for table in TABLES if table.of_series or is_whole]
        return tuple(table for table in chosen if table.facts or not self.only_values)

    @property
    def series_columns_left_out(self) -> frozenset[str]:
        figures = FIGURES if self.window != EVER else BOOKKEEPING if self.only_values else ()
        return frozenset({"id", "entity_id", *SERIES_NAMES, *figures})


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that differs. `key` says which one, `columns` gives what A and B have where they differ.

    Of a row that only one has there are no columns but those of its key.
    """

    table: str
    series: str
    change: str
    key: dict[str, Any]
    columns: dict[str, tuple[Any, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """What has been compared. `days` are those that differ by series, cut to what the digests are of."""

    series: int = 0
    rows_a: int = 0
    rows_b: int = 0
    days: int = 0
    differences: dict[str, int] = field(default_factory=dict)
    is_cut: bool = False

    @property
    def is_equal(self) -> bool:
        return not self.days and not self.differences

    @property
    def told(self) -> int:
        return sum(self.differences.values())

    def count(self, table: str) -> None:
        self.differences[table] = self.differences.get(table, 0) + 1


class Pair(NamedTuple):
    """A series that both have, with its ids."""

    names: Row
    a: int
    b: int

    @property
    def title(self) -> str:
        return title(self.names)


def title(names: Sequence[Any]) -> str:
    """The series as users name it, its source left out."""
    return "/".join(name for name in names[1:] if name)


class Comparison:
    """A and B at one moment each. Iterating tells the differences; `tally` is complete after that."""

    def __init__(self, a: Side, b: Side, question: Question, progress: Progress) -> None:
        self._a = a
        self._b = b
        self._question = question
        self._progress = progress
        self.tally = Tally()

    def __iter__(self) -> Iterator[Difference]:
        with ExitStack() as snapshots:
            snapshots.enter_context(self._a.snapshot())
            snapshots.enter_context(self._b.snapshot())
            for difference in self._differences():
                if self.tally.told >= self._question.limit:
                    self.tally.is_cut = True
                else:
                    yield difference
                self.tally.count(difference.table)

    def _differences(self) -> Iterator[Difference]:
        pairs: list[Pair] = []
        yield from self._series(pairs)
        for pair in pairs:
            if pair.names[1] in DATASETS:
                yield from self._bars(pair)
            self.tally.series += 1
        for table in self._question.tables:
            yield from self._small(table)

    def _series(self, pairs: list[Pair]) -> Iterator[Difference]:
        left_out = self._question.series_columns_left_out
        both = [side.call(lambda db: set(db.columns("series"))) for side in (self._a, self._b)]
        columns = tuple(sorted((both[0] & both[1]) - left_out))
        found = [side.submit(read_series, columns, self._question.selection) for side in (self._a, self._b)]
        names = (*SERIES_NAMES, *columns)
        for one, other in paired(found[0].result(), found[1].result(), len(SERIES_NAMES)):
            if one is not None and other is not None:
                pairs.append(Pair(one[: len(SERIES_NAMES)], one[-1], other[-1]))
            here, there = (row if row is None else row[:-1] for row in (one, other))
            yield from _difference("series", names, here, there, len(SERIES_NAMES), of_series=True)

    def _bars(self, pair: Pair) -> Iterator[Difference]:
        one, other = self._both(pair)
        found = self._a.submit(digests, one), self._b.submit(digests, other)
        first, second = found[0].result(), found[1].result()
        self.tally.rows_a += _rows(first)
        self.tally.rows_b += _rows(second)
        self._progress(self.tally.rows_a, self.tally.series, pair.title)
        for bucket in sorted(first.keys() | second.keys()):
            if first.get(bucket) != second.get(bucket):
                self.tally.days += 1
                yield from self._rows(pair, clip(Window(bucket, bucket + one.bucket_seconds), self._question.window))

    def _rows(self, pair: Pair, window: Window) -> Iterator[Difference]:
        if self.tally.told >= self._question.limit:
            self.tally.is_cut = True
            return
        one, other = self._both(pair)
        found = self._a.submit(rows_of, one.within(window)), self._b.submit(rows_of, other.within(window))
        for row, counterpart in paired(found[0].result(), found[1].result(), 1):
            for difference in _difference(one.dataset.name, one.columns, row, counterpart, 1):
                key = {"ts": difference.key["ts"], "time": iso(difference.key["ts"])}
                yield Difference(difference.table, pair.title, difference.change, key, difference.columns)

    def _both(self, pair: Pair) -> tuple[Bars, Bars]:
        beside = VALUES if self._question.only_values else EVERYTHING
        dataset, interval = DATASETS[pair.names[1]], pair.names[4]
        one = Bars(dataset, interval, pair.a, self._question.window, beside)
        return one, one._replace(series_id=pair.b)

    def _small(self, table: SmallTable) -> Iterator[Difference]:
        question = self._question
        if not all(side.call(lambda db: table.name in db.relations()) for side in (self._a, self._b)):
            return
        columns = self._a.call(lambda db: table.columns(db, only_facts=question.only_values))

        def read(db: Database) -> Iterator[Row]:
            return read_rows(db, table, columns, question.selection, question.window)

        names = (*SERIES_NAMES, *columns) if table.of_series else columns
        width = table.width(columns)
        for one, other in paired(self._a.stream(read), self._b.stream(read), width):
            yield from _difference(table.name, names, one, other, width, of_series=table.of_series)


def _rows(found: dict[int, Digest]) -> int:
    return sum(digest.rows for digest in found.values())


def _difference(
    table: str, names: Sequence[str], one: Row | None, other: Row | None, width: int, *, of_series: bool = False
) -> Iterator[Difference]:
    """Nothing when they are the same."""
    if one == other:
        return
    present = one if one is not None else other
    assert present is not None  # noqa: S101 - or they were the same
    own = len(SERIES_NAMES) if of_series else 0
    key = dict(zip(names[own:width], present[own:width], strict=True))
    series = title(present[:own])
    if one is None or other is None:
        yield Difference(table, series, ONLY_IN_B if one is None else ONLY_IN_A, key)
        return
    values = zip(names, one, other, strict=True)
    yield Difference(table, series, CHANGED, key, {name: (a, b) for name, a, b in values if a != b})
