"""Which kit finds which planted bug: aimed, so that each takes a run or two."""

from collections.abc import Iterator
from dataclasses import replace

from tests.crash.killing import Point
from tests.crash.sabotage import IN_BETWEEN, PLANTED
from tests.crash.trial import GETS_OVER_IT, Bench, Tally

TURNS = (9, 18, 28, 2, 5, 13, 23, *range(3, 40, 2))


def complaints(bench: Bench, name: str) -> str:
    """What is complained of when this bug is planted, if it is what should be; else nothing."""
    kit, wanted = PLANTED[name].kit, PLANTED[name].complaint
    for said in KITS[kit](replace(bench, sabotage=name, workers=1)):
        if found := [text for text in said if wanted in text]:
            return found[0]
    return ""


def undisturbed(bench: Bench) -> Iterator[list[str]]:
    yield found_by(bench)


def killed(bench: Bench) -> Iterator[list[str]]:
    for turn in TURNS:
        yield found_by(bench, Point("before_commit", turn, is_call=False))


def killed_in_between(bench: Bench) -> Iterator[list[str]]:
    yield found_by(bench, Point(IN_BETWEEN, 1, is_call=False))


def failing(bench: Bench) -> Iterator[list[str]]:
    for turn in TURNS:
        yield found_by(bench, Point("tx_rows", turn, is_call=False, error="StoreError"), *GETS_OVER_IT)


KITS = {kit.__name__: kit for kit in (undisturbed, killed, killed_in_between, failing)}


def found_by(bench: Bench, at: Point | None = None, *more: str) -> list[str]:
    """What is complained of after one run, or else after the one that follows it."""
    tally = Tally()
    with bench.trial("planted", tally, is_finished=False) as trial:
        trial.run(*more, at=at)
        if not tally.complaints:
            trial.finish()
    return tally.complaints
