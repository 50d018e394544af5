"""The cache that a URL names."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.cache import Cache, Far, NoCache
from core.cache.memory import MemoryCache
from core.clock import Clock, LoopClock
from core.errors import ConfigError
from core.text import shown_url

FORMS = "memory://, disk:///path, redis://host:port/0, hybrid+redis://host:port/0 or off://"
MEMORY, OFF = "memory://", "off://"
REDIS = ("redis", "rediss", "unix")


def is_shared(url: str) -> bool:
    """Whether processes share what it names, if it names a cache."""
    return not url.startswith((MEMORY, OFF))


def open_cache(url: str, clock: Clock | None = None, say: Callable[[str], None] = lambda _: None) -> Cache:
    """The cache that `url` names; disk and Redis always with memory before them, as `hybrid+` says aloud.

    Raises ConfigError for a URL of another kind and for a directory that cannot be used. `say` hears when a shared
    cache goes away or comes back.
    """
    clock = clock or LoopClock()
    if url.startswith(OFF):
        return NoCache()
    memory = MemoryCache(clock=clock.monotonic)
    if not is_shared(url):
        return memory
    from core.cache.tiered import TieredCache  # noqa: PLC0415 - implementations are loaded when chosen

    return TieredCache(memory, open_far(url), clock, say)


def open_far(url: str) -> Far:
    """The shared cache of `url` by itself. Raises ConfigError."""
    name = url.removeprefix("hybrid+")
    try:
        parts = urlsplit(name)
    except ValueError as error:
        raise _refused(url) from error
    if parts.scheme == "disk" and not parts.netloc and parts.path.startswith("/"):
        from core.cache.disk import DiskCache  # noqa: PLC0415

        return DiskCache(Path(unquote(parts.path)))
    if parts.scheme in REDIS:
        from core.cache.redis import RedisCache  # noqa: PLC0415

        return RedisCache(name)
    raise _refused(url)


def _refused(url: str) -> ConfigError:
    return ConfigError(f"--cache {shown_url(url)!r}: unknown kind of cache; write {FORMS}")
