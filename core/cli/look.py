"""Commands that look at jobs, stored series and settings."""

import json
from typing import Annotated

import typer

from core.cli.context import data, settings, words
from core.cli.options import LookOutput, Output
from core.cli.status import overview, print_runs

jobs = typer.Typer(help="Jobs of the journal and of the running engine.", no_args_is_help=True)
series = typer.Typer(help="Stored series.", no_args_is_help=True)
config = typer.Typer(help="Settings.", no_args_is_help=True)


@jobs.command("list")
def jobs_list(output: LookOutput = Output.text) -> None:
    """The newest runs, newest first."""
    found = overview(settings(announce=False))
    if output is Output.text:
        print_runs(found["runs"])
        return
    data(json.dumps(found["runs"]))


@jobs.command("show")
def jobs_show(job: str, output: LookOutput = Output.text) -> None:
    """One run with its series. JOB is a job or a run id."""
    from core.errors import ConfigError  # noqa: PLC0415
    from core.stores.reading import reading  # noqa: PLC0415

    loaded = settings(announce=False)
    with reading(loaded.database) as reader:
        found = [run for run in reader.runs(10_000) if job in {run.run_id, "j-" + run.run_id[-4:]}]
        if not found:
            raise ConfigError(f"there is no job {job!r} in {loaded.database}; see: tapewatch jobs list")
        parts = reader.run_series(found[0].run_id)
    shown = {**found[0].summary, "state": found[0].state, "label": found[0].label}
    rows = [
        {"series": p.series, "state": p.state, "windows": p.windows_done, "rows": p.rows, "error": p.error}
        for p in parts
    ]
    if output is not Output.text:
        data(json.dumps({**shown, "series_list": rows}))
        return
    for name, value in shown.items():
        data(f"{name:20} {value}")
    for row in rows:
        data(f"{row['series']:56} {row['state']:8} {row['windows']:>6} windows {row['rows']:>10,} rows  {row['error']}")


@jobs.command("follow")
def jobs_follow(output: LookOutput = Output.text) -> None:
    """Print what the running engine does until it ends or Ctrl-C."""
    import asyncio  # noqa: PLC0415

    asyncio.run(_follow(output))


async def _follow(output: Output) -> None:
    from core.cli.engines import connected  # noqa: PLC0415
    from core.cli.report import describe  # noqa: PLC0415
    from core.events import Event, JobChanged, LogLine, Snapshot, encode  # noqa: PLC0415

    async with connected(settings(announce=False)) as connection:
        async for message in connection.messages():
            events: tuple[Event, ...] = message.events if isinstance(message, Snapshot) else (message,)
            for event in events:
                if output is not Output.text:
                    data(encode(event).decode())
                elif isinstance(event, JobChanged):
                    data(f"{event.job} {describe(event)}")
                elif isinstance(event, LogLine):
                    data(event.text)


def _command(job: str, command: str) -> None:
    import asyncio  # noqa: PLC0415

    from core.cli.engines import ask  # noqa: PLC0415

    result = asyncio.run(ask(settings(announce=False), command, job=job))
    words(f"{command}: {result['job'] if isinstance(result, dict) else job}")


@jobs.command("cancel")
def jobs_cancel(job: str) -> None:
    """Stop a job; everything committed stays."""
    _command(job, "cancel")


@jobs.command("hold")
def jobs_hold(job: str) -> None:
    """Let a job ask for nothing more until it is resumed."""
    _command(job, "hold")


@jobs.command("resume")
def jobs_resume(job: str) -> None:
    """Let a held job go on."""
    _command(job, "resume")


@jobs.command("retry")
def jobs_retry(job: str) -> None:
    """Start the same operation again: only what is missing is asked for."""
    _command(job, "retry")


@series.command("list")
def series_list(
    data_type: Annotated[str | None, typer.Option("--data_type", help="Only this data type.")] = None,
    like: Annotated[str, typer.Option("--like", help="SQL pattern of the name, as in '%/kraken/%'.")] = "%",
    output: LookOutput = Output.text,
) -> None:
    """Stored series with their rows, first and last closed bar and gaps."""
    from core.stores.reading import reading  # noqa: PLC0415
    from core.windows import iso  # noqa: PLC0415

    with reading(settings(announce=False).database) as reader:
        found = reader.series(data_type, like)
    if output is not Output.text:
        names = ("series", "series_id", "rows", "first_bar", "last_bar", "history_start", "gaps")
        data(json.dumps([{name: getattr(row, name) for name in names} for row in found]))
        return
    data(f"{'series':56} {'rows':>10} {'gaps':>5}  {'first':20}  last closed bar")
    for row in found:
        first, last = (iso(ts) if ts is not None else "-" for ts in (row.first_bar, row.last_bar))
        data(f"{row.series:56} {row.rows:>10,} {row.gaps:>5}  {first:20}  {last}")


@series.command("show")
def series_show(name: str) -> None:
    """One series: its identity, span, coverage and gaps, as JSON."""
    from core.datasets import SeriesKey  # noqa: PLC0415
    from core.stores.reading import reading  # noqa: PLC0415

    key = SeriesKey.parse(name)
    with reading(settings(announce=False).database) as reader:
        data(json.dumps(reader.series_detail(key), indent=2))


@series.command("drop")
def series_drop(
    name: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a series with its rows, coverage, gaps and quarantine."""
    import asyncio  # noqa: PLC0415

    from core.app import drop_series  # noqa: PLC0415
    from core.datasets import SeriesKey  # noqa: PLC0415

    key = SeriesKey.parse(name)
    if not yes:
        typer.confirm(f"Delete {key} and all its rows?", abort=True)
    rows = asyncio.run(drop_series(settings(), key))
    words(f"dropped {key}: {rows:,} rows")


@config.command("show")
def config_show() -> None:
    """The settings in force, as JSON; the key is only said to be set or not."""
    loaded = settings(announce=False)
    shown = loaded.settings.model_dump(mode="json")
    shown["db"] = loaded.database
    data(
        json.dumps(
            {"file": str(loaded.path or ""), "api_key": "set" if loaded.api_key else "not set", **shown},
            indent=2,
        )
    )


@config.command("check")
def config_check() -> None:
    """Say whether the settings are right; exit 2 with every problem when they are not."""
    settings()
    words("the settings are right")
