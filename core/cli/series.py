"""`series`: what is stored, and what of it is not kept."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.context import data, settings, words
from core.cli.options import LookOutput, Output
from core.cli.stored import DataTypes, Instruments, Intervals, Markets, as_json, print_table, selected

if TYPE_CHECKING:
    from core.config import Loaded
    from core.datasets import SeriesKey
    from core.stores.house_sql import Prunable
    from core.stores.reading import SeriesRow

series = typer.Typer(help="Stored series: what is there, and letting go of it.", no_args_is_help=True)

Series = Annotated[str, typer.Argument(help="data_type/market/instrument/interval; old names too.")]
Limit = tuple[str, str, int]
LISTED = ("series", "series_id", "rows", "first_bar", "last_bar", "history_start", "gaps")


@series.command("list")
def series_list(
    data_type: DataTypes = None,
    market: Markets = None,
    instrument: Instruments = None,
    interval: Intervals = None,
    like: Annotated[str, typer.Option("--like", help="SQL pattern of the name, as in '%/kraken/%'.")] = "%",
    output: LookOutput = Output.text,
) -> None:
    """Stored series with their rows, first and last closed bar and gaps."""
    from core.stores.opening import reading  # noqa: PLC0415

    chosen = selected(data_type, market, instrument, interval)
    with reading(settings(announce=False).database) as reader:
        found = reader.series(chosen, like)
    if as_json([{name: getattr(row, name) for name in LISTED} for row in found], output):
        return
    if not found:
        data("no such series is stored")
        return
    print_table([_listed(row) for row in found])


def _listed(row: "SeriesRow") -> dict[str, Any]:
    from core.windows import iso  # noqa: PLC0415

    first, last = (None if ts is None else iso(ts) for ts in (row.first_bar, row.last_bar))
    return {"series": row.series, "rows": row.rows, "gaps": row.gaps, "first_bar": first, "last_closed_bar": last}


@series.command("show")
def series_show(name: Series, output: LookOutput = Output.text) -> None:
    """One series: its identity, span, names, what was asked for and what of it is missing, young or pruned."""
    from core.cli.gaps import holes  # noqa: PLC0415
    from core.datasets import SeriesKey  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.stores.selection import Selection  # noqa: PLC0415

    asked = SeriesKey.parse(name)
    with reading(settings(announce=False).database) as reader:
        key = reader.find(asked)
        detail = reader.series_detail(key)
        detail["gap"] = holes(reader, Selection.one(key))
    if output is not Output.text:
        data(json.dumps(detail))
        return
    _print_series(str(key), detail)


LISTS = {
    "names": ("also called", "{name} until {until}"),
    "coverage": ("asked and answered", "{start} .. {end}  {groups}"),
    "unsettled": ("read too young, to be read again", "{start} .. {end}"),
    "gap": ("gaps and failed windows", "{start} .. {end}  {bars:,} bars  {cause} ({state}): {words}"),
}


def _print_series(key: str, detail: dict[str, Any]) -> None:
    data(key)
    for name, value in detail.items():
        if name not in LISTS and name != "blocked":
            data(f"    {name:22} {value:,}" if name == "rows" else f"    {name:22} {value}")
    if "blocked" in detail:
        data(f"    blocked: {detail['blocked']}")
    if "pruned_before" in detail:
        data(f"    bars before {detail['pruned_before']} were kept once; they are covered and not bought again")
    for name, (title, form) in LISTS.items():
        data(f"{title}: {'' if detail[name] else 'none'}".rstrip())
        for row in detail[name]:
            data(f"    {form.format(**row)}")


@series.command("drop")
def series_drop(
    name: Series,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; otherwise only what would go is printed.")] = False,
    output: LookOutput = Output.text,
) -> None:
    """Delete a series with its rows, coverage and all that is known of it, together."""
    import asyncio  # noqa: PLC0415

    from core.datasets import SeriesKey  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415

    asked, loaded = SeriesKey.parse(name), settings()
    with reading(loaded.database) as reader:
        key = reader.find(asked)
        counts = reader.contents(key)
    if yes:
        counts = asyncio.run(_drop(loaded, key))
    rows = [{"table": table, "rows": count} for table, count in counts.items()]
    if output is Output.text:
        print_table(rows)
    else:
        data(json.dumps({"series": str(key), "dropped": yes, "rows": counts}))
    _confirmed(yes, f"dropped {key}", f"nothing was deleted; to delete {key} add --yes")


async def _drop(loaded: "Loaded", key: "SeriesKey") -> dict[str, int]:
    from core.app import held_store  # noqa: PLC0415

    async with held_store(loaded) as store:
        return await store.drop(key)


def _confirmed(yes: bool, done: str, otherwise: str) -> None:
    words(done if yes else otherwise)
    if not yes:
        raise typer.Exit(2)


@series.command("prune")
def series_prune(
    yes: Annotated[bool, typer.Option("--yes", help="Do it; otherwise only what would go is printed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry_run", help="Only print what would go, and exit 0.")] = False,
    output: LookOutput = Output.text,
) -> None:
    r"""Delete the bars that are older than \[retention] keeps. They stay covered, so they are not bought again."""
    import asyncio  # noqa: PLC0415

    from core.errors import ConfigError  # noqa: PLC0415

    loaded = settings()
    if not loaded.settings.retention:
        raise ConfigError("nothing is pruned without limits; set some, as in [retention] spot_ohlcv_1m = '90d'")
    limits = _limits(loaded)
    found = _prunable(loaded, limits)
    if yes and not dry_run:
        asyncio.run(_prune(loaded, limits))
    _print_prunable(found, output)
    if not dry_run:
        gone = sum(each.rows for each in found)
        _confirmed(yes, f"pruned {gone:,} rows", "nothing was deleted; to delete this add --yes")


def _prunable(loaded: "Loaded", limits: list[Limit]) -> "list[Prunable]":
    from core.stores.opening import reading  # noqa: PLC0415

    with reading(loaded.database) as reader:
        return [each for limit in limits for each in reader.prunable(*limit)]


async def _prune(loaded: "Loaded", limits: list[Limit]) -> None:
    from core.app import held_store  # noqa: PLC0415

    async with held_store(loaded) as store:
        for limit in limits:
            await store.prune(*limit)


def _limits(loaded: "Loaded") -> list[Limit]:
    """Data type, interval, and the time before which bars are not kept."""
    import time  # noqa: PLC0415

    from core.windows import GRAINS  # noqa: PLC0415

    return [
        (data_type, interval, GRAINS[interval].floor(int(time.time()) - seconds))
        for (data_type, interval), seconds in loaded.settings.kept_seconds.items()
    ]


def _print_prunable(found: "list[Prunable]", output: Output) -> None:
    from core.windows import iso  # noqa: PLC0415

    rows = [{"series": str(each.key), "rows": each.rows, "before": iso(each.before)} for each in found]
    if as_json(rows, output):
        return
    if rows:
        print_table(rows)
    else:
        data("nothing is older than is kept")
