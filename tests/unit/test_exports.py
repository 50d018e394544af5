"""Exports: forms that lose nothing, files that appear whole or not at all, manifests that are true."""

import csv
import hashlib
import io
import json
import math
import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from core.datasets import DATA_TYPES, SPOT_OHLCV
from core.errors import ConfigError, OutputError
from core.exports.files import MANIFEST, OutputFile, Place, partition_path
from core.exports.formats import FORMATS, Field, check_format, format_of
from core.exports.request import Request
from core.exports.run import Export
from core.stores.database import Database
from core.stores.migrate import migrate, migrations
from core.stores.postgres import connected_database
from core.stores.sqlite_connection import connect
from core.windows import DAY, HOUR, Window, parse_time

FIELDS = [Field("t", "TEXT", "text", ""), Field("n", "INTEGER", "count", ""), Field("x", "REAL", "price", "OHLC")]
ROWS = [
    ("plain", 1, 0.1),
    ('comma, "quote"\r\nline\nend', -(2**63), 1e-18),
    ("ünïcode ☃ 𝄞", 2**63 - 1, 1.7976931348623157e308),
    (None, None, None),
    ("NULL", 0, 5e-324),
    ("=1+1", 2**53 + 1, 1 / 3),
    (" space ", 7, 1e20),
    ("x", 8, -0.0),
]


def write(form: str, rows: Sequence[tuple[Any, ...]], portion: int = 3) -> bytes:
    raw = io.BytesIO()
    file = OutputFile(raw, lasting=False)
    writer = FORMATS[form](file, FIELDS)
    for at in range(0, len(rows), portion):
        writer.write(rows[at : at + portion])
    writer.close()
    file.end()
    assert file.sha256 == hashlib.sha256(raw.getvalue()).hexdigest()
    assert file.size == len(raw.getvalue())
    return raw.getvalue()


def read_csv(data: bytes) -> list[tuple[Any, ...]]:
    header, *lines = csv.reader(io.StringIO(data.decode(), newline=""))
    assert header == ["t", "n", "x"]
    return [(t or None, int(n) if n else None, float(x) if x else None) for t, n, x in lines]


def read_jsonl(data: bytes) -> list[tuple[Any, ...]]:
    return [tuple(json.loads(line).values()) for line in data.splitlines()]


def read_parquet(data: bytes) -> list[tuple[Any, ...]]:
    table = pq.read_table(io.BytesIO(data))
    assert [field.metadata[b"unit"] for field in table.schema] == [b"text", b"count", b"price"]
    return [tuple(row.values()) for row in table.to_pylist()]


READERS: dict[str, Callable[[bytes], list[tuple[Any, ...]]]] = {
    "csv": read_csv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("rows", [ROWS, []], ids=["rows", "none"])
def test_every_form_reads_back_what_was_written(form: str, rows: list[tuple[Any, ...]]) -> None:
    found = READERS[form](write(form, rows))
    assert found == rows
    assert all(math.copysign(1, a[2]) == math.copysign(1, b[2]) for a, b in zip(found, rows, strict=True) if b[2] == 0)
    assert write(form, rows, portion=1) == write(form, rows) or form == "parquet"


def test_csv_is_rfc_4180() -> None:
    data = write("csv", ROWS[:4])
    assert data.startswith(b"t,n,x\r\nplain,1,0.1\r\n")
    assert b'"comma, ""quote""\r\nline\nend",-9223372036854775808,1e-18\r\n' in data
    assert data.endswith(b"\r\n,,\r\n")


def test_parquet_row_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.exports.formats.ROWS_PER_GROUP", 4)
    found = pq.ParquetFile(io.BytesIO(write("parquet", ROWS)))
    assert [found.metadata.row_group(at).num_rows for at in range(found.num_row_groups)] == [6, 2]


def test_formats_are_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"a.csv": "csv", "b.PARQUET": "parquet", "c.jsonl": "jsonl", "-": "csv", "dir/": "csv", "x.txt": "csv"}
    assert {name: format_of(name) for name in names} == names
    with pytest.raises(ConfigError, match="write one of csv, parquet, jsonl"):
        check_format("xlsx")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r'pip install "tapewatch\[parquet\]"'):
        check_format("parquet")


# --- places


def place(path: Path, name: str = "out.csv", *, force: bool = False, is_folder: bool = False) -> Place:
    return Place(str(path / name), "bars.csv", is_folder=is_folder, force=force)


def fill(target: Place, files: dict[str, bytes]) -> None:
    with target.staged():
        for name, content in files.items():
            file = target.open(name)
            file.write(content)
            file.end()
        target.publish({"files": [{"path": name} for name in files]})


