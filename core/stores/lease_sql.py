"""Engines and their leases in PostgreSQL. Times are the database's own, so that hosts need not agree on them."""

import os
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

from core.stores.database import Database
from core.stores.leases import LEASE_SECONDS
from core.stores.lock import Holder

NOW = "date_part('epoch', clock_timestamp())"
# An engine that was not heard of for so long is of no interest any more.
FORGOTTEN_SECONDS = 86_400
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
    gone = [other.name for other in read_engines(db) if other.is_here and not _lives(other)]
    db.executemany("UPDATE lease SET until = 0 WHERE owner = ?", [(other,) for other in gone])
    db.executemany("DELETE FROM engine WHERE name = ?", [(other,) for other in gone])
    place = (name, holder.host, machine(), holder.pid, holder.kind, holder.user, version)
    values = (*place, holder.source, holder.key, holder.socket, holder.protocol, holder.since)
    db.execute(f"INSERT INTO engine ({ENGINE}, seen) VALUES ({', '.join('?' * len(values))}, {NOW})", values)


def leave(db: Database, name: str) -> None:
    db.execute("UPDATE lease SET until = 0 WHERE owner = ?", (name,))
    db.execute("DELETE FROM engine WHERE name = ?", (name,))


def read_engines(db: Database) -> list[Holder]:
    """The engines that are at work on this database or were killed at it lately, the oldest first."""
    found = db.execute(f"SELECT {ENGINE}, {NOW} - seen FROM engine ORDER BY since, name").fetchall()
    here = machine()
    return [
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


def take(db: Database, name: str, series: Collection[int]) -> tuple[dict[int, int], tuple[str, ...]]:
    """The epochs of the series that are ours now; who has the others, in words.

    A commit under way holds its series: it is waited for, so that none happens after its lease has gone.
    """
    ids = sorted(series)
    db.execute("SELECT id FROM series WHERE id = ANY(CAST(? AS bigint[])) ORDER BY id FOR NO KEY UPDATE", (ids,))
    is_ours = f"lease.owner = excluded.owner AND lease.until > {NOW}"
    taken = db.execute(
        "INSERT INTO lease (series_id, owner, epoch, until) "
        f"SELECT id, ?, 1, {NOW} + ? FROM series WHERE id = ANY(CAST(? AS bigint[])) ORDER BY id "
        "ON CONFLICT (series_id) DO UPDATE SET owner = excluded.owner, until = excluded.until, "
        f"epoch = lease.epoch + CASE WHEN {is_ours} THEN 0 ELSE 1 END "
        f"WHERE lease.until <= {NOW} OR lease.owner = excluded.owner RETURNING series_id, epoch",
        (name, LEASE_SECONDS, ids),
    )
    epochs = dict(taken.fetchall())
    others = db.execute(
        "SELECT DISTINCT lease.owner, engine.host, engine.pid FROM lease LEFT JOIN engine ON engine.name = lease.owner "
        "WHERE series_id = ANY(CAST(? AS bigint[])) AND lease.owner <> ? ORDER BY lease.owner",
        (ids, name),
    )
    return epochs, tuple(f"{owner} ({host}, pid {pid})" if host else owner for owner, host, pid in others)


def renew(db: Database, name: str, epochs: dict[int, int]) -> None:
    ours = (name, list(epochs), list(epochs.values()))
    db.execute(
        f"UPDATE lease SET until = {NOW} + ? FROM unnest(CAST(? AS bigint[]), CAST(? AS bigint[])) AS mine (id, epoch) "
        "WHERE lease.series_id = mine.id AND lease.epoch = mine.epoch AND lease.owner = ?",
        (LEASE_SECONDS, *ours[1:], ours[0]),
    )
    db.execute(f"UPDATE engine SET seen = {NOW} WHERE name = ?", (name,))


def release(db: Database, name: str, series: Collection[int]) -> None:
    db.execute(
        "UPDATE lease SET until = 0 WHERE owner = ? AND series_id = ANY(CAST(? AS bigint[]))", (name, sorted(series))
    )


def _lives(holder: Holder) -> bool:
    """A number that was given to another process since is not the engine."""
    try:
        return psutil.Process(holder.pid).create_time() <= holder.since
    except psutil.Error:
        return False
