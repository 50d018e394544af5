"""One answered list of reference data as one transaction.

An entity keeps its row for good: what is not listed any more is marked, and a new name is a new value of
the same row. Names of series follow those of their instruments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.datasets import DATASETS, INDICES_OHLCV, SeriesKey
from core.errors import Malformed
from core.failpoints import failpoint
from core.references import INSTRUMENT_LISTS, LISTS, TOP_LIST, Reference
from core.sources import Row
from core.stores.catalog import (
    ListedChange,
    ListingCommit,
    ListingWritten,
    Recorded,
    Reuse,
    StoredList,
    page_of,
)
from core.stores.changes import (
    DELISTED,
    LISTED,
    RENAMED,
    Change,
    Entity,
    Matched,
    as_json,
    differences,
    gone,
    match,
    reuse,
)
from core.stores.database import Database, places
from core.stores.follow_sql import Followers
from core.stores.quarantine_sql import storable
from core.stores.window_sql import forget_failed
from core.windows import iso

BELIEVED_SHARE = 0.5
DOUBTED_FROM = 20
ENTITY = ("entity_id", "is_listed", "last_seen")


def write_listing(db: Database, commit: ListingCommit, now: int) -> ListingWritten:
    """Raises Malformed for an answer that cannot be the whole list; `now` is our clock in UTC epoch seconds."""
    with db.transaction():
        failpoint("tx_begin")
        db.lock_series(commit.series.id)
        writer = _Writer(db, commit)
        matched = writer.match()
        changes = writer.write(matched)
        failpoint("tx_rows")
        _write_quarantine(db, commit)
        forget_failed(db, commit.series.id, page_of(commit.series.key))
        rows = _write_list(db, commit, now)
        failpoint("tx_cursor")
    changed = {recorded.entity_id for recorded in changes} & {entity.id for _, entity in matched.known}
    return ListingWritten(
        replace(commit.series, rows=rows, refreshed=now),
        inserted=len(matched.fresh),
        updated=len(changed),
        unchanged=len(matched.known) - len(changed),
        quarantined=len(commit.listing.rejected),
        changes=tuple(changes),
        reused=tuple(writer.reused),
        kept=tuple(writer.kept),
        retired=writer.retired,
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the entities of a list are, as a condition on its table."""

    reference: Reference
    source: str
    key: SeriesKey

    @property
    def where(self) -> str:
        return "source = ?" if self.reference.place == "source" else f"source = ? AND {self.reference.place} = ?"

    @property
    def values(self) -> tuple[str, ...]:
        return (self.source,) if self.reference.place == "source" else (self.source, self.key.market)

    @property
    def columns(self) -> dict[str, Any]:
        """What every row of the place has in common."""
        return {"source": self.source, **({} if self.reference.place == "source" else self._place)}

    @property
    def _place(self) -> dict[str, str]:
        return {self.reference.place: self.key.market}


