"""Which stored series a question is about, as SQL over `series`."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

from core.datasets import SeriesKey
from core.errors import NotStored
from core.stores.database import Database, places

_NAMED = (
    "(series.instrument IN ({0}) OR series.exchange_symbol IN ({0}) "
    "OR series.id IN (SELECT series_id FROM series_name WHERE name IN ({0})))"
)
# A name may be one series' now and was another's once.
_ONE = (
    "series.id = (SELECT s.id FROM series AS s WHERE s.data_type = ? AND s.market = ? AND s.interval = ? "
    "AND (s.instrument = ? OR s.exchange_symbol = ? OR s.id IN (SELECT series_id FROM series_name WHERE name = ?)) "
    "ORDER BY s.instrument <> ?, coalesce(s.exchange_symbol, '') <> ?, s.rows DESC LIMIT 1)"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Stored series by what is named; empty means all. Instruments go by their mapped, own or an old name.

    `series` are single ones by their whole names; `lists` of reference data are among them only if wanted.
    """

    data_types: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    intervals: tuple[str, ...] = ()
    series: tuple[SeriesKey, ...] = ()
    lists: bool = False

    @classmethod
    def one(cls, key: SeriesKey) -> "Selection":
        return cls(series=(key,))

    @property
    def where(self) -> str:
        """A condition on `series` with as many places as there are `values`."""
        parts = ["true" if self.lists else "series.interval <> ''"]
        for column, names in self._columns:
            parts += [f"series.{column} IN ({places(names)})"] if names else []
        parts += [_NAMED.format(places(self.instruments))] if self.instruments else []
        if self.series:
            parts += [f"({' OR '.join([_ONE] * len(self.series))})"]
        return " AND ".join(parts)

    @property
    def values(self) -> tuple[Any, ...]:
        columns = [name for _, names in self._columns for name in names]
        named = [(key.data_type, key.market, key.interval, *[key.instrument] * 5) for key in self.series]
        return (*columns, *self.instruments * 3, *chain.from_iterable(named))

    @property
    def _columns(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("data_type", self.data_types), ("market", self.markets), ("interval", self.intervals)


EVERYTHING = Selection()


def find_series(db: Database, key: SeriesKey) -> int:
    """The id of a stored series by its present name first, then its exchange's own, then an old one.

    Raises NotStored when there is none.
    """
    one = Selection.one(key)
    found = db.execute(f"SELECT id FROM series WHERE {one.where}", one.values).fetchone()
    if found is None:
        raise NotStored(f"{key} is not stored; see: tapewatch series list")
    return int(found[0])
