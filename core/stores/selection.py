"""Which stored series a question is about, as SQL over `series`."""

import sqlite3
from dataclasses import dataclass
from typing import Any

from core.datasets import SeriesKey
from core.errors import StoreError

NAME = "series.data_type || '/' || series.market || '/' || series.instrument || '/' || series.interval"
_NAMED = (
    "(series.instrument IN ({0}) OR series.exchange_symbol IN ({0}) "
    "OR series.id IN (SELECT series_id FROM series_name WHERE name IN ({0})))"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Stored series by what is named; empty means all. Instruments go by their mapped, own or an old name."""

    data_types: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    intervals: tuple[str, ...] = ()

    @classmethod
    def one(cls, key: SeriesKey) -> "Selection":
        return cls((key.data_type,), (key.market,), (key.instrument,), (key.interval,))

    @property
    def where(self) -> str:
        """A condition on `series` with as many places as there are `values`."""
        parts = ["series.interval <> ''"]
        for column, names in self._columns:
            parts += [f"series.{column} IN ({_places(names)})"] if names else []
        parts += [_NAMED.format(_places(self.instruments))] if self.instruments else []
        return " AND ".join(parts)

    @property
    def values(self) -> tuple[Any, ...]:
        columns = [name for _, names in self._columns for name in names]
        return (*columns, *self.instruments * 3)

    @property
    def _columns(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("data_type", self.data_types), ("market", self.markets), ("interval", self.intervals)


EVERYTHING = Selection()


def _places(names: tuple[str, ...]) -> str:
    return ", ".join("?" * len(names))


def find_series(db: sqlite3.Connection, key: SeriesKey) -> int:
    """The id of a stored series by its present name first, then its exchange's own, then an old one.

    Raises StoreError when there is none.
    """
    where = "data_type = ? AND market = ? AND interval = ? AND {}"
    once = "id IN (SELECT series_id FROM series_name WHERE name = ?)"
    for name in ("instrument = ?", "exchange_symbol = ?", once):
        query = f"SELECT id FROM series WHERE {where.format(name)} ORDER BY rows DESC"
        if found := db.execute(query, (key.data_type, key.market, key.interval, key.instrument)).fetchone():
            return int(found[0])
    raise StoreError(f"{key} is not stored; see: tapewatch series list")
