"""Stored, dated lists of series. A listed series stays until it is dropped, and what was listed when is kept."""

from collections.abc import Sequence
from typing import NamedTuple

from core.datasets import SeriesKey
from core.errors import ConfigError
from core.stores.catalog_sql import name_now
from core.stores.database import Database

_LISTED = "universe = ? AND dropped IS NULL"
_KEY = "data_type = ? AND market = ? AND instrument = ? AND interval = ?"


class Member(NamedTuple):
    """A series of a universe, by its name when it was `added` and the one it has now. Times in UTC epoch seconds."""

    key: SeriesKey
    now: SeriesKey
    added: int
    dropped: int | None


TAKEN = "there is a universe {0} already; see: tapewatch universe show {0}"


class UniverseRow(NamedTuple):
    name: str
    created: int
    series: int
    dropped: int


def create(db: Database, source: str, name: str, keys: Sequence[SeriesKey], now: int) -> int:
    """How many series it lists. Raises ConfigError when there is one of that name."""
    with db.transaction():
        if _exists(db, name):
            raise ConfigError(TAKEN.format(name))
        db.execute("INSERT INTO universe (name, created) VALUES (?, ?)", (name, now))
        return _add(db, source, name, keys, now)


def add(db: Database, source: str, name: str, keys: Sequence[SeriesKey], now: int) -> int:
    """How many of `keys` were not listed yet."""
    with db.transaction():
        _require(db, name)
        return _add(db, source, name, keys, now)


def drop(db: Database, source: str, name: str, keys: Sequence[SeriesKey], now: int) -> int:
    """How many of `keys` were listed, by the names they had or have; the rows of the past stay.

    Raises ConfigError for a series that is not listed; nothing is dropped then.
    """
    with db.transaction():
        listed = [member for member in read_members(db, source, name) if member.dropped is None]
        stored = {key: member.key for member in listed for key in (member.now, member.key)}
        if unknown := [key for key in keys if key not in stored]:
            raise ConfigError(f"{unknown[0]} is not in the universe {name}; see: tapewatch universe show {name}")
        found = {stored[key] for key in keys}
        db.executemany(
            f"UPDATE universe_series SET dropped = ? WHERE {_LISTED} AND {_KEY}", [(now, name, *key) for key in found]
        )
    return len(found)


def read_universes(db: Database) -> list[UniverseRow]:
    found = db.execute(
        "SELECT name, created, count(added) - count(dropped), count(dropped) "
        "FROM universe LEFT JOIN universe_series ON universe = name GROUP BY name ORDER BY name"
    )
    return [UniverseRow(*row) for row in found]


def read_members(db: Database, source: str, name: str) -> list[Member]:
    """Everything that is or was listed, in the order it was. Raises ConfigError when there is no such universe."""
    _require(db, name)
    found = db.execute(
        "SELECT data_type, market, instrument, interval, added, dropped FROM universe_series WHERE universe = ? "
        "ORDER BY added, data_type, market, instrument, interval",
        (name,),
    ).fetchall()
    return [Member(SeriesKey(*row[:4]), name_now(db, source, SeriesKey(*row[:4])), *row[4:]) for row in found]


def read_universe(db: Database, source: str, name: str) -> list[SeriesKey]:
    """The series that are listed, by the names they have now."""
    return [member.now for member in read_members(db, source, name) if member.dropped is None]


def _add(db: Database, source: str, name: str, keys: Sequence[SeriesKey], now: int) -> int:
    listed = set(read_universe(db, source, name))
    fresh = [key for key in dict.fromkeys(keys) if key not in listed]
    db.executemany(
        "INSERT INTO universe_series (universe, data_type, market, instrument, interval, added) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (universe, data_type, market, instrument, interval, added) "
        "DO UPDATE SET dropped = NULL",
        [(name, *key, now) for key in fresh],
    )
    return len(fresh)


def _exists(db: Database, name: str) -> bool:
    return db.execute("SELECT 1 FROM universe WHERE name = ?", (name,)).fetchone() is not None


def _require(db: Database, name: str) -> None:
    if not _exists(db, name):
        known = ", ".join(row.name for row in read_universes(db)) or "none"
        raise ConfigError(f"there is no universe {name}; stored: {known}")
