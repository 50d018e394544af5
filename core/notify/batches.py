"""What goes out next on a channel, and what is kept back. Pure; times are UTC epoch seconds.

An entry waits for its group, a group for its interval, and of one incident nothing goes before what came before it.
What is silenced or explained by another alert is held; when it is over before anybody had to hear of it, nobody does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.alerting import Entry
from core.alerting.causes import Causes
from core.alerting.silences import Silence, is_silenced
from core.stores.outbox import Due, Waiting
from core.windows import iso

GROUP_INTERVAL = 120.0
LOOK_AGAIN = 60.0
FIRED, RESOLVED, REPEATED = "fired", "resolved", "repeated"


@dataclass(frozen=True, slots=True)
class Quiet:
    """What keeps alerts from being told: silences in force, and alerts that explain others."""

    silences: Sequence[Silence]
    causes: Causes


@dataclass(frozen=True, slots=True)
class Kept:
    """Entries that do not go out for a reason in words: until then, or never when `until` is None."""

    ids: tuple[int, ...]
    why: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that go out together; `message` is their id, "" when they have none yet."""

    entries: tuple[Waiting, ...]
    message: str = ""

    @property
    def ids(self) -> list[int]:
        return [each.id for each in self.entries]

    @property
    def told(self) -> list[Entry]:
        return [each.entry for each in self.entries]


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of what is due: at most one batch now."""

    batch: Batch | None = None
    kept: tuple[Kept, ...] = ()


def plan(due: Due, quiet: Quiet, now: float, *, at_once: bool = False) -> Plan:
    """What was assigned to a message goes first, then the grouping that is due and has waited longest.

    `at_once` does not wait for the interval between messages of a grouping.
    """
    if assigned := [each for each in due.entries if each.message]:
        first = assigned[0].message
        return Plan(Batch(tuple(each for each in assigned if each.message == first), first))
    kept: list[Kept] = []
    groups: dict[str, list[Waiting]] = {}
    for entries in _incidents(due.entries).values():
        verdict = _verdict(entries, quiet, now)
        if verdict is None:
            groups.setdefault(entries[-1].entry.grouping, []).extend(entries)
        elif verdict.until is None or any(each.entry.not_before <= now for each in entries):
            kept.append(verdict)
    ready = [group for name, group in groups.items() if at_once or _is_ready(group, due.told.get(name), now)]
    chosen = min(ready, key=lambda group: group[0].id, default=None)
    batch = None if chosen is None else Batch(tuple(sorted(chosen, key=lambda each: each.id)))
    return Plan(batch, tuple(kept))


def _is_ready(group: Sequence[Waiting], told: float | None, now: float) -> bool:
    """Whether the interval since the last message is over; nothing waits longer than that, after an outage neither."""
    since = min([each.entry.not_before for each in group] + ([] if told is None else [told]))
    return told is None or now - since >= GROUP_INTERVAL


def _incidents(entries: Sequence[Waiting]) -> dict[str, list[Waiting]]:
    found: dict[str, list[Waiting]] = {}
    for each in entries:
        found.setdefault(each.entry.alert.incident, []).append(each)
    return found


def _verdict(entries: Sequence[Waiting], quiet: Quiet, now: float) -> Kept | None:
    """Why the entries of one incident are not told, None when they are."""
    ids, alert = tuple(each.id for each in entries), entries[-1].entry.alert
    silence, cause = is_silenced(alert, quiet.silences, now), quiet.causes.explaining(alert)
    why = ""
    if silence is not None:
        why = f"silenced by {silence.author} until {iso(silence.until)}"
    elif cause is not None:
        why = f"explained by {cause.alert}"
    if entries[-1].entry.kind == RESOLVED:
        held = next((each.error for each in entries if each.error), "")
        nobody_knows = entries[0].entry.kind == FIRED
        return Kept(ids, why or held) if nobody_knows and (why or held) else None
    if not why:
        return None
    if all(each.entry.kind == REPEATED for each in entries):
        return Kept(ids, why)
    return Kept(ids, why, silence.until if silence is not None else now + LOOK_AGAIN)
