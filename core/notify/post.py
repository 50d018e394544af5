"""One HTTP POST to somebody else's server, with every bound that an address out of a configuration needs.

The name is resolved once and the connection goes to what was found then, which has to be a public address: a name that
answers differently the second time leads nowhere else. Redirects are not followed. Of an answer nothing but its head
is read: what follows may have no end, and may repeat what is secret.
"""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from core.clock import Clock
from core.errors import ChannelAway, ChannelGone, ChannelRefused, ConfigError

LONGEST_RETRY_AFTER = 3_600.0
AGAIN = frozenset({408, 425, 429})
NAT64 = IPv6Network("64:ff9b::/96")


class Resolve(Protocol):
    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host. Raises OSError."""
        ...


async def system_resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class PostOptions:
    """`allow_private` lets plain http and addresses of this machine and its networks be; `timeout` is in seconds."""

    allow_private: bool = False
    timeout: float = 15.0
    resolve: Resolve = system_resolve


class Poster:
    """Posts to one server, a new connection each time. The URL may hold secrets and is not shown beyond its host."""

    def __init__(self, url: str, clock: Clock, options: PostOptions) -> None:
        self._url = url
        self._clock = clock
        self._options = options
        self.host = _checked_host(url, options)

    def __repr__(self) -> str:
        return f"Poster({self.host})"

    async def post(self, body: bytes, headers: Mapping[str, str], path: str = "") -> None:
        """Raises ChannelAway, ChannelRefused or ChannelGone for everything but 2xx."""
        given = {"Content-Type": "application/json", "User-Agent": "tapewatch", **headers}
        try:
            async with self._session() as session, self._posted(session, body, given, path) as response:
                response.close()
                _judge(response.status, response.headers, self._clock.wall())
        except TimeoutError:
            raise ChannelAway(f"{self.host} did not answer within {self._options.timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ChannelAway(f"{self.host}: {_words(error)}") from None

    async def check(self) -> None:
        """Whether the host may be connected to. Raises ChannelAway or ChannelRefused."""
        parts = urlsplit(self._url)
        try:
            await _addresses(self.host, parts.port or 443, self._options)
        except (OSError, ValueError) as error:
            raise ChannelAway(f"{self.host}: {_words(error)}") from None

    def _session(self) -> aiohttp.ClientSession:
        resolver = _Guard(self._options)
        # What fails is sent again by us: a repetition of the pool's own would not be known.
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True),
            timeout=aiohttp.ClientTimeout(total=self._options.timeout),
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        session._retry_connection = False
        return session

    def _posted(
        self, session: aiohttp.ClientSession, body: bytes, headers: Mapping[str, str], path: str
    ) -> "aiohttp.client._RequestContextManager":
        return session.post(self._url.rstrip("/") + path if path else self._url, data=body, headers=headers,
                            allow_redirects=False)  # fmt: skip


class _Guard(AbstractResolver):
    """Finds only addresses that may be connected to."""

    def __init__(self, options: PostOptions) -> None:
        self._options = options

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await _addresses(host, port, self._options)
        ]

    async def close(self) -> None: ...


async def _addresses(host: str, port: int, options: PostOptions) -> Sequence[str]:
    found = await options.resolve(host, port)
    if not options.allow_private and not all(is_public(address) for address in found):
        raise ChannelRefused(f"{host} is an address of this machine or its networks; allow_private lets it be")
    return found


def is_public(address: str) -> bool:
    """Whether an address, or the one that is hidden in it, is anybody's on the internet."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        hidden = IPv4Address(int(ip) & 0xFFFF_FFFF) if ip in NAT64 else ip.ipv4_mapped or ip.sixtofour
        ip = hidden or ip
    return ip.is_global and not ip.is_multicast


def _checked_host(url: str, options: PostOptions) -> str:
    """Raises ConfigError, which shows nothing of the URL but its host."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")
        is_whole = bool(host) and parts.port != 0 and parts.username is None
    except ValueError:
        is_whole = False
    if not is_whole or parts.scheme not in {"http", "https"}:
        raise ConfigError("the URL of a channel is https://host/path without a user")
    if parts.scheme != "https" and not options.allow_private:
        raise ConfigError(f"{host}: only https is used; allow_private = true lets http be, within your own networks")
    with suppress(ValueError):
        # What is written as an address is not resolved, so it is looked at here.
        if not options.allow_private and not is_public(str(ip_address(host))):
            raise ConfigError(f"{host} is an address of this machine or its networks; set allow_private = true")
    return host


def _judge(status: int, headers: Mapping[str, str], now: float) -> None:
    if 200 <= status < 300:
        return
    if status in AGAIN or status >= 500:
        raise ChannelAway(f"the receiver answers {status}", retry_after(headers.get("Retry-After", ""), now))
    if status == 410:
        raise ChannelGone("the receiver answers 410: it is there no more")
    what = "sends elsewhere, which is not followed" if 300 <= status < 400 else "does not take the message"
    raise ChannelRefused(f"the receiver answers {status}: it {what}")


def retry_after(text: str, now: float) -> float:
    """Seconds that a Retry-After header asks for, up to an hour; 0 for what it does not."""
    seconds = 0.0
    with suppress(ValueError, TypeError, OverflowError):
        at = parsedate_to_datetime(text) if not text.strip().isdigit() else None
        seconds = float(text) if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _words(error: Exception) -> str:
    """Why there was no answer, without the URL that libraries like to name."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, OSError) and inner.errno and not isinstance(inner, socket.gaierror):
        return os.strerror(inner.errno)
    return "no such host" if isinstance(inner, socket.gaierror) else f"connection failed ({type(inner).__name__})"
