"""Runs operations: in this process as the engine, or in a running engine that holds the store."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from core.app import App, open_app, quote
from core.batch import Batch
from core.cli.context import leave, words
from core.cli.engines import EngineChild, find, open_connection
from core.cli.monitoring import Watched, ping, watching
from core.cli.options import Output
from core.cli.quotes import print_quote
from core.cli.report import (
    Narrator,
    batch_summary,
    exit_code,
    print_statistics,
    print_summary,
    say_log,
)
from core.config import Loaded, key_fingerprint
from core.control import Connection
from core.engine.quotes import quote_object
from core.errors import ConfigError, EngineGone, StoreBusy, TapewatchError
from core.events import AnyEvent, RunSummary, Snapshot
from core.operations import Operation
from core.stores import sqlite_path
from core.stores.lock import Holder, describe, lock_path

POLL_SECONDS = 0.5
IMPATIENT_SECONDS = 0.3
UNWATCHED = Watched()
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The first signal sets `event`; a second Ctrl-C ends the process at once (it is crash proof).

    A closing terminal or a supervisor may send several signals at once, so those are one.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.number = 0
        self._heard_at = 0.0

    @property
    def exit_code(self) -> int:
        return 128 + self.number

    @contextmanager
    def watching(self) -> Iterator["Interrupts"]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._hear, number)
        try:
            yield self
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _hear(self, number: int) -> None:
        now = time.monotonic()
        if not self.number:
            self.number, self._heard_at = number, now
            self.event.set()
        elif number == signal.SIGINT and now - self._heard_at > IMPATIENT_SECONDS:
            os._exit(128 + number)


async def plan_operations(loaded: Loaded, batch: Batch, output: Output, *, is_batch: bool) -> int:
    """Print what `batch` would ask for. Nothing is fetched but metadata, nothing is written."""
    quoted = await quote(loaded, batch, say_log)
    for error in dict.fromkeys(error for need in quoted.needs for error in need.job.errors):
        words(error)
    print_quote(quote_object(quoted, is_batch=is_batch), output)
    return 0


class Ended(NamedTuple):
    """How a batch ended: a summary a job, in its order, and the exit code.

    `is_handed_over` says that an engine goes on with it while nobody here waits.
    """

    summaries: list[dict[str, Any]]
    code: int
    is_handed_over: bool = False


async def execute(
    loaded: Loaded, batch: Batch, output: Output, watched: Watched = UNWATCHED, *, detach: bool = False
) -> Ended:
    """Run `batch` to its end, or hand it over; progress is told on the way, nothing is printed at the end."""
    with Interrupts().watching() as interrupts:
        executor = _Executor(loaded, output, interrupts, watched, detach=detach)
        try:
            summaries = await executor.execute(batch)
        finally:
            executor.narrator.close()
    if detach and executor.was_handed_over:
        return Ended([], 0, is_handed_over=True)
    if interrupts.number:
        return Ended(summaries, interrupts.exit_code)
    # What was refused before anything was stored is for the user to change, whatever else went well.
    is_refused = executor.refusal_code and not any(summary["windows"] for summary in summaries)
    return Ended(summaries, executor.refusal_code if is_refused else exit_code(summaries))


async def run_operations(
    loaded: Loaded,
    batch: Batch,
    output: Output,
    watched: Watched = UNWATCHED,
    *,
    is_batch: bool = False,
    detach: bool = False,
) -> int:
    """Run `batch` and print the summary; the exit code."""
    ended = await _execute_and_ping(loaded, batch, output, watched, detach=detach)
    if ended.summaries:
        print_statistics(ended.summaries)
        print_to_end(batch_summary(ended.summaries) if is_batch else ended.summaries[0], output)
    return ended.code


async def _execute_and_ping(loaded: Loaded, batch: Batch, output: Output, watched: Watched, *, detach: bool) -> Ended:
    """A run that only was handed over has not ended: nobody is told then."""
    ended: Ended | None = None
    try:
        ended = await execute(loaded, batch, output, watched, detach=detach)
        return ended
    finally:
        if watched.ping_url and not (ended is not None and ended.is_handed_over):
            await ping(watched.ping_url, is_success=ended is not None and ended.code == 0)


def print_to_end(summary: dict[str, Any], output: Output) -> None:
    """Print the summary for whoever still listens: the exit code tells of the run in any case."""
    try:
        print_summary(summary, output)
    except BrokenPipeError:
        leave(sys.stdout)


class _Executor:
    """Runs one batch wherever the store is, and follows it to its end."""

    def __init__(
        self, loaded: Loaded, output: Output, interrupts: Interrupts, watched: Watched, *, detach: bool
    ) -> None:
        self.narrator = Narrator(output)
        self.refusal_code = 0
        self.was_handed_over = False
        self._loaded = loaded
        self._interrupts = interrupts
        self._watched = watched
        self._detach = detach

    async def execute(self, batch: Batch) -> list[dict[str, Any]]:
        """Here if the store is free, in the engine that holds it if that takes jobs, else after a wait."""
        deadline = time.monotonic() + self._loaded.settings.engine.lock_wait
        has_said = False
        while True:
            try:
                return await self._where_it_is_taken(batch)
            except (StoreBusy, EngineGone) as busy:
                if time.monotonic() >= deadline:
                    raise
                if not has_said:
                    words(f"waiting: {busy}")
                    has_said = True
            if await self._interrupted_within(POLL_SECONDS):
                return []

    async def _where_it_is_taken(self, batch: Batch) -> list[dict[str, Any]]:
        """Raises StoreBusy for an engine that takes no jobs, EngineGone for one that ends: what it had not begun."""
        try:
            if self._detach:
                return await self._to_engine_of_its_own(batch)
            async with open_app(self._loaded, "command") as app:
                is_served = any(operation.enable_monitoring for operation in batch.operations)
                async with watching(app, self._watched, is_served=is_served):
                    return await self._run_here(app, batch)
        except StoreBusy:
            found = await find(self._loaded)
            if found is None or not found.takes_jobs:
                raise
            return await self._hand_over(found, batch)

    async def _interrupted_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._interrupts.event.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _run_here(self, app: App, batch: Batch) -> list[dict[str, Any]]:
        app.bus.listen(self.narrator.hear)
        jobs = app.engine.submit_batch(batch)
        ended = asyncio.gather(*(app.engine.wait(job) for job in jobs))
        stops = [asyncio.create_task(event.wait()) for event in (self._interrupts.event, app.engine.stopped)]
        waits: list[asyncio.Future[Any]] = [ended, *stops]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in stops:
            task.cancel()
        if self._interrupts.number or app.engine.stopped.is_set():
            await app.engine.cancel_all()
        await ended
        for job in jobs:
            self._note_refusal(job.exit_code)
        return [job.summary() for job in jobs]

    async def _to_engine_of_its_own(self, batch: Batch) -> list[dict[str, Any]]:
        """Hand over to an engine that goes on without us. Raises StoreBusy for a command's engine."""
        found = await find(self._loaded)
        if found is not None and not found.takes_jobs:
            raise StoreBusy(describe(found, lock_path(sqlite_path(self._loaded.database))))
        if found is not None:
            return await self._hand_over(found, batch)
        connection = await EngineChild(self._loaded).connect()
        try:
            return await self._follow(connection, batch)
        finally:
            await connection.close()

    async def _hand_over(self, found: Holder, batch: Batch) -> list[dict[str, Any]]:
        _check_holder(self._loaded, found)
        connection = await open_connection(found)
        try:
            what = "the job runs" if len(batch.operations) == 1 else "the jobs run"
            words(f"the {found.kind}'s engine (pid {found.pid}) holds the store: {what} there")
            if self._watched.metrics_file is not None:
                words("--metrics_file is not written: the metrics are those of that engine")
            return await self._follow(connection, batch)
        finally:
            await connection.close()

    async def _follow(self, connection: Connection, batch: Batch) -> list[dict[str, Any]]:
        follower = Follower(connection, self.narrator)
        reading = asyncio.create_task(follower.read())
        try:
            jobs = await follower.submit_batch(batch)
            if self._detach:
                self.was_handed_over = True
                for job in jobs:
                    words(f"job {job} was handed over; cancel it with: tapewatch jobs cancel {job}")
                return []
            return await self._until_ended(follower, jobs)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _until_ended(self, follower: "Follower", jobs: Sequence[str]) -> list[dict[str, Any]]:
        """The summaries of `jobs`, of those that have ended when a signal detaches us."""
        waits = {asyncio.create_task(follower.summary(job)): job for job in jobs}
        stopped: asyncio.Task[Any] = asyncio.create_task(self._interrupts.event.wait())
        going_on: set[asyncio.Task[Any]] = set(waits)
        while going_on and not stopped.done():
            _, going_on = await asyncio.wait({*going_on, stopped}, return_when=asyncio.FIRST_COMPLETED)
            going_on.discard(stopped)
        for task in (stopped, *going_on):
            task.cancel()
        await asyncio.gather(stopped, *waits, return_exceptions=True)
        for job in (job for task, job in waits.items() if task in going_on):
            words(f"\ndetached; job {job} goes on. Cancel it with: tapewatch jobs cancel {job}")
        done = [task.result() for task in waits if task not in going_on]
        for summary in done:
            self._note_refusal(summary.exit_code)
        return [as_summary(summary) for summary in done]

    def _note_refusal(self, code: int | None) -> None:
        if code == ConfigError.exit_code:
            self.refusal_code = code


