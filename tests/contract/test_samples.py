"""The history of figures in a store: minutes add up to hours, several engines add up, and what is old goes."""

import asyncio
import random
from collections import Counter

import pytest

from core.history import HOUR, KEPT_SECONDS, MINUTE, STEP, Recorder, Sample, performance
from core.meter import Latencies
from core.stores.database import Database
from core.stores.opening import open_store
from core.stores.sample_sql import read_samples, write_probe, write_samples
from core.stores.sql_store import SQLStore
from core.telemetry import API, DATABASE, OK, Done
from core.windows import Window

NOW = 1_750_010_400


def sample(at: int, value: float = 1.0, times: int = 1, name: str = "tapewatch_gaps", **classes: int) -> Sample:
    found = {int(key.removeprefix("c")): count for key, count in classes.items()}
    return Sample(MINUTE, name, "{}", at, times, value * times, value, value, value, found)


def everything(seconds: int) -> tuple[int, Window]:
    return seconds, Window(NOW - 10**8, NOW + 10**8)


def test_minutes_are_kept_and_add_up_to_their_hour(database: Database) -> None:
    write_samples(database, [sample(NOW, 2.0), sample(NOW + 60, 4.0)], NOW + 120)
    write_samples(database, [sample(NOW + HOUR, 1.0)], NOW + HOUR + 60)
    minutes, hours = (read_samples(database, *everything(seconds)) for seconds in (MINUTE, HOUR))
    assert [(found.at, found.total) for found in minutes] == [(NOW, 2.0), (NOW + 60, 4.0), (NOW + HOUR, 1.0)]
    assert hours == [
        Sample(HOUR, "tapewatch_gaps", "{}", NOW, 2, 6.0, 2.0, 4.0, 4.0, {}),
        Sample(HOUR, "tapewatch_gaps", "{}", NOW + HOUR, 1, 1.0, 1.0, 1.0, 1.0, {}),
    ]


def test_engines_on_one_database_add_up(database: Database) -> None:
    write_samples(database, [sample(NOW, 5.0, 2, c3=1, c4=1)], NOW)
    write_samples(database, [sample(NOW, 1.0, 3, c3=2, c9=1)], NOW)
    [minute] = read_samples(database, *everything(MINUTE))
    assert minute == Sample(MINUTE, "tapewatch_gaps", "{}", NOW, 5, 13.0, 1.0, 5.0, 1.0, {3: 3, 4: 1, 9: 1})


def test_what_is_old_goes(database: Database) -> None:
    write_samples(database, [sample(NOW)], NOW)
    write_samples(database, [], NOW + KEPT_SECONDS[MINUTE] + 1)
    assert read_samples(database, *everything(MINUTE)) == []
    assert len(read_samples(database, *everything(HOUR))) == 1
    write_samples(database, [], NOW + KEPT_SECONDS[HOUR] + HOUR)
    assert read_samples(database, *everything(HOUR)) == []


def test_a_probe_leaves_one_row_and_no_figure(database: Database) -> None:
    for at in (NOW, NOW + 5, NOW + 10):
        write_probe(database, at)
    assert database.execute("SELECT count(*), max(newest) FROM sample").fetchall() == [(1, NOW + 10)]
    assert read_samples(database, *everything(MINUTE)) == []


@pytest.mark.parametrize("seed", range(3))
def test_percentiles_of_a_span_follow_from_its_minutes(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    recorder, times = Recorder(), []
    for minute in range(5):
        for _ in range(200):
            times.append(chance.lognormvariate(-2, 1))
            recorder.hear(Done(API, "history", chance.choice([OK, OK, OK, "5xx"]), times[-1], 1_000))
        recorder.hear(Done(DATABASE, "commit", OK, 0.001))
        write_samples(database, recorder.take(NOW + minute * 60), NOW)
    for seconds in (MINUTE, HOUR):
        api, commits = performance(read_samples(database, *everything(seconds)), 300)
        times.sort()
        assert (api.operation, api.kind, api.count, commits.count) == (API, "history", 1_000, 5), f"seed {seed}"
        assert api.p50 == pytest.approx(times[499], rel=STEP - 1), f"seed {seed}"
        assert api.p99 == pytest.approx(times[989], rel=STEP - 1), f"seed {seed}"
        assert 0.6 < api.success < 0.9, f"seed {seed}"
        assert api.amount_per_second == pytest.approx(1_000 * 1_000 / 300)


def test_classes_are_read_as_they_were_written(database: Database) -> None:
    took = Latencies(STEP)
    for seconds in (1e-9, 0.001, 0.5, 86_400.0):
        took.add(seconds)
    found = sample(NOW)._replace(classes=took.classes)
    write_samples(database, [found], NOW)
    [read] = read_samples(database, *everything(MINUTE))
    assert Counter(read.classes) == took.classes


async def test_engines_that_write_at_the_same_time_lose_nothing(postgres_store_url: str, seed: int) -> None:
    chance = random.Random(seed)
    stores = [await open_store(postgres_store_url, lambda: NOW, name) for name in ("one", "two", "three")]
    names = [f"tapewatch_{n}" for n in range(5)]

    async def write(store: SQLStore) -> None:
        for _ in range(10):
            await store.record([sample(NOW, 2.0, name=name, c7=1) for name in chance.sample(names, 5)])

    await asyncio.gather(*map(write, stores))
    found = await stores[0]._db.run(read_samples, *everything(HOUR))
    for store in stores:
        await store.close()
    assert [(each.name, each.times, each.total, each.classes) for each in found] == [
        (name, 30, 60.0, {7: 30}) for name in names
    ]
