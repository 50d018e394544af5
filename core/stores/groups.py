"""Windows that wait for the database are written together: a transaction costs more than its share of a page."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
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
    """Writes windows in as many lanes as `db` has, each series in one of them at a time.

    None waits for others to come: a group is what is there.
    """

    def __init__(self, db: Runs) -> None:
        self._db = db
        self._waiting: list[_Waiting] = []
        self._busy: set[int] = set()
        self._at_work = 0
        self._lanes: set[asyncio.Task[None]] = set()

    async def commit(self, commit: Commit) -> Written:
        """Once the window is durable. Raises what writing it raises; who stops waiting does not stop the writing."""
        waiting = _Waiting(commit, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._at_work < self._db.lanes and (group := self._next()):
            self._at_work += 1
            lane = asyncio.create_task(self._work(group))
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await waiting.done

    async def close(self) -> None:
        """Everything that was handed in is written, or has failed."""
        if self._lanes:
            await asyncio.wait(self._lanes)

    def _next(self) -> list[_Waiting]:
        """The oldest windows that can be written now; their series are busy from now on."""
        free = (waiting for waiting in self._waiting if waiting.series not in self._busy)
        group = list(islice(free, self._db.windows_together))
        self._waiting = [waiting for waiting in self._waiting if waiting not in group]
        self._busy |= {waiting.series for waiting in group}
        return group

    async def _work(self, group: list[_Waiting]) -> None:
        try:
            while group:
                await self._write(group)
                self._busy -= {waiting.series for waiting in group}
                group = self._next()
        finally:
            self._at_work -= 1

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
