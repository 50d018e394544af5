"""Figures of an engine as they are at a moment, in families, whoever exports or keeps them.

Names and units are those of OpenMetrics: `tapewatch_..._seconds`, `_bytes`, `_ratio`; a counter's ends with `_total`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

GAUGE, COUNTER = "gauge", "counter"
OTHER = "other"

Values = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Family:
    """Figures of one name: a value for each tuple of label values, in the order of `labels`.

    `together` makes one of the values that there are too many of: their sum, or the highest.
    """

    name: str
    words: str
    labels: tuple[str, ...]
    values: Sequence[tuple[tuple[str, ...], float]]
    kind: str = GAUGE
    together: Callable[[Iterable[float]], float] = sum

    def bounded(self, most: int) -> Iterator[tuple[tuple[str, ...], float]]:
        """The first `most` values; the others as one, labelled `other`."""
        yield from self.values[:most]
        if rest := [value for _, value in self.values[most:]]:
            yield tuple(OTHER for _ in self.labels), self.together(rest)


Figures = Callable[[], Iterable[Family]]


def gauge(name: str, words: str, value: float) -> Family:
    return Family(name, words, (), [((), value)])


def gauges(name: str, words: str, labels: str, values: Values) -> Family:
    return Family(name, words, tuple(labels.split()), list(values))


def counter(name: str, words: str, labels: str, values: Values) -> Family:
    """Running totals since the engine started."""
    return Family(name, words, tuple(labels.split()), list(values), COUNTER)
