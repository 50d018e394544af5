"""`gaps`: what is missing inside of what was asked for, why, and asking for it again."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.context import data, settings
from core.cli.options import DryRun, LookOutput, MaxRequests, Output, OutputOption
from core.cli.stored import (
    DataTypes,
    Instruments,
    Intervals,
    Markets,
    as_json,
    in_store,
    keys,
    known,
    selected,
    several,
    show,
)

if TYPE_CHECKING:
    from core.stores.explain_sql import ExplainedGap, FailedWindow
    from core.stores.reading import Reader
    from core.stores.selection import Selection

gaps = typer.Typer(help="Slots that were asked for and are empty: where, why, and closing them.", no_args_is_help=True)

Cause = Annotated[list[str] | None, typer.Option("--cause", help="Only gaps of these causes.")]
LISTED = ("series", "start", "end", "bars", "cause", "state", "sightings", "next_check")
NOTHING = "no gaps"


@gaps.command("list")
def gaps_list(
    data_type: DataTypes = None,
    market: Markets = None,
    instrument: Instruments = None,
    interval: Intervals = None,
    cause: Cause = None,
    output: LookOutput = Output.text,
) -> None:
    """Gaps with their causes, and windows that were given up (failed_fetch), by series and time."""
    from core.causes import CAUSES  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415

    causes = known("cause", several(cause), CAUSES)
    chosen = selected(data_type, market, instrument, interval)
    with reading(settings(announce=False).database) as reader:
        found = [row for row in holes(reader, chosen) if not causes or row["cause"] in causes]
    show([{name: row[name] for name in LISTED} for row in found], output, LISTED, NOTHING)


@gaps.command("explain")
def gaps_explain(
    series: Annotated[str | None, typer.Argument(help="data_type/market/instrument/interval; old names too.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Explain the gaps of all series.")] = False,
    output: LookOutput = Output.text,
) -> None:
    """Why each gap is there, on what evidence, how often it was seen, and what happens next."""
    from core.datasets import SeriesKey  # noqa: PLC0415
    from core.errors import ConfigError  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.stores.selection import EVERYTHING, Selection  # noqa: PLC0415

    if (series is None) != everything:
        raise ConfigError("name a series (data_type/market/instrument/interval), or --all, not both")
    asked = SeriesKey.parse(series) if series else None
    with reading(settings(announce=False).database) as reader:
        chosen = Selection.one(reader.find(asked)) if asked else EVERYTHING
        found = holes(reader, chosen)
    if as_json(found, output):
        return
    if not found:
        data(NOTHING)
    for row in found:
        data(f"{row['series']}  {row['start']} .. {row['end']}  {row['bars']:,} bars")
        data(f"    cause  {row['cause']}: {row['words']}")
        data(f"    seen   {row['seen']}")
        data(f"    next   {row['next']}")


@gaps.command("repair")
def gaps_repair(
    series: Annotated[list[str] | None, typer.Argument(help="Only these series, by full name.")] = None,
    data_type: DataTypes = None,
    market: Markets = None,
    instrument: Instruments = None,
    interval: Intervals = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the confirmed ones, and those of dead instruments.")
    ] = False,
    max_requests: MaxRequests = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Ask again for gaps and failed windows, due or not, in as few calls as hold them, and for nothing else.

    Gaps that were seen twice, and those of dead instruments, cost calls for nothing, so they take --all.
    Ends with what was closed and what is still open, by cause.
    """
    import asyncio  # noqa: PLC0415

    from core.cli.repair import repair  # noqa: PLC0415

    asked, loaded = selected(data_type, market, instrument, interval, keys(series)), settings()
    chosen = in_store(asked, loaded.database)
    code = asyncio.run(repair(loaded, chosen, output, every=everything, max_requests=max_requests, dry_run=dry_run))
    if code:
        raise typer.Exit(code)


def holes(reader: "Reader", chosen: "Selection") -> list[dict[str, Any]]:
    """Gaps and failed windows of the chosen series as objects, by series and time; times in ISO."""
    found = [*map(_gap, reader.gaps(chosen)), *map(_failed, reader.failed(chosen))]
    return sorted(found, key=lambda row: (row["series"], row["start"]))


def _gap(each: "ExplainedGap") -> dict[str, Any]:
    from core.causes import outlook  # noqa: PLC0415
    from core.windows import GRAINS, iso  # noqa: PLC0415

    gap, told = each.gap, each.explanation
    first, last = iso(gap.first_seen), iso(gap.last_seen)
    return {
        "series": str(each.key),
        "series_id": each.series_id,
        "start": iso(gap.window.start),
        "end": iso(gap.window.end),
        "bars": GRAINS[each.key.interval].bars(gap.window),
        "cause": told.cause,
        "state": "confirmed" if gap.is_confirmed else "new",
        "sightings": gap.sightings,
        "first_seen": first,
        "last_seen": last,
        "next_check": iso(gap.next_check),
        "words": told.words,
        "evidence": told.evidence,
        "seen": f"{gap.sightings} times, {first} .. {last}" if gap.is_confirmed else f"once, {last}",
        "next": outlook(gap, told.cause),
    }


def _failed(each: "FailedWindow") -> dict[str, Any]:
    from core.causes import FAILED_FETCH  # noqa: PLC0415
    from core.text import clean  # noqa: PLC0415
    from core.windows import GRAINS, iso  # noqa: PLC0415

    first, last = iso(each.first_seen), iso(each.last_seen)
    times = "time" if each.sightings == 1 else "times"
    return {
        "series": str(each.key),
        "series_id": each.series_id,
        "start": iso(each.window.start),
        "end": iso(each.window.end),
        "bars": GRAINS[each.key.interval].bars(each.window),
        "cause": FAILED_FETCH,
        "state": "given up",
        "sightings": each.sightings,
        "first_seen": first,
        "last_seen": last,
        "next_check": None,
        "words": f"given up after {each.attempts} attempts: {clean(each.error)}",
        "evidence": {"error": clean(each.error), "attempts": each.attempts, "run_id": each.run_id},
        "seen": f"given up {each.sightings} {times}, {first} .. {last}, last by run {each.run_id}",
        "next": "it was never answered, so the next run that covers it asks again; now: tapewatch gaps repair",
    }
