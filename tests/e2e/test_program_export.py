"""`tapewatch export` as its users run it: files, pipes, signals, full disks, and what was known earlier."""

import csv
import io
import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from e2e_program import Processes, Program, until

from core.datasets import SPOT_OHLCV
from core.stores.migrate import migrate
from core.stores.sqlite_connection import connect
from core.windows import iso

HOURS = ("--interval", "1h", "--market", "kraken", "--instrument", "BTC-USD,ETH-USD")
MAY = ("--start", "2025-05-01", "--end", "2025-05-08")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with 300,000 minutes of three series, made without the program: it is only read."""
    path = tmp_path_factory.mktemp("filled") / "store.db"
    make_store(path, series=3, bars=100_000)
    return path


def make_store(path: Path, series: int, bars: int) -> None:
    names = [column.name for column in SPOT_OHLCV.columns]
    places = ", ".join("?" * (5 + len(names)))
    with closing(connect(path)) as db:
        migrate(db, 0)
        db.execute("BEGIN")
        for series_id in range(1, series + 1):
            db.execute(
                "INSERT INTO series (id, source, data_type, market, instrument, interval, created) "
                "VALUES (?, 'coindesk', 'spot_ohlcv', 'kraken', ?, '1m', 0)",
                (series_id, f"C{series_id:03}-USD"),
            )
            values = [column.kind(1.25 + series_id) for column in SPOT_OHLCV.columns]
            db.executemany(
                f"INSERT INTO spot_ohlcv (series_id, ts, closed, known_at, sent_at, {', '.join(names)}) "
                f"VALUES ({places})",
                ((series_id, 1_700_000_040 + 60 * at, 1, 1_750_000_000, 0, *values) for at in range(bars)),
            )
        db.execute("COMMIT")


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


@pytest.mark.slow
def test_bars_as_files(tapewatch: Program, tmp_path: Path) -> None:
    tapewatch.ingest("spot_ohlcv", *HOURS, *MAY)
    done = tapewatch("export", "spot-ohlcv", *HOURS, "--out", str(tmp_path / "bars.csv"), "--output", "json", code=0)
    manifest = done.json
    assert "exported 336 rows of 2 series to" in done.err
    assert manifest == json.loads((tmp_path / "bars.csv.manifest.json").read_text())
    rows = rows_of(tmp_path / "bars.csv")
    assert len(rows) == manifest["rows"] == 336
    stored = [row for row in tapewatch.store.table("spot_ohlcv_1h") if row["closed"]]
    assert list(rows[0]) == list(stored[0])
    for row, wanted in zip(rows, stored, strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in wanted.items()}
    parts = tmp_path / "parts"
    cut = ("--format", "jsonl", "--partition_by", "instrument,day", "--out", str(parts))
    tapewatch("export", "spot_ohlcv", *HOURS, *cut, code=0)
    assert len(list(parts.glob("instrument=BTC-USD/day=2025-05-0*.jsonl"))) == 7
    assert json.loads((parts / "_manifest.json").read_text())["digest"] == manifest["digest"]


@pytest.mark.slow
def test_what_is_there_is_not_overwritten(tapewatch: Program, tmp_path: Path) -> None:
    tapewatch.ingest("spot_ohlcv", *HOURS, *MAY)
    (tmp_path / "bars.csv").write_text("mine")
    command = ("export", "spot_ohlcv", "--interval", "1h", "--out", str(tmp_path / "bars.csv"))
    assert "bars.csv exists; --force" in tapewatch(*command, code=2).sentence
    assert (tmp_path / "bars.csv").read_text() == "mine"
    tapewatch(*command, "--force", code=0)
    assert len(rows_of(tmp_path / "bars.csv")) == 336


@pytest.mark.slow
def test_stdout_takes_rows_and_nothing_else(tapewatch: Program, filled: Path, tmp_path: Path) -> None:
    program = Program(tapewatch.processes, filled)
    command = ("export", "spot_ohlcv", "--interval", "1m", "--instrument", "C001-USD", "--end", "2023-11-15", "--out")
    done = program(*command, "-", "--columns", "ts,close", code=0)
    assert done.out.splitlines()[:2] == ["ts,close", "1700000040,2.25"]
    assert done.err.splitlines() == ["exported 106 rows"]
    program(*command, str(tmp_path / "a.csv"), "--columns", "ts,close", code=0)
    assert (tmp_path / "a.csv").read_text() == done.out
    refused = program(*command, "-", "--output", "json", code=2)
    assert "without a manifest" in refused.sentence
    assert program(*command, "-", "--partition_by", "day", code=2).out == ""


def test_a_reader_that_goes_away_ends_it_in_silence(processes: Processes, filled: Path) -> None:
    reading, writing = os.pipe()
    program = Program(processes, filled)
    started = program.start("export", "spot_ohlcv", "--interval", "1m", "--out", "-", stdout=writing)
    os.close(writing)
    assert os.read(reading, 100).startswith(b"market,instrument")
    os.close(reading)
    done = started.done()
    assert (done.code, done.err) == (1, ""), "partly, and silent"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_leaves_nothing_behind(
    processes: Processes, filled: Path, tmp_path: Path, number: int, code: int
) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    program = Program(processes, filled)
    started = program.start("export", "spot_ohlcv", "--interval", "1m", "--out", str(folder / "bars.csv"))
    until(lambda: any(file.is_file() and file.stat().st_size > 100_000 for file in folder.rglob("*")), "rows written")
    started.signal(number)
    assert started.done().code == code
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_kill_leaves_no_half_file_under_its_name(processes: Processes, filled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    program = Program(processes, filled)
    command = ("export", "spot_ohlcv", "--interval", "1m", "--out", str(folder / "bars.csv"))
    started = program.start(*command)
    until(lambda: any(file.is_file() and file.stat().st_size > 100_000 for file in folder.rglob("*")), "rows written")
    started.kill()
    assert not (folder / "bars.csv").exists()
    program(*command, code=0)
    assert json.loads((folder / "bars.csv.manifest.json").read_text())["rows"] == 300_000


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_full_disk_is_a_sentence(processes: Processes, filled: Path, tmp_path: Path, form: str) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    command = ("export", "spot_ohlcv", "--interval", "1m", "--out", str(folder / f"bars.{form}"))
    done = Program(processes, filled).limited(*command, file_size=1 << 19).done()
    assert done.code == 3
    assert done.sentence.endswith(f"bars.{form}: File too large")
    assert list(folder.iterdir()) == []


MISTAKES: list[tuple[tuple[str, ...], str]] = [
    (("spot_ohlc", "--out", "a.csv"), "there is no data type 'spot_ohlc'; choose spot_ohlcv"),
    (("spot_ohlcv",), "Missing option '--out'"),
    (("spot_ohlcv", "--out", "no/where/a.csv"), "create it first"),
    (("spot_ohlcv", "--out", "a.csv", "--format", "xlsx"), "write one of csv, parquet, jsonl"),
    (("spot_ohlcv", "--out", "a.csv", "--as_of", "yesterday"), "'yesterday'"),
    (("spot_ohlcv", "--out", "a.csv"), "nothing is stored of spot_ohlcv/1d"),
    (("futures_instruments", "--out", "a.csv", "--interval", "1d"), "leave out --interval"),
]


@pytest.mark.parametrize(("command", "said"), MISTAKES)
def test_mistakes(processes: Processes, filled: Path, command: tuple[str, ...], said: str) -> None:
    done = Program(processes, filled)("export", *command, code=2)
    assert said in done.sentence
    assert done.out == ""


def test_no_store_is_a_sentence(processes: Processes, tmp_path: Path) -> None:
    done = Program(processes, tmp_path / "none.db")("export", "spot_ohlcv", "--out", "a.csv", code=3)
    assert "there is no store at" in done.sentence


@pytest.mark.slow
def test_as_of_equals_an_export_of_a_copy_taken_then(tapewatch: Program, tmp_path: Path) -> None:
    """The copy is a file of its own; the store goes on: older history, more columns."""
    tapewatch.ingest("spot_ohlcv", *HOURS, *MAY)
    with closing(sqlite3.connect(tapewatch.db)) as db, closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        db.backup(copy)
    known = tapewatch.store.one("SELECT max(known_at) FROM spot_ohlcv")
    later = tapewatch.on(tapewatch.processes.sandbox(now="2025-06-01T13:00:00Z"))
    later.ingest("spot_ohlcv", *HOURS, "--start", "2025-04-20", "--end", "2025-05-08")
    later.ingest("spot_ohlcv", *HOURS, "--start", "2025-05-03", "--end", "2025-05-05", "--groups", "ALL")
    export = ("export", "spot_ohlcv", "--interval", "1h", "--out")
    Program(tapewatch.processes, tmp_path / "copy.db")(*export, str(tmp_path / "copy.csv"), code=0)
    tapewatch(*export, str(tmp_path / "now.csv"), code=0)
    tapewatch(*export, str(tmp_path / "then.csv"), "--as_of", iso(known), code=0)
    copied, now, then = ((tmp_path / f"{name}.csv").read_bytes() for name in ("copy", "now", "then"))
    assert then == copied != now
    tapewatch(*export, str(tmp_path / "news.csv"), "--changed_since", iso(known + 1), code=0)
    by_bar = {(row["instrument"], row["ts"]): row for row in rows_of(tmp_path / "copy.csv")}
    by_bar |= {(row["instrument"], row["ts"]): row for row in rows_of(tmp_path / "news.csv")}
    assert list(dict(sorted(by_bar.items())).values()) == rows_of(tmp_path / "now.csv")
    assert len(rows_of(tmp_path / "news.csv")) < len(rows_of(tmp_path / "now.csv"))


PEAK = """
import resource, sys
from core.cli.application import run
code = run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
raise SystemExit(code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_rows(processes: Processes, tmp_path: Path, form: str) -> None:
    """A million rows of all columns take the memory that a tenth of them takes."""
    peaks = []
    for bars in (25_000, 250_000):
        path = tmp_path / f"{bars}.db"
        make_store(path, series=4, bars=bars)
        command = ("export", "spot_ohlcv", "--interval", "1m", "--out", f"{tmp_path}/{bars}.{form}")
        started = processes.run([sys.executable, "-c", PEAK, *command], {"TAPEWATCH_DB": f"sqlite:///{path}"})
        done = started.done(300)
        assert done.code == 0, done
        peaks.append(int(done.out))
    small, large = peaks
    assert large < 1.25 * small, f"{small} and {large} KiB"


REFERENCES = {
    "asset_metadata": (),
    "exchange_metadata": (),
    "spot_instruments": ("--market", "kraken"),
    "futures_instruments": ("--market", "deribit"),
}


@pytest.mark.slow
def test_reference_data(tapewatch: Program, tmp_path: Path) -> None:
    """All four as they are, and as of now: the same but for what has no past."""
    for name, chosen in REFERENCES.items():
        assert tapewatch(name, *chosen).code == 0
        stored = tapewatch.store.all(f"SELECT * FROM {name} ORDER BY entity_id")
        assert len(stored) > 3
        export = ("export", name.replace("_", "-"), *chosen, "--out")
        done = tapewatch(*export, str(tmp_path / f"{name}.jsonl"), "--output", "json", code=0)
        rows = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        assert sorted(rows, key=lambda row: row["entity_id"]) == stored
        assert done.json["rows"] == len(stored)
        tapewatch(*export, str(tmp_path / f"{name}.parquet"), "--as_of", "2025-06-02", code=0)
        then = pq.read_table(tmp_path / f"{name}.parquet").to_pylist()
        manifest = json.loads((tmp_path / f"{name}.parquet.manifest.json").read_text())
        [note] = manifest["notes"]
        hidden = set(note.partition(": ")[2].split(", "))
        for row, was in zip(then, rows, strict=True):
            assert {column for column in row if row[column] is not None} & hidden == set()
            assert {column: row[column] for column in row.keys() - hidden} == {
                column: was[column] for column in was.keys() - hidden
            }
    refused = tapewatch("export", "asset_metadata", "--market", "kraken", "--out", "a.csv", code=2)
    assert "asset_metadata is not listed by market" in refused.sentence
