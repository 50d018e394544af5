"""`db diff` and `db copy`: two stores beside each other, whatever databases they are in."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import typer

from core.cli.context import data, ending_cleanly, words
from core.cli.database import SECONDS_BETWEEN_LINES
from core.cli.options import LookOutput, Output
from core.cli.stored import DataTypes, Instruments, Intervals, Markets, selected
from core.text import clean, counted, shown_url

if TYPE_CHECKING:
    from core.stores.difference import Comparison, Difference, Question
    from core.stores.selection import Selection
    from core.stores.transfer import Copied

A = Annotated[str, typer.Argument(metavar="A", help="A database, as --db names it.", show_default=False)]
B = Annotated[str, typer.Argument(metavar="B", help="The other database.", show_default=False)]
DIFFERENT = 1


def diff(
    a: A,
    b: B,
    data_type: DataTypes = None,
    interval: Intervals = None,
    market: Markets = None,
    instrument: Instruments = None,
    start: Annotated[str | None, typer.Option("--start", help="First bar, UTC date or time.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="UTC date or time, exclusive.")] = None,
    only_values: Annotated[
        bool, typer.Option("--only_values", help="Not when and by which run they came: for two stores filled apart.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Print no more differing rows than this.")] = 1_000,
    output: LookOutput = Output.text,
) -> None:
    """Compare the stores in two databases: which rows differ, in which columns. Exit 0 when none does, else 1.

    Series are matched by name. Days are compared by digests that both databases compute, and read only where
    these differ. Of a part (--market, --start ...) what belongs to no series is left out.
    """
    # Lists of reference data have no interval, and are compared unless data types or intervals are named.
    chosen = selected(data_type, market, instrument, interval, lists=not (data_type or interval))
    question = _question(chosen, start, end, only_values=only_values, limit=limit)
    with _reading(a, b) as compare:
        comparison = compare(question)
        found = list(_told(comparison, output))
    summary = {"a": shown_url(a), "b": shown_url(b), **_summary(comparison)}
    if output is Output.jsonl:
        data(json.dumps(summary))
    elif output is Output.json:
        data(json.dumps({**summary, "differences": found}))
    _say(comparison)
    if not comparison.tally.is_equal:
        raise typer.Exit(DIFFERENT)


def _question(
    selection: "Selection", start: str | None, end: str | None, *, only_values: bool, limit: int
) -> "Question":
    from core.stores.difference import Question  # noqa: PLC0415
    from core.stores.digest_sql import EVER  # noqa: PLC0415
    from core.windows import Window, parse_time  # noqa: PLC0415

    first = EVER.start if start is None else parse_time(start)
    last = EVER.end if end is None else parse_time(end)
    return Question(selection, Window(first, last), only_values, limit)


@contextmanager
def _reading(a: str, b: str) -> "Iterator[Callable[[Question], Comparison]]":
    from core.stores.difference import Comparison  # noqa: PLC0415
    from core.stores.sides import Side, opened_to_read  # noqa: PLC0415

    _check(a, b)
    with ending_cleanly(), Side(a, opened_to_read) as one, Side(b, opened_to_read) as other:
        yield lambda question: Comparison(one, other, question, _Progress().compared)


def _check(a: str, b: str) -> None:
    """Raises ConfigError for a URL with a password in it, and for one database under two names."""
    from core.errors import ConfigError  # noqa: PLC0415
    from core.stores.opening import is_postgres  # noqa: PLC0415

    for name, url in (("A", a), ("B", b)):
        if _password(url):
            raise ConfigError(f"{name} holds a password, which other users could read; use a passfile or PGPASSWORD")
        if not is_postgres(url) and urlsplit(url).scheme != "sqlite":
            raise ConfigError(f"{name} {shown_url(url)!r}: write sqlite:///FILE or postgresql://HOST/DATABASE")
    if _place(a) == _place(b):
        raise ConfigError("A and B are the same database")


def _password(url: str) -> str | None:
    from core.errors import ConfigError  # noqa: PLC0415

    try:
        parts = urlsplit(url)
        return parts.password or dict(parse_qsl(parts.query)).get("password")
    except ValueError as error:
        raise ConfigError(f"{clean(url)!r}: {error}") from None


def _place(url: str) -> str:
    import os  # noqa: PLC0415

    from core.stores import sqlite_path  # noqa: PLC0415
    from core.stores.opening import is_postgres  # noqa: PLC0415

    return url if is_postgres(url) else os.path.realpath(sqlite_path(url))


def _told(comparison: "Comparison", output: Output) -> Iterator[dict[str, Any]]:
    """The differences as objects; printed as they are found, unless all come at the end."""
    for difference in comparison:
        row = _as_object(difference)
        if output is Output.json:
            yield row
        else:
            data(json.dumps(row) if output is Output.jsonl else _line(difference))


def _as_object(difference: "Difference") -> dict[str, Any]:
    columns = {name: {"a": a, "b": b} for name, (a, b) in difference.columns.items()}
    return {
        "table": difference.table,
        "series": difference.series or None,
        "change": difference.change,
        "key": difference.key,
        "columns": columns,
    }


def _line(difference: "Difference") -> str:
    key = difference.key.get("time") or " ".join(f"{name}={clean(str(at), 60)}" for name, at in difference.key.items())
    values = ", ".join(f"{name} {_short(a)} -> {_short(b)}" for name, (a, b) in difference.columns.items())
    what = values or difference.change.replace("_in_a", " in A").replace("_in_b", " in B")
    table = "" if difference.series.startswith(f"{difference.table}/") else difference.table
    return "  ".join(part for part in (table, difference.series, key, what) if part)


def _short(value: Any) -> str:
    return "-" if value is None else clean(str(value), 60)


def _summary(comparison: "Comparison") -> dict[str, Any]:
    tally = comparison.tally
    return {
        "equal": tally.is_equal,
        "complete": not tally.is_cut,
        "series": tally.series,
        "rows_a": tally.rows_a,
        "rows_b": tally.rows_b,
        "days_different": tally.days,
        "different": tally.differences,
    }


def _say(comparison: "Comparison") -> None:
    tally = comparison.tally
    compared = f"{counted(tally.series, 'series')}, {tally.rows_a:,} bars of A, {tally.rows_b:,} of B"
    if tally.is_equal:
        words(f"equal: {compared}")
        return
    found = ", ".join(f"{count:,} of {table}" for table, count in tally.differences.items())
    more = "; there is more, see --limit" if tally.is_cut else ""
    words(f"different: {found}{more} (compared {compared})")


def copy(a: A, b: B, output: LookOutput = Output.text) -> None:
    """Copy the store in A to B: bars, coverage, gaps, restatements, quarantine, changes, universes, runs and alerts.

    A is only read, and may be written to meanwhile. B is empty, or an earlier copy of A: then it is brought up to
    date. A copy that was stopped goes on when it is run again. Everything is compared by digest once it has arrived.
    """
    from core.stores.sides import Side, opened_to_read  # noqa: PLC0415
    from core.stores.target import opened_to_write  # noqa: PLC0415
    from core.stores.transfer import Transfer  # noqa: PLC0415

    _check(a, b)
    began = time.monotonic()
    try:
        with ending_cleanly(), Side(a, opened_to_read) as source, Side(b, opened_to_write) as target:
            transfer = Transfer(source, target, _Progress().copied)
            transfer.run()
    except typer.Exit:
        words("stopped; run it again and it goes on")
        raise
    seconds = time.monotonic() - began
    if output is not Output.text:
        data(json.dumps({"a": shown_url(a), "b": shown_url(b), **_done(transfer.copied, seconds)}))
    _say_copied(transfer.copied, seconds)


def _done(copied: "Copied", seconds: float) -> dict[str, Any]:
    return {
        "status": "complete",
        "verified": True,
        "series": copied.series,
        "series_changed": copied.series_changed,
        "series_dropped": copied.series_dropped,
        "rows": copied.rows,
        "rows_written": copied.rows_written,
        "records": copied.records,
        "duration_seconds": round(seconds, 3),
    }


def _say_copied(copied: "Copied", seconds: float) -> None:
    if copied.is_same:
        words(f"B had all of it: {counted(copied.series, 'series')}, {copied.rows:,} bars")
        return
    records = sum(copied.records.values())
    written = f"{copied.rows_written:,} of {copied.rows:,} bars, {records:,} other rows"
    words(f"copied {counted(copied.series, 'series')}: {written}, in {seconds:,.0f} s; all compared by digest")


class _Progress:
    """A line on stderr every few seconds: it is read by people and by logs."""

    def __init__(self) -> None:
        self._began = self._said_at = time.monotonic()

    def compared(self, rows: int, series: int, name: str) -> None:
        self._say(lambda rate: f"{counted(series, 'series')}, {rows:,} bars, {rate(rows):,.0f} a second, at {name}")

    def copied(self, done: "Copied", name: str) -> None:
        def line(rate: Callable[[int], float]) -> str:
            rows = f"{done.rows_written:,} bars written of {done.rows:,}"
            return (
                f"{done.series:,} of {done.series_total:,} series, {rows}, {rate(done.rows):,.0f} a second, at {name}"
            )

        self._say(line)

    def _say(self, line: Callable[[Callable[[int], float]], str]) -> None:
        now = time.monotonic()
        if now - self._said_at >= SECONDS_BETWEEN_LINES:
            self._said_at = now
            words(line(lambda count: count / (now - self._began)))
