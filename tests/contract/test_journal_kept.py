"""The journal stays small: what is kept of runs and of their series, in every kind of store."""

from core.stores import RunRecord, RunSeries
from core.stores import journal_sql as journal
from core.stores.database import Database
from core.stores.sql_store import SQLStore
from tests.stores import Wall

DAY = 86_400.0


async def ran(store: SQLStore, name: str, created: float, *states: str) -> None:
    record = RunRecord(name, "e", "spot_ohlcv", "1m", "", "complete", created, created, created, {})
    parts = [RunSeries(name, f"s{at}", state, 1, 1, 1) for at, state in enumerate(states)]
    await store.journal([record], parts, [])


async def kept(store: SQLStore) -> tuple[list[str], list[tuple[str, str]]]:
    def work(db: Database) -> tuple[list[str], list[tuple[str, str]]]:
        runs = [run for (run,) in db.execute("SELECT run_id FROM run ORDER BY created")]
        parts = db.execute("SELECT run_id, state FROM run_series ORDER BY run_id, series").fetchall()
        return runs, [(run, state) for run, state in parts]

    return await store._db.run(work)


async def test_old_runs_go_and_series_of_newer_ones_but_what_failed(store: SQLStore, wall: Wall) -> None:
    for name, days in {"old": 91, "month": 30, "week": 8, "new": 1}.items():
        await ran(store, name, wall.now - days * DAY, "done", "failed")
    await store.forget_runs()
    assert await kept(store) == (
        ["month", "week", "new"],
        [("month", "failed"), ("new", "done"), ("new", "failed"), ("week", "failed")],
    )


async def test_many_runs_of_a_day_have_no_series_but_the_newest(store: SQLStore, wall: Wall) -> None:
    """Three more than are kept in detail: as many at once as there may be, and the rest the next time."""
    count = journal.MOST_DETAILED + 3
    for at in range(0, count, 500):
        records = [
            RunRecord(f"r{one:05}", "e", "spot_ohlcv", "1m", "", "complete", wall.now - count + one, 0.0, 0.0, {})
            for one in range(at, min(at + 500, count))
        ]
        parts = [RunSeries(record.run_id, "s", "done", 1, 1, 1) for record in records]
        await store.journal(records, parts, [])
    await store.forget_runs()
    runs, series = await kept(store)
    assert len(runs) == count
    assert len(series) == journal.MOST_DETAILED + 1
    assert series[0][0] == "r00002"
