"""Addresses that a program listens on or calls, and whether they are of this machine."""

from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def parse_address(text: str) -> tuple[str, int]:
    """The host and port of HOST:PORT or [IPV6]:PORT; port 0 is any that is free. Raises ValueError saying what is."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.netloc != text or parts.username is not None:
        raise ValueError("write HOST:PORT, as in 127.0.0.1:9464 or [::1]:9464")
    return host, port


def is_loopback(host: str) -> bool:
    """Whether only this machine can be meant."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False
