"""The process that is killed: it ingests a scenario into a store, and says so after everything that was committed.

    python -m tests.crash.child --url sqlite:////tmp/x.db --seed 1

It imports the store and the ingest and nothing heavier. What is missing it works out from the store, as every run
does, so started again it goes on. It ends with 0, or with 3 when the store failed.
"""

import argparse
import asyncio
import os
import re
import sys
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

from core.coverage import SeriesState
from core.datasets import Dataset, SeriesKey
from core.engine.ingest import Ingest, Request
from core.errors import Malformed, NothingBefore, StoreError, Transient
from core.failpoints import failpoint
from core.planner import BACKFILL, Fetch, SeriesPlan
from core.records import in_groups
from core.sources import Listing, Page, RejectedRow
from core.stores import Store, sqlite
from core.stores.opening import is_postgres, open_store
from core.windows import Window
from tests.crash.scenario import KEYS, ROUNDS, RUN, SOURCE, SPAN, Scenario, Step, unusable, whole_answer

T = TypeVar("T")
STORE_FAILED = 3


class Bar(NamedTuple):
    """A row as it came: `values` are (ts, *values) in the order of the columns."""

    timestamp: int
    values: tuple[Any, ...]


class Checked(NamedTuple):
    """What the quality gate returns: all rows are usable but those that came rejected."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    rejected: list[RejectedRow]
    surplus: int = 0
    repeats: int = 0


def check(
    dataset: Dataset, _key: SeriesKey, groups: Sequence[str], _window: Window, page: Page, _symbol: str | None
) -> Checked:
    names = tuple(column.name for column in in_groups(dataset.columns, groups))
    return Checked(names, [bar.values for bar in page.rows], page.rejected)


class ScriptedSource:
    """A source that has the answer to one step, and whatever comes before it."""

    name = SOURCE
    origin = SOURCE

    def __init__(self, step: Step) -> None:
        self.calls = 0
        self.is_garbled = step.trouble == "garbled"
        self._step = step

    def now(self) -> float:
        return float(self._step.date)

    def assume(self, now: float) -> None: ...

    async def history(self, _dataset: Dataset, key: SeriesKey, window: Window, _groups: Sequence[str]) -> Page:
        self.calls += 1
        if self.is_garbled:
            raise Malformed("garbled", *whole_answer(self._step.cell))
        if self._step.trouble == "down":
            raise Transient("down")
        if self._step.trouble == "before":
            raise NothingBefore("nothing here", window.end)
        rows = [Bar(int(row[0]), row) for row in self._step.rows()]
        rejected = [unusable(key, ts) for ts in sorted(self._step.rejected)]
        constants = {"exchange_symbol": f"X-{key.instrument}", "type": "954"} if rows else {}
        return Page(rows, self._step.date, rejected, lambda: constants)

    async def listing(self, key: SeriesKey) -> Listing:
        raise Transient(f"there is no list {key}")

    async def rate_limit(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class StepClock:
    """Stands still at the moment at which a step is asked for."""

    sent: int

    def wall(self) -> float:
        return float(self.sent)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None: ...


def say(line: str) -> None:
    """One system call, so that a kill leaves whole lines."""
    failpoint("ack")
    os.write(1, f"{line}\n".encode())


@dataclass
class Run:
    """All rounds on an open store, each by as many workers. What the store refuses is tried `retries` times more."""

    store: Store
    scenario: Scenario
    workers: int = 1
    retries: int = 0

    async def whole(self) -> None:
        for number in ROUNDS:
            states = await self._persevere("series", lambda: self.store.series(SOURCE, KEYS))
            by_key = {state.key: state for state in states}
            steps = [step for step in self.scenario.round(number) if step.is_due(by_key[step.cell.key])]
            await self._round([(step, by_key[step.cell.key]) for step in reversed(steps)])

    async def _round(self, due: list[tuple[Step, SeriesState]]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.workers):
                tasks.create_task(self._work(due))

    async def _work(self, due: list[tuple[Step, SeriesState]]) -> None:
        while due:
            step, state = due.pop()
            work = partial(self._step, step, state, ScriptedSource(step))
            await self._persevere(step.name, work)

    async def _persevere(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        for left in range(self.retries, -1, -1):
            try:
                return await work()
            except StoreError as error:
                os.write(2, f"{name}: {error}\n".encode())
                if not left:
                    raise
        raise AssertionError(name)

    async def _step(self, step: Step, state: SeriesState, source: ScriptedSource) -> None:
        """What the runner does with one window, but for its waits."""
        plan = SeriesPlan(state, SPAN, (step.window,), (step.window,), ())
        request = Request(Fetch(state, step.window, BACKFILL), step.dataset, step.groups, state, plan, RUN)
        ingest = Ingest(source, self.store, check, StepClock(step.sent))
        try:
            await ingest.window(request)
        except Malformed as error:
            record = RejectedRow(error.reason, str(error), error.raw.decode())
            await self.store.quarantine(state, step.window, record, RUN)
            source.is_garbled = False
            say(f"kept {step.name}")
            await self._step(step, state, source)
        except Transient as error:
            await self.store.failed(state, step.window, str(error), 5, RUN)
            say(f"gave_up {step.name}")
        else:
            say(f"done {step.name}")


def wake_by_writing() -> None:
    """Loops wake each other with `write` and `read`, so that `sendto` and `recvfrom` are the database's alone."""

    def wake(loop: Any) -> None:
        if loop._csock is not None:
            os.write(loop._csock.fileno(), b"\0")

    def woken(loop: Any) -> None:
        with suppress(BlockingIOError):
            loop._process_self_data(os.read(loop._ssock.fileno(), 4_096))

    BaseSelectorEventLoop._write_to_self = wake  # type: ignore[attr-defined]
    BaseSelectorEventLoop._read_from_self = woken  # type: ignore[attr-defined]


def checkpoint_every(pages: int) -> None:
    """So often that a small scenario comes to it; ours is set for long ones."""
    often = (re.sub(r"(?<=wal_autocheckpoint = )\d+", str(pages), pragma) for pragma in sqlite.PRAGMAS)
    sqlite.PRAGMAS = tuple(often)


async def ingest(url: str, run: argparse.Namespace) -> None:
    store = await open_store(url)
    store.patience.is_over = run.impatient
    try:
        await Run(store, Scenario(run.seed), run.workers, run.retries).whole()
    finally:
        await store.close()


def migrate_postgres(url: str) -> None:
    """SQLite's store does that by itself."""
    from core.stores.migrate import migrate
    from core.stores.postgres import connected_database

    with connected_database(url) as database:
        migrate(database, 0)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--retries", type=int, default=0)
    parser.add_argument("--impatient", action="store_true")
    parser.add_argument("--migrate", action="store_true")
    parser.add_argument("--checkpoint", type=int, help="SQLite: after so many pages of WAL")
    parser.add_argument("--sabotage", default="")
    run = parser.parse_args(arguments)
    if run.checkpoint:
        checkpoint_every(run.checkpoint)
    if run.sabotage:
        from tests.crash.sabotage import plant

        plant(run.sabotage)
    code = 0
    wake_by_writing()
    try:
        if run.migrate and is_postgres(run.url):
            migrate_postgres(run.url)
        asyncio.run(ingest(run.url, run))
    except* StoreError as errors:
        os.write(2, f"{errors.exceptions[0]}\n".encode())
        code = STORE_FAILED
    return code


if __name__ == "__main__":
    sys.exit(main())
