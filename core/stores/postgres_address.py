"""What a `postgresql://` URL says, a connection to what is there, and what that one's errors mean."""

import asyncio
import re
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from core.errors import ConfigError, StoreError, StoreRefused, StoreUnavailable
from core.stores.postgres_binary import EPOCH_SECONDS, microseconds
from core.text import clean

SCHEMA = "tapewatch"
CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 300.0
# What a connection that is gone shows itself as.
LOST = (
    *(OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError),
    # No server of several takes writes; what the library knows of the schema is out of date.
    asyncpg.InternalClientError,
)
# Of ours: a wrong address, or one that needs what the library or the server does not have.
_MISTAKES = (
    *(asyncpg.ClientConfigurationError, asyncpg.UnsupportedClientFeatureError),
    *(asyncpg.UnsupportedServerFeatureError, FileNotFoundError, NotADirectoryError, IsADirectoryError),
)
# Conditions that pass, by their class: connection, resources, operator's intervention, read-only after a
# failover, transactions that took too long, deadlock and serialization, lock timeout, trouble of the system below.
_PASSING = ("08", "53", "57", "58", "25006", "25P03", "25P04", "40001", "40P01", "55P03")
_REFUSED = ("28", "3D000", "42501", "0A000")
# The infinities of the database's times.
FIRST, LAST = -(2**63), 2**63 - 1
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Address:
    """What a `postgresql://` URL says: `dsn` for the library, and what is ours."""

    dsn: str
    schema: str = SCHEMA
    has_pooler: bool = False

    @classmethod
    def parse(cls, url: str) -> "Address":
        """`?schema=NAME` is where our tables are, `?pooler=transaction` says that sessions do not last.

        Raises ConfigError for other forms of them.
        """
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise ConfigError("--db: the address cannot be read; in a password write / as %2F, @ as %40") from error
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        schema, pooler = given.pop("schema", SCHEMA), given.pop("pooler", "")
        if not _NAME.fullmatch(schema):
            raise ConfigError(f"--db: schema={clean(schema)!r} is no name of letters, digits and _")
        if pooler not in {"", "transaction"}:
            raise ConfigError(f"--db: pooler={clean(pooler)!r}: write pooler=transaction, or leave it out")
        if "," in parts.netloc:
            # Of several hosts the one that takes writes is meant.
            given.setdefault("target_session_attrs", "read-write")
        return cls(urlunsplit(parts._replace(query=urlencode(given))), schema, bool(pooler))

    def connect(self, patience: float | None = STATEMENT_SECONDS) -> Any:
        return connect(self.dsn, has_pooler=self.has_pooler, timeout=CONNECT_SECONDS, patience=patience)


async def connect(dsn: str, *, has_pooler: bool, timeout: float, patience: float | None) -> asyncpg.Connection:
    """A connection that speaks of times as UTC epoch seconds, as we do everywhere.

    A statement may take `patience` seconds, None without end. Raises ConfigError for what no waiting makes better.
    """
    cached = 0 if has_pooler else 256
    settings = {} if has_pooler else {"application_name": "tapewatch"}
    try:
        async with asyncio.timeout(timeout):
            connection = await asyncpg.connect(
                dsn, timeout=timeout, command_timeout=patience, statement_cache_size=cached, server_settings=settings
            )
            await _know_times(connection)
    except (OSError, ValueError, asyncpg.InterfaceError) as error:
        if words := _mistake(error, dsn):
            raise ConfigError(f"the database's address: {words}") from error
        raise
    return connection


async def _know_times(connection: asyncpg.Connection) -> None:
    try:
        await connection.set_type_codec(
            "timestamptz", schema="pg_catalog", encoder=_to_native, decoder=_from_native, format="tuple"
        )
    except BaseException:
        connection.terminate()
        raise


def _mistake(error: Exception, dsn: str) -> str:
    """What is wrong with an address or the files that it names, in words; empty when it is the network's fault."""
    if isinstance(error, FileNotFoundError) and not error.filename and not urlsplit(dsn).hostname:
        return ""  # the socket of a server that is down
    if isinstance(error, ssl.SSLCertVerificationError) or "rejected SSL upgrade" in str(error):
        return f"no TLS as it is asked for: {clean(str(error), 200)}"
    if isinstance(error, _MISTAKES) or getattr(error, "filename", None):
        return clean(str(error), 200)
    # Its text may be a piece of a password that was not escaped.
    return "it cannot be read; in a password write / as %2F, @ as %40" if isinstance(error, ValueError) else ""


def _to_native(seconds: int) -> tuple[int]:
    [native] = microseconds([seconds])
    if FIRST < native < LAST:
        return (native,)
    return (FIRST if native < 0 else LAST,)


def _from_native(native: tuple[int]) -> int:
    return native[0] // 1_000_000 + EPOCH_SECONDS


def translated_error(error: Exception, dsn: str) -> StoreError:
    """The class that says who acts, with a text that holds no password."""
    place = f"the database {urlsplit(dsn).hostname or 'on this host'}"
    state = getattr(error, "sqlstate", None) or ""
    words = clean(str(error), 300) or ("no answer" if isinstance(error, TimeoutError) else type(error).__name__)
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return StoreUnavailable(f"{place} has another schema than a moment ago: {words}")
    if state.startswith(_REFUSED):
        return StoreRefused(f"{place} refuses: {words}")
    if state.startswith(_PASSING) or isinstance(error, LOST):
        return StoreUnavailable(f"{place} cannot be used for now: {words}")
    return StoreError(f"{place} failed: {words}")
