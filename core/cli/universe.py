"""`universe`: stored, dated lists of series. A listed series stays until it is dropped, whatever a ranking says."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import options as o
from core.cli.arguments import same_name
from core.cli.context import data, settings, words
from core.cli.options import LookOutput, Output
from core.cli.stored import as_json, keys, known, several, show
from core.text import counted

if TYPE_CHECKING:
    from core.config import Loaded
    from core.datasets import SeriesKey

universe = typer.Typer(help="Stored, dated lists of series, for --universe.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the universe.")]
Series = Annotated[list[str], typer.Argument(help="Series by their full names: data_type/market/instrument/interval.")]
DataTypes = Annotated[
    list[str] | None,
    typer.Option("--data_type", help="Data types, repeated or comma separated. Default: spot_ohlcv."),
]


@universe.command("create")
def create(
    name: Name,
    data_type: DataTypes = None,
    interval: o.Interval = "1d",
    pair_limit: o.PairLimit = None,
    market: o.Market = None,
    instrument: o.Instrument = None,
    series: o.Series = None,
    contract: o.Contract = None,
    min_grade: o.MinGrade = None,
    include_inactive: o.IncludeInactive = False,
) -> None:
    """List the series that a selection chooses now."""
    given = _given(locals())
    loaded = settings()
    _check_name(name)
    _check_new(loaded, name)
    chosen = asyncio.run(_choose(loaded, given))
    listed = asyncio.run(_write(loaded, "create_universe", name, chosen))
    words(f"universe {name}: {listed:,} series; use it with --universe {name}")


@universe.command("show")
def show_universe(
    name: Name,
    dropped: Annotated[bool, typer.Option("--dropped", help="Also what is not listed any more.")] = False,
    output: LookOutput = Output.text,
) -> None:
    """The series of a universe, since when each is listed, and the name it has by now."""
    from core.stores.opening import reading  # noqa: PLC0415
    from core.windows import iso  # noqa: PLC0415

    loaded = settings(announce=False)
    with reading(loaded.database) as reader:
        members = reader.universe(loaded.settings.source.name, name)
    rows = [
        {
            "series": str(member.now),
            "added": iso(member.added),
            "dropped": None if member.dropped is None else iso(member.dropped),
            "added_as": str(member.key),
        }
        for member in members
        if dropped or member.dropped is None
    ]
    show(rows, output, ("series", "added", "dropped") if dropped else ("series", "added"), f"{name} lists no series")


@universe.command("list")
def list_universes(output: LookOutput = Output.text) -> None:
    """All universes with how many series they list and have dropped."""
    from core.stores.opening import reading  # noqa: PLC0415
    from core.windows import iso  # noqa: PLC0415

    with reading(settings(announce=False).database) as reader:
        found = reader.universes()
    rows = [{**row._asdict(), "created": iso(row.created)} for row in found]
    show(rows, output, ("name", "created", "series", "dropped"), "there is no universe yet")


@universe.command("diff")
def diff(
    name: Name,
    data_type: DataTypes = None,
    interval: o.Interval = "1d",
    pair_limit: o.PairLimit = None,
    market: o.Market = None,
    instrument: o.Instrument = None,
    series: o.Series = None,
    contract: o.Contract = None,
    min_grade: o.MinGrade = None,
    include_inactive: o.IncludeInactive = False,
    output: LookOutput = Output.text,
) -> None:
    """What a selection chooses now and the universe does not list (+), and the other way round (-)."""
    from core.stores.opening import reading  # noqa: PLC0415

    given = _given(locals())
    loaded = settings()
    with reading(loaded.database) as reader:
        members = reader.universe(loaded.settings.source.name, name)
    chosen = asyncio.run(_choose(loaded, given))
    types = {(entry["data_type"], interval) for entry in given}
    listed = [m.now for m in members if m.dropped is None and (m.now.data_type, m.now.interval) in types]
    rows = [{"sign": "+", "series": str(key)} for key in chosen if key not in set(listed)]
    rows += [{"sign": "-", "series": str(key)} for key in listed if key not in set(chosen)]
    if as_json(rows, output):
        return
    for row in rows:
        data(f"{row['sign']} {row['series']}")
    words(f"universe {name}: {counted(len(rows), 'difference')}")


@universe.command("add")
def add(name: Name, series: Series) -> None:
    """List further series."""
    asked = keys(series)
    added = asyncio.run(_write(settings(), "add_to_universe", name, asked))
    words(f"universe {name}: {added:,} series added, {len(set(asked)) - added:,} listed already")


@universe.command("drop")
def drop(name: Name, series: Series) -> None:
    """Take series off the list; what is stored of them stays, and so does when they were listed."""
    dropped = asyncio.run(_write(settings(), "drop_from_universe", name, keys(series)))
    words(f"universe {name}: {dropped:,} series dropped")


def _given(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The selection as entries of a batch, one a data type."""
    from core.datasets import DATASETS  # noqa: PLC0415

    given = {key: value for key, value in arguments.items() if key not in {"name", "data_type", "output", "reading"}}
    types = tuple(same_name(data_type) for data_type in several(arguments["data_type"]) or ("spot_ohlcv",))
    return [{"data_type": data_type, **given} for data_type in dict.fromkeys(known("data_type", types, DATASETS))]


def _check_name(name: str) -> None:
    from core.errors import ConfigError  # noqa: PLC0415
    from core.text import clean, is_name  # noqa: PLC0415

    if not is_name(name):
        raise ConfigError(f"{clean(name)!r} cannot be the name of a universe")


def _check_new(loaded: "Loaded", name: str) -> None:
    """Before anything is asked of the vendor for it."""
    from core.errors import ConfigError, StoreError  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.stores.universe_sql import TAKEN  # noqa: PLC0415

    try:
        with reading(loaded.database) as reader:
            names = {row.name for row in reader.universes()}
    except StoreError:
        return  # there is no store yet
    if name in names:
        raise ConfigError(TAKEN.format(name))


async def _choose(loaded: "Loaded", given: Sequence[dict[str, Any]]) -> "list[SeriesKey]":
    """What the selection chooses now; the vendor's lists are asked for unless the store has fresh ones."""
    from core.app import quote  # noqa: PLC0415
    from core.batch import Batch, with_series_files  # noqa: PLC0415
    from core.cli.report import say_log  # noqa: PLC0415
    from core.operations import make_operation  # noqa: PLC0415

    operations = tuple(make_operation(_taken(with_series_files(entry, Path()))) for entry in given)
    quoted = await quote(loaded, Batch(operations=operations), say_log)
    return [wanted.key for need in quoted.needs for wanted in need.job.wanted or ()]


def _taken(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry without what was left at its default."""
    return {key: value for key, value in entry.items() if value not in (None, False, [])}


async def _write(loaded: "Loaded", method: str, name: str, chosen: "Sequence[SeriesKey]") -> int:
    from core.app import held_store  # noqa: PLC0415

    async with held_store(loaded) as store:
        written: int = await getattr(store, method)(loaded.settings.source.name, name, chosen)
        return written
