"""What a dashboard reads of a store is what was ingested into it, counted again in plain SQL."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from e2e_program import DAY, NOW_TS, Processes, Program, Sandbox

from core.cli.archive import StoreArchive, archive_of
from core.config import load
from core.errors import StoreError
from core.windows import Window
from tui.coverage import month_of, months_of, share_of

pytestmark = pytest.mark.slow

START = NOW_TS - NOW_TS % DAY - 70 * DAY
NAMES = ("BTC-USD", "ETH-USD", "LTC-USD")
SPAN = ("--start", "2025-03-23", "--end", "2025-05-22")
FAULTS: list[dict[str, Any]] = [
    {"query": {"instrument": "BTC-USD"}, "mutate": {"rows": [10, 11], "set": {"VOLUME": -1}}},
    {"query": {"instrument": "ETH-USD"}, "drop_span": {"from": START + 20 * DAY, "to": START + 25 * DAY}},
]
BTC, ETH, LTC = (f"spot_ohlcv/kraken/{name}/1d" for name in NAMES)
PERPETUAL = ("--market", "binance", "--instrument", "BTC-USDT-VANILLA-PERPETUAL", "--interval", "1h")
HOURS = ("--start", "2025-05-20", "--end", "2025-05-25")


def archive_at(program: Program) -> StoreArchive:
    return archive_of(load({}, {"TAPEWATCH_DB": f"sqlite:///{program.db}"}))


@pytest.fixture(scope="module")
def ingested(market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A store with daily candles that have gaps, refused rows and a revised day; and hourly rates and interest."""
    folder: Path = tmp_path_factory.mktemp("archive")
    processes = Processes(folder)
    program = Program(processes, folder / "store.db", processes.sandbox(faults=FAULTS))
    program.ingest("spot_ohlcv", "--market", "kraken", "--instrument", ",".join(NAMES), *SPAN, code=1)
    revise = {"revise": {"from": START + 5 * DAY, "to": START + 6 * DAY, "factor": 2}}
    again = ("spot_ohlcv", "--market", "kraken", "--instrument", "LTC-USD", *SPAN, "--full_refresh")
    program.on(processes.sandbox(faults=[revise])).ingest(*again)
    for data_type in ("futures_funding_rate", "futures_open_interest"):
        program.on(market).ingest(data_type, *PERPETUAL, *HOURS)
    yield program
    processes.close()


def test_every_series_has_the_rows_that_are_there(ingested: Program) -> None:
    found = archive_at(ingested).series()
    assert len(found) == 5
    for name, series in found.items():
        kind, market, instrument, interval = name.split("/")
        rows = ingested.store.all(
            f"SELECT ts FROM {kind}_{interval} WHERE market = ? AND instrument = ? AND closed", market, instrument
        )
        times = [row["ts"] for row in rows]
        assert (series.rows, series.first_bar, series.last_bar) == (len(times), min(times), max(times))
    assert found[LTC].late(NOW_TS) == (NOW_TS - NOW_TS % DAY - START - 60 * DAY) // DAY


@pytest.mark.parametrize(
    ("series", "columns"),
    [
        (BTC, "open, high, low, close, volume"),
        (
            "futures_funding_rate/binance/BTC-USDT-VANILLA-PERPETUAL/1h",
            "open, high, low, close, total_funding_rate_updates",
        ),
        (
            "futures_open_interest/binance/BTC-USDT-VANILLA-PERPETUAL/1h",
            "open_settlement, high_settlement, low_settlement, close_settlement, close_quote",
        ),
    ],
)
def test_bars_are_those_that_are_stored(ingested: Program, series: str, columns: str) -> None:
    kind, _, instrument, interval = series.split("/")
    query = f"SELECT ts, closed, {columns} FROM {kind}_{interval} WHERE instrument = ? ORDER BY ts"
    stored = [tuple(row.values()) for row in ingested.store.all(query, instrument)]
    archive = archive_at(ingested)
    assert [tuple(bar) for bar in archive.bars(series, 10_000)] == stored
    assert [tuple(bar) for bar in archive.bars(series, 7)] == stored[-7:]
    span = Window(stored[3][0], stored[9][0])
    assert [tuple(bar) for bar in archive.bars(series, 10_000, span)] == stored[3:9]
    assert None not in stored[-1]


def test_months_count_the_bars_that_are_stored(ingested: Program) -> None:
    archive = archive_at(ingested)
    for name, coverage in archive.coverages().items():
        kind, _, instrument, interval = name.split("/")
        rows = ingested.store.all(f"SELECT ts FROM {kind}_{interval} WHERE instrument = ?", instrument)
        kept = [month_of(row["ts"]) for row in rows]
        shares = {month: share_of(coverage, month, NOW_TS) for month in months_of(coverage)}
        assert {month: share.stored for month, share in shares.items() if share} == {m: kept.count(m) for m in shares}
        alone = archive.coverage(name)
        assert (alone.asked, alone.gaps, alone.explained) == (coverage.asked, coverage.gaps, coverage.explained)
    april = month_of(datetime(2025, 4, 15, tzinfo=UTC).timestamp())
    share = share_of(archive.coverage(ETH), april, NOW_TS)
    assert share is not None
    assert (share.stored, share.gaps, share.expected) == (25, 5, 30)


