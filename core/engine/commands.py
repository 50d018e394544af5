"""The commands of the control socket: what each takes, and what it has an engine do."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from core.batch import Batch, make_batch
from core.datasets import SeriesKey
from core.engine.batch import quote_batch
from core.engine.engine import Engine
from core.engine.job import Job
from core.engine.orders import ORDERS, obey, order_of
from core.engine.quotes import answer_of
from core.engine.repair import repairs
from core.engine.scheduler import Scheduler
from core.engine.warm import warm_after, warming
from core.errors import ConfigError
from core.operations import Operation, make_operation
from core.options import SELECTION
from core.schedule import Pause
from core.stores.selection import Selection
from core.text import clean

MOST_NAMED = 1_000
LONGEST_PAUSE = 366 * 86_400.0
COMMANDS_OWN = "this engine belongs to a command and ends with it; start one with: tapewatch dash"

Text = Annotated[str, msgspec.Meta(max_length=500)]
Names = Annotated[list[Text], msgspec.Meta(max_length=MOST_NAMED)]


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new job like an ended one, or only for those of its series that `failed`."""

    job: Any = None
    failed: bool = False


class Repair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask again for the gaps and failed windows of stored series; what is not named is not chosen by.

    `all` takes confirmed gaps and those of the delisted too; `dry_run` only says what it would cost.
    """

    data_types: Names = []
    markets: Names = []
    instruments: Names = []
    intervals: Names = []
    series: Names = []
    all: bool = False
    max_requests: Annotated[int, msgspec.Meta(ge=1)] | None = None
    dry_run: bool = False

    @property
    def selection(self) -> Selection:
        """Raises ConfigError for a text that is no series."""
        return Selection(
            tuple(self.data_types),
            tuple(name.lower() for name in self.markets),
            tuple(self.instruments),
            tuple(self.intervals),
            tuple(map(SeriesKey.parse, self.series)),
        )


class Warm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fill the cache; the instruments are those of `markets`, the default ones if empty."""

    markets: Names = []


