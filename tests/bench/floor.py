"""The floor: fetch concurrently, typed decode, the fastest plain write, and nothing else.

What a good engineer would write for this one job by hand: no validation, no coverage, no quota, no
journal. Same server, same columns, key, durability and pragmas as the engine. How it writes is chosen by
`--write` (see `floor_writers`) and `--pages`, the pages a transaction; the benchmark takes the best of
several. `--cursor` asks like a script that pages by the answers: for the page before the one it has.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import aiohttp
import msgspec

from core.datasets import SPOT_OHLCV
from core.records import Column, in_groups
from tests.bench.floor_writers import WRITERS, Page, Writer

PAGE = 2_000
MINUTE = 60
PAGES_IN_MEMORY = 8


def decoder(columns: Sequence[Column]) -> msgspec.json.Decoder[Any]:
    fields = [("timestamp", int), *((column.name, column.kind | None, None) for column in columns)]
    row = msgspec.defstruct("Row", fields, gc=False, rename="upper")
    return msgspec.json.Decoder(msgspec.defstruct("Answer", [("Data", list[row])], gc=False))


class Floor:
    def __init__(
        self, given: argparse.Namespace, session: aiohttp.ClientSession, writer: Writer, columns: Sequence[Column]
    ) -> None:
        self.given = given
        self.session = session
        self.writer = writer
        self.decode = decoder(columns).decode
        self.room = asyncio.Semaphore(PAGES_IN_MEMORY)
        self.rows = 0

    async def fetch(self, series: int, to: int) -> bytes:
        """The page that ends before `to`."""
        market, name = self.given.series[series]
        asked = {"market": market, "instrument": name, "groups": self.given.groups, "to_ts": to - MINUTE}
        asked["limit"] = min(PAGE, (to - self.given.start) // MINUTE)
        async with self.session.get(self.given.base_url + "/spot/v1/historical/minutes", params=asked) as answer:
            return await answer.read()

    async def store(self, series: Sequence[int], bodies: Sequence[bytes]) -> int:
        """Decode and write pages in one transaction; the first bar of the last one."""
        async with self.room:
            pages = [Page(one, self.decode(body).Data) for one, body in zip(series, bodies, strict=True)]
            await self.writer.write(pages)
        self.rows += sum(len(page.rows) for page in pages)
        return int(pages[-1].rows[0].timestamp)

    async def side_by_side(self, calls: Iterator[tuple[int, int]]) -> None:
        while some := list(islice(calls, self.given.pages)):
            await self.store([series for series, _ in some], [await self.fetch(*call) for call in some])

    async def by_cursor(self, series: int) -> None:
        to = self.given.end
        while to > self.given.start:
            to = await self.store([series], [await self.fetch(series, to)])

    async def run(self) -> None:
        series = range(len(self.given.series))
        if self.given.cursor:
            await asyncio.gather(*map(self.by_cursor, series))
            return
        ends = range(self.given.end, self.given.start, -MINUTE * PAGE)
        calls = iter([(one, to) for to in ends for one in series])
        await asyncio.gather(*(self.side_by_side(calls) for _ in range(self.given.connections)))


async def load(given: argparse.Namespace) -> dict[str, float]:
    columns = in_groups(SPOT_OHLCV.columns, given.groups.split(","))
    connector = aiohttp.TCPConnector(limit=given.connections)
    async with (
        WRITERS[given.write](given.db, columns) as writer,
        aiohttp.ClientSession(connector=connector, headers={"Accept-Encoding": "identity"}) as session,
    ):
        floor = Floor(given, session, writer, columns)
        began = time.perf_counter()
        await floor.run()
        return {"rows": floor.rows, "seconds": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base_url", required=True)
    parser.add_argument("--db", required=True)
    parser.add_argument("--write", choices=WRITERS, required=True)
    parser.add_argument("--pages", type=int, default=1)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--cursor", action="store_true")
    parser.add_argument("--groups", required=True)
    parser.add_argument("--series", required=True, help="market:instrument,...")
    parser.add_argument("--start", type=int, required=True)
    parser.add_argument("--end", type=int, required=True)
    given = parser.parse_args()
    given.series = [part.split(":") for part in given.series.split(",")]
    print(json.dumps(asyncio.run(load(given))))


if __name__ == "__main__":
    main()
