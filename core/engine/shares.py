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
    """Hands out `plan` in parts, each of series that are leased until `release`: those are `mine`."""

    def __init__(self, job: Job, tools: Tools, plan: Plan, say: Callable[[str], None]) -> None:
        self.mine: set[int] = set()
        self._job = job
        self._tools = tools
        self._plan = plan
        self._say = say
        self._left: set[int] | None = plan.series_ids

    @property
    def are_left(self) -> bool:
        return self._left is not None

    async def take(self) -> Plan | None:
        """The next part, None when there is none left. Raises SourceError and StoreError.

        Of series that are `mine` and not in it there is nothing left to do.
        """
        leases, left = self._tools.store.leases, self._left
        if left is None:
            return None
        if not leases.are_shared or not left:
            self.mine = set(left)
            return self._plan
        taken, has_waited = await leases.take(left), False
        while taken.others and not taken.series:
            has_waited = True
            self._say(f"for {counted(len(left), 'series')} of {' and '.join(taken.others)}")
            await self._tools.clock.sleep(POLL_SECONDS * (0.5 + self._tools.chance()))
            taken = await leases.take(left)
        self._say("")
        # Nobody has what was dropped meanwhile.
        self.mine = taken.series if taken.others else set(left)
        return await self._anew(has_waited=has_waited)

    async def release(self, lost: set[int]) -> None:
        """Let go of the part; series that were `lost` to others on the way come again."""
        left = ((self._left or set()) - self.mine) | lost
        self._left = left or None
        mine, self.mine = self.mine, set()
        await self._tools.store.leases.release(mine)

    async def _anew(self, *, has_waited: bool) -> Plan:
        """The part as it is by now. Lists that were just found due, or are asked for in any case, still are."""
        plan, operation = self._plan, self._job.operation
        is_forced = operation.full_refresh or not operation.enable_caching
        if not plan.lists or (has_waited and not is_forced):
            plan = await make_plan(self._job, self._tools, self._say)
        return plan.only(self.mine)
