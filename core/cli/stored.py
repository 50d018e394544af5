"""Options that choose stored series, and tables of what is found about them."""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.arguments import same_name
from core.cli.context import data
from core.cli.options import Output
from core.cli.terminal import width

if TYPE_CHECKING:
    from core.datasets import SeriesKey
    from core.stores.reading import Reader
    from core.stores.selection import Selection

DataTypes = Annotated[list[str] | None, typer.Option("--data_type", help="Only these data types.")]
Markets = Annotated[
    list[str] | None,
    typer.Option("--market", "--exchange", "--exchanges", "--specific_market", help="Only series of these markets."),
]
Instruments = Annotated[
    list[str] | None,
    typer.Option(
        "--instrument",
        "--instruments",
        "--symbol",
        "--specific_instrument",
        help="Only these, by mapped, own or an old id.",
    ),
]
Intervals = Annotated[
    list[str] | None, typer.Option("--interval", "--timeframe", "--granularity", help="Only 1d, 1h or 1m.")
]


def selected(
    data_types: Sequence[str] | None = None,
    markets: Sequence[str] | None = None,
    instruments: Sequence[str] | None = None,
    intervals: Sequence[str] | None = None,
    series: "Sequence[SeriesKey]" = (),
    *,
    lists: bool = False,
) -> "Selection":
    """The stored series that options name, and with `lists` those of reference data.

    Raises ConfigError for a data type or interval that does not exist.
    """
    from core.datasets import DATA_TYPES, DATASETS  # noqa: PLC0415
    from core.stores.selection import Selection  # noqa: PLC0415
    from core.windows import GRAINS  # noqa: PLC0415

    types = tuple(same_name(name) for name in several(data_types))
    return Selection(
        known("data_type", types, DATA_TYPES if lists else DATASETS),
        tuple(name.lower() for name in several(markets)),
        several(instruments),
        known("interval", several(intervals), GRAINS),
        tuple(series),
        lists,
    )


def keys(names: Sequence[str] | None) -> "list[SeriesKey]":
    """Series named in full. Raises ConfigError for what is no name of one."""
    from core.datasets import SeriesKey  # noqa: PLC0415

    return [SeriesKey.parse(name) for name in several(names)]


def stored_keys(reader: "Reader", asked: "Sequence[SeriesKey]") -> "tuple[SeriesKey, ...]":
    """Their present names, each once. Raises NotStored for one that is not."""
    return tuple(dict.fromkeys(reader.find(key) for key in asked))


def in_store(chosen: "Selection", database: str) -> "Selection":
    """`chosen` with the present names of its series. Raises NotStored and, without a store, StoreError."""
    from dataclasses import replace  # noqa: PLC0415

    from core.stores.opening import reading  # noqa: PLC0415

    with reading(database) as reader:
        return replace(chosen, series=stored_keys(reader, chosen.series))


def several(given: Sequence[str] | None) -> tuple[str, ...]:
    """The names of a repeated option, each of which may hold some separated by commas."""
    return tuple(name.strip() for part in given or () for name in part.split(",") if name.strip())


def known(option: str, names: tuple[str, ...], allowed: Iterable[str]) -> tuple[str, ...]:
    """`names`, all of which are allowed. Raises ConfigError naming the option and what is."""
    from core.errors import ConfigError  # noqa: PLC0415
    from core.text import clean  # noqa: PLC0415

    for name in names:
        if name not in allowed:
            raise ConfigError(f"--{option} {clean(name)!r}: choose {', '.join(allowed)}")
    return names


def as_json(rows: Sequence[Mapping[str, Any]], output: Output) -> bool:
    """Print `rows` as one JSON list, or as an object a line, if that is what `output` wants; whether it did."""
    if output is Output.json:
        data(json.dumps(list(rows)))
    elif output is Output.jsonl:
        for row in rows:
            data(json.dumps(row))
    return output is not Output.text


def show(rows: Sequence[Mapping[str, Any]], output: Output, columns: Sequence[str], nothing: str) -> None:
    """A list of objects: as text the `columns`, aligned, or a line of words when it is empty."""
    if as_json(rows, output):
        return
    if not rows:
        data(nothing)
        return
    print_table([{name: row[name] for name in columns} for row in rows])


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Aligned columns under their names, numbers to the right; on a terminal that is too narrow a line a value."""
    titles = [name.replace("_", " ") for name in rows[0]]
    lines = [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(titles, *lines, strict=True)]
    if (room := width()) is not None and sum(widths) + 2 * (len(widths) - 1) > room:
        _print_blocks(titles, lines)
        return
    numbers = [isinstance(value, int | float) for value in rows[0].values()]
    for line in (titles, *lines):
        cells = zip(line, widths, numbers, strict=True)
        data("  ".join(f"{cell:>{width}}" if right else f"{cell:{width}}" for cell, width, right in cells).rstrip())


def _print_blocks(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    widest = max(map(len, titles))
    for at, line in enumerate(lines):
        if at:
            data("")
        for title, cell in zip(titles, line, strict=True):
            print_lines(f"{title:{widest}}  ", cell)


def print_lines(left: str, text: str) -> None:
    """`text` beside `left`, within the terminal's width if there is one; a word that is longer stays whole."""
    lines = [text]
    if (room := width()) is not None:
        lines = textwrap.wrap(text, max(20, room - len(left)), break_long_words=False, break_on_hyphens=False) or [""]
    for at, line in enumerate(lines):
        data((" " * len(left) if at else left) + line)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
