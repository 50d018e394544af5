"""One alert as it is shown and remembered, and what becomes of it when its machine moves. Pure."""

import hashlib
import shlex
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from core.alerting import Change
from core.alerting.flaps import Telling
from core.alerting.routes import Escalation
from core.alerting.rules import Rule
from core.alerting.states import INACTIVE, PENDING, RECOVERING, Machine, firing_at
from core.events import LEVELS, AlertChanged

REFRESH_SECONDS = 60.0
MILDEST = LEVELS[0]


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of an alert beside what is shown. `is_read` says that it goes by readings.

    `unseen` is since when nobody sees to it though it is open, `escalated` the channels that were told because of that.
    """

    machine: Machine = Machine()
    telling: Telling = Telling()
    is_read: bool = False
    unseen: float | None = None
    escalated: tuple[str, ...] = ()

    def written(self) -> str:
        return msgspec.json.encode(self).decode()


class Known(NamedTuple):
    alert: AlertChanged
    memory: Memory


class Move(NamedTuple):
    """The machine of an alert comes to be like this; `value` is the figure it goes by. `counts`: it is said again."""

    rule: Rule
    source: str
    message: str
    machine: Machine
    value: float | None = None
    is_read: bool = False
    counts: bool = False

    @property
    def name(self) -> str:
        return f"{self.rule.name}:{self.source}"


class Circumstances(NamedTuple):
    """What else is so: the alert that explains it, until when it is silenced, and who hears when nobody sees to it."""

    cause: AlertChanged | None = None
    silenced_until: float | None = None
    escalations: Sequence[Escalation] = ()


class Moved(NamedTuple):
    """An alert after a move. `kind` is what is to be told, "" for nothing; `is_logged` that its state has changed.

    `escalates` are the channels that are told now because nobody sees to it.
    """

    known: Known
    kind: str
    is_logged: bool
    is_shown: bool
    escalates: tuple[str, ...] = ()


def moved(before: Known | None, move: Move, now: float, around: Circumstances) -> Moved:
    """What becomes of an alert, and whether anybody has to hear of it."""
    was = before.alert if before else None
    telling = before.memory.telling if before else Telling()
    alert = _shown(was, move, now)
    telling = telling.moved_to(alert.level if alert.is_open else "", now)
    if alert.is_open and not (was and was.is_open):
        alert = _begun(alert, was, telling, now)
    alert = msgspec.structs.replace(
        alert,
        silenced_until=around.silenced_until,
        inhibited_by=around.cause.alert if around.cause and alert.is_open else "",
        is_flapping=telling.is_flapping(now),
    )
    kind = telling.owes(now, repeats=alert.level != MILDEST and not is_quiet(alert, now))
    memory = Memory(move.machine, telling.after_message(now) if kind else telling, move.is_read)
    memory = _watched(memory, before, alert, now)
    escalates = _escalates(memory, alert, around.escalations, now)
    if escalates:
        memory = msgspec.structs.replace(memory, escalated=(*memory.escalated, *escalates))
    is_logged = was is None or (was.state, was.level) != (alert.state, alert.level)
    if is_logged or kind or escalates:
        alert = msgspec.structs.replace(alert, sequence=alert.sequence + 1)
    is_shown = was is None or _is_news(was, alert, now)
    return Moved(Known(alert, memory), kind, is_logged, is_shown, escalates)


def _watched(memory: Memory, before: Known | None, alert: AlertChanged, now: float) -> Memory:
    """With what is remembered of who sees to this incident."""
    is_same = before is not None and before.alert.incident == alert.incident
    unseen, escalated = (before.memory.unseen, before.memory.escalated) if before and is_same else (None, ())
    if is_quiet(alert, now) or not alert.is_open:
        return msgspec.structs.replace(memory, escalated=escalated)
    return msgspec.structs.replace(memory, unseen=now if unseen is None else unseen, escalated=escalated)


def _escalates(memory: Memory, alert: AlertChanged, escalations: Sequence[Escalation], now: float) -> tuple[str, ...]:
    """The channels whose turn it is, each once an incident; none while it may be over in a moment."""
    if memory.unseen is None or alert.state == RECOVERING:
        return ()
    due = [each.channel for each in escalations if now - memory.unseen >= each.after]
    return tuple(channel for channel in dict.fromkeys(due) if channel not in memory.escalated)


def is_quiet(alert: AlertChanged, now: float) -> bool:
    """Whether somebody sees to it, wants to hear nothing of it, or hears of its cause."""
    return bool(alert.silenced_until or alert.inhibited_by or (alert.acked_until or 0.0) > now)


def _is_news(was: AlertChanged, alert: AlertChanged, now: float) -> bool:
    """Whether there is something to show. Figures go up and down all the time: once a minute is enough for them."""
    same = {"seq": 0, "time": 0.0, "value": None, "message": ""}
    is_other = msgspec.structs.replace(was, **same) != msgspec.structs.replace(alert, **same)
    return is_other or (was.message != alert.message and now - was.time >= REFRESH_SECONDS)


def restored(change: Change, rule: Rule) -> Known:
    """An alert as the store has it; what fires by a version that kept no memories goes on firing."""
    alert, memory = change.alert, msgspec.json.decode(change.memory, type=Memory)
    if alert.is_open and memory == Memory():
        telling = Telling(level=alert.level, told_level=alert.level, moved=alert.since, told=alert.since)
        memory = Memory(firing_at(alert.level, rule, alert.since), telling)
        incident = alert.incident or _incident(alert.alert, alert.since)
        alert = msgspec.structs.replace(alert, fired=alert.fired or alert.since, incident=incident)
    texts = {"doing": rule.filled(rule.doing, alert.source), "command": _command(rule, alert.source)}
    return Known(msgspec.structs.replace(alert, **texts), memory)


def _shown(was: AlertChanged | None, move: Move, now: float) -> AlertChanged:
    """The alert in the state of its machine. What was open is resolved before it is anything else."""
    rule, machine = move.rule, move.machine
    is_over = was is not None and was.is_open and machine.state in {INACTIVE, PENDING}
    if was is not None and (is_over or (machine.state == INACTIVE and was.state == "resolved")):
        resolved = was.resolved if was.state == "resolved" else now
        return msgspec.structs.replace(was, state="resolved", resolved=resolved, value=move.value)
    since = machine.since or (was.since if was else now)
    if was is None or not was.is_open:
        return AlertChanged(
            alert=move.name,
            rule=rule.name,
            level=machine.level(rule),
            state=machine.state,
            since=since,
            message=move.message,
            source=move.source,
            incident=was.incident if was else "",
            sequence=was.sequence if was else 0,
            value=move.value,
            doing=rule.filled(rule.doing, move.source),
            command=_command(rule, move.source),
            acked_by=was.acked_by if was else "",
            acked_until=was.acked_until if was else None,
        )
    return msgspec.structs.replace(
        was,
        level=machine.level(rule),
        state=machine.state,
        message=move.message,
        value=move.value,
        count=was.count + move.counts,
    )


def _command(rule: Rule, source: str) -> str:
    """The next thing to try; people paste it into a shell, and others have named the source."""
    return rule.filled(rule.command, shlex.quote(source))


def _begun(alert: AlertChanged, was: AlertChanged | None, telling: Telling, now: float) -> AlertChanged:
    """A new incident, unless nobody has been told that the one before was over: then that goes on."""
    if was is not None and was.incident and telling.told_level:
        return msgspec.structs.replace(alert, fired=was.fired or now, count=was.count + 1)
    begun = {"incident": _incident(alert.alert, now), "sequence": 0, "fired": now}
    return msgspec.structs.replace(alert, **begun, acked_by="", acked_until=None)


def _incident(name: str, started: float) -> str:
    """The same for whoever tells of the same: what it is about, and since when."""
    key = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:16]
    return f"{key}-{round(started * 1000)}"
