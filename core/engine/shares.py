"""The parts of a plan that this engine may work on, where several engines share a store.

A series is one engine's at a time. What others have is waited for while nothing is held, and planned anew when
it is ours: most of it has been done by then.
"""

from collections.abc import Callable

from core.engine.job import Job
from core.engine.planning import make_plan
from core.engine.tools import Tools
from core.planner import Plan
from core.text import counted

POLL_SECONDS = 1.0


class Shares:
    """Hands out `plan` in parts, each of series that are leased until `release`."""

    def __init__(self, job: Job, tools: Tools, plan: Plan, say: Callable[[str], None]) -> None:
        self._job = job
        self._tools = tools
        self._plan = plan
        self._say = say
        self._left: set[int] | None = plan.series_ids
        self._mine: set[int] = set()

    @property
    def are_left(self) -> bool:
        return self._left is not None

    async def take(self) -> Plan | None:
        """The next part, None when there is none left. Raises SourceError and StoreError."""
        leases, left = self._tools.store.leases, self._left
        if left is None:
            return None
        if not leases.are_shared or not left:
            self._mine = set(left)
            return self._plan
        taken = await leases.take(left)
        while not taken.series:
            self._say(f"for {counted(len(left), 'series')} of {' and '.join(taken.others) or 'another engine'}")
            await self._tools.clock.sleep(POLL_SECONDS * (0.5 + self._tools.chance()))
            taken = await leases.take(left)
        self._say("")
        self._mine = taken.series
        return await self._anew()

    async def release(self, lost: set[int]) -> None:
        """Let go of the part; series that were `lost` to others on the way come again."""
        left = ((self._left or set()) - self._mine) | lost
        self._left = left or None
        mine, self._mine = self._mine, set()
        await self._tools.store.leases.release(mine)

    async def _anew(self) -> Plan:
        """The part as it is by now; lists are asked for whatever others did."""
        plan = self._plan
        if not plan.lists:
            plan = await make_plan(self._job, self._tools, self._say)
        return plan.only(self._mine)
