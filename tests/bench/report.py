"""What was measured, as Markdown: the goals, then a table an experiment; and a chart of the rates."""

import importlib.metadata
import json
import os
import platform
import sqlite3
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import psutil

from tests.bench.contenders import PEERS, Contender
from tests.bench.databases import SETTINGS
from tests.bench.rounds import Outcome, Verdict

LIBRARIES = ("aiohttp", "msgspec", "aiosqlite", "asyncpg")
PEER_LIBRARIES = ("dlt", "pandas", "pyarrow", "requests", "SQLAlchemy", "psycopg")
READING = """\
Rates are rows a second of a program's own time, from its first request to its last commit, without its start.
CPU-seconds are those of the whole program, its start included; those of the database server stand beside them.
Ratios are taken within a round and given as median (min-max). The floor is the fastest plain writer of the same
columns into the same table with the same durability: no validation, no coverage, no quota, no journal; it commits page
by page where nothing else is said, and of several the fastest counts. Others keep text keys, as people do; ours and
the floor a number for each series. Others ask for whole pages and keep the same columns; *tuned* they ask for these
columns alone, as ours and the floor do, and dlt gets Arrow tables. Narrow columns are those of the default groups.
*The same again* is `--full_refresh` of what is stored: every page is asked for and compared."""


def markdown(outcomes: Sequence[Outcome], facts: Sequence[str], extra: Sequence[str], chart: str | None) -> str:
    parts = ["# Benchmarks", *facts, READING]
    parts += ["## Goals", goals_table(outcomes)]
    parts += [f"![rows a second, by program and latency]({chart})"] if chart else []
    for outcome in outcomes:
        parts += [f"## {capitalized(outcome.experiment.title)}", *about(outcome)]
    parts += ["## Dashboard", *extra] if extra else []
    return "\n\n".join(parts) + "\n"


def capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


def facts(command: str, postgres_version: str) -> list[str]:
    """The machine and versions, and the last command."""
    memory = psutil.virtual_memory().total / 2**30
    machine = f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"
    settings = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
    ours = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}", f"PostgreSQL {postgres_version}"]
    ours += [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    lines = [
        f"Last: `{command}`. What was measured when, and of which revision, stands with each experiment.",
        f"{machine}. {', '.join(ours)}. PostgreSQL waits for the disk (fsync and synchronous_commit on; {settings}).",
    ]
    return [*lines, *peer_versions()]


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def revision() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return f"revision {done.stdout.strip() or 'unknown'}"


def peer_versions() -> list[str]:
    if not PEERS.exists():
        return []
    code = "import importlib.metadata as m, json, sys; print(json.dumps([m.version(name) for name in sys.argv[1:]]))"
    done = subprocess.run([PEERS, "-c", code, *PEER_LIBRARIES], capture_output=True, text=True, check=True)
    pairs = zip(PEER_LIBRARIES, json.loads(done.stdout), strict=True)
    return [f"Others: {', '.join(f'{name} {version}' for name, version in pairs)}."]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: Sequence[float], form: str = ".2f") -> str:
    low, middle, high = (format(value, form) for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}-{high})"


def goals_table(outcomes: Sequence[Outcome]) -> str:
    rows = [goal_row(outcome, verdict) for outcome in outcomes for verdict in outcome.verdicts()]
    return table(["experiment", "ratio of", "median (min-max)", "goal", ""], rows)


FIGURES = {"rate": "rows/s", "size": "database size", "peak_mb": "peak memory"}


def goal_row(outcome: Outcome, verdict: Verdict) -> list[str]:
    compared = f"{FIGURES[verdict.goal.figure]}, {verdict.subject.name} / {verdict.against.name}"
    met = "met" if verdict.is_met else "**not met**"
    form = ".3f" if verdict.goal.figure == "size" else ".2f"
    return [outcome.experiment.title, compared, spread(verdict.ratios, form), str(verdict.goal), met]


def about(outcome: Outcome) -> list[str]:
    """Size of the job, the table of contenders, and who failed."""
    experiment = outcome.experiment
    rows = experiment.pairs * experiment.pages * 2_000
    rounds = max(map(len, outcome.runs.values()), default=0)
    intro = f"{rows:,} rows, series: {experiment.pairs}, pages of each: {experiment.pages}, rounds: {rounds}."
    intro += f" Of {outcome.said_of}." if outcome.said_of else ""
    head = ["program", "rows/s", "ours / it", "CPU-s/Mrow", "of the server", "peak MB", "B/row"]
    body = table(head, [contender_row(outcome, contender) for contender in outcome.finished()])
    return [intro, body, *(f"{who.name} failed: {words}" for who, words in outcome.failures.items())]


def contender_row(outcome: Outcome, contender: Contender) -> list[str]:
    ours = outcome.best("ours")
    return [
        contender.name,
        spread(outcome.values(contender, "rate"), ",.0f"),
        spread(outcome.ratios(ours, contender)) if ours and contender != ours else "",
        *(
            f"{outcome.median(contender, figure):,.{digits}f}"
            for figure, digits in (
                ("cpu_per_million", 2),
                ("server_per_million", 2),
                ("peak_mb", 0),
                ("bytes_per_row", 0),
            )
        ),
    ]


ROW, BAR, GAP, LEFT, WIDE = 22, 16, 46, 190, 470


def svg(outcomes: Sequence[Outcome]) -> str:
    """Bars of the median rates, a panel an experiment, the stores side by side; each panel has its own scale."""
    columns = [[outcome for outcome in outcomes if outcome.experiment.store == store] for store in STORES]
    drawn = [draw_column(number * WIDE, column) for number, column in enumerate(columns)]
    height = max(bottom for _, bottom in drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE * len(columns)}" height="{height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>\n'
        + "\n".join(text for text, _ in drawn)
        + "\n</svg>\n"
    )


STORES = ("SQLite", "PostgreSQL")


def draw_column(x: int, outcomes: Sequence[Outcome]) -> tuple[str, int]:
    """Panels below each other, and where they end."""
    parts, y = [], 24
    for outcome in outcomes:
        parts.append(
            label(x + 10, y, f"{outcome.experiment.store}, {outcome.experiment.latency_ms:,} ms", weight="bold")
        )
        rates = {contender: outcome.median(contender, "rate") for contender in outcome.finished()}
        for number, (contender, rate) in enumerate(sorted(rates.items(), key=lambda item: -item[1])):
            parts.append(draw_bar(x, y + 10 + number * ROW, contender, rate, max(rates.values())))
        y += len(rates) * ROW + GAP
    return "\n".join(parts), y - 20


def draw_bar(x: int, y: int, contender: Contender, rate: float, largest: float) -> str:
    length = max(1, round(rate / largest * (WIDE - LEFT - 90)))
    colour = "#1f6feb" if contender.family == "ours" else "#9aa4b2"
    bar = f'<rect x="{x + LEFT}" y="{y}" width="{length}" height="{BAR}" fill="{colour}"/>'
    name = label(x + LEFT - 8, y + 12, contender.name, anchor="end")
    return f"{name}{bar}{label(x + LEFT + length + 6, y + 12, f'{rate:,.0f}/s')}"


def label(x: int, y: int, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" fill="#1b1f24">{escape(text)}</text>'
