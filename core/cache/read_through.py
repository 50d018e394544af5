"""Get or load: what the engine asks of a cache. One load for all who miss at once, tasks and processes alike.

A value that is over is kept for a while longer, for when it cannot be loaded: an old list with its age is worth
more than none. For a while it may also be used at once, while one load beside it refreshes it. That something was
refused is remembered too. Values lie in envelopes (`core.cache.envelope`); what is no value of ours is a miss, deleted
and counted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from core.cache import Cache, CacheStats
from core.cache.envelope import Poisoned, Sealed, seal, unseal
from core.cache.serialisers import Serialiser, Unreadable, serialiser
from core.clock import Clock

T = TypeVar("T")
JITTER = 0.1
CLAIM_SECONDS = 30.0
LOOK_SECONDS = 0.05
# Beside the key of a value, and what no name of one has in it.
REFUSED = " refused"


class Kind(NamedTuple):
    """What is cached alike: for `ttl` seconds, and `stale_for` seconds more for when it cannot be loaded.

    In the first `revalidate_for` seconds of those it may be used while it is loaded.
    """

    name: str
    ttl: float
    stale_for: float = 0.0
    revalidate_for: float = 0.0


class Loaded(NamedTuple, Generic[T]):
    """What a load came to; `fresh_for` seconds it need not be loaded again, None for what its kind says."""

    value: T
    fresh_for: float | None = None


Load = Callable[[], Awaitable[Loaded[T]]]
# Takes what refreshes a value, and has it run with a load of its own.
Beside = Callable[[Callable[[Load[T]], Coroutine[Any, Any, None]]], None]


@dataclass(frozen=True, slots=True)
class Held(Generic[T]):
    """A value that is `age` seconds old; `is_hit` says that nobody had to load it, `is_stale` that it is over.

    It has been over for `over_for` seconds; `is_refreshed` says that it is being loaded beside.
    """

    value: T
    age: float = 0.0
    is_hit: bool = True
    is_stale: bool = False
    over_for: float = 0.0
    is_refreshed: bool = False


@dataclass(slots=True)
class KindStats:
    """How the values of one kind were got; `joined` had somebody else's load, `poisoned` were no values of ours.

    `refused` were not asked for because they had been refused.
    """

    hits: int = 0
    misses: int = 0
    joined: int = 0
    stale_hits: int = 0
    poisoned: int = 0
    refused: int = 0

    def figures(self) -> dict[str, int]:
        return asdict(self)


class ReadThrough:
    """Typed values over `cache`. `namespace` keeps vendors apart; `origin` tells who answers, empty while unknown.

    `chance` gives uniform numbers in [0, 1): times to live are shortened by up to a tenth, so that what was loaded
    together is not over together.
    """

    def __init__(
        self,
        cache: Cache,
        clock: Clock,
        chance: Callable[[], float],
        *,
        namespace: str = "",
        origin: Callable[[], str] = lambda: "",
        form: Serialiser | None = None,
        secret: bytes = b"",
    ) -> None:
        self.cache = cache
        self.kinds: dict[str, KindStats] = {}
        self._clock = clock
        self._chance = chance
        self._namespace = namespace
        self._origin = origin
        self._form = form or serialiser("json", is_shared=True, secret=b"")
        self._secret = secret
        self._loads: dict[str, asyncio.Future[None]] = {}

    async def get(
        self,
        kind: Kind,
        name: str,
        type_: type[T],
        load: Load[T],
        excused: tuple[type[Exception], ...] = (),
        beside: Beside[T] | None = None,
    ) -> Held[T]:
        """The value of `name`, loaded if need be. Raises what `load` raises.

        For an error of the classes `excused` a value that is over is given instead, marked as such. With `beside`
        one that has not been over for long is given at once, and `beside` is handed what refreshes it.
        """
        wanted = self._wanted(kind, name, type_)
        held = await self._look(wanted)
        has_waited = False
        while held is None or held.is_stale:
            if held is not None and beside is not None and held.over_for < kind.revalidate_for:
                wanted.stats.stale_hits += 1
                if wanted.key not in self._loads:
                    beside(partial(self._refresh, wanted))
                return replace(held, is_refreshed=True)
            if (other := self._loads.get(wanted.key)) is None:
                return await self._lead(wanted, load, excused, held)
            await asyncio.shield(other)
            held, has_waited = await self._look(wanted), True
        if has_waited:
            wanted.stats.joined += 1
        else:
            wanted.stats.hits += 1
        return held

    async def refused(self, kind: Kind, name: str) -> Held[str] | None:
        """Why `name` was refused within the kind's ttl, which is counted; None when it was not."""
        wanted = self._wanted(kind, name + REFUSED, str)
        held = await self._look(wanted)
        wanted.stats.refused += held is not None
        return held

    async def refuse(self, kind: Kind, name: str, why: str) -> None:
        """Remember that `name` was refused."""
        await self._keep(self._wanted(kind, name + REFUSED, str), Loaded(why))

    async def forget(self, kind: str, name: str) -> None:
        for each in (name, name + REFUSED):
            await self.cache.delete(self._key(kind, each))

    async def drop(self, pattern: str = "*") -> int:
        """Forget what matches `pattern`, as in `*:instruments:*`, whatever vendor it is of."""
        return await self.cache.drop(pattern)

    async def drop_tag(self, tag: str) -> int:
        """Forget what has `tag`: a kind, a namespace without its colon, or the first part of a name."""
        return await self.cache.drop_tag(tag)

    def stats(self) -> list[CacheStats]:
        return self.cache.stats()

    def _key(self, kind: str, name: str) -> str:
        return f"{self._namespace}{kind}:{name}"

    def _wanted(self, kind: Kind, name: str, type_: type[T]) -> "_Wanted[T]":
        stats = self.kinds.setdefault(kind.name, KindStats())
        tags = (kind.name, self._namespace.rstrip(":"), name.removesuffix(REFUSED).partition("/")[0])
        return _Wanted(kind, self._key(kind.name, name), type_, stats, tags)

    async def _lead(
        self, wanted: "_Wanted[T]", load: Load[T], excused: tuple[type[Exception], ...], held: Held[T] | None
    ) -> Held[T]:
        try:
            with self._loading(wanted.key):
                if (found := await self._claimed(wanted)) is not None:
                    wanted.stats.joined += 1
                    return found
                try:
                    loaded = await load()
                    await self._keep(wanted, loaded)
                finally:
                    await self.cache.release(wanted.key)
        except excused:
            if held is None:
                raise
            wanted.stats.stale_hits += 1
            return held
        wanted.stats.misses += 1
        return Held(loaded.value, is_hit=False)

    async def _refresh(self, wanted: "_Wanted[T]", load: Load[T]) -> None:
        """Load what is in use, unless another task or process is at it. Raises what `load` raises."""
        if wanted.key in self._loads:
            return
        with self._loading(wanted.key):
            if not await self.cache.claim(wanted.key, CLAIM_SECONDS):
                return
            try:
                found = await self._look(wanted)
                if found is None or found.is_stale:
                    await self._keep(wanted, await load())
            finally:
                await self.cache.release(wanted.key)

    @contextmanager
    def _loading(self, key: str) -> Iterator[None]:
        """Load for all tasks that ask meanwhile. Those look again when it is over, whatever it came to."""
        over = self._loads[key] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._loads[key]
            over.set_result(None)

    async def _claimed(self, wanted: "_Wanted[T]") -> Held[T] | None:
        """None once it is ours to load; what another process has loaded meanwhile otherwise."""
        while not await self.cache.claim(wanted.key, CLAIM_SECONDS):
            await self._clock.sleep(LOOK_SECONDS * (1 + self._chance()))
            if (found := await self._look(wanted)) is not None and not found.is_stale:
                return found
        # Another process may have loaded it between our look and our claim.
        if not self.cache.is_shared:
            return None
        found = await self._look(wanted)
        if found is None or found.is_stale:
            return None
        await self.cache.release(wanted.key)
        return found

    async def _keep(self, wanted: "_Wanted[T]", loaded: Loaded[T]) -> None:
        """What is fresh for less than its kind is that old already."""
        kind, key, now = wanted.kind, wanted.key, self._clock.wall()
        fresh_for = kind.ttl if loaded.fresh_for is None else loaded.fresh_for
        expires = now + fresh_for * (1 - JITTER * self._chance())
        written = now - max(0.0, kind.ttl - fresh_for)
        sealed = Sealed(key, written, expires, self._form.form, self._origin(), self._form.encode(loaded.value))
        await self.cache.set(key, seal(sealed, self._secret), max(1.0, fresh_for + kind.stale_for), wanted.tags)

    async def _look(self, wanted: "_Wanted[T]") -> Held[T] | None:
        if (raw := await self.cache.get(wanted.key)) is None:
            return None
        try:
            return self._opened(wanted, unseal(raw, wanted.key, self._secret))
        except (Poisoned, Unreadable):
            wanted.stats.poisoned += 1
            await self.cache.delete(wanted.key)
            return None

    def _opened(self, wanted: "_Wanted[T]", sealed: Sealed) -> Held[T] | None:
        """None for what is over for good. Raises Poisoned for another origin's, another form's or the future's."""
        kind, now, origin = wanted.kind, self._clock.wall(), self._origin()
        if sealed.form != self._form.form or (origin and sealed.origin not in {origin, ""}):
            raise Poisoned("of another origin or form")
        # NaN is in no order with anything: what is not surely in the past is from elsewhere.
        if not (sealed.written <= now + 1 and sealed.expires - sealed.written <= max(kind.ttl, 1.0) + 1):
            raise Poisoned("of another time")
        if not now < sealed.expires + kind.stale_for:
            return None
        value = self._form.decode(sealed.payload, wanted.type)
        over_for = max(0.0, now - sealed.expires)
        return Held(value, max(0.0, now - sealed.written), is_stale=not now < sealed.expires, over_for=over_for)


class _Wanted(NamedTuple, Generic[T]):
    """A value that is asked for, with the counters of its kind and the tags that it is forgotten by."""

    kind: Kind
    key: str
    type: type[T]
    stats: KindStats
    tags: tuple[str, ...]
