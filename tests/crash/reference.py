"""What the tables must hold after each step of a cell: told from the scenario, slot by slot, without the store.

Nothing here is shared with `core.stores`: the rules of architecture.md are said again, in the plainest way there is.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.windows import Window
from tests.crash.scenario import BAR, SETTLE, Scenario, Step, slots, unusable, whole_answer

HORIZON = 7_200
ONE_SIGHTING = 1_800
HOUR, WEEK = 3_600, 7 * 86_400


class Row(NamedTuple):
    """A stored bar; `values` has what is not NULL."""

    closed: bool
    known_at: int | None
    sent_at: int
    values: dict[str, Any]


class Gap(NamedTuple):
    """A slot known to be empty."""

    cause: str
    sightings: int
    first_seen: int
    last_seen: int
    next_check: int


class Restated(NamedTuple):
    """A closed bar that changed, with what changed in it."""

    ts: int
    old: dict[str, Any]
    new: dict[str, Any]
    seen_at: int


@dataclass
class Facts:
    """All that the tables say of some slots of one series, whatever rows they are kept in.

    `covered` has (ts, groups), `widened` (ts, group, at), `rejected` how often a row (ts, raw) was seen; answers that
    were kept whole (`kept`) and windows that were given up (`failed`) are counted by their window.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    covered: set[tuple[int, str]] = field(default_factory=set)
    gaps: dict[int, Gap] = field(default_factory=dict)
    unsettled: set[int] = field(default_factory=set)
    widened: set[tuple[int, str, int]] = field(default_factory=set)
    restated: list[Restated] = field(default_factory=list)
    rejected: dict[tuple[int, str], int] = field(default_factory=dict)
    kept: dict[tuple[Window, str, str], int] = field(default_factory=dict)
    failed: dict[Window, int] = field(default_factory=dict)

    def groups_of(self, ts: int) -> set[str]:
        return {group for at, groups in self.covered if at == ts for group in groups.split(",")}


class Stage(NamedTuple):
    """What the tables hold once `said` has been said of a cell."""

    said: str
    facts: Facts


def stages(scenario: Scenario) -> dict[str, list[Stage]]:
    """By cell name: nothing at first, then each change in order."""
    return {cell.name: list(_stages(scenario.story(cell))) for cell in scenario.cells}


def _stages(story: list[Step]) -> Iterator[Stage]:
    facts = Facts()
    yield Stage("", facts)
    for step in story:
        if step.changes_nothing:
            continue
        if step.trouble == "garbled":
            facts = _kept(facts, step)
            yield Stage(f"kept {step.name}", facts)
        if step.trouble == "down":
            facts = _given_up(facts, step)
            yield Stage(f"gave_up {step.name}", facts)
            continue
        facts = _begun(facts, step) if step.trouble == "before" else _answered(facts, step)
        yield Stage(f"done {step.name}", facts)


def _kept(facts: Facts, step: Step) -> Facts:
    after = deepcopy(facts)
    reason, raw = whole_answer(step.cell)
    after.kept[step.window, reason, raw.decode()] = 1
    return after


def _given_up(facts: Facts, step: Step) -> Facts:
    after = deepcopy(facts)
    after.failed[step.window] = 1
    return after


def _begun(facts: Facts, step: Step) -> Facts:
    """The history starts where this cell ends."""
    after = deepcopy(facts)
    after.gaps = {ts: gap for ts, gap in facts.gaps.items() if ts >= step.window.end}
    return after


def _answered(before: Facts, step: Step) -> Facts:
    after = deepcopy(before)
    after.failed.pop(step.window, None)
    for ts in sorted(step.rejected):
        row = (ts, unusable(step.cell.key, ts).raw)
        after.rejected[row] = before.rejected.get(row, 0) + 1
    answer: dict[int, dict[str, Any]] = {
        int(row[0]): {column.name: value for column, value in zip(step.columns, row[1:], strict=True)}
        for row in step.rows()
    }
    for ts in slots(step.window):
        if ts in answer:
            _write_row(before, after, step, ts, answer[ts])
        if _closed(step, ts):
            _cover(before, after, step, ts)
    return after


def _closed(step: Step, ts: int) -> bool:
    return ts + BAR <= step.date - SETTLE


def _write_row(before: Facts, after: Facts, step: Step, ts: int, values: dict[str, Any]) -> None:
    closed, sent_at = _closed(step, ts), step.sent * 1_000
    old = before.rows.get(ts)
    if old is None:
        after.rows[ts] = Row(closed, step.date if closed else None, sent_at, values)
    elif (closed, sent_at) >= (old.closed, old.sent_at):
        _renew(after, step, ts, old, values)
    elif closed:
        fresh = {column.name for column in step.columns if column.group not in before.groups_of(ts)}
        late = {name: value for name, value in values.items() if name in fresh}
        after.rows[ts] = old._replace(values={**old.values, **late})


def _renew(after: Facts, step: Step, ts: int, old: Row, values: dict[str, Any]) -> None:
    closed, sent_at = _closed(step, ts), step.sent * 1_000
    differs = {name for name, value in values.items() if old.values.get(name) != value}
    if differs or closed != old.closed:
        known_at = old.known_at if old.closed else (step.date if closed else None)
        after.rows[ts] = Row(closed, known_at, sent_at, {**(old.values if old.closed else {}), **values})
    elif not closed:
        after.rows[ts] = old._replace(sent_at=sent_at)
    changed = {name for name in differs if name in old.values}
    if old.closed and changed:
        new = {name: values[name] for name in changed}
        after.restated.append(Restated(ts, {name: old.values[name] for name in changed}, new, step.date))


def _cover(before: Facts, after: Facts, step: Step, ts: int) -> None:
    """What a closed slot is known to be once it has been answered."""
    after.covered.add((ts, ",".join(step.groups)))
    if known := before.groups_of(ts):
        after.widened |= {(ts, group, step.date) for group in step.groups if group not in known}
    after.unsettled.discard(ts)
    if ts >= (step.date - HORIZON) // BAR * BAR:
        after.unsettled.add(ts)
    after.gaps.pop(ts, None)
    if ts in step.absent or ts in step.rejected:
        cause = "absent" if ts in step.absent else "rejected"
        after.gaps[ts] = _sighted(before.gaps.get(ts), cause, step.date)


def _sighted(known: Gap | None, cause: str, now: int) -> Gap:
    if known is None:
        return Gap(cause, 1, now, now, now + HOUR)
    if now - known.last_seen < ONE_SIGHTING:
        return known._replace(cause=cause)
    return Gap(cause, known.sightings + 1, known.first_seen, now, now + WEEK)
