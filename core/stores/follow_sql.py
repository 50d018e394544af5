"""Series follow the instruments that lists tell about, inside of the caller's transaction.

A series belongs to an entity of its market's list, whatever either is called: names are swapped, given to
others and taken back. Where the name of an entity is another one's series, that series is not written.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from core.datasets import DATASETS, SeriesKey
from core.references import INSTRUMENT_LISTS
from core.stores.database import Database, places


class Move(NamedTuple):
    """A series whose instrument has another name by now."""

    series_id: int
    data_type: str
    interval: str
    old: str
    new: str

    @property
    def place(self) -> tuple[str, str, str]:
        return self.data_type, self.interval, self.new


class Followers:
    """The series of the instruments of one market's list."""

    def __init__(self, db: Database, source: str, key: SeriesKey) -> None:
        self._db = db
        self._table = key.data_type
        types = [name for name, dataset in DATASETS.items() if INSTRUMENT_LISTS[dataset.kind].name == key.data_type]
        self._mine = f"s.source = ? AND s.market = ? AND s.data_type IN ({places(types)})"
        self._values = (source, key.market, *types)

    def link(self) -> None:
        """Give series that belong to nobody yet the entity that has their name, or had it last."""
        same = "e.source = s.source AND e.market = s.market AND e.instrument = s.instrument"
        owner = f"SELECT e.entity_id FROM {self._table} AS e WHERE {same} ORDER BY e.is_listed DESC, e.last_seen DESC"
        sql = f"UPDATE series AS s SET entity_id = ({owner} LIMIT 1) WHERE s.entity_id IS NULL AND {self._mine}"
        self._db.execute(sql, self._values)

    def block(self, entity_id: int, name: str, words: str) -> int:
        """Another instrument has the `name` of this one: its series of that name are not written; how many."""
        sql = f"UPDATE series AS s SET blocked = ? WHERE s.entity_id = ? AND s.instrument = ? AND {self._mine}"
        return self._db.execute(sql, (words, entity_id, name, *self._values)).rowcount

    def rename(self, now: int) -> list[Move]:
        """Call series what their instruments are called, all at once; those whose new name is taken are returned."""
        moves, stuck = self._moves(), []
        left = self._names() - {(move.data_type, move.interval, move.old) for move in moves}
        while taken := [move for move in moves if move.place in left]:
            moves = [move for move in moves if move not in taken]
            stuck += taken
            left |= {(move.data_type, move.interval, move.old) for move in taken}
        self._db.executemany("UPDATE series SET instrument = ? WHERE id = ?", [(f"#{m[0]}", m[0]) for m in moves])
        self._db.executemany(
            "UPDATE series SET instrument = ?, blocked = NULL WHERE id = ?", [(m.new, m.series_id) for m in moves]
        )
        self._db.executemany(
            "INSERT INTO series_name (series_id, name, until) VALUES (?, ?, ?) "
            "ON CONFLICT (series_id, name) DO UPDATE SET until = excluded.until",
            [(move.series_id, move.old, now) for move in moves],
        )
        return stuck

    def part(self, words: str) -> None:
        """No name leads to the series of another instrument: old names are forgotten, present ones blocked."""
        other = (
            f"EXISTS (SELECT 1 FROM {self._table} AS e WHERE e.source = s.source AND e.market = s.market "
            "AND e.is_listed AND e.instrument = {} AND e.entity_id <> s.entity_id)"
        )
        self._db.execute(
            "DELETE FROM series_name AS n WHERE EXISTS (SELECT 1 FROM series AS s WHERE s.id = n.series_id "
            f"AND {self._mine} AND (n.name = s.instrument OR {other.format('n.name')}))",
            self._values,
        )
        blocking = f"s.blocked IS NULL AND {self._mine} AND {other.format('s.instrument')}"
        self._db.execute(f"UPDATE series AS s SET blocked = ? WHERE {blocking}", (words, *self._values))

    def of(self, entity_ids: Iterable[int]) -> list[tuple[int, int]]:
        """The series of these entities, as (entity, series)."""
        ids = tuple(entity_ids)
        sql = f"SELECT entity_id, id FROM series WHERE entity_id IN ({places(ids)})"
        where = f"{sql} AND id IN (SELECT s.id FROM series AS s WHERE {self._mine})"
        return self._db.execute(where, (*ids, *self._values)).fetchall()

    def _moves(self) -> list[Move]:
        sql = (
            f"SELECT s.id, s.data_type, s.interval, s.instrument, e.instrument FROM series AS s "
            f"JOIN {self._table} AS e ON e.entity_id = s.entity_id "
            f"WHERE {self._mine} AND e.is_listed AND e.instrument <> s.instrument"
        )
        return [Move(*row) for row in self._db.execute(sql, self._values)]

    def _names(self) -> set[tuple[Any, ...]]:
        sql = f"SELECT s.data_type, s.interval, s.instrument FROM series AS s WHERE {self._mine}"
        return set(self._db.execute(sql, self._values))
