"""Reference data for exports: entities as they are, or as they were known at an earlier time.

Changes are dated rows of `metadata_change`, so a value of the past is the present one with later changes
undone. What is refreshed without being recorded has no past that could be told: it is NULL then.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from core.errors import ConfigError
from core.references import Reference
from core.stores.changes import IS_LISTED, RENAMED, REUSED
from core.stores.database import Database
from core.stores.export_sql import Question, Reading, Row, Stream, shown, undone
from core.windows import Window

_UNKEPT = frozenset({"list_id", "list_rank", "last_seen"})
_THEN = "FROM metadata_change AS c WHERE c.data_type = '{0}' AND c.entity_id = {0}.entity_id AND c.at <= :until"
_COMPUTED = {
    IS_LISTED: f"CAST(coalesce((SELECT CASE c.change WHEN '{REUSED}' THEN false ELSE c.new = 'true' END {_THEN} "
    f"AND (c.change = '{REUSED}' OR c.field = '{IS_LISTED}') ORDER BY c.id DESC LIMIT 1), true) AS INTEGER)",
    "changed": f"coalesce((SELECT max(c.at) {_THEN}), first_seen)",
}


def unkept(reference: Reference) -> frozenset[str]:
    """The columns whose past is not kept."""
    return _UNKEPT | reference.moving


def entity_streams(
    db: Database, reference: Reference, markets: Sequence[str], instruments: Sequence[str], question: Question
) -> list[Stream]:
    """The entities of a metadata data type by place, those that are gone included, the first seen first.

    Raises ConfigError when the data type knows no markets or no instruments to choose by.
    """
    where, values = _named(reference, markets, instruments)
    place = f"'{reference.name}'" if reference.place == "source" else reference.place
    found = db.execute(f"SELECT DISTINCT {place} FROM {reference.name} WHERE {where} ORDER BY 1", values)
    return [
        Stream(
            reference.name if name == reference.name else f"{reference.name}/{name}",
            {reference.place: name},
            _reader(db, reference, f"{where} AND {place} = :place", {**values, "place": name}, question),
        )
        for (name,) in found.fetchall()
    ]


def _named(reference: Reference, markets: Sequence[str], instruments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """A condition on a metadata data type's table, with its values."""
    if markets and "market" not in {reference.place, reference.entity}:
        raise ConfigError(f"--market: {reference.name} is not listed by market")
    if instruments and reference.entity != "instrument":
        raise ConfigError(f"--instrument: {reference.name} is not about instruments")
    values = {f"market{at}": name for at, name in enumerate(markets)}
    where = [f"market IN ({', '.join(':' + name for name in values)})"] if markets else ["true"]
    if instruments:
        named = {f"instrument{at}": name for at, name in enumerate(instruments)}
        places = ", ".join(":" + name for name in named)
        where.append(f"(instrument IN ({places}) OR exchange_symbol IN ({places}))")
        values |= named
    return " AND ".join(where), values


def _reader(
    db: Database, reference: Reference, where: str, values: dict[str, Any], question: Question
) -> Callable[[Window], Reading]:
    return lambda _window: ((None, *row[1:]) for row in _read(db, reference, where, values, question))


def _read(db: Database, reference: Reference, where: str, values: dict[str, Any], question: Question) -> Iterator[Row]:
    """Entities as `(entity_id, *columns)`."""
    computed: dict[str, str] = {}
    if question.as_of is not None:
        computed = dict.fromkeys(unkept(reference), "NULL")
        computed |= {name: expression.format(reference.name) for name, expression in _COMPUTED.items()}
        where += " AND first_seen <= :until"
    if question.changed_since is not None:
        where += f" AND {computed.get('changed', 'changed')} >= :since"
    flags = {IS_LISTED, *(column.name for column in reference.columns if column.kind is bool)}
    columns = (computed.get(name) or shown(db, name, flags) for name in question.columns)
    names = ", ".join(["entity_id", *columns])
    given = {**values, "until": question.until, "since": question.changed_since}
    rows = db.stream(f"SELECT {names} FROM {reference.name} WHERE {where} ORDER BY entity_id", given)
    if question.as_of is None:
        return rows
    kept = [name if name not in computed else "" for name in question.columns]
    return undone(rows, _changed_later(db, reference, question.as_of), kept)


def _changed_later(db: Database, reference: Reference, as_of: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """What was known at `as_of` and has been replaced since, by entity: the oldest of the old values counts."""
    query = (
        "SELECT entity_id, change, field, old FROM metadata_change WHERE data_type = ? AND at > ? "
        f"AND field IS NOT NULL AND change <> '{REUSED}' ORDER BY entity_id, id DESC"
    )
    for entity_id, changes in groupby(db.stream(query, (reference.name, as_of)), lambda change: change[0]):
        old: dict[str, Any] = {}
        for _, change, field, text in changes:
            # What a new name says already is not recorded beside it.
            implied = _followers(reference) if change == RENAMED else ()
            old |= dict.fromkeys(name for name in implied if name not in old) | {field: _value(reference, field, text)}
        yield entity_id, old


def _followers(reference: Reference) -> set[str]:
    names = {column.name for column in reference.columns}
    return {name for name in names if name == "mapping_created_on" or name + "_id" in names}


def _value(reference: Reference, name: str, text: str | None) -> Any:
    """The stored form of a recorded value: lists are kept as JSON, flags as numbers."""
    is_list = any(column.name == name and column.kind is list for column in reference.columns)
    if text is None or is_list:
        return text
    value = json.loads(text)
    return int(value) if isinstance(value, bool) else value