class Clear(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Forget cached values; without patterns and tags all of them."""

    patterns: Names = []
    tags: Names = []


class RunSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Begin a run of it now, because `by` asks for it."""

    schedule: str
    by: Text


class PauseSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing of it begins for so many seconds; None is until it is resumed."""

    schedule: str
    by: Text
    seconds: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_PAUSE)] | None = None
    comment: Text = ""


class ResumeSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its pause ends."""

    schedule: str
    by: Text


class Commands:
    """What clients may tell `engine`. One that belongs to a command takes no new jobs: it ends with its own."""

    def __init__(self, engine: Engine, scheduler: Scheduler | None = None, *, takes_jobs: bool = True) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._takes_jobs = takes_jobs
        starting = {
            "submit": self._submit,
            "submit_batch": self._submit_batch,
            "retry": self._retry,
            "repair": self._repair,
            "warm_cache": self._warm_cache,
            "run_schedule": self._run_schedule,
        }
        self._handlers: dict[str, Callable[[Mapping[str, Any]], Awaitable[object]]] = {
            **(starting if takes_jobs else dict.fromkeys(starting, _refuse)),
            "quote": self._quote,
            "cancel": self._cancel,
            "hold": self._hold,
            "resume": self._resume,
            "clear_cache": self._clear_cache,
            "pause_schedule": self._pause_schedule,
            "resume_schedule": self._resume_schedule,
            "stop": self._stop,
        }

    async def handle(self, command: str, args: Mapping[str, Any]) -> object:
        """What the command answers. Raises TapewatchError with words for the user."""
        if command in ORDERS:
            return await obey(self._engine.tools, command, args)
        handler = self._handlers.get(command)
        if handler is None:
            raise ConfigError(f"unknown command {clean(command)!r}")
        return await handler(args)

    async def _submit(self, args: Mapping[str, Any]) -> object:
        return {"job": self._engine.submit(make_operation(args)).id}

    async def _submit_batch(self, args: Mapping[str, Any]) -> object:
        return _ids(self._engine.submit_batch(make_batch(args)))

    async def _quote(self, args: Mapping[str, Any]) -> object:
        """What `submit_batch` with the same arguments would cost."""
        return await self._cost(make_batch(args))

    async def _cost(self, batch: Batch) -> dict[str, Any]:
        quote = await quote_batch(batch, self._engine.tools)
        for need in quote.needs:
            await need.job.settle()
        return answer_of(quote)

    async def _repair(self, args: Mapping[str, Any]) -> object:
        order, tools = order_of(Repair, args), self._engine.tools
        damaged = await tools.store.damaged(tools.source.name, order.selection)
        operations = repairs((each.state.key for each in damaged if each.state.blocked is None), every=order.all)
        if not operations:
            raise ConfigError("nothing to repair: these series have no gaps and no failed windows")
        batch = Batch(operations=operations, continue_on_error=True, max_requests=order.max_requests)
        return await self._cost(batch) if order.dry_run else _ids(self._engine.submit_batch(batch))

    async def _retry(self, args: Mapping[str, Any]) -> object:
        order = order_of(Retry, args)
        job = self._find(order.job)
        if job.finished is None:
            raise ConfigError(f"job {job.id} is still at it: {job.state}")
        return {"job": self._engine.submit(failed_part(job) if order.failed else job.operation).id}

    async def _cancel(self, args: Mapping[str, Any]) -> object:
        job = self._at_work(args)
        self._engine.in_background(self._engine.cancel(job))
        return {"job": job.id}

    async def _hold(self, args: Mapping[str, Any]) -> object:
        job = self._at_work(args)
        await self._engine.hold(job, is_held=True)
        return {"job": job.id}

    async def _resume(self, args: Mapping[str, Any]) -> object:
        job = self._at_work(args)
        await self._engine.hold(job, is_held=False)
        return {"job": job.id}

    def _at_work(self, args: Mapping[str, Any]) -> Job:
        job = self._find(args.get("job"))
        if job.finished is not None:
            raise ConfigError(f"job {job.id} has ended: {job.state}")
        return job

    def _find(self, given: object) -> Job:
        job = self._engine.jobs.get(str(given))
        if job is None:
            raise ConfigError(f"there is no job {clean(str(given))!r} in this engine")
        return job

    async def _warm_cache(self, args: Mapping[str, Any]) -> object:
        markets = order_of(Warm, args).markets
        jobs = self._engine.submit_batch(warming(markets))
        self._engine.in_background(warm_after(self._engine, jobs, markets))
        return _ids(jobs)

    async def _clear_cache(self, args: Mapping[str, Any]) -> object:
        order, cache = order_of(Clear, args), self._engine.tools.cache
        patterns = order.patterns or ([] if order.tags else ["*"])
        forgot = [await cache.drop(pattern) for pattern in patterns]
        return {"forgot": sum(forgot) + sum([await cache.drop_tag(tag) for tag in order.tags])}

    async def _run_schedule(self, args: Mapping[str, Any]) -> object:
        order = order_of(RunSchedule, args)
        return {"tick": (await self._schedules.run_now(self._engine, order.schedule, _who(order.by))).tick}

    async def _pause_schedule(self, args: Mapping[str, Any]) -> object:
        order, now = order_of(PauseSchedule, args), self._engine.tools.clock.wall()
        until = None if order.seconds is None else now + order.seconds
        pause = Pause(order.schedule, now, until, _who(order.by), clean(order.comment))
        await self._schedules.pause(self._engine, pause)
        return {"schedule": order.schedule, "until": until}

    async def _resume_schedule(self, args: Mapping[str, Any]) -> object:
        order = order_of(ResumeSchedule, args)
        await self._schedules.resume(self._engine, order.schedule, _who(order.by))
        return {"schedule": order.schedule}

    @property
    def _schedules(self) -> Scheduler:
        if self._scheduler is None:
            raise ConfigError("this engine runs no schedules: tapewatch serve --schedules FILE starts one that does")
        return self._scheduler

    async def _stop(self, _args: Mapping[str, Any]) -> object:
        self._engine.stopped.set()
        return {}


def failed_part(job: Job) -> Operation:
    """The operation of `job` for the series that failed alone. Raises ConfigError when there are none."""
    failed = [entry.state.key for entry in job.progress.values() if entry.windows_failed]
    if not failed:
        raise ConfigError(f"no series of job {job.id} failed: {job.state}; retry all of it")
    if job.operation.is_metadata:
        return job.operation  # lists that are fresh are not asked for again
    nothing = {name: getattr(Operation(data_type=job.operation.data_type), name) for name in (*SELECTION, "universe")}
    names = tuple(f"{key.market}/{key.instrument}" for key in failed)
    return msgspec.structs.replace(job.operation, series=names, **nothing)


async def _refuse(_args: Mapping[str, Any]) -> object:
    raise ConfigError(COMMANDS_OWN)


def _who(by: str) -> str:
    """Raises ConfigError for nobody."""
    if not (name := clean(by, 100)):
        raise ConfigError("by: say who wants it")
    return name


def _ids(jobs: Sequence[Job]) -> dict[str, list[str]]:
    return {"jobs": [job.id for job in jobs]}
