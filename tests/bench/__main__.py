"""`make bench`: all benchmarks, as ratios of one run, into tests/bench/results.md and results.svg.

A full run takes a little more than an hour on two cores that do nothing else. What it measures is in the files after
each experiment (measurements.json has every round). A part of it, or a smoke run, prints the same text and leaves the
files alone, unless told to `--write`.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core.servers import postgres
from tests.bench import dashboard, kept, report
from tests.bench.contenders import PEERS, Job
from tests.bench.databases import OPTIONS, Database, Postgres, SQLiteFile
from tests.bench.experiments import EXPERIMENTS, SECTIONS, quick
from tests.bench.harness import PAIRS, canned_sandbox, workplace
from tests.bench.rounds import Experiment, Outcome, run_rounds

RESULTS = Path(__file__).with_name("results.md")
CHART = RESULTS.with_suffix(".svg")


class Laboratory:
    """The servers, a sandbox for each latency, and a place for files; all end with the block of `opened`."""

    def __init__(self, stack: ExitStack) -> None:
        self.place = stack.enter_context(workplace())
        self.postgres = Postgres(stack.enter_context(postgres(OPTIONS)))
        self._sandboxes: dict[int, str] = {}
        self._stack = stack

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator["Laboratory"]:
        with ExitStack() as stack:
            yield cls(stack)

    def sandbox(self, latency_ms: int) -> str:
        if latency_ms not in self._sandboxes:
            self._sandboxes[latency_ms] = self._stack.enter_context(canned_sandbox(latency_ms))
        return self._sandboxes[latency_ms]

    def run(self, experiment: Experiment, tell: Callable[[str], None]) -> Outcome:
        database: Database = self.postgres if experiment.store == "PostgreSQL" else SQLiteFile(self.place)
        job = Job(
            base_url=self.sandbox(experiment.latency_ms),
            place=self.place,
            db=database.url,
            pairs=PAIRS[: experiment.pairs],
            pages=experiment.pages,
            groups=experiment.groups,
        )
        return run_rounds(experiment, job, database, tell)


def parse(arguments: list[str]) -> argparse.Namespace:
    sections = (*SECTIONS, "dashboard")
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", default=",".join(sections), help=f"sections, comma separated: {', '.join(sections)}")
    parser.add_argument("--quick", action="store_true", help="a round with next to no rows, to see that all work")
    parser.add_argument("--rounds", type=int, help="instead of the usual 5")
    parser.add_argument("--write", action="store_true", help="write the files though it is a part")
    given = parser.parse_args(arguments)
    given.only = given.only.split(",")
    if unknown := set(given.only) - set(sections):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    given.is_full = set(given.only) == set(sections) and not given.quick and not given.rounds
    return given


def chosen(given: argparse.Namespace) -> list[Experiment]:
    found = [experiment for experiment in EXPERIMENTS if experiment.section in given.only]
    if given.quick:
        found = [quick(experiment) for experiment in found]
    if given.rounds:
        found = [replace(experiment, rounds=given.rounds) for experiment in found]
    if not PEERS.exists() and any(experiment.needs_peers for experiment in found):
        sys.exit(f"{PEERS} is not there; say: make {PEERS.parent.parent}/peers")
    return found


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    given = parse(arguments)
    outcomes, revision = [], report.revision()
    is_written = given.is_full or (given.write and not given.quick)
    with Laboratory.opened() as laboratory:
        facts = report.facts(" ".join(["python -m tests.bench", *arguments]), laboratory.postgres.version())
        facts += ["A smoke run: every program works, and the figures mean nothing."] if given.quick else []
        for experiment in chosen(given):
            tell(experiment.title)
            said_of = f"{revision}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
            outcomes.append(replace(laboratory.run(experiment, tell), said_of=said_of))
            tell("\n".join(report.about(outcomes[-1])))
            if is_written:
                kept.keep(outcomes[-1])
                publish(facts)
    watched = dashboard.measure() if "dashboard" in given.only and not given.quick else []
    if is_written and watched:
        kept.keep_dashboard(watched)
        publish(facts)
    print(report.markdown(outcomes, facts, watched, None))
    return int(any(outcome.failures for outcome in outcomes))


def publish(facts: list[str]) -> None:
    """Write the files anew, of all that is kept."""
    outcomes = kept.kept(EXPERIMENTS)
    charted = [outcome for outcome in outcomes if outcome.experiment.is_charted]
    RESULTS.write_text(report.markdown(outcomes, facts, kept.kept_dashboard(), CHART.name if charted else None))
    CHART.write_text(report.svg(charted))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
