"""A connection to either database, as the modules of SQL see it: the one place where dialects meet.

SQL is written once, in what SQLite and PostgreSQL have in common; places for values are `?`, `?1` or `:name`.
Work on a connection is synchronous and runs whole on the thread that owns it, so a cancelled task cannot
split it, and costs one hop to the thread instead of one a statement.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

from core.stores.patience import COMMIT, JOURNAL, READ, Patience

if TYPE_CHECKING:
    from core.stores import Commit

Row = tuple[Any, ...]
Values = Sequence[Any] | Mapping[str, Any]
_OF_ENGINE = {"journal_sql", "usage_sql", "alert_sql", "outbox_sql", "tick_sql", "sample_sql", "baseline_sql"}
_WRITING = ("write", "settle", "flag", "prune", "drop", "create", "add")
T = TypeVar("T")
P = ParamSpec("P")


class Result(Protocol):
    """The rows of a statement as tuples; `rowcount` is how many a write changed."""

    @property
    def rowcount(self) -> int: ...
    @property
    def description(self) -> Sequence[Sequence[Any]]: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """One connection. Methods raise what the library raises; who hands out the connection translates it."""

    dialect: str
    """sqlite or postgres."""
    elsewhere: str
    """What to choose when this one belongs to somebody else, in words."""
    bar_start: str
    """The column of the views that an index finds bars by."""
    iso_time: str
    """The views' `time` as ISO text, as an expression."""

    def execute(self, sql: str, values: Values = ..., /) -> Result:
        """Run one statement. Everything a SELECT finds is in memory afterwards."""
        ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Run one statement for each of `rows`."""
        ...

    def stream(self, sql: str, values: Values) -> Iterator[Row]:
        """The rows of a SELECT, some at a time; inside of a `snapshot`."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing. One inside of another is a part of it."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """What is read inside belongs together, whoever writes meanwhile."""
        ...

    def lock_series(self, *series: int) -> None:
        """Keep other writers off these until the transaction ends. Raises LeaseLost when one is not ours any more."""
        ...

    def write_bars(self, commit: "Commit", rows: Sequence[Row], *, is_new: bool) -> None:
        """Upsert ascending `rows` of `commit`, which do not repeat a ts; `is_new` says that none is stored.

        New ones may wait for others until `flush_bars` or the end of the transaction.
        """
        ...

    def flush_bars(self) -> None:
        """Write what waits; call it before bars are read or changed."""
        ...

    def has_bars(self, commits: "Sequence[Commit]") -> list[bool]:
        """Of each, whether all its bars are stored, closed, with the same values. False also where that is not sure.

        The database compares: reading what is stored costs more than decoding the answer.
        """
        ...

    def prepare_to_migrate(self) -> None:
        """Keep others from changing the schema until the transaction ends. Raises StoreBusy while engines write."""
        ...

    def relations(self) -> list[str]:
        """Every table and view of ours, by name."""
        ...

    def columns(self, relation: str) -> dict[str, str]:
        """The columns of a table or view in order, each with INTEGER, REAL, TEXT or nothing where that is computed."""
        ...


class Together(NamedTuple):
    """So many windows are one transaction at most, and so many of these are handed over at a time."""

    windows: int
    groups: int


class Runs(Protocol):
    """Hands out connections: each piece of work gets one for itself. While the database is away it waits."""

    patience: Patience
    together: Together
    """How answered windows are handed over."""

    async def run(self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(connection, *args)` on the connection's thread. Raises StoreError for what the database raises."""
        ...

    async def close(self) -> None: ...


def places(values: Iterable[object]) -> str:
    """Places for the values of an IN list; an empty list holds nothing, in PostgreSQL too."""
    return ", ".join("?" for _ in values) or "NULL"


def value_rows(width: int, count: int) -> str:
    """Places for `count` rows of `width` values, as VALUES takes them."""
    return ", ".join([f"({', '.join('?' * width)})"] * count)


def kind_of(work: Callable[..., object]) -> str:
    """What a piece of work is told as: commit, read, or journal for what the engine writes of itself."""
    function = getattr(work, "func", work)
    if function.__module__.rpartition(".")[2] in _OF_ENGINE:
        return JOURNAL
    return COMMIT if function.__name__.startswith(_WRITING) else READ