def tree(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def test_a_file_comes_with_its_manifest_and_nothing_else(tmp_path: Path) -> None:
    target = place(tmp_path)
    fill(target, {target.name: b"rows"})
    assert list(tree(tmp_path)) == ["out.csv", "out.csv.manifest.json"]
    assert tree(tmp_path)["out.csv"] == b"rows"
    assert json.loads(tree(tmp_path)["out.csv.manifest.json"])["files"] == [{"path": "out.csv"}]
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) & 0o444 == 0o444 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", ["bars/", "there"])
def test_a_folder_gets_a_file_named_after_the_table(tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    target = place(tmp_path, name)
    if name.endswith("/"):
        target = Place(f"{tmp_path}/{name}", "bars.csv", is_folder=False, force=False)
    fill(target, {target.name: b"rows"})
    assert list(tree(tmp_path / name)) == [MANIFEST, "bars.csv"]


def test_nothing_is_there_before_it_is_whole(tmp_path: Path) -> None:
    target = place(tmp_path, "parts", is_folder=True)

    def stop_halfway() -> None:
        with target.staged():
            target.open("market=a/month=2025-01.csv").write(b"half")
            assert not (tmp_path / "parts").exists()
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        stop_halfway()
    assert tree(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_move_that_fails_leaves_whole_files_and_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = place(tmp_path, "parts", is_folder=True)
    files = {f"day=2025-01-0{day}.csv": b"rows" for day in range(1, 5)}
    replace, moved = Path.replace, []

    def fails_at_third(self: Path, to: Path) -> Path:
        moved.append(to)
        if len(moved) == 3:
            raise OSError(28, "No space left on device")
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", fails_at_third)
    with pytest.raises(OutputError, match=r"cannot write to .*parts: No space left on device"):
        fill(target, files)
    assert list(tree(tmp_path)) == ["parts/day=2025-01-01.csv", "parts/day=2025-01-02.csv"]


def test_what_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    fill(place(tmp_path), {"out.csv": b"old"})
    with pytest.raises(ConfigError, match=r"out.csv exists; --force"):
        place(tmp_path)
    fill(place(tmp_path, force=True), {"out.csv": b"new"})
    assert tree(tmp_path)["out.csv"] == b"new"


def test_force_removes_what_an_earlier_export_left_and_nothing_else(tmp_path: Path) -> None:
    fill(place(tmp_path, "parts", is_folder=True), {"month=2025-01.csv": b"1", "month=2025-02.csv": b"2"})
    (tmp_path / "parts" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="parts is not empty"):
        place(tmp_path, "parts", is_folder=True)
    fill(place(tmp_path, "parts", is_folder=True, force=True), {"month=2025-02.csv": b"new"})
    found = tree(tmp_path / "parts")
    assert list(found) == [MANIFEST, "mine.txt", "month=2025-02.csv"]
    assert found["month=2025-02.csv"] == b"new"


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b'{"files": [{}]}', b'{"files": 5}', b"\xff\xfe"])
def test_a_manifest_with_nonsense_is_replaced(tmp_path: Path, manifest: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(manifest)
    (tmp_path / "mine.txt").write_text("keep")
    fill(place(tmp_path, "", force=True), {"bars.csv": b"new"})
    assert list(tree(tmp_path)) == [MANIFEST, "bars.csv", "mine.txt"]


def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    outside = tmp_path / "precious.txt"
    outside.write_text("keep")
    (tmp_path / "parts").mkdir()
    named = ["../precious.txt", str(outside), "", ".", "x/../../precious.txt"]
    (tmp_path / "parts" / MANIFEST).write_text(json.dumps({"files": [{"path": name} for name in named]}))
    fill(place(tmp_path, "parts", is_folder=True, force=True), {"month=2025-02.csv": b"new"})
    assert outside.read_text() == "keep"


def test_places_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none does not exist; create it first"):
        place(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        place(tmp_path, "file", is_folder=True)


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"market": "okex", "instrument": "A-B", "year": "2025"}, "market=okex/instrument=A-B/year=2025.csv"),
        ({"instrument": "../../etc/passwd"}, "instrument=..%2F..%2Fetc%2Fpasswd.csv"),
        ({"instrument": "A/B:C+D", "day": "2025-01-31"}, "instrument=A%2FB%3AC%2BD/day=2025-01-31.csv"),
        ({"market": "..", "instrument": "."}, "market=../instrument=..csv"),
        ({"instrument": "a\\b\x00\n%"}, "instrument=a%5Cb%00%0A%25.csv"),
    ],
)  # fmt: skip
def test_names_of_partitions_are_safe(values: dict[str, str], path: str) -> None:
    assert partition_path(values, "csv") == path
    assert ".." not in Path(path).parts