class Follower:
    """Submits jobs to another engine and hears how they go; `jobs` are some submitted before."""

    def __init__(self, connection: Connection, narrator: Narrator, jobs: Sequence[str] = ()) -> None:
        self._connection = connection
        self._narrator = narrator
        self._ended: dict[str, asyncio.Future[RunSummary]] = {}
        for job in jobs:
            self._expect(job)

    async def read(self) -> None:
        """Hear the engine until it goes away."""
        async for message in self._connection.messages():
            events: Sequence[Any] = message.events if isinstance(message, Snapshot) else (message,)
            for event in events:
                self._hear(event)
        for job, ended in self._ended.items():
            if not ended.done():
                lost = TapewatchError(f"the engine went away; run the command again to finish job {job}")
                ended.set_exception(lost)

    async def submit(self, operation: Operation) -> str:
        result = await self._connection.command("submit", **operation.given())
        job = str(result["job"]) if isinstance(result, dict) else ""
        self._expect(job)
        return job

    async def submit_batch(self, batch: Batch) -> list[str]:
        result = await self._connection.command("submit_batch", **batch.given())
        jobs = [str(job) for job in result["jobs"]] if isinstance(result, dict) else []
        for job in jobs:
            self._expect(job)
        return jobs

    async def summary(self, job: str) -> RunSummary:
        """The summary of `job` once it has ended. Raises TapewatchError when the engine goes away first."""
        return await asyncio.shield(self._ended[job])

    def _expect(self, job: str) -> None:
        self._ended.setdefault(job, asyncio.get_running_loop().create_future())

    def _hear(self, event: AnyEvent) -> None:
        if isinstance(event, RunSummary):
            self._expect(event.job)  # a quick job may end before the reply to its submission was read
            if not self._ended[event.job].done():
                self._ended[event.job].set_result(event)
        # What other jobs of the engine do is not this command's to tell; samples of the engine are.
        job = getattr(event, "job", "")
        if not job or job in self._ended:
            self._narrator.hear(event)


def as_summary(event: RunSummary) -> dict[str, Any]:
    """The event as `--output json` prints it: without what only the bus and a batch add."""
    left_out = {"event", "seq", "time", "job", "operations", "exit_code"}
    if not event.statistics:
        left_out.add("statistics")
    return {name: value for name, value in msgspec.to_builtins(event).items() if name not in left_out}


def _check_holder(loaded: Loaded, found: Holder) -> None:
    if found.source != loaded.settings.base_url:
        raise ConfigError(
            f"the engine that holds the store (pid {found.pid}) talks to {found.source}, "
            f"this command to {loaded.settings.base_url}; use the same --base_url or another --db"
        )
    if found.key != key_fingerprint(loaded.key):
        raise ConfigError(f"the engine that holds the store (pid {found.pid}) uses another API key")
