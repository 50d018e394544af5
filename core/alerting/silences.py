"""Silences: who is not told of what, until when and why. Pure.

Alerts that are silenced are recorded and shown all the same. A silence has an end, a month away at most: one that is
forgotten hides an outage.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from core.errors import ConfigError
from core.events import LEVELS, AlertChanged
from core.patterns import matcher
from core.text import clean

LONGEST_SECONDS = 30 * 86_400.0
LONGEST_PATTERN, MOST_STARS = 200, 8
ANY = "*"


@dataclass(frozen=True, slots=True)
class Silence:
    """Of what matches all three patterns (* any text, ? one character) nobody is told before `until`.

    `silence` is its id. Times are UTC epoch seconds.
    """

    silence: str
    rule: str
    source: str
    level: str
    created: float
    until: float
    author: str
    comment: str

    def matches(self, alert: AlertChanged) -> bool:
        patterns = ((self.rule, alert.rule), (self.source, alert.source), (self.level, alert.level))
        return all(_matches(pattern, text) for pattern, text in patterns)


def make_silence(
    silence: str, now: float, until: float, author: str, comment: str, *, rule: str = ANY, source: str = ANY,
    level: str = ANY,
) -> Silence:  # fmt: skip
    """A silence that begins `now`. Raises ConfigError naming the option that is wrong, and what would be right."""
    if not now < until <= now + LONGEST_SECONDS:
        raise ConfigError("--for: a silence ends, within 30 days; write 2h or 3d")
    for option, text in (("author", author), ("comment", comment)):
        if not clean(text):
            raise ConfigError(f"--{option}: say who silences, and why")
    for option, pattern in (("rule", rule), ("source", source), ("level", level)):
        if not 0 < len(pattern) <= LONGEST_PATTERN or pattern.count(ANY) > MOST_STARS:
            raise ConfigError(f"--{option}: write up to {LONGEST_PATTERN} characters, with {MOST_STARS} stars at most")
    if not any(_matches(level.upper(), each) for each in LEVELS):
        raise ConfigError(f"--level {clean(level, 40)!r}: choose {', '.join(LEVELS)}")
    return Silence(silence, rule, source, level.upper(), now, until, clean(author, 100), clean(comment, 400))


def is_silenced(alert: AlertChanged, silences: Iterable[Silence], now: float) -> Silence | None:
    """The silence that covers `alert` now, of several the one that ends last."""
    covering = [each for each in silences if each.created <= now < each.until and each.matches(alert)]
    return max(covering, key=lambda each: (each.until, each.silence), default=None)


@lru_cache(maxsize=1_000)
def _matches(pattern: str, text: str) -> bool:
    return bool(matcher(pattern)(text))
