"""Questions to the archive: which the screen in front wants answered, and the thread that asks them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from core.text import clean
from tui.archive import Archive

Found_co = TypeVar("Found_co", covariant=True)
REMEMBERED = 200


@dataclass(frozen=True, slots=True)
class Lookup(Generic[Found_co]):
    """A question that is asked again `every` so many seconds, while a screen wants it. Two of one `key` are one."""

    key: str
    ask: Callable[[Archive], Found_co]
    every: float = 10.0


@dataclass(frozen=True, slots=True)
class Answer(Generic[Found_co]):
    """What was found last, None before anything was, at which monotonic time; `trouble` says why nothing newer was."""

    found: Found_co | None = None
    at: float = 0.0
    trouble: str = ""


class Librarian:
    """Asks what is wanted, one question after another, on a thread of its own: a database may take its time.

    `tell` is called on that thread, with the lookup's key, what was found and what went wrong.
    """

    def __init__(
        self, archive: Archive, tell: Callable[[str, object, str], object], now: Callable[[], float] = monotonic
    ) -> None:
        self._archive = archive
        self._tell = tell
        self._now = now
        self._wanted: tuple[Lookup[object], ...] = ()
        self._asked: dict[str, tuple[int, float]] = {}
        """By key: after how many changes it was asked, and when it was answered."""
        self._changes = 0
        self._changed = threading.Event()
        self._is_over = False

    def want(self, lookups: Sequence[Lookup[object]]) -> None:
        """From now on these, in this order."""
        wanted = tuple(lookups)
        if [(lookup.key, lookup.every) for lookup in wanted] != [(each.key, each.every) for each in self._wanted]:
            self._wanted = wanted
            self._changed.set()

    def again(self) -> None:
        """Ask everything anew, due or not: something was changed just now."""
        self._changes += 1  # what is being asked just now may have been read before that
        self._changed.set()

    def start(self) -> None:
        threading.Thread(target=self._run, name="archive", daemon=True).start()

    def stop(self) -> None:
        self._is_over = True
        self._changed.set()

    def turn(self) -> float | None:
        """Ask what is due; seconds until something is again, None when nothing is wanted."""
        for lookup in self._wanted:
            if self._due(lookup) <= 0 and not self._is_over:
                self._ask(lookup)
        return min((max(0.0, self._due(lookup)) for lookup in self._wanted), default=None)

    def _run(self) -> None:
        while not self._is_over:
            self._changed.clear()
            self._changed.wait(self.turn())

    def _due(self, lookup: Lookup[object]) -> float:
        changes, answered = self._asked.get(lookup.key, (-1, 0.0))
        return answered + lookup.every - self._now() if changes == self._changes else 0.0

    def _ask(self, lookup: Lookup[object]) -> None:
        if len(self._asked) >= REMEMBERED:
            self._asked.clear()
        changes = self._changes
        try:
            found, trouble = lookup.ask(self._archive), ""
        except Exception as error:  # a thread boundary: what went wrong is shown where the answer would be
            found, trouble = None, clean(str(error) or type(error).__name__, 400)
        self._asked[lookup.key] = changes, self._now()
        if not self._is_over:
            self._tell(lookup.key, found, trouble)
