"""`status`: one look that says whether the data is fine, and why not."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.context import data, settings
from core.cli.options import LookOutput, Output
from core.cli.overview import overview
from core.cli.quota import span_words, standing_lines
from core.cli.stored import print_lines, print_table
from core.text import clean

if TYPE_CHECKING:
    from core.config import Loaded

CHECK_CODES = {"ok": 0, "degraded": 1, "down": 3}


def status(
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when degraded, 3 when down.")] = False,
    enable_monitoring: Annotated[bool, typer.Option("--enable_monitoring", help="Accepted for scripts.")] = False,
    since: Annotated[
        str, typer.Option("--since", help="How operations went since a UTC date or time, or for so long: 24h.")
    ] = "",
    output: LookOutput = Output.text,
) -> None:
    """Whether all is well and why not: engines, store, source, quota, cache, alerts, data types, schedules and runs."""
    loaded = settings()
    found = {**overview(loaded), "quota": _quota(loaded), "cache": _cache(loaded)}
    if since:
        found["history"] = _history(loaded, since)
    if output is Output.text:
        _print_status(found)
    else:
        data(json.dumps(found))
    if check and (code := CHECK_CODES[found["health"]]):
        raise typer.Exit(code)


def _history(loaded: "Loaded", since: str) -> dict[str, Any] | None:
    """None when the store does not tell. Raises ConfigError for what is no time."""
    from core.cli.history import history_object  # noqa: PLC0415
    from core.errors import StoreError  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.windows import parse_since  # noqa: PLC0415

    now = time.time()
    after = parse_since(since, now)
    try:
        with reading(loaded.database) as reader:
            return history_object(reader, min(after, int(now)), now)
    except StoreError:
        return None


def _cache(loaded: "Loaded") -> list[dict[str, Any]]:
    """A row a tier of the running engine's cache, none without an engine."""
    from core.cli.cache import engine_tiers  # noqa: PLC0415

    names = ("tier", "hits", "misses", "hit_rate", "entries", "bytes", "state")
    return [{name: row[name] for name in names} for row in engine_tiers(loaded)]


def _quota(loaded: "Loaded") -> dict[str, Any] | None:
    """The object of `quota --output json`, None when the store does not tell."""
    from core.cli.quota import standing, standing_object  # noqa: PLC0415
    from core.errors import StoreError  # noqa: PLC0415

    now = time.time()
    try:
        return standing_object(standing(loaded, now), now)
    except StoreError:
        return None


def _print_status(found: dict[str, Any]) -> None:
    for name, text in _facts(found):
        print_lines(f"{name:8} ", text)
    tables = [
        [_data_type_row(entry) for entry in found["data_types"]],
        [_schedule_row(entry) for entry in found["schedules"]],
        found["lists"],
        [_run_row(run) for run in found["runs"]],
    ]
    for rows in filter(None, tables):
        data("")
        print_table(rows)
    if found.get("history"):
        from core.cli.history import print_history  # noqa: PLC0415

        data("")
        print_history(found["history"])


def _schedule_row(entry: dict[str, Any]) -> dict[str, Any]:
    """A pause matters more than what became of the last run."""
    note = clean(entry["paused"] or entry["note"], 80) or None
    return {**{name: value for name, value in entry.items() if name != "paused"}, "note": note}


def _facts(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is known, a line each: what it is about, or nothing where that is as before, and the words."""
    why = {part["name"]: part["why"] for part in found["components"]}
    yield "health", found["health"]
    yield from (("", clean(reason, 500)) for reason in found["reasons"])
    yield "config", found["config"] or "defaults"
    yield "store", f"{found['store']}  origin {found.get('origin') or 'none yet'}"
    yield "source", f"{found['source']}  {found['source_health']}"
    yield "engine", why["engine"]
    if "alerts" in why:
        yield "alerts", why["alerts"]
    yield from _named("quota", standing_lines(found["quota"]) if found["quota"] else [])
    yield from _named("cache", [_tier_words(tier) for tier in found["cache"]])


def _named(name: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield from (("" if at else name, line) for at, line in enumerate(lines))


def _tier_words(tier: dict[str, Any]) -> str:
    rate = f"{tier['hit_rate']} hits" if tier["hit_rate"] else "not asked yet"
    return f"{tier['tier']}  {rate}, {tier['entries']:,} entries, {tier['state']}"


def _data_type_row(entry: dict[str, Any]) -> dict[str, Any]:
    age = entry["age_seconds"]
    return {
        "data_type": f"{entry['data_type']} {entry['interval']}",
        "series": entry["series"],
        "rows": entry["rows"],
        "gaps": entry["gaps"],
        "last_closed_bar": entry["last_bar"],
        "ended": None if age is None else f"{span_words(age)} ago",
    }


def print_runs(runs: list[dict[str, Any]]) -> None:
    if runs:
        print_table([_run_row(run) for run in runs])


def _run_row(run: dict[str, Any]) -> dict[str, Any]:
    from core.windows import iso  # noqa: PLC0415

    summary = run["summary"]
    return {
        "job": run["job"],
        "run": run["run_id"],
        "data_type": f"{run['data_type']} {run['interval']}".rstrip(),
        "state": run["state"],
        "windows": f"{summary.get('windows', 0)}/{summary.get('windows_total', 0)}",
        "rows": summary.get("rows_fetched", 0),
        "created": iso(run["created"]),
    }
