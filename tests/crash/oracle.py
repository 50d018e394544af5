"""Judges what a killed process left behind, from outside: what was said to be there is there once, nothing else is.

Every cell must be just as it is after one of its steps, none earlier than the last one that was acknowledged: so no
transaction is there in part, nothing acknowledged is lost, nothing is there twice, and coverage claims what is there.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import lru_cache

from core.datasets import SeriesKey
from tests.crash.reference import Facts, Stage, stages
from tests.crash.scenario import SPAN, Cell, Scenario, Window, slots
from tests.crash.tables import Figures, Found

SHOWN = 3


class Oracle:
    """Knows one scenario by heart."""

    def __init__(self, seed: int) -> None:
        self.scenario = Scenario(seed)
        self._stages = stages(self.scenario)

    def complaints(self, found: Found, said: Sequence[str], interruptions: int = 1) -> list[str]:
        """What is wrong with a store that was worked on by runs that said `said` and ended early so many times."""
        complaints = [*found.faults]
        counted = Counter(said)
        for cell in self.scenario.cells:
            facts = part(found.facts.get(cell.key, Facts()), cell.window)
            complaints += [f"{cell.name}: {text}" for text in _false_claims(facts, self._begin(found, cell.key))]
            complaints += [f"{cell.name}: {text}" for text in self._misfit(cell, facts, counted)]
            complaints += [f"{cell.name}: {text}" for text in _miscounted(cell, facts, counted, interruptions)]
        for key, facts in found.facts.items():
            complaints += [f"{key}: {text}" for text in self._figures(key, facts, found.figures[key], counted)]
        return complaints

    def undone(self, found: Found) -> list[str]:
        """What a run that came to its end has left undone."""
        left = []
        for cell in self.scenario.cells:
            facts = part(found.facts.get(cell.key, Facts()), cell.window)
            if _once(facts) != self._stages[cell.name][-1].facts:
                left.append(f"{cell.name}: not at its end: {_first(_differences(facts, self._stages[cell.name][-1]))}")
        return left

    def _begin(self, found: Found, key: SeriesKey) -> int:
        return (found.figures[key].history_start or SPAN.start) if key in found.figures else SPAN.start

    def _misfit(self, cell: Cell, facts: Facts, said: Counter[str]) -> Iterator[str]:
        """Not as after any step, or as before one that was acknowledged."""
        known = self._stages[cell.name]
        told = max(at for at, stage in enumerate(known) if not stage.said or said[stage.said])
        if any(_once(facts) == stage.facts for stage in known[told:]):
            return
        if any(_once(facts) == stage.facts for stage in known[:told]):
            yield f"{known[told].said!r} was acknowledged and is lost"
            return
        nearest = min(known[told:], key=lambda stage: len(list(_differences(facts, stage))))
        yield f"neither before nor after any step; {nearest.said!r} wants {_first(_differences(facts, nearest))}"

    def _figures(self, key: SeriesKey, facts: Facts, figures: Figures, said: Counter[str]) -> Iterator[str]:
        """What is told of the series as a whole belongs to its bars."""
        closed = [ts for ts, row in facts.rows.items() if row.closed]
        constants = (f"X-{key.instrument}", "954") if facts.rows else (None, None)
        start = next(cell for cell in self.scenario.cells if cell.key == key).window.end
        wanted = Figures(*constants, figures.history_start, min(closed, default=None), max(closed, default=None), 0)
        wanted = wanted._replace(rows=len(facts.rows))
        if figures != wanted:
            yield f"series says {figures}, its bars say {wanted}"
        if figures.history_start not in ({start} if said[f"done {key.data_type}/unborn/2"] else {None, start}):
            yield f"the history starts at {start}, not at {figures.history_start}"
        outside = [ts for ts in facts.rows if ts not in slots(SPAN)]
        if outside:
            yield f"bars that nobody asked for: {outside[:SHOWN]}"


@lru_cache(maxsize=4)
def oracle(seed: int) -> Oracle:
    """To know a scenario by heart takes a moment."""
    return Oracle(seed)


def part(facts: Facts, window: Window) -> Facts:
    """What of `facts` is about the slots of `window`."""
    inside = slots(window)
    return Facts(
        rows={ts: row for ts, row in facts.rows.items() if ts in inside},
        covered={entry for entry in facts.covered if entry[0] in inside},
        gaps={ts: gap for ts, gap in facts.gaps.items() if ts in inside},
        unsettled={ts for ts in facts.unsettled if ts in inside},
        widened={entry for entry in facts.widened if entry[0] in inside},
        restated=[entry for entry in facts.restated if entry.ts in inside],
        rejected={row: seen for row, seen in facts.rejected.items() if row[0] in inside},
        kept={entry: seen for entry, seen in facts.kept.items() if entry[0].start in inside},
        failed={span: seen for span, seen in facts.failed.items() if span.start in inside},
    )


def _once(facts: Facts) -> Facts:
    """As seen once: what is not part of a window's transaction is written again by each run that comes by."""
    return replace(facts, kept=dict.fromkeys(facts.kept, 1), failed=dict.fromkeys(facts.failed, 1))


def _false_claims(facts: Facts, begin: int) -> Iterator[str]:
    """Each slot that coverage claims is stored or a gap, and nothing else is."""
    covered = {ts for ts, _ in facts.covered if ts >= begin}
    closed = {ts for ts, row in facts.rows.items() if row.closed}
    there = closed | facts.gaps.keys()
    if absent := covered - there:
        yield f"coverage claims {len(absent)} bars that are not there: {sorted(absent)[:SHOWN]}"
    if unclaimed := there - covered:
        yield f"{len(unclaimed)} bars or gaps that coverage does not claim: {sorted(unclaimed)[:SHOWN]}"
    if both := closed & facts.gaps.keys():
        yield f"both stored and a gap: {sorted(both)[:SHOWN]}"


def _miscounted(cell: Cell, facts: Facts, said: Counter[str], interruptions: int) -> Iterator[str]:
    """What each run writes again is counted once a time: as often as it was acknowledged, or was about to be."""
    for what, seen in [*facts.kept.items(), *facts.failed.items()]:
        word = "gave_up" if isinstance(what, Window) else "kept"
        least = said[f"{word} {cell.name}/1"]
        if not max(1, least) <= seen <= least + interruptions:
            yield f"{word} {least} times, and counted as {seen}"


def _differences(facts: Facts, stage: Stage) -> Iterator[str]:
    for name in (entry.name for entry in fields(Facts)):
        found, wanted = getattr(_once(facts), name), getattr(stage.facts, name)
        if isinstance(wanted, dict):
            keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
            yield from (f"{name} of {key}: {wanted.get(key)}, not {found.get(key)}" for key in keys)
        elif found != wanted:
            more = [entry for entry in found if entry not in wanted]
            less = [entry for entry in wanted if entry not in found]
            yield from (f"{name} without {entry}" for entry in more)
            yield from (f"{name} with {entry}" for entry in less)
            yield from () if more or less else (f"{name} only once",)


def _first(differences: Iterator[str]) -> str:
    found = list(differences)
    return "; ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
