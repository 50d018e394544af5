"""The longer run: `make crash`, or `python -m tests.crash --points 1000 --kills 300 --seed 1`. A line for each kit."""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from core.servers import postgres
from tests.crash.killing import Nursery, can_trace
from tests.crash.places import PostgresPlaces, SQLitePlaces
from tests.crash.powercut import cuts
from tests.crash.proving import complaints
from tests.crash.sabotage import PLANTED
from tests.crash.trial import GETS_OVER_IT, SAYS_SO, Bench, Places, Tally, some

SHOWN = 3


@dataclass(frozen=True)
class Sizes:
    """How much of each kit; several seeds share it."""

    points: int
    kills: int
    errors: int
    seeds: tuple[int, ...]


def kits(bench: Bench, sizes: Sizes) -> Iterator[tuple[str, Callable[[Tally], None]]]:
    """Each kit by name: what it does, counted in a Tally."""
    share, bare = len(sizes.seeds), replace(bench, is_bare=True)

    def killed(tally: Tally) -> None:
        bench.kill_at(some(bench.points(), sizes.points // share, bench.chance), tally)

    def begun(tally: Tally) -> None:
        bare.kill_at(some([*bare.points(), *bare.failpoints()], sizes.points // share // 8, bench.chance), tally)

    def failpoints(tally: Tally) -> None:
        bench.kill_at(some(bench.failpoints(), sizes.points // share // 3, bench.chance), tally)

    def kills(tally: Tally) -> None:
        bench.kill_in_time(sizes.kills // share, tally)

    def said(tally: Tally) -> None:
        for persist in (False, True):
            bench.fail_at(
                some(bench.errors(persist=persist), sizes.errors // share // 2, bench.chance), tally, *SAYS_SO
            )

    def outlived(tally: Tally) -> None:
        points = [*bench.failures(), *(bench.errors(persist=False) if bench.is_traced else ())]
        bench.fail_at(some(points, sizes.errors // share, bench.chance), tally, *GETS_OVER_IT)

    yield ("killed at system calls" if bench.is_traced else "no strace; killed at failpoints"), killed
    yield "killed making the schema", begun
    yield "killed at failpoints", failpoints
    yield "killed at random", kills
    if bench.is_traced:
        yield "calls that fail, said", said
    yield "calls that fail, outlived", outlived


def run(nursery: Nursery, places: Places, sizes: Sizes) -> bool:
    """Whether everything was right on stores of this kind."""
    tallies: dict[str, Tally] = {}
    seconds: dict[str, float] = {}
    for number, seed in enumerate(sizes.seeds):
        bench = Bench(nursery, places, seed, workers=(1, 4, 8)[number % 3], is_traced=not can_trace())
        for name, kit in kits(bench, sizes):
            start = time.monotonic()
            kit(tallies.setdefault(name, Tally()))
            seconds[name] = seconds.get(name, 0.0) + time.monotonic() - start
    for name, tally in tallies.items():
        report(places.name, name, str(tally), seconds[name], tally.complaints)
    return not any(tally.complaints for tally in tallies.values())


def prove(nursery: Nursery, places: Places, seed: int) -> bool:
    """Whether each planted bug is found."""
    start = time.monotonic()
    bench = Bench(nursery, places, seed)
    missed = [name for name in PLANTED if not complaints(bench, name)]
    found = f"{len(PLANTED) - len(missed)} of {len(PLANTED)} found"
    report(places.name, "planted bugs", found, time.monotonic() - start, missed)
    return not missed


def cut_power(folder: Path, seeds: Sequence[int]) -> bool:
    """Whether nothing acknowledged is lost with synchronous FULL, and whether it would show."""
    start, bad, count = time.monotonic(), list[str](), 0
    for seed in seeds:
        found = cuts(folder / f"cuts-{seed}", seed)
        count += len(found)
        bad += [text for cut in found for text in cut.complaints(seed)]
    report("sqlite", "power cuts", f"{count} cuts, {len(bad)} bad", time.monotonic() - start, bad)
    return not bad


def report(store: str, kit: str, text: str, seconds: float, complaints: Sequence[str]) -> None:
    print(f"{store:<9} {kit:<26} {text}, {seconds:.0f} s", flush=True)
    for complaint in complaints[:SHOWN]:
        print(f"    {complaint}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--points", type=int, default=300, help="system calls to be killed at, of each store")
    parser.add_argument("--kills", type=int, default=100, help="random kills, of each store")
    parser.add_argument("--errors", type=int, default=60, help="failing system calls, of each store")
    parser.add_argument("--scenarios", type=int, default=3, help="how many scenarios share them")
    parser.add_argument("--store", choices=["sqlite", "postgres"], action="append")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    print(f"replay with --seed {asked.seed}", flush=True)
    seeds = tuple(asked.seed + number for number in range(asked.scenarios))
    return (
        0 if whole(asked.store or ["sqlite", "postgres"], Sizes(asked.points, asked.kills, asked.errors, seeds)) else 1
    )


def whole(stores: Sequence[str], sizes: Sizes) -> bool:
    good = True
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tapewatch-crash-")))
        nursery = Nursery(folder)
        stack.callback(nursery.close)
        for store in stores:
            places = SQLitePlaces(folder) if store == "sqlite" else PostgresPlaces(stack.enter_context(postgres()))
            good = run(nursery, places, sizes) and good
            good = prove(nursery, places, sizes.seeds[0]) and good
        if "sqlite" in stores:
            good = cut_power(folder, sizes.seeds) and good
    return good


if __name__ == "__main__":
    sys.exit(main())
