"""Gaps with what is stored around them, for their causes; and windows that were given up."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from core.causes import NOT_LISTED, UNEXPLAINED, Explanation, Listed, Others, Surroundings, explain
from core.coverage import Gap
from core.datasets import DATASETS, Dataset, SeriesKey
from core.references import INSTRUMENT_LISTS
from core.stores.database import Database, places
from core.stores.selection import Selection
from core.windows import GRAINS, Window

MOST_OTHERS = 25
LONGEST_SILENCE = 86_400
LAST_RECORDS = {
    ("spot", "trades"): "last_trade_spot_timestamp",
    ("futures", "trades"): "last_trade_futures_timestamp",
    ("futures", "funding_rate"): "last_funding_rate_update_timestamp",
    ("futures", "open_interest"): "last_open_interest_update_timestamp",
    ("index", "index"): "last_index_update_timestamp",
}
_SERIES = "series.id, series.source, series.data_type, series.market, series.instrument, series.interval"
_GAP = 'gap.start, gap."end", gap.cause, gap.sightings, gap.first_seen, gap.last_seen, gap.next_check, gap.evidence'


class Place(NamedTuple):
    """A series as the questions here need it."""

    id: int
    source: str
    key: SeriesKey

    @property
    def dataset(self) -> Dataset:
        return DATASETS[self.key.data_type]


class ExplainedGap(NamedTuple):
    series_id: int
    key: SeriesKey
    gap: Gap
    explanation: Explanation


class FailedWindow(NamedTuple):
    """A window that was given up and not answered since. Times in UTC epoch seconds."""

    series_id: int
    key: SeriesKey
    window: Window
    error: str
    attempts: int
    run_id: str
    sightings: int
    first_seen: int
    last_seen: int


def explained_gaps(db: Database, selection: Selection, newest: int | None = None) -> list[ExplainedGap]:
    """The gaps of the selected series, by series and time, each with its cause as of now; of all the `newest`.

    To explain one takes some questions, so who only shows them asks for no more than that.
    """
    names = "series.data_type, series.market, series.instrument, series.interval"
    query = (
        f"SELECT {_SERIES}, {_GAP} FROM gap JOIN series ON series.id = gap.series_id WHERE {selection.where} ORDER BY "
    )
    if newest is None:
        query += f"{names}, gap.start"
    else:
        query = f"{query} gap.start DESC, {names} LIMIT {newest}"
    found = db.execute(query, selection.values).fetchall()
    return sorted(_explained(db, found), key=lambda each: (each.key, each.gap.window))


def failed_windows(db: Database, selection: Selection) -> list[FailedWindow]:
    """The windows of the selected series that were given up, by series and time."""
    query = (
        f'SELECT {_SERIES}, f.start, f."end", error, attempts, run_id, sightings, first_seen, last_seen '
        f"FROM failed_fetch AS f JOIN series ON series.id = f.series_id WHERE {selection.where} "
        "ORDER BY series.data_type, series.market, series.instrument, series.interval, f.start"
    )
    found = db.execute(query, selection.values)
    return [FailedWindow(row[0], SeriesKey(*row[2:6]), Window(*row[6:8]), *row[8:]) for row in found]


def write_causes(db: Database, series_ids: Sequence[int]) -> None:
    """Explain the gaps of these series that have no explanation yet, in one transaction."""
    words = sorted(UNEXPLAINED)
    query = (
        f"SELECT {_SERIES}, {_GAP} FROM gap JOIN series ON series.id = gap.series_id "
        f"WHERE series.id = ? AND gap.cause IN ({places(words)})"
    )
    causes = [
        (each.explanation.cause, each.series_id, each.gap.window.start)
        for series_id in sorted(series_ids)
        for each in _explained(db, db.execute(query, (series_id, *words)).fetchall())
        if each.explanation.cause != each.gap.cause
    ]
    if causes:
        with db.transaction():
            db.executemany("UPDATE gap SET cause = ? WHERE series_id = ? AND start = ?", causes)


def _explained(db: Database, rows: Iterable[tuple[Any, ...]]) -> Iterator[ExplainedGap]:
    look = _Look(db)
    for row in rows:
        place, gap = Place(row[0], row[1], SeriesKey(*row[2:6])), Gap(Window(*row[6:8]), *row[8:])
        told = explain(gap, GRAINS[place.key.interval], look.around(place, gap.window), place.key.market)
        yield ExplainedGap(place.id, place.key, gap, told)


class Witness(NamedTuple):
    """Another series, from its first bar to its last one, and what of it was asked for and is kept."""

    id: int
    first: int
    last: int
    covered: list[Window]

    def can_tell(self, window: Window, step: int) -> bool:
        """It was asked for all of `window`, had begun by then, and had not ended long before."""
        alive = window.start - max(LONGEST_SILENCE, 2 * step)
        return (
            self.first <= window.start
            and self.last >= alive
            and any(part.start <= window.start and part.end >= window.end for part in self.covered)
        )


class _Look:
    """Looks around gaps; what is the same for many of them is read once."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._witnesses: dict[tuple[str, ...], list[Witness]] = {}
        self._listed: dict[int, Listed | None] = {}

    def around(self, place: Place, window: Window) -> Surroundings:
        step = GRAINS[place.key.interval].seconds
        if place.id not in self._listed:
            self._listed[place.id] = listed(self._db, place)
        next_bar = self._next_bar(place, window.end)
        return Surroundings(
            others=self._others(place, window, step),
            before=self._next_bar(place, window.start - step) == window.start - step,
            after=next_bar == window.end,
            later=next_bar is not None,
            listed=self._listed[place.id],
        )

    def _next_bar(self, place: Place, ts: int) -> int | None:
        query = f"SELECT min(ts) FROM {place.key.data_type} WHERE series_id = ? AND ts >= ?"
        found: int | None = self._db.execute(query, (place.id, ts)).fetchone()[0]
        return found

    def _others(self, place: Place, window: Window, step: int) -> Others:
        able = (other.id for other in self._market(place) if other.id != place.id and other.can_tell(window, step))
        asked = tuple(islice(able, MOST_OTHERS))
        query = (
            f"SELECT count(DISTINCT series_id) FROM {place.key.data_type} "
            f"WHERE series_id IN ({places(asked)}) AND ts >= ? AND ts < ?"
        )
        with_bars = self._db.execute(query, (*asked, *window)).fetchone()[0]
        return Others(len(asked), len(asked) - with_bars)

    def _market(self, place: Place) -> list[Witness]:
        """The series beside this one, the fullest first."""
        names = (place.source, place.key.data_type, place.key.market, place.key.interval)
        if names not in self._witnesses:
            self._witnesses[names] = _witnesses(self._db, names)
        return self._witnesses[names]


