"""What changed between what is known of a list and a new answer: which row is which entity, and what differs. Pure.

An entity is told by the ids of its assets, not by its name: a row with a known name and other ids is
another thing under an old ticker, and never joined with it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.records import Column
from core.references import Reference
from core.sources import Row

GONE = frozenset({"RETIRED", "EXPIRED", "RETIRED_UNMAPPED"})
LISTED, DELISTED, BACK, STATUS = "listed", "delisted", "back", "status"
RENAMED, SYMBOL, REUSED, TERMS, ATTRIBUTE = "renamed", "symbol", "reused", "terms", "attribute"
IS_LISTED = "is_listed"


@dataclass(frozen=True, slots=True)
class Entity:
    """What is known: `row` as it was last listed, at `last_seen`; `is_listed` whether the last answer had it."""

    id: int
    is_listed: bool
    last_seen: int
    row: Row


class Change(NamedTuple):
    """One difference. `old` and `new` are JSON values of `field`, None where there was none."""

    change: str
    field: str | None = None
    old: str | None = None
    new: str | None = None


@dataclass(slots=True)
class Matched:
    """Which entity each row of an answer is: `known` pairs, `fresh` rows, entities whose name went to another."""

    known: list[tuple[Row, Entity]] = field(default_factory=list)
    fresh: list[Row] = field(default_factory=list)
    reused: list[tuple[Entity, Row]] = field(default_factory=list)


def match(reference: Reference, known: Iterable[Entity], rows: Sequence[Row]) -> Matched:
    """Pairs rows with entities: by name, else by the exchange's own name, else by what it is made of.

    The last two need the same asset ids, and the last one that no other row or entity could be meant.
    """
    matcher = _Matcher(reference, list(known))
    left = [row for row in rows if not matcher.pair(row, matcher.by_name(row))]
    left = [row for row in left if not matcher.pair(row, matcher.by_symbol(row))]
    alike = matcher.alike(left)
    left = [row for row in left if not matcher.pair(row, alike.get(id(row)))]
    matcher.matched.fresh += left
    new_names = [(row, 0) for row in left]
    for row, entity in matcher.matched.known:
        if row[reference.entity] != entity.row[reference.entity]:
            new_names.append((row, 0))
        elif not entity.is_listed:
            new_names.append((row, entity.last_seen))
    for row, last_seen in new_names:
        holder = matcher.holder_of_name(row)
        if holder is not None and holder.last_seen > last_seen:
            matcher.matched.reused.append((holder, row))
    return matcher.matched


class _Matcher:
    def __init__(self, reference: Reference, known: list[Entity]) -> None:
        self.matched = Matched()
        self._reference = reference
        # Of several entities with one name the listed one comes first, then the one seen last.
        self._known = sorted(known, key=lambda entity: (not entity.is_listed, -entity.last_seen))
        self._names = _grouped(self._known, reference.entity)
        self._symbols = _grouped(self._known, reference.symbol) if reference.symbol else {}
        self._paired: set[int] = set()

    def pair(self, row: Row, entity: Entity | None) -> bool:
        if entity is None:
            return False
        self._paired.add(entity.id)
        self.matched.known.append((row, entity))
        return True

    def by_name(self, row: Row) -> Entity | None:
        named = self._free(self._names.get(row[self._reference.entity], ()))
        sure = (entity for entity in named if self._is_same(row, entity))
        maybe = (entity for entity in named[:1] if not self._is_other(row, entity))
        return next(sure, None) or next(maybe, None)

    def by_symbol(self, row: Row) -> Entity | None:
        if self._reference.symbol is None or not row[self._reference.symbol]:
            return None
        named = self._free(self._symbols.get(row[self._reference.symbol], ()))
        return next((entity for entity in named if self._is_same(row, entity)), None)

    def alike(self, rows: Sequence[Row]) -> dict[int, Entity]:
        """By id(row), the one listed entity left that consists of the same, when no other row does."""
        entities = _grouped_by((self._substance(entity.row), entity) for entity in self._known if entity.is_listed)
        groups = _grouped_by((self._substance(row), row) for row in rows)
        found: dict[int, Entity] = {}
        for substance, alike in groups.items():
            candidates = self._free(entities.get(substance, ()))
            if substance is not None and len(alike) == len(candidates) == 1:
                found[id(alike[0])] = candidates[0]
        return found

    def holder_of_name(self, row: Row) -> Entity | None:
        """Who else had the name of `row` until now."""
        holders = self._free(self._names.get(row[self._reference.entity], ()))
        return next((entity for entity in holders if self._is_other(row, entity)), None)

    def _free(self, entities: Iterable[Entity]) -> list[Entity]:
        return [entity for entity in entities if entity.id not in self._paired]

    def _is_same(self, row: Row, entity: Entity) -> bool:
        """Sure to be about the same assets, and the same contract of them."""
        substance = self._substance(row)
        return substance is not None and substance == self._substance(entity.row)

    def _is_other(self, row: Row, entity: Entity) -> bool:
        """Sure to be about other assets. An id that is not known says nothing."""
        pairs = ((row[name], entity.row[name]) for name in self._reference.identity)
        return any(new is not None and old is not None and new != old for new, old in pairs)

    def _substance(self, row: Row) -> tuple[Any, ...] | None:
        ids = tuple(row[name] for name in self._reference.identity)
        if not ids or None in ids:
            return None
        return (*ids, *(row[name] for name in self._reference.tenor))


def _grouped(entities: Iterable[Entity], name: str) -> dict[Any, list[Entity]]:
    return _grouped_by((entity.row[name], entity) for entity in entities)


def _grouped_by(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def differences(reference: Reference, entity: Entity, row: Row) -> Iterator[Change]:
    """Everything that changed about `entity`, moving columns excepted."""
    yield from _life(reference, entity, row)
    is_renamed = row[reference.entity] != entity.row[reference.entity]
    if is_renamed:
        yield Change(RENAMED, reference.entity, as_json(entity.row[reference.entity]), as_json(row[reference.entity]))
    for column in reference.columns:
        if column.name in {reference.entity, reference.status} or column.name in reference.moving:
            continue
        old, new = entity.row[column.name], row[column.name]
        if old != new and not (is_renamed and _follows_from_name(column, entity.row, row)):
            yield Change(_kind_of(reference, column), column.name, _value(column, old), _value(column, new))


def gone(entity: Entity, reference: Reference) -> Change:
    """An entity that a full list does not have any more."""
    word = DELISTED if entity.row[reference.status] not in GONE else STATUS
    return Change(word, IS_LISTED, "true", "false")


def reuse(reference: Reference, entity: Entity, row: Row) -> Change:
    """The name of `entity` is another one's now."""
    name = next(name for name in reference.identity if entity.row[name] != row[name])
    return Change(REUSED, name, as_json(entity.row[name]), as_json(row[name]))


def _life(reference: Reference, entity: Entity, row: Row) -> Iterator[Change]:
    old, new = entity.row[reference.status], row[reference.status]
    was_alive, is_alive = entity.is_listed and old not in GONE, new not in GONE
    word = STATUS if was_alive == is_alive else BACK if is_alive else DELISTED
    if not entity.is_listed:
        yield Change(word, IS_LISTED, "false", "true")
        word = STATUS
    if old != new:
        yield Change(word, reference.status, as_json(old), as_json(new))


def _follows_from_name(column: Column, old: Row, new: Row) -> bool:
    """What is said by the new name already: symbols of the same assets, and when they were mapped to it."""
    of_asset = column.name + "_id"
    return column.name == "mapping_created_on" or (of_asset in old and old[of_asset] == new[of_asset])


def _kind_of(reference: Reference, column: Column) -> str:
    if column.name == reference.symbol:
        return SYMBOL
    return TERMS if column.group == "MAPPING" or column.name in reference.tenor else ATTRIBUTE


def _value(column: Column, value: Any) -> str | None:
    """JSON of a stored value; lists are kept as JSON already."""
    return value if column.kind is list else as_json(value)


def as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
