"""What the peers share: their arguments, and history pages asked for one after another, as a script does."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests

PAGE = 2_000
MINUTE = 60

Row = dict[str, Any]


def arguments() -> argparse.Namespace:
    """What to load: `series` as (market, instrument) pairs, `[start, end)` in UTC epoch seconds.

    Without `groups` the vendor answers with all columns.
    """
    parser = argparse.ArgumentParser()
    for name in ("base_url", "db", "series", "groups", "columns"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--start", type=int, required=True)
    parser.add_argument("--end", type=int, required=True)
    parser.add_argument("--variant", default="")
    given = parser.parse_args()
    given.series = [part.split(":") for part in given.series.split(",")]
    given.columns = given.columns.split(",")
    return given


def pages(given: argparse.Namespace) -> Iterator[list[Row]]:
    """The vendor's rows, page by page, newest first within a series, over one connection."""
    chosen = {"groups": given.groups} if given.groups else {}
    with requests.Session() as session:
        for market, instrument in given.series:
            for to in range(given.end, given.start, -PAGE * MINUTE):
                asked = {"market": market, "instrument": instrument} | chosen
                asked |= {"to_ts": to - MINUTE, "limit": min(PAGE, (to - given.start) // MINUTE)}
                answer = session.get(given.base_url + "/spot/v1/historical/minutes", params=asked, timeout=60)
                answer.raise_for_status()
                yield json.loads(answer.content)["Data"]


def kept(row: Row, columns: list[str]) -> Row:
    """A row as it is stored: its key as people write it, and the columns that ours stores too."""
    key = {"market": row["MARKET"], "instrument": row["MAPPED_INSTRUMENT"], "ts": row["TIMESTAMP"]}
    return key | {name: row[name.upper()] for name in columns}


def report(load: Callable[[argparse.Namespace], int]) -> None:
    """Run `load`, which returns its number of rows, and print what it took as the benchmark reads it."""
    given = arguments()
    began = time.perf_counter()
    rows = load(given)
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - began}))
