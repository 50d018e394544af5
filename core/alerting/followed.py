"""Which changes of alerts somebody who follows them has seen. Pure.

Transactions of several engines commit out of order: a smaller id may turn up after a larger one. So what is newer than
a mark is read again with each look, and what was there already is left out.
"""

from collections import deque
from collections.abc import Iterable
from typing import Protocol, TypeVar

PATIENCE_SECONDS = 60.0


class Numbered(Protocol):
    """Something with an id of its own; ids ascend."""

    @property
    def id(self) -> int: ...


N = TypeVar("N", bound=Numbered)


class Seen:
    """What is up to the id `mark` is not looked at again. In memory are the ids of a minute.

    What is smaller than an id that was there a minute ago is not to come any more: no transaction takes as long.
    """

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self._above: set[int] = set()
        self._tops: deque[tuple[float, int]] = deque()

    def fresh(self, found: Iterable[N]) -> list[N]:
        """Those of `found` that had not been there; they are from now on."""
        fresh = [each for each in found if each.id > self.mark and each.id not in self._above]
        self._above.update(each.id for each in fresh)
        return fresh

    def looked(self, began: float) -> None:
        """A look at everything after the mark, which began then (monotonic seconds), is over."""
        top = max(self._above, default=self.mark)
        if not self._tops or self._tops[-1][1] < top:
            self._tops.append((began, top))
        while self._tops and began - self._tops[0][0] >= PATIENCE_SECONDS:
            self.mark = max(self.mark, self._tops.popleft()[1])
        while self.mark + 1 in self._above:
            self.mark += 1
            self._above.discard(self.mark)
        self._above = {number for number in self._above if number > self.mark}
