"""The script that everyone writes first: requests, json, one INSERT a row, one commit a page."""

import argparse
import sqlite3
from typing import Any

import psycopg

from tests.bench.peers.pages import kept, pages, report


def connect(url: str) -> Any:
    if url.startswith("sqlite:///"):
        return sqlite3.connect(url.removeprefix("sqlite:///"))
    return psycopg.connect(url)


def create_table(columns: list[str]) -> str:
    values = ", ".join(f"{name} {'bigint' if is_whole(name) else 'double precision'}" for name in columns)
    return (
        f"CREATE TABLE bars (market text, instrument text, ts bigint, {values}, PRIMARY KEY (market, instrument, ts))"
    )


def is_whole(name: str) -> bool:
    return name.startswith("total_") or name.endswith("_timestamp")


def upsert(columns: list[str], mark: str) -> str:
    names = ["market", "instrument", "ts", *columns]
    sets = ", ".join(f"{name} = excluded.{name}" for name in columns)
    marks = ", ".join([mark] * len(names))
    return (
        f"INSERT INTO bars ({', '.join(names)}) VALUES ({marks}) "
        f"ON CONFLICT (market, instrument, ts) DO UPDATE SET {sets}"
    )


def load(given: argparse.Namespace) -> int:
    connection = connect(given.db)
    cursor = connection.cursor()
    cursor.execute(create_table(given.columns))
    statement = upsert(given.columns, "?" if given.db.startswith("sqlite") else "%s")
    rows = 0
    for page in pages(given):
        for row in page:
            cursor.execute(statement, tuple(kept(row, given.columns).values()))
        connection.commit()
        rows += len(page)
    connection.close()
    return rows


if __name__ == "__main__":
    report(load)
