"""The floor: fetch concurrently, typed decode, batched upsert, and nothing else.

What a good engineer would write for this one job by hand: no validation, no coverage, no quota, no
journal. Same server, same columns, same durability and pragmas as the engine. `--mode values` writes a page as one
VALUES statement, `--mode executemany` row by row in one transaction; the benchmark takes the better.
"""

import argparse
import asyncio
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter

import aiohttp
import msgspec

from core.datasets import SPOT_OHLCV
from core.records import in_groups
from core.stores.schema import create_rows_table
from core.stores.sqlite import PRAGMAS

BOOKKEEPING = ("series_id", "ts", "closed", "known_at", "sent_at")
GROUPS = ("ID", "MAPPING", "OHLC", "TRADE", "VOLUME")
COLUMNS = in_groups(SPOT_OHLCV.columns, GROUPS)
NAMES = tuple(column.name for column in COLUMNS)
PAGE = 2_000
CONNECTIONS = 16
PAGES_IN_MEMORY = 8


def decoder() -> msgspec.json.Decoder:
    fields = [("timestamp", int), *((column.name, column.kind | None, None) for column in COLUMNS)]
    row = msgspec.defstruct("Row", fields, gc=False, rename="upper")
    page = msgspec.defstruct("Page", [("Data", list[row])], gc=False)
    return msgspec.json.Decoder(page)


def upsert(rows: int) -> str:
    one = f"({','.join('?' * (len(BOOKKEEPING) + len(NAMES)))})"
    names = ",".join((*BOOKKEEPING, *NAMES))
    sets = ",".join(f"{name}=excluded.{name}" for name in ("closed", "known_at", "sent_at", *NAMES))
    values = ",".join([one] * rows)
    return f"INSERT INTO spot_ohlcv ({names}) VALUES {values} ON CONFLICT (series_id, ts) DO UPDATE SET {sets}"


class Sink:
    def __init__(self, path: str, mode: str) -> None:
        self.thread = ThreadPoolExecutor(1)
        self.mode = mode
        self.db: sqlite3.Connection
        self.thread.submit(self._open, path).result()
        self.many = upsert(1)
        self.page = upsert(PAGE)

    def _open(self, path: str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        for pragma in PRAGMAS:
            self.db.execute(pragma)
        self.db.execute("CREATE TABLE series (id INTEGER PRIMARY KEY) STRICT")
        self.db.execute(create_rows_table(SPOT_OHLCV))

    def write(self, series: int, page) -> None:
        values = attrgetter("timestamp", *NAMES)
        now = int(time.time())
        rows = [(series, row[0], 1, now, now, *row[1:]) for row in map(values, page.Data)]
        if self.mode == "executemany":
            self.db.execute("BEGIN IMMEDIATE")
            self.db.executemany(self.many, rows)
            self.db.execute("COMMIT")
        else:
            flat = [value for row in rows for value in row]
            self.db.execute(self.page if len(rows) == PAGE else upsert(len(rows)), flat)


async def run(base_url: str, path: str, mode: str, series: list[tuple[str, str]], start: int, end: int) -> dict:
    sink, decode = Sink(path, mode), decoder()
    calls = [(at, market, name, to) for to in range(end, start, -60 * PAGE) for at, (market, name) in enumerate(series)]
    work = iter(calls)
    room = asyncio.Semaphore(PAGES_IN_MEMORY)
    loop = asyncio.get_running_loop()
    done = 0
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers={"Accept-Encoding": "identity"}) as session:

        async def worker() -> None:
            nonlocal done
            for at, market, name, to in work:
                params = {"market": market, "instrument": name, "groups": ",".join(GROUPS)}
                params |= {"limit": str(min(PAGE, (to - start) // 60)), "to_ts": str(to - 60)}
                async with session.get(base_url + "/spot/v1/historical/minutes", params=params) as answer:
                    body = await answer.read()
                async with room:
                    page = decode.decode(body)
                    await loop.run_in_executor(sink.thread, sink.write, at, page)
                done += len(page.Data)

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
        seconds = time.perf_counter() - began
    return {"rows": done, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base_url", required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--mode", choices=["values", "executemany"], default="values")
    parser.add_argument("--series", required=True, help="market:instrument,...")
    parser.add_argument("--start", type=int, required=True)
    parser.add_argument("--end", type=int, required=True)
    given = parser.parse_args()
    series = [tuple(part.split(":")) for part in given.series.split(",")]
    print(json.dumps(asyncio.run(run(given.base_url, given.path, given.mode, series, given.start, given.end))))


if __name__ == "__main__":
    main()
