"""One export from end to end: streams of rows, cut into files, and a manifest that says what they are."""

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

import msgspec

from core.datasets import Dataset
from core.errors import ConfigError
from core.exports.files import OutputFile, partition_path
from core.exports.formats import FORMATS, Field, Rows
from core.exports.request import FOREVER, PERIODS, Request
from core.stores.database import Database
from core.stores.entities_sql import entity_streams, unkept
from core.stores.export_sql import Question, Stream, bar_streams, columns_of, is_stored, pruned_before
from core.stores.selection import Selection
from core.text import clean
from core.windows import DAY, Window, iso, parse_time

ROWS_AT_ONCE = 2_000

Progress = Callable[[int, str], None]


class Part(NamedTuple):
    """What goes into one file: a window of some streams. `values` say which partition it is, if any."""

    values: Mapping[str, str]
    streams: Sequence[Stream]
    window: Window


@dataclass(slots=True)
class Tally:
    """What has been written of a file or a stream. Times are bar starts, None where rows have none."""

    rows: int = 0
    first_ts: int | None = None
    last_ts: int | None = None
    digest: Any = field(default_factory=hashlib.sha256)

    def count(self, rows: Rows) -> None:
        """`rows` begin with their ts and ascend."""
        self.rows += len(rows)
        stamps = [ts for ts in (self.first_ts, self.last_ts, rows[0][0], rows[-1][0]) if ts is not None]
        self.first_ts, self.last_ts = min(stamps, default=None), max(stamps, default=None)

    @property
    def figures(self) -> dict[str, Any]:
        return {"rows": self.rows, "first_ts": self.first_ts, "last_ts": self.last_ts}


class Export:
    """One request in one form. Rows pass in portions, so memory does not grow with their number.

    The digest of a series is the SHA-256 of its column names and then its rows, each a MessagePack array; that
    of an export is over the lines `name digest` of its series. Neither knows of forms or files.

    Raises ConfigError for columns, markets and instruments that are not there.
    """

    def __init__(self, db: Database, request: Request, form: str, progress: Progress) -> None:
        self._db = db
        self._request = request
        self._form = form
        self._progress = progress
        self._fields = request.fields(columns_of(db, request.table))
        self._streams = streams_of(db, request, tuple(field.name for field in self._fields))
        self._series: dict[str, Tally] = {}
        self._files: list[dict[str, Any]] = []
        self.rows = 0

    def write(self, create: Callable[[str], OutputFile], name: str) -> None:
        """Write every file, each to what `create` makes for its path; `name` is that of an export in one file."""
        for part in parts(self._streams, self._request.partition_by):
            with closing(self._portions(part)) as portions:
                first = next(portions, None)
                # A partition without rows has no file; an export in one file always has it.
                if first or not part.values:
                    path = partition_path(part.values, self._form) if part.values else name
                    self._write_file(path, create(path), chain([first] if first else [], portions))

    def _portions(self, part: Part) -> Generator[tuple[Stream, Rows], None, None]:
        for stream in part.streams:
            with closing(stream.read(part.window)) as rows:
                while portion := list(islice(rows, ROWS_AT_ONCE)):
                    yield stream, portion

    def _write_file(self, path: str, file: OutputFile, portions: Iterable[tuple[Stream, Rows]]) -> None:
        writer, tally = FORMATS[self._form](file, self._fields), Tally()
        for stream, rows in portions:
            values = [row[1:] for row in rows]
            writer.write(values)
            tally.count(rows)
            self._count(stream, rows, values)
        writer.close()
        file.end()
        self._files.append({"path": path, **tally.figures, "bytes": file.size, "sha256": file.sha256})

    def _count(self, stream: Stream, rows: Rows, values: Rows) -> None:
        tally = self._series.get(stream.name)
        if tally is None:
            tally = self._series[stream.name] = Tally()
            tally.digest.update(_pack([field.name for field in self._fields]))
        tally.count(rows)
        tally.digest.update(b"".join(map(_pack, values)))
        self.rows += len(rows)
        self._progress(self.rows, stream.name)

    def manifest(self, now: float) -> dict[str, Any]:
        """What was written, after it was. `now` in UTC epoch seconds."""
        series = [
            {"series": name, **tally.figures, "sha256": tally.digest.hexdigest()}
            for name, tally in sorted(self._series.items())
        ]
        whole = hashlib.sha256("".join(f"{row['series']} {row['sha256']}\n" for row in series).encode())
        return {
            "tapewatch": version("tapewatch"),
            "created": iso(now),
            **_asked(self._request),
            "format": self._form,
            **store_facts(self._db),
            "rows": self.rows,
            "digest": f"sha256:{whole.hexdigest()}",
            "notes": list(_notes(self._db, self._request, self._fields)),
            "columns": [dict(zip(("name", "type", "unit", "group"), field, strict=True)) for field in self._fields],
            "series": series,
            "files": self._files,
        }


