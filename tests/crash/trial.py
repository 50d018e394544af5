"""A trial: a child is ended somewhere, what it left is judged, another one finishes its work, which is judged too."""

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tests.crash.killing import TOO_LONG, Ended, Nursery, Point
from tests.crash.oracle import oracle
from tests.crash.tables import read

STORE_FAILED = 3
# What a child reaches once a window or more often; the schema's own failpoint is reached where there is none yet.
FAILPOINTS = (
    "after_validate",
    "tx_begin",
    "tx_rows",
    "tx_quarantine",
    "tx_cursor",
    "before_commit",
    "after_commit",
    "ack",
)
SCHEMA_FAILPOINT = "migrate_step"
REACHED = 34
CHAINED = 3
# How a child takes a failure: it ends with it, or it waits and tries again, and then one failure must not matter.
SAYS_SO = ("--impatient",)
GETS_OVER_IT = ("--retries", "2")


class Places(Protocol):
    """Where stores of one kind are made.

    `calls` are the system calls that matter to it, `errors` what they can say, `options` are for children who use it.
    """

    name: str
    calls: tuple[str, ...]
    errors: tuple[tuple[str, str], ...]
    options: tuple[str, ...]

    def fresh(self, *, is_bare: bool = False) -> str:
        """The URL of a store that is empty, or that does not even have tables."""
        ...

    def drop(self, url: str) -> None: ...


@dataclass
class Tally:
    """What became of the trials of one kit: `fresh` ended while windows were new, `stored` over stored rows."""

    fresh: int = 0
    stored: int = 0
    missed: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def hit(self) -> int:
        return self.fresh + self.stored

    def count(self, ended: Ended, *, was_hit: bool) -> None:
        if not was_hit:
            self.missed += 1
        elif any(line.endswith(("/2", "/3")) for line in ended.said):
            self.stored += 1
        else:
            self.fresh += 1

    def __str__(self) -> str:
        missed = f", {self.missed} not reached" if self.missed else ""
        return (
            f"{self.hit} hits ({self.fresh} fresh, {self.stored} over stored rows{missed}), {len(self.complaints)} bad"
        )


@dataclass(frozen=True)
class Bench:
    """Makes trials on stores of one kind, with the scenario of one seed."""

    nursery: Nursery
    places: Places
    seed: int
    workers: int = 1
    sabotage: str = ""
    is_bare: bool = False
    is_traced: bool = True

    @property
    def chance(self) -> random.Random:
        return random.Random(f"{self.seed}/{self.places.name}")

    def arguments(self, url: str, *more: str) -> tuple[str, ...]:
        usual = ("--url", url, "--seed", str(self.seed), "--workers", str(self.workers), *self.places.options)
        planted = ("--sabotage", self.sabotage) if self.sabotage else ()
        return (*usual, *planted, *(("--migrate",) if self.is_bare else ()), *more)

    def points(self) -> list[Point]:
        """Every system call of an undisturbed run that matters; where they cannot be counted the failpoints serve."""
        if not self.is_traced:
            return self.failpoints()
        url = self.places.fresh(is_bare=self.is_bare)
        counts = self.nursery.calls(self.places.calls, *self.arguments(url))
        self.places.drop(url)
        return [Point(name, nth) for name, count in counts.items() for nth in range(1, count + 1)]

    def errors(self, *, persist: bool) -> list[Point]:
        """The same calls failing, once or from then on."""
        counted = self.points()
        return [
            point._replace(error=error, persists=persist)
            for name, error in self.places.errors
            for point in counted
            if point.name == name
        ]

    def failpoints(self) -> list[Point]:
        names = (SCHEMA_FAILPOINT,) if self.is_bare else FAILPOINTS
        return [Point(name, nth, is_call=False) for name in names for nth in range(1, REACHED)]

    def failures(self) -> list[Point]:
        """A transaction that fails at one of its failpoints; once it is committed that is no failure any more."""
        names = set(FAILPOINTS) - {"after_commit", "ack"}
        return [point._replace(error="StoreError") for point in self.failpoints() if point.name in names]

    def kill_at(self, points: Iterable[Point], tally: Tally) -> None:
        """One store for each point."""
        for point in points:
            with self.trial(str(point), tally) as trial:
                ended, was_hit = trial.run(at=point)
                tally.count(ended, was_hit=was_hit)

    def kill_in_time(self, kills: int, tally: Tally) -> None:
        """At any time, again and again on the same store, until there were so many kills."""
        chance, whole = self.chance, self.duration()
        attempts, goal = 0, tally.hit + kills
        while tally.hit < goal:
            attempts += 1
            assert attempts < 10 * kills, "children end before they can be killed"
            with self.trial(f"kill {attempts}", tally) as trial:
                self._kill_again(trial, chance, whole, tally)

    def _kill_again(self, trial: "Trial", chance: random.Random, whole: float, tally: Tally) -> None:
        for _ in range(CHAINED):
            ended, was_killed = trial.run(seconds=chance.uniform(0.0, whole))
            tally.count(ended, was_hit=was_killed)
            if not was_killed:
                break

    def fail_at(self, points: Iterable[Point], tally: Tally, *more: str) -> None:
        """A call fails: the child says what became of it, and keeps to what it said."""
        for point in points:
            with self.trial(str(point), tally) as trial:
                ended, _ = trial.run(*more, at=point)
                tally.count(ended, was_hit=ended.had_fault or bool(ended.errors))
                if ended.status not in {0, STORE_FAILED} or (more == GETS_OVER_IT and ended.status and ended.said):
                    tally.complaints.append(f"{point} of seed {self.seed}: ended with {ended.status}: {ended.errors}")

    def duration(self) -> float:
        """How long an undisturbed run takes here, more or less."""
        url = self.places.fresh(is_bare=self.is_bare)
        seconds = self.nursery.run(*self.arguments(url)).seconds
        self.places.drop(url)
        return seconds

    @contextmanager
    def trial(self, name: str, tally: Tally, *, is_finished: bool = True) -> Iterator["Trial"]:
        """A store of its own, which one more run finishes."""
        url = self.places.fresh(is_bare=self.is_bare)
        trial = Trial(self, f"{name} of seed {self.seed}", tally, url)
        try:
            yield trial
            if is_finished:
                trial.finish()
        finally:
            self.places.drop(url)


