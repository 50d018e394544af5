"""The book of alerts: what fires, since when, what has been told of it, and when it is over.

The engine states conditions (`fire`, `resolve`), an evaluator brings readings (`observe`), and both move the same state
machines. Each change is published at once and left to be recorded; while the store is away the book goes on.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import msgspec

from core.alerting import Change, Entry, Reading
from core.alerting.causes import Causes, explaining_rules
from core.alerting.evaluation import EVERYTHING, evaluated, failing, gone
from core.alerting.flaps import ESCALATED
from core.alerting.incidents import Circumstances, Known, Move, Moved, moved, restored
from core.alerting.routes import Escalation
from core.alerting.rules import Rule, Rules
from core.alerting.silences import Silence, is_silenced
from core.alerting.states import INACTIVE, MISSES, RECOVERING, Machine
from core.alerting.unrecorded import Unrecorded
from core.bus import Bus
from core.events import AlertChanged
from core.text import clean

GROUP_WAIT = 10.0
SLICE = 250
Channels = Callable[[AlertChanged], Sequence[str]]
Escalations = Callable[[AlertChanged], Sequence[Escalation]]


class Alerts:
    """Alerts by name, `rule:source`. `channels` names those that an alert is told on, `escalations` further ones.

    `known` is what the store has kept; what of it is open is published again.
    """

    def __init__(
        self,
        bus: Bus,
        known: Iterable[Change] = (),
        rules: Rules | None = None,
        channels: Channels = lambda _alert: (),
        escalations: Escalations = lambda _alert: (),
    ) -> None:
        self.rules = rules or Rules()
        self.channels = channels
        self.escalations = escalations
        self._bus = bus
        self._known: dict[str, Known] = {}
        self._of_rule: dict[str, dict[str, Known]] = {}
        self._silences: Sequence[Silence] = ()
        self._unrecorded = Unrecorded()
        for change in known:
            self._restore(change)

    def fire(self, rule: str, level: str, source: str, message: str, now: float) -> None:
        """The condition holds; firing again counts up and keeps `since`."""
        of = self.rules.of(rule)
        if rule in self.rules.off or not self._has_room(of, source):
            return
        before = self._known.get(f"{rule}:{source}")
        is_open = before is not None and before.alert.is_open
        machine = (before.memory.machine if before else Machine()).read(of, float(of.rank(level)), now)
        self._move(Move(of, source, clean(message, 500), machine, counts=is_open), now)

    def resolve(self, rule: str, source: str) -> None:
        """The condition is over; nothing happens when it was not firing."""
        before = self._known.get(f"{rule}:{source}")
        if before is not None and before.alert.is_open:
            now, of = self._bus.now(), self.rules.of(rule)
            self._move(Move(of, source, before.alert.message, before.memory.machine.read(of, 0.0, now)), now)

    def level(self, rule: str, source: str) -> str:
        """How bad it is, "" when it does not fire."""
        found = self._known.get(f"{rule}:{source}")
        return found.alert.level if found is not None and found.alert.is_open else ""

    def firing(self, rule: str) -> list[str]:
        """The sources for which `rule` holds."""
        return [known.alert.source for known in self.of_rule(rule).values() if known.alert.is_open]

    def open_alerts(self) -> list[AlertChanged]:
        return [known.alert for known in self._known.values() if known.alert.is_open]

    def escalated(self, alert: str) -> tuple[str, ...]:
        """The channels that were told of it because nobody saw to it."""
        known = self._known.get(alert)
        return known.memory.escalated if known else ()

    def causes(self, now: float) -> Causes:
        """What explains others: of rules that do, what is open and what was within the hour."""
        of_rules = (self.of_rule(rule).values() for rule in explaining_rules(self.rules))
        return Causes((each.alert for known in of_rules for each in known), self.rules, now)

    def of_rule(self, rule: str) -> Mapping[str, Known]:
        """What is known of a rule, by source."""
        return self._of_rule.get(rule, {})

    def observe(self, readings: Iterable[Reading], now: float, complete: Collection[str] = ()) -> None:
        """Evaluate the rules over `readings`. Of the names in `complete` they have every source that there is."""
        exhaust(self.observing(readings, now, complete))

    def observing(self, readings: Iterable[Reading], now: float, complete: Collection[str] = ()) -> Iterator[None]:
        """As `observe`, a slice at a time: who goes on with it may do something else after each, to alerts too."""
        moves: dict[str, Move] = {}
        for number, move in enumerate(evaluated(self, list(readings), complete, now), 1):
            moves[move.name] = move
            if number % SLICE == 0:
                yield
        yield from self._settling(moves, now)

    def end_others(self, names: Collection[str], sources: Collection[str], now: float) -> None:
        """Of readings of these names there are no more sources than `sources`: what was about others is over."""
        rules = [rule for name in names for rule in self.rules.looking_at(name)]
        self._settle({move.name: move for rule in rules for move in gone(self, rule, sources, now)}, now)

    def failed(self, names: Collection[str], reason: str, now: float) -> None:
        """The readings of these names could not be had, for a `reason` in words. That resolves nothing."""
        rules = [rule for name in names for rule in self.rules.looking_at(name)]
        self._settle({move.name: move for rule in rules for move in failing(self, rule, reason, now)}, now)

    def ruled(self) -> list[str]:
        """The rules of which anything is known."""
        return [rule for rule, known in self._of_rule.items() if known]

    @property
    def silences(self) -> Sequence[Silence]:
        """Those in force when it was last looked."""
        return self._silences

    def silence(self, silences: Sequence[Silence]) -> None:
        """These are in force now."""
        self._silences = silences

    def acknowledge(self, acked: AlertChanged) -> None:
        """Somebody sees to it, as the store has it now."""
        known = self._known.get(acked.alert)
        if known is not None and known.alert.incident == acked.incident:
            given = {"acked_by": acked.acked_by, "acked_until": acked.acked_until}
            self._keep(Known(self._stamped(msgspec.structs.replace(known.alert, **given)), known.memory))

    def adopt(self, kept: Iterable[Change], seq: int) -> None:
        """What other engines on the store made of alerts, as it was read when the bus was at `seq`."""
        waiting = {change.alert.alert for change in self._unrecorded.all()}
        for change in kept:
            known = self._known.get(change.alert.alert)
            is_ours = known is not None and (known.alert.seq > seq or known.alert.alert in waiting)
            if not is_ours and (known is None or _mark(known.alert) != _mark(change.alert)):
                self._restore(change)

    def unrecorded(self) -> list[Change]:
        """What changed and is not in the journal yet, in its order."""
        return self._unrecorded.all()

    def recorded(self, changes: Iterable[Change]) -> None:
        """These are in the journal now; what changed again meanwhile is not."""
        self._unrecorded.written(changes)

    def _restore(self, change: Change) -> None:
        known = restored(change, self.rules.of(change.alert.rule))
        is_news = known.alert.is_open or known.alert.alert in self._known
        self._keep(Known(self._stamped(known.alert), known.memory) if is_news else known)

    def _settle(self, moves: Mapping[str, Move], now: float) -> None:
        exhaust(self._settling(moves, now))

    def _settling(self, moves: Mapping[str, Move], now: float) -> Iterator[None]:
        """Make these moves, and look again at what stays: what is due by time alone, such as repetitions."""
        causes = self.causes(now)
        for number, move in enumerate(chain(self._staying(moves, now), moves.values()), 1):
            self._move(move, now, causes)
            if number % SLICE == 0:
                yield
        for name, known in list(self._known.items()):
            if known.memory.telling.is_past(now) and known.memory.machine.state == INACTIVE:
                del self._known[name], self._of_rule[known.alert.rule][known.alert.source]

    def _staying(self, moves: Mapping[str, Move], now: float) -> Iterator[Move]:
        for name in [name for name in self._known if name not in moves]:
            if name in self._known:
                alert, memory = self._known[name]
                rule, machine = self.rules.of(alert.rule), memory.machine
                if not memory.is_read and machine.state == RECOVERING:
                    machine = machine.read(rule, 0.0, now)
                yield Move(rule, alert.source, alert.message, machine, alert.value, memory.is_read)

    def _move(self, move: Move, now: float, causes: Causes | None = None) -> None:
        before = self._known.get(move.name)
        if before is None and move.machine.state == INACTIVE:
            return
        around = self._around(move, before, now, causes or self.causes(now))
        after = moved(before, move, now, around)
        if after.kind or after.escalates or after.is_logged or after.is_shown or move.counts:
            stamped = after.known._replace(alert=self._stamped(after.known.alert))
            self._keep(stamped)
            self._record(after._replace(known=stamped), around, now)
        elif before is not None and before.memory != after.known.memory:
            self._keep(known := Known(before.alert, after.known.memory))
            self._unrecorded.add(Change(known.alert, known.memory.written(), is_logged=False))

    def _around(self, move: Move, before: Known | None, now: float, causes: Causes) -> Circumstances:
        level = move.machine.level(move.rule)
        alert = AlertChanged(
            alert=move.name,
            rule=move.rule.name,
            level=level,
            state=move.machine.state,
            since=now,
            message="",
            source=move.source,
        )
        silence = is_silenced(alert, self._silences, now)
        return Circumstances(causes.explaining(alert), silence.until if silence else None, self.escalations(alert))

    def _record(self, after: Moved, around: Circumstances, now: float) -> None:
        alert, memory = after.known
        grouping = f"{alert.level}:{around.cause.rule if around.cause else alert.rule}"
        not_before = now + (0.0 if alert.level == "CRITICAL" else GROUP_WAIT)
        kinds = self._kinds(after)
        entries = tuple(Entry(channel, grouping, kinds[channel], alert, now, not_before) for channel in kinds)
        self._unrecorded.add(Change(alert, memory.written(), entries, is_logged=after.is_logged))

    def _kinds(self, after: Moved) -> dict[str, str]:
        """What is told on which channel."""
        alert, memory = after.known
        escalated = dict.fromkeys(after.escalates, ESCALATED)
        if not after.kind:
            return escalated
        # Whoever was told when it was graver, or was not seen to, wants to know what became of it.
        gravest = msgspec.structs.replace(alert, level=memory.telling.gravest or alert.level)
        return {**dict.fromkeys((*self.channels(gravest), *memory.escalated), after.kind), **escalated}

    def _stamped(self, alert: AlertChanged) -> AlertChanged:
        stamped = self._bus.publish(alert)
        assert isinstance(stamped, AlertChanged)  # noqa: S101 - the bus stamps, it does not convert
        return stamped

    def _keep(self, known: Known) -> None:
        self._known[known.alert.alert] = known
        self._of_rule.setdefault(known.alert.rule, {})[known.alert.source] = known

    def _has_room(self, rule: Rule, source: str) -> bool:
        """Where there is none, the rule is in error."""
        if source in self.of_rule(rule.name) or len(self.of_rule(rule.name)) < rule.limit:
            return True
        if EVERYTHING not in self.of_rule(rule.name):
            now = self._bus.now()
            text = f"{rule.name} has more than {rule.limit:,} sources; the others are not told apart"
            self._move(Move(rule, EVERYTHING, text, Machine(misses=MISSES, since=now)), now)
        return False


def exhaust(steps: Iterator[None]) -> None:
    """Go on to the end."""
    for _ in steps:
        pass


def _mark(alert: AlertChanged) -> tuple[object, ...]:
    return alert.incident, alert.sequence, alert.state, alert.count, alert.acked_by, alert.acked_until