# --- whole exports


@pytest.fixture
def db(database: Database) -> Database:
    furnish(database)
    return database


def furnish(db: Database) -> None:
    """Three series of hours over a leap year's end of February and a new year; ETH-USD has a closed and an open bar."""
    db.execute("INSERT INTO meta VALUES ('origin', 'sandbox:7')")
    names = [("kraken", "BTC-USD"), ("kraken", "ETH-USD"), ("coinbase", "BTC-USD")]
    for series_id, (market, instrument) in enumerate(names, 1):
        db.execute(
            "INSERT INTO series (id, source, data_type, market, instrument, interval, created, exchange_symbol) "
            "VALUES (?, 'coindesk', 'spot_ohlcv', ?, ?, '1h', 0, ?)",
            (series_id, market, instrument, instrument.replace("-", "")),
        )
    for start, series_id in [("2023-12-31T22:00", 1), ("2024-02-28T22:00", 1), ("2024-02-29T22:00", 3)]:
        for at in range(5):
            insert(db, series_id, parse_time(start) + at * HOUR.seconds, at / 3)
    insert(db, 2, parse_time("2024-03-01"), 1.0)
    insert(db, 2, parse_time("2024-03-01T01:00"), 2.0, closed=False)


def insert(db: Database, series_id: int, ts: int, price: float, closed: bool = True) -> None:
    db.execute(
        "INSERT INTO spot_ohlcv (series_id, ts, closed, known_at, sent_at, open, close, total_trades) "
        "VALUES (?, ?, ?, ?, 0, ?, ?, 3)",
        (series_id, ts, closed, ts + 5_000 if closed else None, price, price),
    )


