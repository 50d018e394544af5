"""The programs that load the same bars: ours, the floor, and what people use. Each is a command and how to read it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.datasets import SPOT_OHLCV
from core.records import in_groups
from tests.bench.harness import CONNECTIONS, Run, environment

PEERS = Path(".venv-bench/bin/python")
PAGE = 2_000
MINUTE = 60
END = int(datetime(2025, 5, 1, tzinfo=UTC).timestamp())


@dataclass(frozen=True)
class Job:
    """What to load, and into what: `pages` full pages of 1m candles of each of `pairs`, with the groups' columns."""

    base_url: str
    place: Path
    db: str
    pairs: tuple[str, ...]
    pages: int
    groups: tuple[str, ...]

    @property
    def home(self) -> Path:
        """Where programs keep what they write beside the database."""
        return self.place / "home"

    @property
    def start(self) -> int:
        return END - self.pages * PAGE * MINUTE

    @property
    def rows(self) -> int:
        return len(self.pairs) * self.pages * PAGE

    def arguments(self) -> list[str]:
        """As the floor and the peers take them."""
        series = ",".join(f"kraken:{pair}" for pair in self.pairs)
        span = ["--start", str(self.start), "--end", str(END)]
        return [
            "--base_url",
            self.base_url,
            "--db",
            self.db,
            "--series",
            series,
            *span,
            "--groups",
            ",".join(self.groups),
        ]


@dataclass(frozen=True)
class Contender:
    """A program under measurement.

    Of the contenders of one `family` the fastest is compared. `table` is where its rows are afterwards, `counts`
    are the names of rows and seconds in what it prints. What `prepare` lists is run before, and not measured. It
    `keeps` the database as the one before it left it, and loads `scale` times the rows.
    """

    name: str
    family: str
    command: Callable[[Job], list[str]]
    table: str = "spot_ohlcv"
    counts: tuple[str, str] = ("rows", "seconds")
    prepare: Callable[[Job], list[list[str]]] = lambda _: []
    keeps: bool = False
    scale: int = 1

    @property
    def is_peer(self) -> bool:
        """Whether it needs the peers' environment."""
        return self.table == "bars"

    def rows_and_seconds(self, run: Run) -> tuple[int, float]:
        rows, seconds = self.counts
        return run.printed[rows], run.printed[seconds]


def environment_of(job: Job) -> dict[str, str]:
    """dlt reports to nobody."""
    return environment(job.home) | {"DLT_DATA_DIR": str(job.home), "RUNTIME__DLTHUB_TELEMETRY": "false"}


def ours(name: str, *more: str, keeps: bool = False, scale: int = 1, family: str = "ours") -> Contender:
    def command(job: Job) -> list[str]:
        return [
            *(sys.executable, "-m", "core.cli", "spot_ohlcv", "--interval", "1m", "--market", "kraken"),
            *("--instrument", ",".join(job.pairs), "--start", iso(job.start), "--end", iso(END)),
            *("--groups", ",".join(job.groups), "--max_requests", "1000000", "--output", "json"),
            *("--base_url", job.base_url, "--db", job.db, "--config_file", str(job.place / "bench.toml"), *more),
        ]

    counts = ("rows_fetched", "duration_seconds")
    return Contender(name, family, command, counts=counts, prepare=migrate, keeps=keeps, scale=scale)


def migrate(job: Job) -> list[list[str]]:
    """In PostgreSQL the tables are made by this command and no other."""
    command = [sys.executable, "-m", "core.cli", "db", "migrate", "--db", job.db]
    return [command] if job.db.startswith("postgresql") else []


def floor(name: str, write: str, *more: str, family: str = "floor", scale: int = 1) -> Contender:
    def command(job: Job) -> list[str]:
        return [sys.executable, "-m", "tests.bench.floor", *job.arguments(), "--write", write, *more]

    return Contender(name, family, command, scale=scale)


def peer(name: str, family: str, program: str, variant: str = "", *, asks_for_groups: bool = False) -> Contender:
    def command(job: Job) -> list[str]:
        columns = ",".join(column.name for column in in_groups(SPOT_OHLCV.columns, job.groups))
        asked = [*job.arguments(), "--columns", columns, "--variant", variant]
        asked += [] if asks_for_groups else ["--groups", ""]
        return [str(PEERS), "-m", f"tests.bench.peers.{program}", *asked]

    return Contender(name, family, command, table="bars")


def iso(ts: int) -> str:
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


OURS = ours("Tapewatch")
AGAIN = ours("Tapewatch, the same again", "--full_refresh", keeps=True, family="again")
TEN_TIMES = ours("Tapewatch, ten times the rows", scale=10, family="ten times")
FLOORS = {
    "SQLite": (
        floor("floor: VALUES", "values"),
        floor("floor: executemany", "rows"),
    ),
    "PostgreSQL": (
        floor("floor: COPY", "copy"),
        floor("floor: COPY of 4 pages", "copy", "--pages", "4"),
    ),
}
# A program that is ten times as fast is measured over as many seconds: over ten times the rows.
LONGER = ours("Tapewatch, 10 times the rows", scale=10)
MANY = str(CONNECTIONS)
WIDE = ours(f"Tapewatch, {MANY} requests at once", "--parallel_workers", MANY, scale=10)
WIDE_FLOORS = {
    "SQLite": floor(f"floor: VALUES, {MANY} at once", "values", "--connections", MANY, scale=10),
    "PostgreSQL": floor(f"floor: COPY, {MANY} at once", "copy", "--connections", MANY, scale=10),
}
CURSORS = {
    "SQLite": floor("floor, paging by cursor", "values", "--cursor", family="cursor"),
    "PostgreSQL": floor("floor, paging by cursor", "copy", "--cursor", family="cursor"),
}
# As people write them: a script asks for no groups of columns, and what dlt reads of an API are rows.
ROW_BY_ROW = peer("requests + json, row by row", "row by row", "row_by_row")
PANDAS = peer("requests + pandas to_sql", "pandas", "pandas_to_sql", "psycopg")
DLT = {
    "SQLite": peer("dlt merge", "dlt", "dlt_merge", "parquet/delete-insert/rows"),
    "PostgreSQL": peer("dlt merge", "dlt", "dlt_merge", "csv/upsert/rows"),
}
# What is in them for who takes the trouble: they ask for the columns that they keep, and dlt gets Arrow tables.
SCRIPT_TUNED = peer("row by row, tuned", "row by row, tuned", "row_by_row", asks_for_groups=True)
DLT_TUNED = {
    "SQLite": peer("dlt merge, tuned", "dlt, tuned", "dlt_merge", "parquet/delete-insert/arrow", asks_for_groups=True),
    "PostgreSQL": peer("dlt merge, tuned", "dlt, tuned", "dlt_merge", "csv/upsert/arrow", asks_for_groups=True),
}
