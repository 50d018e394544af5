"""Windows that wait for the database are written together: a transaction costs more than its share of a page."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from core.errors import StoreUnavailable, TapewatchError
from core.stores import Commit, Written
from core.stores.database import Runs
from core.stores.window_sql import write_windows


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    commit: Commit
    done: "asyncio.Future[Written]"

    @property
    def series(self) -> int:
        return self.commit.series.id


class Groups:
    """Writes windows in groups as `db` wants them, each series in one of them at a time.

    None waits for others to come: a group is what is there.
    """

    def __init__(self, db: Runs) -> None:
        self._db = db
        self._waiting: list[_Waiting] = []
        self._busy: set[int] = set()
        self._at_work: set[asyncio.Task[None]] = set()

    async def commit(self, commit: Commit) -> Written:
        """Once the window is durable. Raises what writing it raises; who stops waiting does not stop the writing."""
        waiting = _Waiting(commit, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._begin()
        return await waiting.done

    async def close(self) -> None:
        """Everything that was handed in is written, or has failed."""
        while self._at_work:
            await asyncio.wait(self._at_work)

    def _begin(self) -> None:
        """Whatever can be written now: the series of a group are busy from now on."""
        while group := self._next():
            self._waiting = [waiting for waiting in self._waiting if waiting not in group]
            self._busy |= {waiting.series for waiting in group}
            work = asyncio.create_task(self._write(group))
            self._at_work.add(work)
            work.add_done_callback(partial(self._has_written, group))

    def _next(self) -> list[_Waiting]:
        """The oldest windows that are not held up by another group, if another one may be at work."""
        if len(self._at_work) >= self._db.together.groups:
            return []
        free = (waiting for waiting in self._waiting if waiting.series not in self._busy)
        return list(islice(free, self._db.together.windows))

    def _has_written(self, group: Sequence[_Waiting], work: asyncio.Task[None]) -> None:
        self._at_work.discard(work)
        self._busy -= {waiting.series for waiting in group}
        if not work.cancelled():
            self._begin()

    async def _write(self, group: Sequence[_Waiting]) -> None:
        try:
            written = await self._db.run(write_windows, [waiting.commit for waiting in group])
        except Exception as error:
            if len(group) == 1 or not isinstance(error, TapewatchError) or isinstance(error, StoreUnavailable):
                _fail(group, error)
                return
            # One of them is to blame; the others are not to suffer.
            for waiting in group:
                await self._write([waiting])
            return
        for waiting, result in zip(group, written, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(result)


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)