def test_holes_have_their_causes_and_what_is_next(ingested: Program) -> None:
    archive = archive_at(ingested)
    [rejected] = archive.holes(BTC).values()
    assert (rejected.kind, rejected.cause, rejected.state) == ("gap", "rejected_rows", "new")
    assert (rejected.start, rejected.bars) == (START + 10 * DAY, 2)
    [silent] = archive.holes(ETH).values()
    assert (silent.cause, silent.bars) == ("instrument_silent", 5)
    assert "tapewatch gaps repair" in silent.next
    assert archive.holes(LTC) == {}


def test_the_quarantine_has_the_rows_as_they_came(ingested: Program) -> None:
    archive = archive_at(ingested)
    refused = archive.refused(BTC).values()
    assert [record.start for record in refused] == [START + 10 * DAY, START + 11 * DAY]
    assert all('"VOLUME":-1' in record.raw.replace(" ", "") and record.is_row for record in refused)
    assert {record.state for record in refused} == {"open"}
    assert archive.refused(ETH) == {}


def test_restatements_tell_old_from_new(ingested: Program) -> None:
    archive = archive_at(ingested)
    changes = archive.restatements(LTC).values()
    assert {change.bar for change in changes} == {START + 5 * DAY}
    volume = next(change for change in changes if change.column == "volume")
    assert volume.new == pytest.approx(2 * volume.old)  # type: ignore[operator]
    assert archive.restatements(BTC) == {}


def test_what_is_not_stored_is_said_to_be_so(ingested: Program, tmp_path: Path) -> None:
    archive = archive_at(ingested)
    for ask in (archive.coverage, archive.holes, archive.restatements, archive.refused):
        with pytest.raises(StoreError, match="is not stored"):
            ask("spot_ohlcv/kraken/NO-SUCH/1d")
    nowhere = archive_of(load({}, {"TAPEWATCH_DB": f"sqlite:///{tmp_path}/nowhere.db"}))
    with pytest.raises(StoreError, match="no store at"):
        nowhere.series()


def test_runs_are_those_of_the_journal_with_their_series(ingested: Program) -> None:
    archive = archive_at(ingested)
    runs = archive.runs()
    rows = ingested.store.all("SELECT run_id, data_type, state FROM run")
    assert {run_id: (run.data_type, run.state) for run_id, run in runs.items()} == {
        row["run_id"]: (row["data_type"], row["state"]) for row in rows
    }
    first = min(runs.values(), key=lambda run: run.created)
    series = archive.run_series(first.run_id)
    assert set(series) == {BTC, ETH, LTC}
    assert sum(each.rows for each in series.values()) == first.rows_fetched - first.rows_quarantined > 0
    assert archive.run_series("nowhere") == {}


def test_calls_are_those_that_were_counted(ingested: Program) -> None:
    spent = archive_at(ingested).spent()
    [row] = ingested.store.all("SELECT sum(calls) AS calls FROM usage")
    assert spent.month == row["calls"] > 0
    for shares in spent.shares.values():
        assert sum(share.month for share in shares) == spent.month
    assert sum(spent.days) == spent.month


def test_data_types_parts_and_figures_are_told(ingested: Program) -> None:
    archive = archive_at(ingested)
    found = {(each.data_type, each.interval): each for each in archive.data_types()}
    assert found["spot_ohlcv", "1d"].series == 3
    assert found["spot_ohlcv", "1d"].gaps == 2
    assert {part.name for part in archive.components()} == {"engine", "store", "source", "alerts"}
    for seconds, points in ((60, 60), (3_600, 48)):
        past = archive.past(seconds)
        assert past.end - past.start == seconds * points
        assert all(len(curve) == points for curve in past.curves.values())
        assert sum(value or 0 for value in past.curves["calls"]) > 0
        assert {timing.operation for timing in past.timings} >= {"api", "database"}


def test_silences_and_what_became_of_an_alert_are_told(ingested: Program) -> None:
    archive = archive_at(ingested)
    assert list(archive.silences()) == []
    ingested("alerts", "silence", "--rule", "quota_month", "--for", "2h", "--comment", "known")
    [silence] = archive.silences()
    assert (silence.rule, silence.source, silence.comment) == ("quota_month", "*", "known")
    [row, *_] = ingested.store.all("SELECT alert, count(*) AS changes FROM alert_change GROUP BY alert ORDER BY alert")
    assert len(archive.alert_past(row["alert"]).changes) == row["changes"]
    assert list(archive.alert_past("no:alert").changes) == []


def test_open_alerts_are_those_of_the_store(ingested: Program) -> None:
    rows = ingested.store.all("SELECT alert FROM alert WHERE state IN ('firing', 'recovering', 'no_data', 'error')")
    assert {alert.alert for alert in archive_at(ingested).open_alerts()} == {row["alert"] for row in rows}
    assert rows
