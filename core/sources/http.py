"""One HTTP GET with every bound that an untrusted answer needs. Knows nothing of the vendor's format.

Bodies are read under a total deadline with caps on wire and decoded bytes, because a per-read timeout
never ends a body of one byte a second and `read()` would inflate a megabyte of gzip into a gigabyte.
Redirects are refused, so that a key never leaves its origin; the environment's proxies and netrc are
ignored.
"""

import asyncio
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from core.errors import Malformed, Transient
from core.failpoints import failpoint
from core.meter import METER

WIRE_CAP = 8 * 1024 * 1024
DECODED_CAP = 32 * 1024 * 1024
CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """`connections` at once to the host; the other figures are seconds."""

    connections: int = 16
    connect_timeout: float = 5.0
    total_timeout: float = 10.0
    compress: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is decoded; on the wire it was `wire` bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    wire: int = 0

    @property
    def is_served(self) -> bool:
        """Whether it has what was asked for; else it is an error or a refusal."""
        return self.status == 200


class HttpClient:
    """A keep-alive pool to one origin; the session is opened by the first `get`."""

    def __init__(self, base_url: str, headers: Mapping[str, str], options: HttpOptions) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {**headers, "Accept-Encoding": "gzip" if options.compress else "identity"}
        self._options = options
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, params: Mapping[str, str]) -> Answer:
        """Raises Transient for anything the network does, Malformed for a body beyond its bounds."""
        session = self._session = self._session or self._open()
        failpoint("before_request")
        now, wire = asyncio.get_running_loop().time, 0
        started = now()
        try:
            async with session.get(self._base_url + path, params=params, allow_redirects=False) as response:
                failpoint("after_headers")
                body, wire = await read_bounded(response)
                failpoint("after_body")
                return Answer(response.status, response.headers, body, wire)
        except TimeoutError as error:
            raise Transient(f"no complete answer within {self._options.total_timeout:g} s", "timeout") from error
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise Transient(f"connection failed: {_words(error)}") from error
        finally:
            if (meter := METER.get()) is not None:
                meter.add(now() - started, wire)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=self._options.total_timeout, connect=self._options.connect_timeout)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._options.connections, ttl_dns_cache=300),
            timeout=timeout,
            headers=self._headers,
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=1024 * 1024,
        )
        # A call that the pool repeats by itself is paid for and not counted; aiohttp has no public switch.
        session._retry_connection = False
        return session


def _words(error: Exception) -> str:
    """Where nobody answers and why, without the library's details; other errors as they are."""
    if not isinstance(error, aiohttp.ClientConnectorError):
        return str(error) or type(error).__name__
    inner = error.os_error
    why = os.strerror(inner.errno) if isinstance(inner, ConnectionError) and inner.errno else inner.strerror or inner
    return f"{error.host}:{error.port}: {why}"


async def read_bounded(response: aiohttp.ClientResponse) -> tuple[bytes, int]:
    """The decoded body, and how many bytes it was on the wire.

    Raises Malformed beyond the caps or for an encoding we did not ask for.
    """
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"identity", "gzip"}:
        raise Malformed(f"answer is encoded as {encoding!r}, which was not asked for", "encoding")
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding == "gzip" else None
    parts: list[bytes] = []
    wire = decoded = 0
    async for chunk in response.content.iter_any():
        wire += len(chunk)
        part = _inflated(inflate, chunk, DECODED_CAP - decoded) if inflate else chunk
        decoded += len(part)
        if wire > WIRE_CAP or decoded > DECODED_CAP:
            raise Malformed(f"answer is larger than {WIRE_CAP} bytes on the wire or {DECODED_CAP} decoded", "too_large")
        parts.append(part)
    if inflate and not inflate.eof:
        raise Transient("the compressed answer ends too early")
    return b"".join(parts), wire


def _inflated(inflate: "zlib._Decompress", chunk: bytes, room: int) -> bytes:
    try:
        return inflate.decompress(chunk, room + 1)
    except zlib.error as error:
        raise Malformed(f"answer is not gzip: {error}", "encoding", chunk[:4096]) from error
