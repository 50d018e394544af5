"""Waiting for a store: who waits, what is said, and when nobody waits any more."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from core.errors import StoreError, StoreUnavailable
from core.stores import patience
from core.stores.patience import REASONS, Patience


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(patience, "LONGEST_SECONDS", 0.0)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def waits(said: list[str]) -> Patience:
    made = Patience()
    made.say = said.append
    return made


def failing(*reasons: str) -> Callable[[], Awaitable[str]]:
    """Fails for each of the reasons, then is done."""
    left = list(reasons)

    async def attempt() -> str:
        if left:
            raise StoreUnavailable(left.pop(0))
        return "done"

    return attempt


async def test_what_succeeds_says_nothing(waits: Patience, said: list[str]) -> None:
    assert await waits.wait_out(failing()) == "done"
    assert said == []


async def test_each_reason_is_told_once_and_the_end_too(waits: Patience, said: list[str]) -> None:
    assert await waits.wait_out(failing("lost", "lost", "starting", "lost", "starting")) == "done"
    assert said == ["lost", "starting", ""]
    assert await waits.wait_out(failing("lost")) == "done"
    assert said == ["lost", "starting", "", "lost", ""]


async def test_reasons_without_end_are_not_told_without_end(waits: Patience, said: list[str]) -> None:
    await waits.wait_out(failing(*map(str, range(1_000))))
    assert len(said) == REASONS + 1


async def test_it_is_not_back_while_something_still_waits(waits: Patience, said: list[str]) -> None:
    """On a full disk small things succeed."""
    room = asyncio.Event()
    has_failed = asyncio.Event()

    async def large() -> str:
        if room.is_set():
            return "large"
        has_failed.set()
        raise StoreUnavailable("full")

    late = asyncio.create_task(waits.wait_out(large))
    await has_failed.wait()
    await waits.wait_out(failing())
    assert said == ["full"]
    room.set()
    assert await late == "large"
    assert said == ["full", ""]


async def test_who_gives_up_waiting_is_not_waited_for(waits: Patience, said: list[str]) -> None:
    has_failed = asyncio.Event()

    async def never() -> None:
        has_failed.set()
        raise StoreUnavailable("away")

    late = asyncio.create_task(waits.wait_out(never))
    await has_failed.wait()
    late.cancel()
    await asyncio.wait({late})
    assert said == ["away"]
    await waits.wait_out(failing())
    assert said == ["away", ""]


async def test_once_it_is_over_nobody_waits(waits: Patience, said: list[str]) -> None:
    has_failed = asyncio.Event()

    async def never() -> None:
        has_failed.set()
        raise StoreUnavailable("away")

    late = asyncio.create_task(waits.wait_out(never))
    await has_failed.wait()
    waits.is_over = True
    with pytest.raises(StoreUnavailable):
        await late
    with pytest.raises(StoreUnavailable):
        await waits.wait_out(failing("away"))
    assert said == ["away"]


async def test_other_errors_are_not_waited_out(waits: Patience, said: list[str]) -> None:
    async def broken() -> None:
        raise StoreError("damaged")

    with pytest.raises(StoreError, match="damaged"):
        await waits.wait_out(broken)
    assert said == []
