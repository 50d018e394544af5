"""When to tell of an alert: at once, unless it flaps. Pure; times are UTC epoch seconds.

What has gone back and forth within the hour is flapping: three messages tell of it, then nothing is told until it has
been calm for 15 minutes, or becomes critical. What is open, and no mere information, is told again every four hours
until somebody sees to it.
"""

import msgspec

from core.events import LEVELS

HOUR, CALM_SECONDS, REPEAT_SECONDS = 3_600.0, 900.0, 4 * 3_600.0
TURNS, MESSAGES = 2, 3
FIRED, RAISED, LOWERED, RESOLVED, REPEATED, ESCALATED = (
    "fired", "raised", "lowered", "resolved", "repeated", "escalated",
)  # fmt: skip


class Telling(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has been told of an alert. `level` is where it is and `told_level` what people know, "" for not open.

    `turns` are the times within the hour at which it went down after up or up after down, `messages` those of what was
    told; `moved` is when it last moved, up or down (`is_rising`). `gravest` is the gravest level told of the incident.
    """

    level: str = ""
    told_level: str = ""
    is_rising: bool = True
    moved: float = 0.0
    turns: tuple[float, ...] = ()
    messages: tuple[float, ...] = ()
    told: float = 0.0
    gravest: str = ""

    def moved_to(self, level: str, now: float) -> "Telling":
        """The alert is at `level` now."""
        kept = [at for at in self.turns if now - at < HOUR]
        if level == self.level:
            return msgspec.structs.replace(self, turns=tuple(kept))
        is_rising = _rank(level) > _rank(self.level)
        if is_rising != self.is_rising:
            kept.append(now)
        return msgspec.structs.replace(self, level=level, is_rising=is_rising, moved=now, turns=tuple(kept[-MESSAGES:]))

    def is_flapping(self, now: float) -> bool:
        return sum(now - at < HOUR for at in self.turns) >= TURNS and now - self.moved < CALM_SECONDS

    def owes(self, now: float, *, repeats: bool) -> str:
        """The kind of message that is due, "" for none."""
        if self.level == self.told_level:
            is_due = repeats and bool(self.level) and now - self.told >= REPEAT_SECONDS
            return REPEATED if is_due else ""
        if self.is_flapping(now) and self._is_told_out(now) and not self._is_grave:
            return ""
        if not self.told_level or not self.level:
            return FIRED if self.level else RESOLVED
        return RAISED if _rank(self.level) > _rank(self.told_level) else LOWERED

    def after_message(self, now: float) -> "Telling":
        """People know where it is now."""
        messages = (*(at for at in self.messages if now - at < HOUR), now)[-MESSAGES:]
        gravest = max(self.gravest if self.told_level else "", self.level, key=_rank)
        return msgspec.structs.replace(self, told_level=self.level, messages=messages, told=now, gravest=gravest)

    def is_past(self, now: float) -> bool:
        """Whether nothing of it matters any more."""
        is_settled = not self.level and not self.told_level
        return is_settled and all(now - at >= HOUR for at in (*self.turns, *self.messages))

    def _is_told_out(self, now: float) -> bool:
        return sum(now - at < HOUR for at in self.messages) >= MESSAGES

    @property
    def _is_grave(self) -> bool:
        return self.level == LEVELS[-1] != self.told_level


def _rank(level: str) -> int:
    return LEVELS.index(level) + 1 if level else 0
