"""A bounded memory of a few things a series: what has not been heard of longest is forgotten first."""

from array import array
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

MOST_SERIES = 20_000
VERSION = 2
"""Of what is remembered: a state of another one is not understood."""
Place = tuple[str, str]


class Kept(Protocol):
    """Something with a state that JSON has."""

    def state(self) -> dict[str, Any]: ...
    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self: ...


T = TypeVar("T", bound=Kept)


class Memory(Generic[T]):
    def __init__(
        self, make: Callable[[], T], restored: Callable[[Mapping[str, Any]], T], most: int = MOST_SERIES
    ) -> None:
        self._make = make
        self._restored = restored
        self._most = most
        self._kept: dict[Place, dict[str, T]] = {}

    def of(self, market: str, series: str, part: str) -> T:
        """What is kept of a part of a series, made when there is nothing."""
        place = (market, series)
        parts = self._kept.pop(place, None)
        if parts is None:
            parts = {}
            if len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
        self._kept[place] = parts
        if part not in parts:
            parts[part] = self._make()
        return parts[part]

    def __iter__(self) -> Iterator[Place]:
        return iter(self._kept)

    def state(self, market: str, series: str) -> dict[str, Any]:
        """Of all parts of a series; empty when nothing is kept."""
        parts = self._kept.get((market, series), {})
        states = {part: kept.state() for part, kept in parts.items()}
        return {"version": VERSION, "parts": states} if parts else {}

    def restore(self, market: str, series: str, state: Mapping[str, Any]) -> None:
        """Forget a series, and take a state of it. Raises ValueError for what is none."""
        self._kept.pop((market, series), None)
        if not state:
            return
        if state.get("version") != VERSION:
            raise ValueError("not the state of a detector of this version")
        try:
            parts = {part: self._restored(kept) for part, kept in state["parts"].items()}
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"not the state of a detector: {error}") from error
        self._kept[market, series] = parts


def packed(values: Sequence[float]) -> str:
    """Values of four bytes as text."""
    return b64encode(array("f", values)).decode()


def unpacked(text: str) -> "array[float]":
    """The values of a text that `packed` gave. Raises ValueError and TypeError for another."""
    return array("f", b64decode(text, validate=True))