@dataclass
class Trial:
    """One store, from its first run to the one that finishes it."""

    bench: Bench
    name: str
    tally: Tally
    url: str
    said: list[str] = field(default_factory=list)
    interruptions: int = 0

    def __post_init__(self) -> None:
        self._oracle = oracle(self.bench.seed)

    def run(self, *more: str, at: Point | None = None, seconds: float = TOO_LONG) -> tuple[Ended, bool]:
        """A child that may be ended, and what it left; whether it was killed."""
        ended = self.bench.nursery.run(*self.bench.arguments(self.url, *more), at=at, seconds=seconds)
        self.said += ended.said
        self.interruptions += 1 + ended.errors.count("\n")
        if seconds == TOO_LONG <= ended.seconds:
            self._complain([f"it hung: {ended.errors}"])
        self.judge()
        return ended, ended.was_killed

    def judge(self) -> None:
        found = read(self.url)
        self._complain(self._oracle.complaints(found, self.said, self.interruptions))

    def finish(self) -> None:
        """Nobody disturbs this run, so afterwards everything is there."""
        ended = self.bench.nursery.run(*self.bench.arguments(self.url))
        self.said += ended.said
        if ended.status:
            self._complain([f"the rerun ended with {ended.status}: {ended.errors}"])
        found = read(self.url)
        self._complain([*self._oracle.complaints(found, self.said, self.interruptions), *self._oracle.undone(found)])

    def _complain(self, complaints: Sequence[str]) -> None:
        self.tally.complaints += [f"{self.name}: {text}" for text in complaints]


def some(points: Iterable[Point], count: int, chance: random.Random) -> list[Point]:
    """So many of them, of each name as many as there are or as of the others."""
    by_name: dict[str, list[Point]] = {}
    for point in points:
        by_name.setdefault(f"{point.name}{point.error}{point.persists}", []).append(point)
    for of_name in by_name.values():
        chance.shuffle(of_name)
    chosen: list[Point] = []
    while by_name and len(chosen) < count:
        for name in list(by_name):
            chosen.append(by_name[name].pop())
            if not by_name[name]:
                del by_name[name]
    return chosen[:count]
