"""A second look at quarantined rows: what passes the present checks fills its slot, if that is still empty."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from core.coverage import SeriesState
from core.datasets import DATASETS, Dataset, closed_until
from core.engine.ingest import Check, CheckedPage, settled_before
from core.errors import Malformed
from core.records import in_groups, row_type
from core.sources import Page
from core.stores import Commit, Store
from core.stores.quarantine_sql import Quarantined
from core.windows import GRAINS, iso


class Verdict(NamedTuple):
    """What became of one record, and why."""

    id: int
    is_accepted: bool
    why: str


async def look_again(store: Store, records: Sequence[Quarantined], check: Check, now: int) -> list[Verdict]:
    """Run the stored text of `records` through `check` and commit what passes, known from `now` on.

    Rows of one bar are looked at together: of those that differ none is believed. `now` in UTC epoch seconds.
    """
    verdicts = []
    in_order = sorted(records, key=lambda record: (*_bar(record), record.id))
    for _, group in groupby(in_order, key=_bar):
        together = list(group)
        why = _no_need(together[0]) or await _commit(store, together, check, now)
        verdicts += [Verdict(record.id, not why, why or "accepted") for record in together]
    return sorted(verdicts)


def _bar(record: Quarantined) -> tuple[Any, ...]:
    """What is looked at together: the rows of one bar; anything else by itself."""
    if record.is_row:
        return record.source, record.key, record.slot, 0
    return record.source, record.key, record.span, record.id


def _no_need(record: Quarantined) -> str:
    if record.is_of_list:
        return f"lists are asked for again by their command: tapewatch {record.key.data_type} --full_refresh"
    if not record.is_row:
        return "a whole answer, or a row without a time: ask again with tapewatch gaps repair"
    if record.state != "open":
        return f"its slot is {record.state} already"
    return ""


async def _commit(store: Store, records: list[Quarantined], check: Check, now: int) -> str:
    """Empty when it was written, else why not."""
    record = records[-1]
    grain, slot = GRAINS[record.key.interval], record.slot
    seen = max(each.last_seen for each in records)
    if closed_until(seen, grain) <= slot.start:
        return f"the bar was still open when this was seen, at {iso(seen)}: ask again with tapewatch gaps repair"
    [state] = await store.series(record.source, [record.key], create=False)
    if state.pruned_before is not None and slot.start < state.pruned_before:
        return "bars of its time are not kept any more"
    dataset, groups = DATASETS[record.key.data_type], _groups(state, records)
    try:
        page = Page([_decoded(dataset, groups, each) for each in records], seen)
        checked = check(dataset, record.key, groups, slot, page, state.exchange_symbol)
    except Malformed as error:
        return f"it still fails: {error.reason}"
    if len(checked.rows) != 1 or checked.rejected:
        return f"it still fails: {checked.rejected[0].reason if checked.rejected else 'another time'}"
    await store.commit(_commit_of(state, records, groups, checked, now))
    return ""


def _groups(state: SeriesState, records: list[Quarantined]) -> tuple[str, ...]:
    """With which groups the slot was asked for; the default ones when nobody knows any more."""
    slot, dataset = records[0].slot, DATASETS[state.key.data_type]
    asked = frozenset[str]().union(*(each.groups for each in state.covered if _holds(each.window, slot.start)))
    return tuple(group for group in dataset.groups if group in asked) or dataset.default_groups


def _holds(window: Any, ts: int) -> bool:
    return bool(window.start <= ts < window.end)


def _decoded(dataset: Dataset, groups: tuple[str, ...], record: Quarantined) -> Any:
    """The row that the stored text says. Raises Malformed when it says none."""
    try:
        return msgspec.json.decode(record.raw, type=row_type(in_groups(dataset.columns, groups)))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Malformed(str(error), f"the stored text cannot be read ({error})") from error


def _commit_of(
    state: SeriesState, records: list[Quarantined], groups: tuple[str, ...], checked: CheckedPage, now: int
) -> Commit:
    """The row as an answer of the time when it was seen, so that any later one has precedence."""
    seen, slot = max(each.last_seen for each in records), records[0].slot
    return Commit(
        series=state,
        dataset=DATASETS[state.key.data_type],
        groups=groups,
        columns=checked.columns,
        window=slot,
        rows=checked.rows,
        closed_before=slot.end,
        known_at=now,
        sent_at=seen * 1000,
        covered=slot,
        run_id=records[-1].run_id,
        settled_before=settled_before(seen, GRAINS[state.key.interval], is_dead=False),
        accepted=tuple(each.id for each in records),
    )
