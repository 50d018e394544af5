"""Alerts in every kind of store: one transaction with what is told of them, and who sees to what."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from core.alerting import Change, Entry
from core.alerting.silences import Silence, make_silence
from core.datasets import SeriesKey
from core.errors import ConfigError
from core.events import AlertChanged, decode
from core.stores import RunRecord
from core.stores.alerts import KEPT_SECONDS, Logged
from core.stores.database import Database
from core.stores.reading import Reader
from core.stores.sql_store import SQLStore
from tests.stores import Wall

NOW = 1_750_000_000.0


async def ask(store: SQLStore, question: Callable[[Reader], Any]) -> Any:
    def work(db: Database) -> Any:
        return question(Reader(db))

    return await store._db.run(work)


def alert(**fields: Any) -> AlertChanged:
    given = {
        "alert": "r:s",
        "rule": "r",
        "level": "ERROR",
        "state": "firing",
        "since": NOW - 60,
        "message": "hä",
        "source": "s",
        "incident": "abc-1",
        "sequence": 1,
        "value": 12.5,
        "fired": NOW,
        "time": NOW,
    }
    return AlertChanged(**{**given, **fields})


def told(changed: AlertChanged, channel: str = "log") -> Entry:
    return Entry(channel, "ERROR:r", "fired", changed, NOW, NOW + 10)


async def write(store: SQLStore, *changes: Change) -> None:
    await store.journal([], [], changes)


async def test_an_alert_comes_back_with_its_memory(store: SQLStore) -> None:
    await write(store, Change(alert(), '{"a":1}'))
    assert await store.kept_alerts() == [Change(alert(), '{"a":1}', is_logged=False)]
    assert await ask(store, lambda reader: reader.alerts()) == [alert()]


async def test_what_is_over_or_was_never_told_is_not_open(store: SQLStore) -> None:
    pending, over, gone = (
        alert(alert=f"r:{state}", state=state, incident="") for state in ("pending", "resolved", "inactive")
    )
    await write(store, Change(pending), Change(over), Change(gone))
    assert await ask(store, lambda reader: reader.alerts()) == []
    assert await ask(store, lambda reader: reader.alerts(only_open=False)) == [over]
    assert [kept.alert for kept in await store.kept_alerts()] == [pending]
    assert {kept.alert.alert for kept in await store.kept_alerts(NOW)} == {"r:pending", "r:resolved", "r:inactive"}


async def test_every_change_is_logged_in_its_order_and_what_only_counts_is_not(store: SQLStore) -> None:
    steps = [alert(), alert(count=2, message="again"), alert(state="resolved", sequence=2)]
    await write(store, Change(steps[0]), Change(steps[1], is_logged=False), Change(steps[2]))
    logged = await ask(store, lambda reader: reader.alert_changes(0))
    assert [(each.alert.state, each.alert.sequence, each.alert.time) for each in logged] == [
        ("firing", 1, NOW),
        ("resolved", 2, NOW),
    ]
    assert await ask(store, lambda reader: reader.alert_changes(logged[0].id)) == logged[1:]
    assert await ask(store, lambda reader: reader.last_alert_change()) == logged[1].id
    assert [each.state for each in await ask(store, lambda reader: reader.alerts(only_open=False))] == ["resolved"]


async def test_what_is_to_be_told_is_written_with_it_and_once(store: SQLStore) -> None:
    change = Change(alert(), entries=(told(alert()), told(alert(), "webhook")))
    await write(store, change)
    await write(store, change)
    found = await store._db.run(lambda db: db.execute("SELECT channel, incident, body FROM outbox").fetchall())
    assert sorted(row[:2] for row in found) == [("log", "abc-1"), ("webhook", "abc-1")]
    assert decode(found[0][2].encode()) == alert()


async def test_the_past_of_one_alert_is_its_changes_and_what_was_told_of_them(store: SQLStore) -> None:
    over = alert(state="resolved", sequence=2, time=NOW + 60)
    other = alert(alert="r:other", incident="abc-2")
    await write(store, Change(alert(), entries=(told(alert()),)), Change(other, entries=(told(other),)))
    await write(store, Change(over, entries=(told(over, "webhook"),)))
    changes, sent = await ask(store, lambda reader: reader.alert_past("r:s"))
    assert [(each.alert.state, each.alert.time) for each in changes] == [("resolved", NOW + 60), ("firing", NOW)]
    assert [(each.channel, each.alert) for each in sent] == [("webhook", "r:s"), ("log", "r:s")]
    changes, sent = await ask(store, lambda reader: reader.alert_past("r:s", 1))
    assert ([each.alert.state for each in changes], [each.channel for each in sent]) == (["resolved"], ["webhook"])
    assert await ask(store, lambda reader: reader.alert_past("r:none")) == ([], [])


async def test_nothing_is_written_when_something_cannot_be(store: SQLStore) -> None:
    broken = Entry(None, "g", "fired", alert(), NOW, NOW)  # type: ignore[arg-type]
    with pytest.raises(Exception, match=r"(?i)null"):
        await write(store, Change(alert(), entries=(broken,)))
    assert await store.kept_alerts() == []
    assert await ask(store, lambda reader: reader.last_alert_change()) == 0


async def test_an_acknowledgement_stays_whatever_an_engine_remembers(store: SQLStore) -> None:
    await write(store, Change(alert()))
    acked = await store.acknowledge("r:s", "ann\x1b[2J", NOW + 60)
    assert (acked.acked_by, acked.acked_until) == ("ann [2J", NOW + 60)
    await write(store, Change(alert(message="worse")))
    [kept] = await store.kept_alerts()
    assert (kept.alert.message, kept.alert.acked_by) == ("worse", "ann [2J")
    assert [each.alert.message for each in await ask(store, lambda reader: reader.alert_changes(0))][1] == (
        "acknowledged by ann [2J until 2025-06-15T15:07:40Z"
    )


async def test_an_acknowledgement_ends_with_its_incident(store: SQLStore) -> None:
    await write(store, Change(alert()))
    await store.acknowledge("abc-1", "ann", NOW + 60)
    await write(store, Change(alert(incident="abc-2")))
    [kept] = await store.kept_alerts()
    assert (kept.alert.acked_by, kept.alert.acked_until) == ("", None)


@pytest.mark.parametrize("name", ["nobody", "r:s"])
async def test_only_an_open_alert_is_acknowledged(store: SQLStore, name: str) -> None:
    await write(store, Change(alert(state="resolved")))
    with pytest.raises(ConfigError, match=f"no open alert is called '{name}'"):
        await store.acknowledge(name, "ann", NOW + 60)


def quiet(name: str = "s1", until: float = NOW + 60) -> Silence:
    return make_silence(name, NOW, until, "ann", "planned work", rule="data_*")


async def test_a_silence_is_kept_until_it_ends(store: SQLStore, wall: Wall) -> None:
    await store.silence(quiet("s2", NOW + 120))
    await store.silence(quiet())
    assert await store.silences() == [quiet(), quiet("s2", NOW + 120)]
    wall.now += 60
    assert await store.silences() == [quiet("s2", NOW + 120)]
    assert await store.unsilence("s2") == quiet("s2", NOW + 60)
    assert await store.silences() == []
    assert len(await ask(store, lambda reader: reader.silences())) == 2
    with pytest.raises(ConfigError, match="no silence in force has the id 's2'"):
        await store.unsilence("s2")


async def test_one_engine_has_a_duty_at_a_time(store: SQLStore) -> None:
    assert await store.take_duty("alerts", "a", 60)
    assert await store.take_duty("alerts", "a", 60)
    assert not await store.take_duty("alerts", "b", 60)
    assert await store.take_duty("other", "b", 60)
    assert await store.take_duty("alerts", "a", 0)
    assert await store.take_duty("alerts", "b", 60)
    assert not await store.take_duty("alerts", "a", 60)


async def test_of_many_that_want_a_duty_one_gets_it(store: SQLStore) -> None:
    got = await asyncio.gather(*(store.take_duty("alerts", f"e{number}", 60) for number in range(10)))
    assert got.count(True) == 1


async def test_what_ended_long_ago_is_forgotten(store: SQLStore, wall: Wall) -> None:
    await write(store, Change(alert()), Change(alert(alert="r:over", state="resolved")))
    await store.silence(quiet())
    wall.now += KEPT_SECONDS + 100
    await write(store, Change(alert(alert="r:new", time=wall.now)))
    await store.forget_alerts()
    assert {kept.alert.alert for kept in await store.kept_alerts(0.0)} == {"r:s", "r:new"}
    assert [each.alert.alert for each in await ask(store, lambda reader: reader.alert_changes(0))] == ["r:new"]
    assert await ask(store, lambda reader: reader.silences()) == []


async def test_the_history_of_changes_is_bounded(store: SQLStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.stores.alert_sql.MOST_CHANGES", 3)
    await write(store, *(Change(alert(sequence=number)) for number in range(1, 9)))
    await store.forget_alerts()
    kept: list[Logged] = await ask(store, lambda reader: reader.alert_changes(0))
    assert [each.alert.sequence for each in kept] == [6, 7, 8]


async def test_hostile_text_is_data(store: SQLStore) -> None:
    hostile = alert(message="'; DROP TABLE alert; -- \u202e %s ? :x", source="\n\t'")
    await write(store, Change(hostile))
    [kept] = await store.kept_alerts()
    assert msgspec.structs.replace(kept.alert) == hostile


async def test_who_does_not_see_to_it_any_more(store: SQLStore, wall: Wall) -> None:
    await write(store, Change(alert()))
    await store.acknowledge("r:s", "ann", NOW + 60)
    wall.now += 5
    ended = await store.unacknowledge("abc-1", "bob\x07")
    assert (ended.acked_by, ended.acked_until, ended.time) == ("", None, NOW + 5)
    [kept] = await ask(store, lambda reader: reader.kept_alerts())
    assert (kept.alert.acked_by, kept.alert.acked_until) == ("", None)
    assert [each.alert.message for each in await ask(store, lambda reader: reader.alert_changes(0))][-1] == (
        "bob does not see to it any more"
    )
    with pytest.raises(ConfigError, match="no open alert is called 'x'"):
        await store.unacknowledge("x", "ann")


async def test_the_past_that_rules_are_rehearsed_on(store: SQLStore) -> None:
    def run(name: str, finished: float | None) -> RunRecord:
        return RunRecord(name, "e", "spot_ohlcv", "1d", "", "failed", NOW - 100, NOW, finished, {"rows_fetched": 7})

    def change_bars(db: Database) -> None:
        for seen_at in (int(NOW) + 5, int(NOW) + 6):
            db.execute(
                "INSERT INTO restatement (series_id, ts, old, new, seen_at, run_id) "
                f"SELECT id, 0, '{{}}', '{{}}', {seen_at}, 'r' FROM series"
            )

    await store.journal([run("b", NOW + 2), run("a", NOW + 1), run("old", NOW - 1), run("c", None)], [], [])
    await store.series("src", [SeriesKey("spot_ohlcv", "m", "A-B", "1d")])
    await store._db.run(change_bars)
    runs, changed = await ask(store, lambda reader: reader.past(NOW))
    assert [(each.finished, each.state, each.rows) for each in runs] == [(NOW + 1, "failed", 7), (NOW + 2, "failed", 7)]
    assert changed == [("spot_ohlcv", "1d", int(NOW) // 60 * 60, 2)]
