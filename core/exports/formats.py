"""The forms that rows are written in: CSV, JSON lines, Parquet. Each takes rows in portions of any size.

Values are those of the database in every form: whole numbers, floats, text, and nothing. Floats are written
in the shortest form that reads back as the same number.
"""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from core.errors import ConfigError

Rows = Sequence[tuple[Any, ...]]
ROWS_PER_GROUP = 100_000


class Field(NamedTuple):
    """One column of an export: `kind` is INTEGER, REAL or TEXT."""

    name: str
    kind: str
    unit: str
    group: str


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> int: ...


class Writer(Protocol):
    """Writes rows to a sink that it leaves open; `close` writes what is left."""

    def write(self, rows: Rows) -> None: ...
    def close(self) -> None: ...


class CsvWriter:
    """RFC 4180 with a header, UTF-8; nothing (NULL) is an empty field, as is empty text."""

    def __init__(self, file: Sink, fields: Sequence[Field]) -> None:
        self._file = file
        self.write([tuple(field.name for field in fields)])

    def write(self, rows: Rows) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._file.write(text.getvalue().encode())

    def close(self) -> None: ...


class JsonLinesWriter:
    """One JSON object a row, every column in it; nothing is null."""

    def __init__(self, file: Sink, fields: Sequence[Field]) -> None:
        self._file = file
        self._names = [field.name for field in fields]
        self._encode = msgspec.json.Encoder().encode_lines

    def write(self, rows: Rows) -> None:
        self._file.write(self._encode([dict(zip(self._names, row, strict=True)) for row in rows]))

    def close(self) -> None: ...


class ParquetWriter:
    """Parquet with the columns' units in their metadata, in row groups of a bounded size."""

    def __init__(self, file: Sink, fields: Sequence[Field]) -> None:
        self._pa, parquet = _pyarrow()
        types = {"INTEGER": self._pa.int64(), "REAL": self._pa.float64(), "TEXT": self._pa.string()}
        self._schema = self._pa.schema(
            [self._pa.field(field.name, types[field.kind], metadata={"unit": field.unit}) for field in fields]
        )
        self._parquet = parquet.ParquetWriter(file, self._schema)
        self._waiting: list[Any] = []

    def write(self, rows: Rows) -> None:
        if rows:
            arrays = [
                self._pa.array(values, field.type)
                for values, field in zip(zip(*rows, strict=True), self._schema, strict=True)
            ]
            self._waiting.append(self._pa.record_batch(arrays, self._schema))
        if sum(batch.num_rows for batch in self._waiting) >= ROWS_PER_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        self._parquet.write_table(self._pa.Table.from_batches(self._waiting, self._schema))
        self._waiting.clear()

    def close(self) -> None:
        if self._waiting:
            self._write_group()
        self._parquet.close()


FORMATS: dict[str, Callable[[Sink, Sequence[Field]], Writer]] = {
    "csv": CsvWriter,
    "parquet": ParquetWriter,
    "jsonl": JsonLinesWriter,
}


def format_of(out: str) -> str:
    """The format that a file is named after; CSV for any other name."""
    ending = out.rpartition(".")[2].lower()
    return ending if ending in FORMATS else "csv"


def check_format(name: str) -> None:
    """Raises ConfigError unless `name` can be written here, with the command that would make it so."""
    if name not in FORMATS:
        raise ConfigError(f"--format {name!r}: write one of {', '.join(FORMATS)}")
    if name == "parquet":
        _pyarrow()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # type: ignore[import-untyped]  # noqa: PLC0415
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError('--format parquet needs pyarrow: pip install "tapewatch[parquet]"') from error
    return pyarrow, pyarrow.parquet
