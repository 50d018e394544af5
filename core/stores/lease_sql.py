"""Engines and their leases in PostgreSQL. Times are the database's own, so that hosts need not agree on them."""

import os
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from core.stores.database import Database
from core.stores.leases import LEASE_SECONDS
from core.stores.lock import Holder

NOW = "date_part('epoch', clock_timestamp())"
# An engine that was not heard of for so long is of no interest any more.
FORGOTTEN_SECONDS = 86_400
CLOCK_SECONDS = 60.0
ENGINE = "name, host, machine, pid, kind, account, version, source, key, socket, protocol, since"


def machine() -> str:
    """Tells whether a process number of a row here means one of our processes: host, boot and process namespace."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def enter(db: Database, name: str, holder: Holder, version: str) -> None:
    """Write down that we are here; what engines of this machine left behind that are dead is free at once."""
    db.execute(f"DELETE FROM engine WHERE seen < {NOW} - ?", (float(FORGOTTEN_SECONDS),))
    gone = [other.name for other in read_engines(db) if other.is_here and not other.is_alive]
    _give_back(db, "owner = ANY(CAST(? AS text[]))", (gone,))
    db.executemany("DELETE FROM engine WHERE name = ?", [(other,) for other in gone])
    place = (name, holder.host, machine(), holder.pid, holder.kind, holder.user, version)
    values = (*place, holder.source, holder.key, holder.socket, holder.protocol, holder.since)
    db.execute(f"INSERT INTO engine ({ENGINE}, seen) VALUES ({', '.join('?' * len(values))}, {NOW})", values)


def leave(db: Database, name: str) -> None:
    _give_back(db, "owner = ?", (name,))
    db.execute("DELETE FROM engine WHERE name = ?", (name,))


def read_engines(db: Database) -> list[Holder]:
    """The engines that are at work on this database or were killed at it lately, the oldest first."""
    found = db.execute(f"SELECT {ENGINE}, {NOW} - seen FROM engine ORDER BY since, name").fetchall()
    here = machine()
    engines = [
        Holder(
            pid=row[3],
            kind=row[4],
            socket=row[9],
            protocol=row[10],
            since=row[11],
            user=row[5],
            source=row[7],
            key=row[8],
            name=row[0],
            host=row[1],
            is_here=row[2] == here,
            is_alive=row[12] < LEASE_SECONDS,
        )
        for row in found
    ]
    # Of those here more can be known than what they last said.
    return [msgspec.structs.replace(e, is_alive=_lives(e)) if e.is_here else e for e in engines]


def take(
    db: Database, name: str, series: Collection[int], seconds: float = LEASE_SECONDS
) -> tuple[dict[int, int], tuple[str, ...]]:
    """The epochs of the series that are ours for `seconds` now; who has the others, in words.

    A commit under way holds its lease: it is waited for, so that none happens after its lease has gone. Leases
    of others that have not ended are not touched. Everybody locks leases in the order of their series.
    """
    ids = sorted(series)
    is_ours = f"lease.owner = excluded.owner AND lease.until > {NOW}"
    taken = db.execute(
        "INSERT INTO lease (series_id, owner, epoch, until) "
        f"SELECT id, ?, 1, {NOW} + ? FROM series LEFT JOIN lease ON lease.series_id = series.id "
        f"WHERE id = ANY(CAST(? AS bigint[])) AND (owner IS NULL OR owner = ?1 OR until <= {NOW}) ORDER BY id "
        "ON CONFLICT (series_id) DO UPDATE SET owner = excluded.owner, until = excluded.until, "
        f"epoch = lease.epoch + CASE WHEN {is_ours} THEN 0 ELSE 1 END "
        f"WHERE lease.until <= {NOW} OR lease.owner = excluded.owner RETURNING series_id, epoch",
        (name, seconds, ids),
    )
    epochs = dict(taken.fetchall())
    others = db.execute(
        "SELECT DISTINCT lease.owner, engine.host, engine.pid FROM lease LEFT JOIN engine ON engine.name = lease.owner "
        "WHERE series_id = ANY(CAST(? AS bigint[])) AND lease.owner <> ? ORDER BY lease.owner",
        (ids, name),
    )
    return epochs, tuple(_words(*row) for row in others)


def _words(owner: str, host: str | None, pid: int | None) -> str:
    return f"{owner} ({host}, pid {pid})" if host else owner


def renew(db: Database, name: str, epochs: dict[int, int], seconds: float = LEASE_SECONDS) -> set[int]:
    """Keep the leases of these epochs for `seconds` more, and say that we live; the series that we lost meanwhile.

    What was given back is not taken again.
    """
    mine = (
        "SELECT series_id FROM lease JOIN unnest(CAST(? AS bigint[]), CAST(? AS bigint[])) AS held (id, epoch) "
        "ON held.id = lease.series_id AND held.epoch = lease.epoch "
        "WHERE owner = ? AND until > 0 ORDER BY series_id FOR NO KEY UPDATE OF lease"
    )
    kept = db.execute(
        f"UPDATE lease SET until = {NOW} + ?4 FROM ({mine}) AS mine WHERE lease.series_id = mine.series_id "
        "RETURNING lease.series_id",
        (list(epochs), list(epochs.values()), name, seconds),
    )
    found = {series_id for (series_id,) in kept.fetchall()}
    db.execute(f"UPDATE engine SET seen = {NOW} WHERE name = ?", (name,))
    return set(epochs) - found


def release(db: Database, name: str, series: Collection[int]) -> None:
    _give_back(db, "owner = ? AND series_id = ANY(CAST(? AS bigint[]))", (name, sorted(series)))


def _give_back(db: Database, which: str, values: tuple[object, ...]) -> None:
    """What `which` leases stand for is free at once."""
    mine = f"SELECT series_id FROM lease WHERE {which} AND until > 0 ORDER BY series_id FOR NO KEY UPDATE"
    db.execute(f"UPDATE lease SET until = 0 FROM ({mine}) AS mine WHERE lease.series_id = mine.series_id", values)


def owner_of(db: Database, series_id: int) -> tuple[Holder | None, str]:
    """Who may write a series now, as far as that engine is known, and who that is in words; "" for nobody."""
    found = db.execute(f"SELECT owner FROM lease WHERE series_id = ? AND until > {NOW}", (series_id,)).fetchone()
    if found is None:
        return None, ""
    holder = next((engine for engine in read_engines(db) if engine.name == found[0]), None)
    return holder, _words(found[0], holder.host if holder else None, holder.pid if holder else None)


def _lives(holder: Holder) -> bool:
    """A number that was given to another process since is not the engine. When one began is told by a clock that
    may have been set meanwhile."""
    try:
        return psutil.Process(holder.pid).create_time() <= holder.since + CLOCK_SECONDS
    except psutil.Error:
        return False