class _Writer:
    def __init__(self, db: Database, commit: ListingCommit) -> None:
        self.reused: list[Reuse] = []
        self.kept: list[str] = []
        self.retired: tuple[str, ...] = ()
        self._db = db
        self._commit = commit
        self._listing = commit.listing
        self._reference = LISTS[commit.series.key.data_type]
        self._place = _Place(self._reference, commit.source, commit.series.key)
        self._known = self._read_known()
        self._followers = Followers(db, commit.source, commit.series.key) if self._reference.tells_names else None
        refreshed = db.execute("SELECT refreshed FROM series WHERE id = ?", (commit.series.id,)).fetchone()
        self._is_first = refreshed is None or refreshed[0] is None

    def match(self) -> Matched:
        listed = sum(entity.is_listed for entity in self._known)
        came = len(self._listing.rows) + len(self._listing.unreadable)
        is_cut = came < BELIEVED_SHARE * listed if listed >= DOUBTED_FROM else listed > 1 and not came
        if is_cut and not self._reference.paged and not self._commit.is_trusted:
            raise Malformed(
                f"{self._commit.series.key}: {came} entries where {listed} were listed: this cannot be the whole list; "
                "if it is, --full_refresh says so",
                "incomplete",
            )
        return match(self._reference, self._known, self._listing.rows)

    def write(self, matched: Matched) -> list[Recorded]:
        """Entities and series; what changed."""
        ranks = {id(row): rank for rank, row in enumerate(self._listing.rows)}
        changes: list[Recorded] = []
        if self._followers is not None:
            self._followers.link()
        changes += self._unlist(matched)
        for row, entity in matched.known:
            found = list(differences(self._reference, entity, row))
            changes += [Recorded(entity.id, row[self._reference.entity], change) for change in found]
            self._update(row, entity, ranks[id(row)], is_changed=bool(found))
        for row in matched.fresh:
            entity_id = self._insert(row, ranks[id(row)])
            if not self._is_first:
                changes.append(Recorded(entity_id, row[self._reference.entity], Change(LISTED)))
        self._follow(changes, matched.known)
        self._record(changes)
        return changes

    def _read_known(self) -> list[Entity]:
        if not self._reference.paged:
            return read_entities(self._db, self._reference, self._place.where, self._place.values)
        names = [row[self._reference.entity] for row in self._listing.rows]
        [identity] = self._reference.identity
        ids = [row[identity] for row in self._listing.rows]
        is_meant = f"{self._reference.entity} IN ({places(names)}) OR {identity} IN ({places(ids)})"
        condition = f"{self._place.where} AND ({is_meant})"
        return read_entities(self._db, self._reference, condition, (*self._place.values, *names, *ids))

    def _unlist(self, matched: Matched) -> list[Recorded]:
        """What is gone from a full list, and those whose names have gone to others."""
        reference, changes = self._reference, []
        for entity, row in matched.reused if not (self._is_first and reference.paged) else ():
            change = reuse(reference, entity, row)
            changes.append(Recorded(entity.id, entity.row[reference.entity], change))
            self._block(entity, change)
        reused = {entity.id for entity, _ in matched.reused}
        if not reference.paged:
            here = {entity.id for _, entity in matched.known} | reused
            missing = [entity for entity in self._known if entity.is_listed and entity.id not in here]
            missing = [entity for entity in missing if entity.row[reference.entity] not in self._listing.unreadable]
            changes += [Recorded(e.id, e.row[reference.entity], gone(e, reference)) for e in missing]
        self._db.executemany(
            f"UPDATE {reference.name} SET is_listed = false, changed = ? WHERE entity_id = ?",
            [(self._listing.server_time, recorded.entity_id) for recorded in changes],
        )
        return changes

    def _block(self, entity: Entity, change: Change) -> None:
        name, at = entity.row[self._reference.entity], iso(self._listing.server_time)
        words = f"since {at} {name} is another asset ({change.field} {change.old}, now {change.new})"
        if self._followers is not None:
            blocked = self._followers.block(entity.id, name, words)
        else:
            blocked = self._block_indices(name, words) if self._reference.paged else 0
        self.reused.append(Reuse(name, words, blocked))

    def _block_indices(self, asset: str, words: str) -> int:
        """All indices of an asset are about another one now."""
        datasets = [dataset.name for dataset in DATASETS.values() if dataset.kind in self._reference.kinds]
        where = f"source = ? AND data_type IN ({places(datasets)}) AND substr(instrument, 1, ?) = ?"
        values = (self._commit.source, *datasets, len(asset) + 1, f"{asset}-")
        return self._db.execute(f"UPDATE series SET blocked = ? WHERE {where}", (words, *values)).rowcount

    def _update(self, row: Row, entity: Entity, rank: int, *, is_changed: bool) -> None:
        values = {name: row[name] for name in self._reference.names}
        values |= {"list_id": self._commit.series.id, "list_rank": rank, "is_listed": True}
        values["last_seen"] = self._listing.server_time
        if is_changed:
            values["changed"] = self._listing.server_time
        sets = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE {self._reference.name} SET {sets} WHERE entity_id = ?", (*values.values(), entity.id))

    def _insert(self, row: Row, rank: int) -> int:
        values = {**self._place.columns, **{name: row[name] for name in self._reference.names}}
        values |= {"list_id": self._commit.series.id, "list_rank": rank, "is_listed": True}
        values |= dict.fromkeys(("first_seen", "last_seen", "changed"), self._listing.server_time)
        sql = f"INSERT INTO {self._reference.name} ({', '.join(values)}) VALUES ({places(values)}) RETURNING entity_id"
        return int(self._db.execute(sql, tuple(values.values())).fetchone()[0])

    def _follow(self, changes: Sequence[Recorded], known: Sequence[tuple[Row, Entity]]) -> None:
        """The series of instruments get their names, and of those that changed their constants."""
        if self._followers is None:
            return
        self._followers.link()
        stuck = {move.new: move.old for move in self._followers.rename(self._listing.server_time)}
        gone_now = {entry.entity_id: entry.entity for entry in changes if entry.change.change == DELISTED}
        self.retired = tuple(dict.fromkeys(gone_now[entity_id] for entity_id, _ in self._followers.of(gone_now)))
        changed = {recorded.entity_id for recorded in changes}
        rows = {entity.id: row for row, entity in known if entity.id in changed}
        for entity_id, series_id in self._followers.of(rows):
            _set_constants(self._db, series_id, rows[entity_id])
        self._followers.part(f"since {iso(self._listing.server_time)} another instrument has its name")
        self.kept += [
            f"{old} is called {new} now, and both are stored as series of their own"
            for new, old in stuck.items()
            if any(row["instrument"] == new for row in rows.values())
        ]

    def _record(self, changes: Sequence[Recorded]) -> None:
        key, stamp = self._commit.series.key, (self._listing.server_time, self._commit.run_id)
        self._db.executemany(
            "INSERT INTO metadata_change (source, data_type, place, entity, entity_id, change, field, old, new, at, "
            "run_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (self._commit.source, key.data_type, key.market, name, entity_id, *change, *stamp)
                for entity_id, name, change in changes
            ],
        )


