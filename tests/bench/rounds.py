"""Interleaved rounds of contenders on one job, and the ratios that come of them, pair by pair within a round."""

import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tests.bench.contenders import Contender, Job, environment_of
from tests.bench.databases import Database
from tests.bench.harness import ProgramFailed, measured, run_program


@dataclass(frozen=True)
class Goal:
    """What the ratio `subject` / `against` of a figure of two families has to be: at least `bound`, or at most."""

    against: str
    bound: float
    subject: str = "ours"
    figure: str = "rate"
    is_ceiling: bool = False

    def __str__(self) -> str:
        return f"at {'most' if self.is_ceiling else 'least'} {self.bound:g}"

    def is_met(self, ratio: float) -> bool:
        return ratio <= self.bound if self.is_ceiling else ratio >= self.bound


@dataclass(frozen=True)
class Experiment:
    """Contenders that load the same rows from the same server into databases of the same kind."""

    section: str
    title: str
    store: str
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...]
    groups: tuple[str, ...]
    pairs: int
    pages: int
    latency_ms: int = 0
    rounds: int = 5
    is_charted: bool = False

    @property
    def needs_peers(self) -> bool:
        return any(contender.is_peer for contender in self.contenders)


@dataclass(frozen=True)
class Measurement:
    """One run of one contender. `seconds` are its own, without its start; `size` is the database afterwards."""

    rows: int
    seconds: float
    cpu_seconds: float
    server_seconds: float
    peak_mb: float
    size: int

    @property
    def rate(self) -> float:
        return self.rows / self.seconds

    @property
    def cpu_per_million(self) -> float:
        return self.cpu_seconds / self.rows * 1e6

    @property
    def server_per_million(self) -> float:
        return self.server_seconds / self.rows * 1e6

    @property
    def bytes_per_row(self) -> float:
        return self.size / self.rows


@dataclass(frozen=True)
class Verdict:
    """A goal's ratios, a round each, and the contenders that they are of."""

    goal: Goal
    subject: Contender
    against: Contender
    ratios: list[float]

    @property
    def is_met(self) -> bool:
        return self.goal.is_met(statistics.median(self.ratios))


@dataclass
class Outcome:
    """What the rounds of an experiment gave, by contender; `failures` has the words of those that failed.

    `said_of` is what was measured, and when.
    """

    experiment: Experiment
    runs: dict[Contender, list[Measurement]] = field(default_factory=dict)
    failures: dict[Contender, str] = field(default_factory=dict)
    said_of: str = ""

    def finished(self) -> list[Contender]:
        return [contender for contender in self.runs if contender not in self.failures]

    def median(self, contender: Contender, figure: str) -> float:
        return statistics.median(self.values(contender, figure))

    def values(self, contender: Contender, figure: str) -> list[float]:
        return [getattr(measurement, figure) for measurement in self.runs[contender]]

    def best(self, family: str) -> Contender | None:
        """The fastest of a family."""
        found = [contender for contender in self.finished() if contender.family == family]
        return max(found, key=lambda contender: self.median(contender, "rate"), default=None)

    def ratios(self, subject: Contender, against: Contender, figure: str = "rate") -> list[float]:
        pairs = zip(self.values(subject, figure), self.values(against, figure), strict=True)
        return [one / other for one, other in pairs]

    def verdicts(self) -> list[Verdict]:
        """Of the goals whose contenders finished."""
        found = []
        for goal in self.experiment.goals:
            subject, against = self.best(goal.subject), self.best(goal.against)
            if subject and against:
                found.append(Verdict(goal, subject, against, self.ratios(subject, against, goal.figure)))
        return found


def chains(contenders: Sequence[Contender]) -> list[list[Contender]]:
    """Contenders with those that go on with their database."""
    found: list[list[Contender]] = []
    for contender in contenders:
        if contender.keeps:
            found[-1].append(contender)
        else:
            found.append([contender])
    return found


def run_rounds(experiment: Experiment, job: Job, database: Database, tell: Callable[[str], None]) -> Outcome:
    """Every contender once a round; another one begins each round, so that none is always the first."""
    outcome = Outcome(experiment, {contender: [] for contender in experiment.contenders})
    order = chains(experiment.contenders)
    for number in range(experiment.rounds):
        at = number % len(order)
        for chain in order[at:] + order[:at]:
            if outcome.failures.keys().isdisjoint(chain):
                _run_chain(outcome, chain, job, database)
        tell(f"  round {number + 1} of {experiment.rounds}")
    return outcome


def _run_chain(outcome: Outcome, chain: Sequence[Contender], job: Job, database: Database) -> None:
    database.renew()
    shutil.rmtree(job.home, ignore_errors=True)
    job.home.mkdir()
    contender = chain[0]
    try:
        for contender in chain:
            outcome.runs[contender].append(run_one(contender, job, database))
        # Not sooner: a look at the rows would be work that the one who goes on is spared.
        check_rows(contender, job, database)
    except ProgramFailed as failure:
        outcome.failures |= dict.fromkeys(chain[chain.index(contender) :], str(failure))


def run_one(contender: Contender, job: Job, database: Database) -> Measurement:
    job = replace(job, pages=job.pages * contender.scale)
    for command in contender.prepare(job):
        run_program(command, environment_of(job))
    database.settle()
    before = database.cpu_seconds()
    run = measured(contender.command(job), environment_of(job))
    used = database.cpu_seconds() - before
    rows, seconds = contender.rows_and_seconds(run)
    return Measurement(rows, seconds, run.cpu_seconds, used, run.peak_mb, database.size())


def check_rows(contender: Contender, job: Job, database: Database) -> None:
    stored, wanted = database.count(contender.table), job.rows * contender.scale
    if stored != wanted:
        raise ProgramFailed(f"stored {stored:,} rows instead of {wanted:,}")
