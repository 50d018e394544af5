"""Rows fetched = inserted + updated + unchanged + quarantined, exactly, whatever an answer repeats, adds or breaks."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from engine_kit import Kit, ask

from core.datasets import SPOT_OHLCV, SeriesKey
from core.engine.job import Job
from core.errors import Malformed
from core.windows import parse_time
from tests.fakes import Call, Rows

KEY = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")
TEN = parse_time("2025-06-15T10:00")
NOON_DAY = {"start": "2025-06-15T10:00", "end": "2025-06-16T10:00"}  # reaches beyond the vendor's newest bar


def broken(row: Any, **fields: Any) -> Any:
    return type(row)(**{name: getattr(row, name) for name in row.__struct_fields__} | fields)


def older(kit: Kit, rows: Rows) -> Rows:
    """Bars from before the window, as the vendor adds them when it counts back from its newest one."""
    first = rows[0].timestamp
    row = kit.source.row
    return [row(SPOT_OHLCV, KEY, ts, SPOT_OHLCV.default_groups) for ts in range(first - 600, first, 60)]


EDITS: dict[str, tuple[Callable[[Kit, Rows], Rows], dict[str, int]]] = {
    "as it is": (lambda _, rows: rows, {}),
    "said twice": (lambda _, rows: [*rows, *rows[5:12]], {"rows_unchanged": 7}),
    "said thrice": (lambda _, rows: rows + rows + rows, {"rows_unchanged": 2 * 480}),
    "one is broken": (lambda _, rows: [broken(rows[3], low=-1.0), *rows[:3], *rows[4:]], {"rows_quarantined": 1}),
    "two differ": (lambda _, rows: [broken(rows[3], volume_buy=1.6, volume=1.6), *rows], {"rows_quarantined": 2}),
    "three, two alike": (
        lambda _, rows: [broken(rows[3], volume_buy=1.6, volume=1.6), rows[3], *rows],
        {"rows_quarantined": 3},
    ),
    "older ones": (lambda kit, rows: older(kit, rows) + rows, {}),
    "everything": (
        lambda kit, rows: [*older(kit, rows), *rows, rows[5], broken(rows[3], low=-1.0), broken(rows[4], low=-2.0)],
        {"rows_unchanged": 1, "rows_quarantined": 2},
    ),
}


def balance(job: Job) -> None:
    figures = job.counters
    kept = figures.rows_inserted + figures.rows_updated + figures.rows_unchanged
    assert figures.rows_fetched == kept + figures.rows_quarantined, figures


@pytest.mark.parametrize("name", EDITS)
async def test_what_comes_in_is_accounted_for(kit: Kit, name: str) -> None:
    change, expected = EDITS[name]
    kit.source.last = TEN + 8 * 3_600 - 60
    kit.source.script = lambda call: lambda rows: change(kit, rows)
    job = await kit.run(ask(**NOON_DAY))
    balance(job)
    shown = {field: value for field, value in job.counters.shown().items() if value and field in expected}
    assert shown == expected
    again = await kit.run(ask(**NOON_DAY, full_refresh=True))
    balance(again)
    assert again.counters.rows_inserted == 0


async def test_an_answer_refused_whole_is_one_row_in_and_one_quarantined(kit: Kit) -> None:
    def change(call: Call) -> Callable[[Rows], Rows] | None:
        spoilt = call.nth == 1
        return lambda rows: [broken(row, unit="HOUR") for row in rows[:40]] + rows[40:] if spoilt else rows

    kit.source.script = change
    job = await kit.run(ask())
    balance(job)
    assert (job.counters.rows_fetched, job.counters.rows_quarantined, job.counters.rows_inserted) == (61, 1, 60)
    kit.source.script = lambda _call: Malformed("no JSON", "unparsable", b"<")
    job = await kit.run(ask(full_refresh=True))
    balance(job)
    assert (job.counters.rows_fetched, job.counters.rows_quarantined) == (1, 1)


async def test_any_mixture_is_accounted_for(kit: Kit, seed: int) -> None:
    chance = random.Random(seed)

    def change(rows: Rows) -> Rows:
        mixed = older(kit, rows) if chance.random() < 0.5 else []
        for row in rows:
            mixed += [row] * chance.choice((0, 1, 1, 1, 1, 2))
            if chance.random() < 0.1:
                wrong = chance.choice(
                    ({"low": -1.0}, {"timestamp": row.timestamp + 7}, {"total_trades": 7}, {"open": 10.0})
                )
                mixed.append(broken(row, **wrong))
        chance.shuffle(mixed)
        return mixed

    kit.source.last = TEN + 8 * 3_600 - 60
    kit.source.script = lambda _call: change
    for _ in range(20):
        balance(await kit.run(ask(**NOON_DAY, full_refresh=True)))
