"""The longer run: `make crash`, or `python -m tests.crash --points 1000 --kills 300 --seed 1`. A line for each kit."""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from core.servers import postgres
from tests.crash.killing import Nursery, Point
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


@dataclass(frozen=True)
class Kits:
    """What is done with the scenario of one seed, each by name, counted in a Tally."""

    bench: Bench
    sizes: Sizes

    def by_name(self) -> dict[str, Callable[[Tally], None]]:
        killed = "killed at system calls" if self.bench.is_traced else "no strace; failpoints"
        kits = {killed: self.killed, "killed making the schema": self.begun, "killed at failpoints": self.failpoints}
        kits |= {"killed at random": self.kills, "calls that fail, outlived": self.outlived}
        return {**kits, "calls that fail, said": self.said} if self.bench.is_traced else kits

    def killed(self, tally: Tally) -> None:
        self.bench.kill_at(self._some(self.bench.points(), self.sizes.points), tally)

    def begun(self, tally: Tally) -> None:
        bare = replace(self.bench, is_bare=True)
        bare.kill_at(self._some([*bare.points(), *bare.failpoints()], self.sizes.points // 8), tally)

    def failpoints(self, tally: Tally) -> None:
        self.bench.kill_at(self._some(self.bench.failpoints(), self.sizes.points // 3), tally)

    def kills(self, tally: Tally) -> None:
        self.bench.kill_in_time(-(-self.sizes.kills // len(self.sizes.seeds)), tally)

    def outlived(self, tally: Tally) -> None:
        calls = self.bench.errors(persist=False) if self.bench.is_traced else []
        self.bench.fail_at(self._some([*self.bench.failures(), *calls], self.sizes.errors), tally, *GETS_OVER_IT)

    def said(self, tally: Tally) -> None:
        for persist in (False, True):
            points = self._some(self.bench.errors(persist=persist), self.sizes.errors // 2)
            self.bench.fail_at(points, tally, *SAYS_SO)

    def _some(self, points: Iterable[Point], count: int) -> list[Point]:
        """Each seed's share of so many."""
        return some(points, -(-count // len(self.sizes.seeds)), self.bench.chance)


def run(nursery: Nursery, places: Places, sizes: Sizes) -> bool:
    """Whether everything was right on stores of this kind."""
    tallies: dict[str, Tally] = {}
    seconds: Counter[str] = Counter()
    for number, seed in enumerate(sizes.seeds):
        bench = Bench(nursery, places, seed, workers=(1, 4, 8)[number % 3], is_traced=not nursery.why_untraced())
        for name, kit in Kits(bench, sizes).by_name().items():
            start = time.monotonic()
            kit(tallies.setdefault(name, Tally()))
            seconds[name] += int(time.monotonic() - start)
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
