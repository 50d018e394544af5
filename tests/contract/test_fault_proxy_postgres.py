"""The two branches of a COMMIT whose outcome nobody was told, on a real server: it is kept, or it is not."""

from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.fault_proxy import CutAt, FaultProxy, is_commit
from tests.services import run_script, run_sql

LOST = (ConnectionError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)


async def simple(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO t VALUES (1)")


async def extended(connection: asyncpg.Connection) -> None:
    await connection.execute("BEGIN")
    await connection.execute("INSERT INTO t VALUES ($1)", 1)
    await connection.fetch("COMMIT")


async def copied(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await connection.copy_records_to_table("t", records=[(1,)])


WRITERS = pytest.mark.parametrize("write", [simple, extended, copied])


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[FaultProxy]:
    run_script(postgres_url, "CREATE TABLE t (a int)")
    parts = urlsplit(postgres_url)
    with FaultProxy(parts.port or 5432, parts.hostname or "127.0.0.1") as made:
        yield made


@WRITERS
@pytest.mark.parametrize(("is_forwarded", "kept"), [(True, 1), (False, 0)], ids=["after", "before"])
async def test_the_client_is_not_told(
    proxy: FaultProxy,
    postgres_url: str,
    write: Callable[[asyncpg.Connection], Awaitable[None]],
    is_forwarded: bool,
    kept: int,
) -> None:
    cut = proxy.add(CutAt(is_commit, is_forwarded=is_forwarded), "up")
    connection = await asyncpg.connect(proxy.url(postgres_url))
    with pytest.raises(LOST):
        await write(connection)
    connection.terminate()
    assert cut.happened.is_set()
    assert run_sql(postgres_url, "SELECT count(*) FROM t")[0][0] == kept


@WRITERS
async def test_only_what_it_is_armed_for(
    proxy: FaultProxy, postgres_url: str, write: Callable[[asyncpg.Connection], Awaitable[None]]
) -> None:
    cut = proxy.add(CutAt(is_commit, is_forwarded=False, times=0), "up")
    connection = await asyncpg.connect(proxy.url(postgres_url))
    await write(connection)
    cut.arm(skip=1)
    await write(connection)
    with pytest.raises(LOST):
        await write(connection)
    connection.terminate()
    assert (cut.matched, cut.cuts) == (3, 1)
    assert run_sql(postgres_url, "SELECT count(*) FROM t")[0][0] == 2
