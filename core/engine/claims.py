"""What jobs of one engine ask for, so that two that run side by side never ask for one window twice.

Whoever asks for a window claims it. A job that wants what another one is asking for waits for that answer, and what
others were told since a job began need not be asked for again by it: it is at least as new as what it wants.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from core.coverage import SeriesState
from core.windows import Window, intersect, merge, subtract


class Wish(NamedTuple):
    """A window of a series (by its id) with the field groups that are wanted of it."""

    series: int
    window: Window
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Asking:
    """What a job is asking for, until it has `ended`, however that went."""

    job: str
    wish: Wish
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class News:
    """What other jobs were told of one series since a job began: windows by groups, and the series afterwards."""

    answered: dict[frozenset[str], list[Window]]
    state: SeriesState


class Claims:
    """Of the jobs that are at work, by their ids."""

    def __init__(self) -> None:
        self._news: dict[str, dict[int, News]] = {}
        self._asking: dict[int, list[Asking]] = {}

    def begin(self, job: str) -> None:
        """From now on it hears of answers; call it before it is planned."""
        self._news[job] = {}

    def end(self, job: str) -> None:
        self._news.pop(job, None)

    def news(self, job: str, series: int) -> SeriesState | None:
        """The series as another job's answer left it; None when there was none since this job began."""
        found = self._news.get(job, {}).get(series)
        return None if found is None else found.state

    @asynccontextmanager
    async def claim(self, job: str, wish: Wish) -> AsyncIterator[bool]:
        """Whether it is left to `job` to ask; it may wait for another one's answer first."""
        while (other := self._other(job, wish)) is not None:
            await other.ended.wait()
        if wish.window.seconds and not self._left(job, wish):
            yield False
            return
        asking = Asking(job, wish)
        self._asking.setdefault(wish.series, []).append(asking)
        try:
            yield True
        finally:
            self._leave(asking)

    def answered(self, job: str, wish: Wish, state: SeriesState) -> None:
        """`job` was told, and it is stored: the others need not ask."""
        for other, news in self._news.items():
            if other != job:
                before = news[wish.series].answered if wish.series in news else {}
                windows = merge([*before.get(wish.groups, ()), wish.window])
                news[wish.series] = News({**before, wish.groups: windows}, state)

    def _other(self, job: str, wish: Wish) -> Asking | None:
        """One to wait for, where all that is left of a wish is being asked for by others."""
        asking = self._asking.get(wish.series, ())
        others = [each for each in asking if each.job != job and each.wish.groups >= wish.groups]
        left = self._left(job, wish)
        if not left or subtract(left, [each.wish.window for each in others]):
            return None
        return next(each for each in others if intersect([each.wish.window], left))

    def _left(self, job: str, wish: Wish) -> list[Window]:
        """What of it nobody has been told since the job began."""
        news = self._news.get(job, {}).get(wish.series)
        known = () if news is None else news.answered.items()
        return subtract([wish.window], [one for groups, told in known if groups >= wish.groups for one in told])

    def _leave(self, asking: Asking) -> None:
        left = self._asking[asking.wish.series]
        left.remove(asking)
        if not left:
            del self._asking[asking.wish.series]
        asking.ended.set()
