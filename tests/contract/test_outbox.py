"""What is to be told, in every kind of store: due in its order, claimed before it is sent, ended once."""

from collections.abc import Callable
from typing import Any

import pytest

from core.alerting import Change, Entry
from core.events import AlertChanged
from core.stores.database import Database
from core.stores.outbox import DEAD, KEPT_SECONDS, SENT, SUPPRESSED, Depth, Waiting
from core.stores.reading import Reader
from core.stores.sql_store import SQLStore
from tests.stores import Wall

NOW = 1_750_000_000.0


def entry(incident: str, sequence: int = 1, **fields: Any) -> Entry:
    alert = AlertChanged(
        alert=f"r:{incident}", rule="r", level="ERROR", state="firing", since=NOW, message="m", incident=incident,
        sequence=sequence,
    )  # fmt: skip
    given = {"channel": "hook", "grouping": "ERROR:r", "kind": "fired", "created": NOW, "not_before": NOW}
    return Entry(alert=alert, **{**given, **fields})


async def add(store: SQLStore, *entries: Entry) -> None:
    await store.journal([], [], [Change(each.alert, entries=(each,)) for each in entries])


async def due(store: SQLStore, now: float = NOW, channel: str = "hook") -> list[Waiting]:
    return list((await store.due_entries(channel, now)).entries)


async def incidents(store: SQLStore, now: float = NOW) -> list[str]:
    return [each.entry.alert.incident for each in await due(store, now)]


async def ask(store: SQLStore, question: Callable[[Reader], Any]) -> Any:
    def work(db: Database) -> Any:
        return question(Reader(db))

    return await store._db.run(work)


async def test_what_was_written_is_due_in_its_order_when_its_time_has_come(store: SQLStore) -> None:
    given = [entry("a"), entry("b", grouping="INFO:x"), entry("c", grouping="INFO:y", not_before=NOW + 10)]
    await add(store, *given, entry("d", channel="other"))
    found = await due(store)
    assert [each.entry for each in found] == given[:2]
    assert [(each.message, each.error) for each in found] == [("", ""), ("", "")]
    assert await incidents(store, NOW + 10) == ["a", "b", "c"]


async def test_with_what_is_due_comes_what_waits_in_its_group_and_of_its_incident(store: SQLStore) -> None:
    later = NOW + 60
    await add(
        store,
        entry("a", not_before=later, grouping="WARNING:r"),
        entry("b", not_before=later, grouping="INFO:x"),
        entry("c", not_before=later),
        entry("a", 2),
    )
    assert await incidents(store) == ["a", "c", "a"]


async def test_a_message_is_claimed_before_it_is_sent_and_then_due_until_it_is(store: SQLStore) -> None:
    await add(store, entry("a"), entry("b"))
    first, second = await due(store)
    await store.assign_message([first.id, second.id], "msg_1")
    assert [each.message for each in await due(store, NOW - 1)] == ["msg_1", "msg_1"]
    await store.tried_entries([first.id, second.id], "away\x1b[2J")
    assert [each.error for each in await due(store)] == ["away [2J", "away [2J"]
    await store.end_entries([first.id, second.id], SENT)
    assert await due(store) == []
    sent = await ask(store, lambda reader: reader.notifications())
    assert [(each.alert, each.state, each.message, each.attempts, each.ended) for each in sent] == [
        ("r:b", SENT, "msg_1", 1, NOW),
        ("r:a", SENT, "msg_1", 1, NOW),
    ]
    assert await ask(store, lambda reader: reader.notifications("other")) == []


async def test_a_store_knows_when_a_group_was_told_last(store: SQLStore, wall: Wall) -> None:
    await add(store, entry("a"))
    await store.end_entries([each.id for each in await due(store)], SENT)
    await add(store, entry("b"))
    wall.now += 5
    assert (await store.due_entries("hook", wall.now)).told == {"ERROR:r": NOW}


async def test_what_is_held_is_not_due_before_its_time(store: SQLStore) -> None:
    await add(store, entry("a"))
    [held] = await due(store)
    await store.hold_entries([held.id], NOW + 60, "silenced by ann")
    assert await due(store, NOW + 59) == []
    assert [each.error for each in await due(store, NOW + 60)] == ["silenced by ann"]


async def test_what_ended_stays_as_it_ended(store: SQLStore) -> None:
    await add(store, entry("a"))
    [one] = await due(store)
    await store.end_entries([one.id], SENT)
    await store.end_entries([one.id], DEAD, "too late")
    assert [each.state for each in await ask(store, lambda reader: reader.notifications())] == [SENT]


async def test_what_is_dead_falls_back_once(store: SQLStore, wall: Wall) -> None:
    await add(store, entry("a"), entry("b"), entry("b", channel="spare"))
    wall.now += 60
    await store.end_entries([each.id for each in await due(store)], DEAD, "gone", "spare")
    assert await due(store) == []
    spare = await due(store, wall.now, "spare")
    assert [each.entry.alert.incident for each in spare] == ["b", "a"]
    assert [each.entry.created for each in spare] == [NOW, NOW]
    depth = {"hook": Depth(0, None, 2), "spare": Depth(2, NOW, 0)}
    assert await store.outbox_depth() == depth
    assert await ask(store, lambda reader: reader.outbox()) == depth


async def ended(store: SQLStore, *given: tuple[str, str]) -> None:
    """Entries of a kind that are in a state."""
    for number, (kind, state) in enumerate(given):
        await add(store, entry(f"{number}", kind=kind))
        await store.end_entries([each.id for each in await due(store)], state)


async def left(store: SQLStore) -> list[tuple[str, str]]:
    return [(each.kind, each.state) for each in reversed(await ask(store, lambda reader: reader.notifications()))]


async def test_what_was_sent_goes_first_and_a_firing_that_nobody_heard_of_never(
    store: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [("fired", DEAD), ("resolved", DEAD), ("fired", SENT), ("fired", SUPPRESSED), ("fired", SENT)]
    await ended(store, *given)
    await add(store, entry("waiting"))
    for most, rest in ((5, given), (4, [*given[:2], *given[3:]]), (2, given[:2]), (0, given[:1])):
        monkeypatch.setattr("core.stores.outbox_sql.MOST_ENDED", most)
        await store.forget_entries(["hook"], NOW)
        assert await left(store) == [*rest, ("fired", "waiting")]


async def test_what_ended_long_ago_is_forgotten_and_what_waits_is_not(store: SQLStore, wall: Wall) -> None:
    await ended(store, ("fired", SENT), ("fired", DEAD))
    await add(store, entry("waiting"))
    wall.now += KEPT_SECONDS + 1
    await store.forget_entries(["hook"], NOW)
    assert await left(store) == [("fired", "waiting")]


async def test_what_nobody_delivers_is_dead_after_a_while(store: SQLStore) -> None:
    await add(store, entry("a", channel="gone"), entry("b"))
    await store.forget_entries(["hook"], NOW)
    assert (await store.outbox_depth())["gone"].waiting == 1
    await store.forget_entries(["hook"], NOW + 1)
    assert await store.outbox_depth() == {"gone": Depth(0, None, 1), "hook": Depth(1, NOW, 0)}


async def test_without_any_channel_everything_is_dead_after_a_while(store: SQLStore) -> None:
    await add(store, entry("a", channel="gone"))
    await store.forget_entries([], NOW + 1)
    assert await store.outbox_depth() == {"gone": Depth(0, None, 1)}