def _write_quarantine(db: Database, commit: ListingCommit) -> None:
    """One record for each entry and reason, with its newest text: lists are read every hour."""
    window = page_of(commit.series.key)
    stamp = (commit.run_id, commit.listing.server_time)
    for row in (*commit.listing.rejected, *commit.listing.notes):
        where = (commit.series.id, row.reason, row.detail)
        again = db.execute(
            "UPDATE quarantine SET sightings = sightings + 1, raw = ?, run_id = ?, last_seen = ? "
            "WHERE series_id = ? AND reason = ? AND detail = ?",
            (storable(row.raw), *stamp, *where),
        )
        if not again.rowcount:
            db.execute(
                'INSERT INTO quarantine (series_id, start, "end", reason, detail, raw, run_id, first_seen, last_seen) '
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (commit.series.id, *window, row.reason, row.detail, storable(row.raw), *stamp, stamp[1]),
            )


def _write_list(db: Database, commit: ListingCommit, now: int) -> int:
    """The list's own figures; how many entities it has, gone ones included."""
    table, listing = commit.series.key.data_type, commit.listing
    row = db.execute(
        "UPDATE series SET refreshed = ?, page_checked = ?, total = ?, "
        f"rows = (SELECT count(*) FROM {table} WHERE list_id = series.id) WHERE id = ? RETURNING rows",
        (now, listing.server_time, listing.total, commit.series.id),
    ).fetchone()
    return int(row[0]) if row else 0


def read_entities(db: Database, reference: Reference, where: str, values: Sequence[Any]) -> list[Entity]:
    names = reference.names
    flags = [column.name for column in reference.columns if column.kind is bool]
    found = db.execute(f"SELECT {', '.join((*ENTITY, *names))} FROM {reference.name} WHERE {where}", tuple(values))
    entities = []
    for entity_id, is_listed, last_seen, *row in found:
        values_by_name = dict(zip(names, row, strict=True))
        # SQLite has no booleans.
        values_by_name |= {name: bool(values_by_name[name]) for name in flags if values_by_name[name] is not None}
        entities.append(Entity(entity_id, bool(is_listed), last_seen, values_by_name))
    return entities


def read_listing(db: Database, source: str, key: SeriesKey) -> StoredList | None:
    """The last full answer of a list, None before the first."""
    found = db.execute(
        "SELECT id, refreshed, page_checked, total FROM series WHERE source = ? AND data_type = ? AND market = ? "
        "AND instrument = ? AND interval = ? AND refreshed IS NOT NULL",
        (source, *key),
    ).fetchone()
    if found is None:
        return None
    where = "list_id = ? AND is_listed AND last_seen >= ? ORDER BY list_rank"
    entities = read_entities(db, LISTS[key.data_type], where, (found[0], found[2]))
    _, refreshed, answered, total = found
    return StoredList(refreshed, answered, total, [entity.row for entity in entities])