def export(db: Database, target: Path, form: str = "csv", **fields: Any) -> dict[str, Any]:
    """The manifest of an export to `target`, checked against what it says."""
    request = Request(SPOT_OHLCV, **{"interval": "1h", **fields})
    made = Place(str(target), f"{request.table}.{form}", is_folder=bool(request.partition_by), force=False)
    said: list[tuple[int, str]] = []
    run = Export(db, request, form, lambda rows, name: said.append((rows, name)))
    with made.staged():
        run.write(made.open, made.name)
        made.publish(run.manifest(0))
    where = made.root / made.manifest
    manifest: dict[str, Any] = json.loads(where.read_text())
    assert manifest["rows"] == sum(file["rows"] for file in manifest["files"]) == run.rows
    assert manifest["rows"] == sum(series["rows"] for series in manifest["series"])
    assert [rows for rows, _ in said][-1:] == ([manifest["rows"]] if manifest["rows"] else [])
    for file in manifest["files"]:
        content = (made.root / file["path"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    return manifest


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "fields", [{}, {"include_open": True}, {"as_of": 1_709_166_600}, {"changed_since": 1_709_166_600}]
)
def test_both_databases_give_the_same_bytes(
    postgres_store_url: str, tmp_path: Path, form: str, fields: dict[str, Any]
) -> None:
    with closing(connect(":memory:")) as file:
        migrate(file, 0)
        furnish(file)
        export(file, tmp_path / "one", form, partition_by=("market", "month"), **fields)
    with connected_database(postgres_store_url) as server, server.transaction():
        furnish(server)
        export(server, tmp_path / "other", form, partition_by=("market", "month"), **fields)
    one, other = tree(tmp_path / "one"), tree(tmp_path / "other")
    schemas = [{**json.loads(found.pop(MANIFEST)), "schema": 0} for found in (one, other)]
    assert len(one) > 1
    assert one == other
    assert schemas[0] == schemas[1]


def test_the_digest_stands_for_the_content_alone(db: Database, tmp_path: Path) -> None:
    cuts: list[tuple[str, ...]] = [
        (),
        ("market",),
        ("instrument", "month"),
        ("day",),
        ("year", "market"),
        ("year", "month"),
    ]
    manifests = [
        export(db, tmp_path / f"{form}-{'-'.join(keys)}", form, partition_by=keys) for form in FORMATS for keys in cuts
    ]
    assert len({manifest["digest"] for manifest in manifests}) == 1
    assert len({json.dumps(manifest["series"]) for manifest in manifests}) == 1
    one = manifests[0]
    assert [(series["series"], series["rows"]) for series in one["series"]] == [
        ("spot_ohlcv/coinbase/BTC-USD/1h", 5),
        ("spot_ohlcv/kraken/BTC-USD/1h", 10),
        ("spot_ohlcv/kraken/ETH-USD/1h", 1),
    ]
    db.execute("UPDATE spot_ohlcv SET close = close + 1e-12 WHERE series_id = 3 AND open > 0.5")
    changed = export(db, tmp_path / "changed")
    assert changed["digest"] != one["digest"]
    assert changed["series"][0] != one["series"][0]
    assert changed["series"][1:] == one["series"][1:]


def test_a_manifest_says_what_was_asked_and_what_came(db: Database, tmp_path: Path) -> None:
    columns = ("time", "ts", "open", "total_trades")
    manifest = export(
        db,
        tmp_path / "a.csv",
        columns=columns,
        markets=("kraken",),
        window=Window(parse_time("2024-02-28T23:00"), parse_time("2024-03-01")),
    )
    assert {
        name: manifest[name] for name in ("data_type", "interval", "as_of", "origin", "schema", "rows", "notes")
    } == {
        "data_type": "spot_ohlcv",
        "interval": "1h",
        "as_of": None,
        "origin": "sandbox:7",
        "schema": migrations(db.dialect)[-1].version,
        "rows": 4,
        "notes": [],
    }
    assert manifest["selection"] == {
        "market": ["kraken"],
        "instrument": [],
        "start": "2024-02-28T23:00:00Z",
        "end": "2024-03-01T00:00:00Z",
        "include_open": False,
    }
    assert manifest["columns"][1:3] == [
        {"name": "ts", "type": "INTEGER", "unit": "UTC epoch seconds", "group": ""},
        {"name": "open", "type": "REAL", "unit": "quote per base", "group": "OHLC"},
    ]
    first, last = parse_time("2024-02-28T23:00"), parse_time("2024-02-29T02:00")
    [file] = manifest["files"]
    assert (file["path"], file["rows"], file["first_ts"], file["last_ts"]) == ("a.csv", 4, first, last)
    [series] = manifest["series"]
    assert (series["first_ts"], series["last_ts"]) == (first, last)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[:2] == ["time,ts,open,total_trades", f"2024-02-28T23:00:00Z,{first},{1 / 3!r},3"]


@pytest.mark.parametrize(
    ("keys", "paths"),
    [
        (("year",), {"year=2023": 2, "year=2024": 14}),
        (("month",), {"month=2023-12": 2, "month=2024-01": 3, "month=2024-02": 7, "month=2024-03": 4}),
        (
            ("day",),
            {"day=2023-12-31": 2, "day=2024-01-01": 3, "day=2024-02-28": 2, "day=2024-02-29": 5, "day=2024-03-01": 4},
        ),
        (
            ("market", "year"),
            {"market=coinbase/year=2024": 5, "market=kraken/year=2023": 2, "market=kraken/year=2024": 9},
        ),
        (("instrument",), {"instrument=BTC-USD": 15, "instrument=ETH-USD": 1}),
        (
            ("year", "month"),
            {
                "year=2023/month=2023-12": 2,
                "year=2024/month=2024-01": 3,
                "year=2024/month=2024-02": 7,
                "year=2024/month=2024-03": 4,
            },
        ),
    ],
)
def test_partitions(db: Database, tmp_path: Path, keys: tuple[str, ...], paths: dict[str, int]) -> None:
    manifest = export(db, tmp_path / "parts", partition_by=keys)
    assert {file["path"]: file["rows"] for file in manifest["files"]} == {f"{path}.csv": n for path, n in paths.items()}


def test_a_partition_is_cut_where_the_range_is(db: Database, tmp_path: Path) -> None:
    window = Window(parse_time("2024-02-29"), parse_time("2024-03-01T01:00"))
    manifest = export(db, tmp_path / "parts", partition_by=("month",), window=window)
    assert {file["path"]: file["rows"] for file in manifest["files"]} == {
        "month=2024-02.csv": 5,
        "month=2024-03.csv": 2,
    }


def test_no_rows_are_a_file_with_a_header_or_no_partitions(db: Database, tmp_path: Path) -> None:
    never = Window(0, DAY.seconds)
    assert export(db, tmp_path / "a.csv", window=never, columns=("ts", "open"))["rows"] == 0
    assert (tmp_path / "a.csv").read_bytes() == b"ts,open\r\n"
    manifest = export(db, tmp_path / "parts", window=never, partition_by=("market", "day"))
    assert (manifest["rows"], manifest["files"], manifest["series"]) == (0, [], [])
    assert list(tree(tmp_path / "parts")) == [MANIFEST]


def test_columns_by_name_and_by_group(db: Database, tmp_path: Path) -> None:
    chosen = export(db, tmp_path / "a.csv", columns=("close", "ts", "close"))
    assert [column["name"] for column in chosen["columns"]] == ["close", "ts"]
    grouped = export(db, tmp_path / "b.csv", groups="ohlc, trade")
    names = [column["name"] for column in grouped["columns"]]
    assert names[:8] == ["market", "instrument", "exchange_symbol", "series_id", "ts", "time", "closed", "known_at"]
    assert names[8:] == ["open", "high", "low", "close", "total_trades", *(f"total_trades_{side}" for side in SIDES)]
    everything = export(db, tmp_path / "c.csv", groups="ALL")
    assert everything["digest"] == export(db, tmp_path / "d.csv")["digest"]


SIDES = ("buy", "sell", "unknown")


def test_a_running_bar_is_left_out_unless_asked_for(db: Database, tmp_path: Path) -> None:
    eth = {"instruments": ("ETH-USD",), "columns": ("ts", "closed")}
    assert export(db, tmp_path / "a.csv", **eth)["rows"] == 1
    assert export(db, tmp_path / "b.csv", **eth, include_open=True)["rows"] == 2
    by_own_name = export(db, tmp_path / "c.csv", **{**eth, "instruments": ("ETHUSD",)})
    assert by_own_name["rows"] == 1


def test_the_past_says_what_it_cannot_tell(db: Database, tmp_path: Path) -> None:
    at = parse_time("2024-02-29T00:30")
    first = export(db, tmp_path / "a.csv", as_of=at)
    assert first["as_of"] == "2024-02-29T00:30:00Z"
    assert first["rows"] == 7
    assert first["notes"] == ["names and other constants of series are those of now"]
    db.execute("UPDATE series SET pruned_before = ? WHERE id = 1", (parse_time("2024-01-01"),))
    assert "bars before 2024-01-01T00:00:00Z were removed" in export(db, tmp_path / "b.csv", as_of=at)["notes"][1]


def test_what_was_renamed_goes_by_its_old_name_too(db: Database, tmp_path: Path) -> None:
    db.execute("UPDATE series SET instrument = 'XBT-USD' WHERE id = 3")
    db.execute("INSERT INTO series_name VALUES (3, 'BTC-USD', 5)")
    manifest = export(db, tmp_path / "a.csv", instruments=("BTC-USD",))
    names = {series["series"] for series in manifest["series"]}
    assert names == {"spot_ohlcv/coinbase/XBT-USD/1h", "spot_ohlcv/kraken/BTC-USD/1h"}


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"columns": ("opne",)}, "no column 'opne'; do you mean open?"),
    ({"columns": ("a\x1bb",)}, "no column 'a b'; see: tapewatch describe"),
    ({"groups": "PRICE"}, "has no group PRICE; it has ID, MAPPING"),
    ({"columns": ("open",), "groups": "OHLC"}, "--columns or --groups, not both"),
    ({"as_of": 5, "include_open": True}, "earlier states of running bars are not kept"),
    ({"window": Window(5, 5)}, "--start must be before --end"),
    ({"interval": "5m"}, "choose 1d, 1h, 1m"),
    ({"partition_by": ("week",)}, "'week': of spot_ohlcv, choose of market, instrument, year, month, day"),
    ({"partition_by": ("day", "day")}, "names a key twice"),
    ({"instruments": ("BTC-USD", "DOGE-USD")}, "--instrument DOGE-USD: no such spot_ohlcv/1h is stored"),
    ({"markets": ("nowhere",)}, "nothing is stored of spot_ohlcv/1h"),
    ({"interval": "1m"}, "nothing is stored of spot_ohlcv/1m"),
]


@pytest.mark.parametrize(("fields", "said"), MISTAKES)
def test_mistakes_are_told_before_anything_is_written(
    db: Database, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        export(db, tmp_path / "a.csv", **fields)
    assert said in str(error.value)
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    ("data_type", "fields", "said"),
    [
        ("asset_metadata", {"interval": "1d"}, "leave out --interval"),
        ("asset_metadata", {"window": Window(0, 5)}, "leave out --start, --end and --include_open"),
        ("asset_metadata", {"include_open": True}, "leave out --start, --end and --include_open"),
        ("asset_metadata", {"partition_by": ("market",)}, "it is exported as one file"),
        ("spot_instruments", {"partition_by": ("day",)}, "choose of market"),
    ],
)
def test_reference_data_have_no_bars(data_type: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Request(DATA_TYPES[data_type], **fields)
