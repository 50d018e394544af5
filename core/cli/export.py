"""`export`: bars and reference data as CSV, Parquet or JSON lines, with a manifest."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.arguments import same_name
from core.cli.context import data, ending_cleanly, settings, words
from core.cli.options import LookOutput, Output
from core.cli.stored import several
from core.options import OPTIONS

if TYPE_CHECKING:
    from core.exports.request import Request
    from core.exports.run import Export

STDOUT = "-"
SECONDS_BETWEEN_LINES = 5.0
EPILOG = """Examples:

  tapewatch export spot_ohlcv --interval 1h --market kraken --out bars.parquet

  tapewatch export spot_ohlcv --interval 1m --partition_by market,month --format jsonl --out bars

  tapewatch export spot_ohlcv --as_of 2025-06-01T12:00 --out then.csv
"""


def export(
    data_type: Annotated[str, typer.Argument(help="One of the nine data types.", autocompletion=lambda: list(OPTIONS))],
    out: Annotated[str, typer.Option("--out", help="A file, a directory, or - for stdout.")],
    form: Annotated[
        str | None, typer.Option("--format", help="csv, parquet or jsonl. Default: as --out ends, else csv.")
    ] = None,
    interval: Annotated[
        str | None, typer.Option("--interval", "--timeframe", "--granularity", help="1d, 1h or 1m. Default: 1d.")
    ] = None,
    market: Annotated[
        list[str] | None, typer.Option("--market", "--exchange", "--exchanges", help="Only these markets.")
    ] = None,
    instrument: Annotated[
        list[str] | None,
        typer.Option("--instrument", "--instruments", "--symbol", help="Only these, by mapped, own or an old id."),
    ] = None,
    start: Annotated[str | None, typer.Option("--start", help="First bar, UTC date or time.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="UTC date or time, exclusive.")] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--columns", help="Only these columns, in this order; see: describe.")
    ] = None,
    groups: Annotated[str | None, typer.Option("--groups", help="Only columns of these field groups.")] = None,
    partition_by: Annotated[
        list[str] | None,
        typer.Option("--partition_by", help="A file for each market, instrument, year, month, day."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as_of", help="What was known then: UTC date or time, or how long ago.")
    ] = None,
    changed_since: Annotated[
        str | None,
        typer.Option("--changed_since", help="Only rows that came or changed since then, or for so long: 24h."),
    ] = None,
    include_open: Annotated[bool, typer.Option("--include_open", help="Also bars that are still running.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what an earlier export left there.")] = False,
    output: LookOutput = Output.text,
) -> None:
    """Stored bars or reference data as CSV, Parquet or JSON lines, with a manifest.

    Closed bars only, unless told otherwise. Columns are those of the tables: see tapewatch describe. Files
    appear whole or not at all.
    """
    from core.exports.formats import check_format, format_of  # noqa: PLC0415
    from core.exports.request import Request, data_type_named  # noqa: PLC0415

    request = Request(
        data_type_named(same_name(data_type)),
        interval=interval,
        markets=tuple(name.lower() for name in several(market)),
        instruments=several(instrument),
        window=_window(start, end),
        columns=several(columns),
        groups=groups,
        partition_by=several(partition_by),
        as_of=_time(as_of),
        changed_since=_time(changed_since),
        include_open=include_open,
    )
    chosen = form or format_of(out)
    check_format(chosen)
    with ending_cleanly():
        if out == STDOUT:
            _to_stdout(request, chosen, output)
        else:
            _to_files(request, chosen, out, force=force, output=output)


def _to_stdout(request: "Request", form: str, output: Output) -> None:
    from core.errors import ConfigError  # noqa: PLC0415
    from core.exports.files import OutputFile  # noqa: PLC0415

    if request.partition_by or output is not Output.text:
        raise ConfigError("--out -: stdout takes the rows alone, in one piece, without a manifest")
    if form == "parquet" and sys.stdout.isatty():
        raise ConfigError("--out -: Parquet is no text for a terminal; redirect it or name a file")
    with _export(request, form) as export:
        export.write(lambda _path: OutputFile(sys.stdout.buffer, lasting=False), "")
        words(f"exported {export.rows:,} rows")


def _to_files(request: "Request", form: str, out: str, *, force: bool, output: Output) -> None:
    from core.exports.files import Place  # noqa: PLC0415

    place = Place(out, f"{request.table}.{form}", is_folder=bool(request.partition_by), force=force)
    with _export(request, form) as export, place.staged():
        export.write(place.open, place.name)
        manifest = export.manifest(time.time())
        place.publish(manifest)
    _report(manifest, place.path, output)


def _report(manifest: dict[str, Any], path: object, output: Output) -> None:
    if output is not Output.text:
        data(json.dumps(manifest))
    files = len(manifest["files"])
    parts = "a file" if files == 1 else f"{files:,} files"
    words(f"exported {manifest['rows']:,} rows of {len(manifest['series']):,} series to {path} ({parts}, a manifest)")
    for note in manifest["notes"]:
        words(f"note: {note}")


@contextmanager
def _export(request: "Request", form: str) -> "Iterator[Export]":
    from core.exports.run import Export  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415

    with reading(settings(announce=False).database) as reader, reader.snapshot() as db:
        yield Export(db, request, form, _Progress())


class _Progress:
    """A line on stderr every few seconds: it is read by people and by logs."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, rows: int, name: str) -> None:
        if time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES:
            self._said_at = time.monotonic()
            words(f"{rows:,} rows, at {name}")


def _window(start: str | None, end: str | None) -> Any:
    from core.exports.request import FOREVER  # noqa: PLC0415
    from core.windows import Window  # noqa: PLC0415

    first, last = _time(start), _time(end)
    return Window(FOREVER.start if first is None else first, FOREVER.end if last is None else last)


def _time(text: str | None) -> int | None:
    from core.windows import parse_since  # noqa: PLC0415

    return None if text is None else parse_since(text, time.time())