def read_named(db: Database, source: str, key: SeriesKey, names: Sequence[str]) -> list[Entity]:
    """Instruments of a market that are called one of `names` by either id, or once were; gone ones included."""
    place = _Place(LISTS[key.data_type], source, key)
    known = places(names)
    renamed = (
        "SELECT entity_id FROM metadata_change WHERE source = ? AND data_type = ? AND place = ? AND change = ? "
        f"AND old IN ({known})"
    )
    condition = (
        f"{place.where} AND (instrument IN ({known}) OR exchange_symbol IN ({known}) OR entity_id IN ({renamed}))"
    )
    before = (source, key.data_type, key.market, RENAMED, *map(as_json, names))
    return read_entities(db, place.reference, condition, (*place.values, *names, *names, *before))


def name_now(db: Database, source: str, key: SeriesKey) -> SeriesKey:
    """`key` by the name that its instrument has since it was renamed."""
    reference = INSTRUMENT_LISTS[DATASETS[key.data_type].kind]
    found = read_named(db, source, SeriesKey(reference.name, key.market), [key.instrument])
    names = {entity.row["instrument"]: entity.is_listed for entity in found}
    if not names or key.instrument in names:
        return key
    return key._replace(instrument=max(names, key=lambda name: names[name]))


def read_stored_series(db: Database, source: str, data_type: str, interval: str) -> set[tuple[str, str]]:
    """Market and instrument of each."""
    where = "source = ? AND data_type = ? AND interval = ?"
    return set(db.execute(f"SELECT market, instrument FROM series WHERE {where}", (source, data_type, interval)))


def read_blocked(db: Database, source: str) -> set[str]:
    """`market/instrument` of every blocked series, and `top/asset` of every blocked index."""
    query = (
        "SELECT market || '/' || instrument, data_type, instrument FROM series WHERE source = ? AND blocked IS NOT NULL"
    )
    found = db.execute(query, (source,)).fetchall()
    assets = (name.partition("-")[0] for _, data_type, name in found if data_type == INDICES_OHLCV.name)
    return {name for name, _, _ in found} | {f"{TOP_LIST}/{asset}" for asset in assets}


def describe_series(db: Database, series_id: int, source: str, key: SeriesKey) -> None:
    """Tell a new series whose it is, with the constants that the listing of its instrument knows."""
    dataset = DATASETS.get(key.data_type)
    if dataset is None:
        return
    where = "source = ? AND market = ? AND instrument = ? AND is_listed"
    for entity in read_entities(db, INSTRUMENT_LISTS[dataset.kind], where, (source, key.market, key.instrument)):
        db.execute("UPDATE series SET entity_id = ? WHERE id = ?", (entity.id, series_id))
        _set_constants(db, series_id, entity.row)


def _set_constants(db: Database, series_id: int, row: Any) -> None:
    [data_type] = db.execute("SELECT data_type FROM series WHERE id = ?", (series_id,)).fetchone()
    names = ["exchange_symbol", *(column.name for column in DATASETS[data_type].constants if column.name != "type")]
    values = {name: row[name] for name in names if row.get(name) is not None}
    if values:
        sets = ", ".join(f"{name} = ?" for name in values)
        db.execute(f"UPDATE series SET {sets} WHERE id = ?", (*values.values(), series_id))


def read_changes(db: Database, since: int, data_types: Sequence[str] = ()) -> list[ListedChange]:
    """Changes at or after `since` (the vendor's time, UTC epoch seconds), oldest first."""
    only = f" AND data_type IN ({places(data_types)})" if data_types else ""
    found = db.execute(
        f"SELECT {', '.join(ListedChange._fields)} FROM metadata_change WHERE at >= ?{only} ORDER BY at, id",
        (since, *data_types),
    )
    return [ListedChange(*row) for row in found]


def read_vendor_time(db: Database, now: float) -> float:
    """The vendor's time at `now` by our clock, as the newest answered list tells; `now` before the first."""
    found = db.execute(
        "SELECT page_checked - refreshed FROM series WHERE interval = '' AND refreshed IS NOT NULL "
        "ORDER BY refreshed DESC LIMIT 1"
    ).fetchone()
    return now + (found[0] if found else 0)