_pack = msgspec.msgpack.Encoder().encode


def streams_of(db: Database, request: Request, columns: tuple[str, ...]) -> list[Stream]:
    """The streams that a request is about. Raises ConfigError when it names what is not stored."""
    question = Question(columns, request.window, request.as_of, request.changed_since, request.include_open)
    if isinstance(request.data_type, Dataset):
        selection = _selection(request)
        for name in request.instruments:
            if not is_stored(db, replace(selection, instruments=(name,))):
                raise ConfigError(f"--instrument {clean(name)}: no such {request.name} is stored; see: series list")
        found = bar_streams(db, request.data_type, request.grain, selection, question)
    else:
        found = entity_streams(db, request.data_type, request.markets, request.instruments, question)
    if not found:
        raise ConfigError(f"nothing is stored of {request.name} that was named; see: tapewatch series list")
    return found


def _selection(request: Request) -> Selection:
    return Selection((request.data_type.name,), request.markets, request.instruments, (request.grain.name,))


def parts(streams: Sequence[Stream], keys: Sequence[str]) -> Iterator[Part]:
    """The files of an export, by what they are named after; without keys it is one."""
    if not keys:
        yield Part({}, streams, FOREVER)
        return
    periods = [key for key in keys if key in PERIODS]
    names = [key for key in keys if key not in PERIODS]

    def named(stream: Stream) -> tuple[str, ...]:
        return tuple(stream.values[name] for name in names)

    for found, group in groupby(sorted(streams, key=named), key=named):
        members = list(group)
        values = dict(zip(names, found, strict=True))
        for window in _windows(members, periods):
            values |= {key: iso(window.start)[: PERIODS[key]] for key in periods}
            yield Part({key: values[key] for key in keys}, members, window)


def _windows(streams: Sequence[Stream], periods: Sequence[str]) -> Iterator[Window]:
    """The finest of the periods, as far as there are bars; all time without any."""
    if not periods:
        yield FOREVER
        return
    finest = max(periods, key=lambda key: PERIODS[key])
    spans = [stream.span for stream in streams if stream.span.seconds]
    start = _floor(min((span.start for span in spans), default=0), finest)
    last = max((span.end for span in spans), default=0)
    while start < last:
        # 32 days and 366 days after its start any month and any year is over.
        end = _floor(start + {"day": 1, "month": 32, "year": 366}[finest] * DAY.seconds, finest)
        yield Window(start, end)
        start = end


def _floor(ts: int, period: str) -> int:
    """The start of the day, month or year."""
    rest = {"day": "", "month": "-01", "year": "-01-01"}[period]
    return parse_time(iso(ts)[: PERIODS[period]] + rest)


def store_facts(db: Database) -> dict[str, Any]:
    """Who the rows come from, and the version of the schema."""
    origin = db.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()
    [schema] = db.execute("SELECT max(version) FROM migration").fetchone()
    return {"origin": origin[0] if origin else "", "schema": schema}


def _asked(request: Request) -> dict[str, Any]:
    """The request in a form that can be read again."""
    is_bars = isinstance(request.data_type, Dataset)
    window = request.window
    return {
        "data_type": request.data_type.name,
        "interval": request.grain.name if is_bars else None,
        "as_of": _iso(request.as_of),
        "changed_since": _iso(request.changed_since),
        "selection": {
            "market": list(request.markets),
            "instrument": list(request.instruments),
            "start": _iso(window.start) if window.start > FOREVER.start else None,
            "end": _iso(window.end) if window.end < FOREVER.end else None,
            "include_open": request.include_open,
        },
        "partition_by": list(request.partition_by),
    }


def _iso(ts: int | None) -> str | None:
    return None if ts is None else iso(ts)


def _notes(db: Database, request: Request, fields: Sequence[Field]) -> Iterator[str]:
    """What an answer about the past cannot tell."""
    if request.as_of is None:
        return
    if isinstance(request.data_type, Dataset):
        yield "names and other constants of series are those of now"
        if (before := pruned_before(db, _selection(request))) is not None:
            yield f"bars before {iso(before)} were removed from some series since, and are missing"
        return
    empty = [field.name for field in fields if field.name in unkept(request.data_type)]
    yield f"the past of these columns is not kept, so they are empty: {', '.join(empty)}"