def _witnesses(db: Database, names: tuple[str, ...]) -> list[Witness]:
    beside = "source = ? AND data_type = ? AND market = ? AND interval = ? AND last_bar IS NOT NULL"
    covered: dict[int, list[Window]] = {}
    query = f'SELECT series_id, start, "end" FROM coverage WHERE series_id IN (SELECT id FROM series WHERE {beside})'
    for series_id, start, end in db.execute(query, names):
        covered.setdefault(series_id, []).append(Window(start, end))
    query = (
        "SELECT id, coalesce(history_start, first_bar), last_bar, pruned_before FROM series "
        f"WHERE {beside} AND coalesce(history_start, first_bar) IS NOT NULL ORDER BY rows DESC, id"
    )
    found = db.execute(query, names).fetchall()
    return [Witness(row[0], max(row[1], row[3] or row[1]), row[2], covered.get(row[0], [])) for row in found]


def listed(db: Database, place: Place) -> Listed | None:
    """What the stored metadata says of the instrument now; None when it says nothing."""
    kind = place.dataset.kind
    last = LAST_RECORDS[kind, place.dataset.feature]
    expiry = "contract_expiration_ts" if kind == "futures" else "NULL"
    query = (
        f"SELECT instrument_status, is_listed, {last}, {expiry} FROM {INSTRUMENT_LISTS[kind].name} "
        "WHERE source = ? AND market = ? AND instrument = ? ORDER BY is_listed DESC, changed DESC"
    )
    found = db.execute(query, (place.source, place.key.market, place.key.instrument)).fetchone()
    if found is None:
        return None
    status, is_listed, *ends = found
    is_active = bool(is_listed) and status == "ACTIVE"
    known = [end for end in ends if end]
    return Listed(status or "UNKNOWN" if is_listed else NOT_LISTED, is_active, min(known, default=None))
