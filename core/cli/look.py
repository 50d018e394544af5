"""Commands that look at jobs and settings."""

import json
from typing import Any

import typer

from core.cli.context import data, settings, words
from core.cli.options import LookOutput, Output
from core.cli.overview import recent_runs
from core.cli.status import print_runs
from core.cli.stored import as_json, print_table
from core.text import shown_url

jobs = typer.Typer(help="Jobs of the journal and of the running engine.", no_args_is_help=True)
config = typer.Typer(help="Settings.", no_args_is_help=True)


@jobs.command("list")
def jobs_list(output: LookOutput = Output.text) -> None:
    """The newest runs, newest first."""
    runs = recent_runs(settings(announce=False))
    if not as_json(runs, output):
        print_runs(runs)


@jobs.command("show")
def jobs_show(job: str, output: LookOutput = Output.text) -> None:
    """One run with its series. JOB is a job or a run id."""
    from core.errors import ConfigError  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415

    loaded = settings(announce=False)
    with reading(loaded.database) as reader:
        found = [run for run in reader.runs(10_000) if run.is_called(job)]
        if not found:
            raise ConfigError(f"there is no job {job!r} in {shown_url(loaded.database)}; see: tapewatch jobs list")
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
        data(f"{name:20} {_words(value)}")
    if rows:
        print_table(rows)


def _words(value: Any) -> str:
    """A value of a summary for people: `hits 3, misses 1`, `1,204`, `-` for nothing."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items()) or "-"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "-"
    return f"{value:,}" if isinstance(value, int) else str(value or "-")


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


@config.command("show")
def config_show() -> None:
    """The settings in force, as JSON; the key is only said to be set or not."""
    loaded = settings(announce=False)
    shown = loaded.settings.model_dump(mode="json")
    shown["db"] = shown_url(loaded.database)
    shown["quota"]["ledger"] = shown_url(loaded.settings.quota.ledger)
    data(
        json.dumps(
            {"file": str(loaded.path or ""), "api_key": "set" if loaded.api_key else "not set", **shown},
            indent=2,
        )
    )


@config.command("check")
def config_check() -> None:
    """Say whether the settings are right, and the rules, channels, schedules and keys they name; nothing is sent.

    Exit 2 with every problem when they are not.
    """
    import asyncio  # noqa: PLC0415

    from core.alerting.rule_files import rules_of  # noqa: PLC0415
    from core.channels import check_channels  # noqa: PLC0415
    from core.cli.daemon import schedules_of  # noqa: PLC0415
    from core.cli.interactive import actions_of  # noqa: PLC0415
    from core.errors import gathered  # noqa: PLC0415
    from core.text import counted  # noqa: PLC0415

    loaded = settings()
    rules, schedules, *_ = gathered(
        lambda: rules_of(loaded.rules_file),
        lambda: schedules_of(loaded),
        lambda: asyncio.run(check_channels(loaded)),
        lambda: actions_of(loaded),
    )
    found = ((len(rules.rules), "rule"), (len(loaded.channels), "channel"), (len(schedules), "schedule"))
    words(f"the settings are right: {', '.join(counted(number, what) for number, what in found)}")
