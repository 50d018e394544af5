"""The surface: names, options, files, exit codes, and errors in one sentence."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from e2e_program import Done, Program

from core.cli.examples import EXAMPLES

NAMED = ("--market", "kraken", "--instrument", "BTC-USD")
WEEK = ("--start", "2025-05-01", "--end", "2025-05-08")
MISTAKES = {
    "an unknown option": (("spot_ohlcv", "--no_such_option"), "--no_such_option"),
    "an unknown command": (("spot_ohlc",), "spot_ohlc"),
    "no value": (("spot_ohlcv", "--interval"), "--interval"),
    "a bad interval": (("spot_ohlcv", "--interval", "5m"), "1d, 1h, 1m"),
    "a bad date": (("spot_ohlcv", "--start", "yesterday"), "'yesterday'"),
    "an end before the start": (("spot_ohlcv", "--start", "2025-02-01", "--end", "2025-01-01"), "2025-02-01"),
    "everything again": (("spot_ohlcv", "--full_refresh"), "--yes"),
    "a bad group": (("spot_ohlcv", "--groups", "PRICE"), "PRICE"),
    "words for a number": (("spot_ohlcv", "--pair_limit", "many"), "--pair_limit"),
    "an impossible name": (("spot_ohlcv", "--instrument", "BTC\x1b[31m USD"), "instrument"),
    "no batch file": (("batch",), "batch file"),
    "a batch file that is not there": (("batch", "nowhere.json"), "nowhere.json"),
    "another database": (("spot_ohlcv", "--db", "mysql://host/db"), "sqlite:///"),
    "a password in a flag": (("spot_ohlcv", "--db", "postgresql://me:hunter2@host/db"), "--db"),
    "another protocol": (("spot_ohlcv", "--base_url", "ftp://host"), "http"),
    "a settings file that is not there": (("status", "--config_file", "nowhere.toml"), "nowhere.toml"),
    "an unknown cache": (("spot_ohlcv", "--cache", "floppy:///a", "--dry_run"), "--cache"),
    "half a series": (("series", "show", "spot_ohlcv/kraken"), "data_type/market/instrument/interval"),
    "an unknown output": (("spot_ohlcv", "--output", "xml"), "xml"),
    "two batch files": (("batch", "one.json", "--config", "two.json"), "one batch file"),
    "a batch file's name": (("batch", "nowhere.json"), "there is no such file"),
    "no assets": (("asset_metadata", "--asset_limit", "0"), "--asset_limit"),
    "an expression without slashes": (("spot_ohlcv", "--instrument", "^BTC"), "between slashes"),
    "a plan of what asks nothing": (("plan", "status"), "spot_ohlcv, futures_ohlcv"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_a_sentence_and_exit_code_2(tapewatch: Program, name: str) -> None:
    command, fragment = MISTAKES[name]
    market = tapewatch.sandbox
    assert market is not None
    mark = len(market.calls)
    ended = tapewatch(*command, code=2)
    assert fragment in ended.err
    assert ended.err.count("error: ") == 1
    assert len([line for line in ended.err.splitlines() if not line.startswith("tapewatch: ")]) <= 2
    assert "hunter2" not in ended.err
    assert "\x1b" not in ended.err
    assert ended.out == ""
    assert market.since(mark) == []
    assert not tapewatch.db.exists()


def test_the_nearest_command_is_suggested_once(tapewatch: Program) -> None:
    for command in (("spot_ohlc",), ("series", "lst")):
        assert tapewatch(*command, code=2).err.count("Did you mean") == 1


def test_a_full_stdout_is_no_defect(tapewatch: Program) -> None:
    with open("/dev/full", "w") as full:
        ended = tapewatch.start("describe", stdout=full.fileno()).done()
    assert ended.code == 3
    assert "stdout cannot be written: No space left on device" in ended.err
    assert "defect" not in ended.err


def plan(tapewatch: Program, *command: str) -> Any:
    found = tapewatch(*command, "--dry-run", "--output", "json", code=0).json
    return [part["series"] for part in found["series"]], found["requests"]


@pytest.mark.slow
def test_dashes_and_underscores_are_the_same(tapewatch: Program) -> None:
    one = plan(tapewatch, "spot_ohlcv", "--pair_limit", "3", "--market", "kraken", "--start", "2025-05-01")
    two = plan(tapewatch, "spot-ohlcv", "--pair-limit", "3", "--market", "kraken", "--start", "2025-05-01")
    three = plan(tapewatch, "spot_ohlcv", "--asset-limit=3", "--specific-market=kraken", "--start=2025-05-01")
    assert one == two == three
    assert len(one[0]) == 3


@pytest.mark.slow
def test_lists_may_be_repeated_or_separated_by_commas(tapewatch: Program) -> None:
    commas = plan(tapewatch, "spot_ohlcv", "--exchanges", "kraken,coinbase", "--symbol", "BTC-USD,ETH-USD", *WEEK)
    repeated = plan(
        tapewatch,
        *("spot_ohlcv", "--exchange", "kraken", "--exchange", "coinbase", *WEEK),
        *("--specific_instrument", "BTC-USD", "--instruments", "ETH-USD", "--timeframe", "1d"),
    )
    assert commas == repeated
    assert len(commas[0]) == 4


@pytest.mark.slow
def test_global_options_before_and_after(tapewatch: Program, tmp_path: Path) -> None:
    market = tapewatch.sandbox
    assert market is not None
    for number, before in enumerate((True, False)):
        path = tmp_path / f"by-flag-{number}.db"
        flags = ("--db", f"sqlite:///{path}", f"--base-url={market.url}")
        command = ("spot_ohlcv", *NAMED, *WEEK)
        ended = tapewatch(
            *((*flags, *command) if before else (*command, *flags)), code=0, TAPEWATCH_BASE_URL="http://x"
        )
        assert f"store sqlite:///{path}, source {market.url}" in ended.err.splitlines()[0]
        assert path.exists()
    assert not tapewatch.db.exists()


def test_flag_over_environment_over_file(tapewatch: Program, tmp_path: Path) -> None:
    settings = tmp_path / "own.toml"
    settings.write_text('db = "sqlite:///from-file.db"\n[engine]\nlock_wait = 1\nmax_wait = 11\n')
    environment = {"TAPEWATCH_ENGINE__LOCK_WAIT": "2"}
    shown = tapewatch("config", "show", "--config_file", str(settings), "--max_wait", "33", code=0, **environment)
    found = shown.json_document
    assert found["file"] == str(settings)
    assert found["engine"]["lock_wait"] == 2
    assert found["engine"]["max_wait"] == 33
    assert found["db"] == f"sqlite:///{tapewatch.db}"
    assert found["api_key"] == "not set"


@pytest.mark.slow
def test_a_file_in_the_working_directory_is_found(tapewatch: Program, tmp_path: Path) -> None:
    (tmp_path / "tapewatch.toml").write_text("[source]\nconnections = 3\n")
    assert tapewatch("config", "show", code=0).json_document["source"]["connections"] == 3
    (tmp_path / "tapewatch.toml").write_text("[source]\nconections = 3\n[engin]\n")
    refused = tapewatch("config", "check", code=2)
    assert "tapewatch.toml" in refused.err
    assert "'source.conections'; did you mean 'connections'?" in refused.err
    assert "'engin'; did you mean 'engine'?" in refused.err
    (tmp_path / "tapewatch.toml").write_text("[source\n")
    assert "tapewatch.toml" in tapewatch("status", code=2).sentence
    (tmp_path / "tapewatch.toml").unlink()
    assert tapewatch("config", "check", code=0).out == ""


@pytest.mark.slow
def test_the_check_reads_what_the_settings_name(tapewatch: Program, tmp_path: Path) -> None:
    settings = tmp_path / "own.toml"
    settings.write_text(
        '[alerts]\nrules = "rules.toml"\n[alerts.channels.own]\nurl = "command://"\n'
        '[alerts.channels.hook]\nurl = "http://example.org/"\n[serve]\nschedules = "schedules.toml"\n'
        '[dashboard.keys]\n"job.cancle" = "X"\n'
    )
    (tmp_path / "rules.toml").write_text("[rules.memory]\nabov = 1\n")
    refused = tapewatch("config", "check", "--config_file", str(settings), code=2)
    assert f"{tmp_path / 'rules.toml'}: rules.memory.abov: there is no such key; did you mean 'above'?" in refused.err
    assert f"serve.schedules: {tmp_path / 'schedules.toml'} cannot be read" in refused.err
    assert f"{settings}: alerts.channels.own: command:// needs a program" in refused.err
    assert f"{settings}: alerts.channels.hook: " in refused.err
    assert f"{settings}: dashboard.keys: no action 'job.cancle'; did you mean 'job.cancel'?" in refused.err
    settings.write_text('[alerts.channels.own]\nurl = "log://"\n')
    right = tapewatch("config", "check", "--config_file", str(settings), code=0)
    assert " rules, 1 channel, 0 schedules" in right.err


def write(path: Path, content: object) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


@pytest.mark.slow
def test_a_batch_is_a_list_or_an_object(tapewatch: Program, tmp_path: Path) -> None:
    first = {"data_type": "spot_ohlcv", "market": "kraken", "instrument": "BTC-USD,ETH-USD", "interval": "1d"}
    second = {"data-type": "indices_ohlcv", "market": ["cadli"], "symbol": ["BTC-USD"], "label": "second"}
    span = {"start": "2025-05-01", "end": "2025-05-08"}
    operations = [{**first, **span}, {**second, **span}]
    described = {"description": "both", "operations": operations}
    listed = tapewatch("batch", write(tmp_path / "list.json", operations), "--output", "json", code=0).json
    assert (listed["data_type"], listed["status"]) == ("batch", "complete")
    assert (listed["series"], listed["requests"], listed["rows_inserted"]) == (3, 3, 21)
    assert [part["data_type"] for part in listed["operations"]] == ["spot_ohlcv", "indices_ohlcv"]
    path = write(tmp_path / "object.json", described)
    assert tapewatch("batch", "--config", path, "--output", "json", code=0).json["requests"] == 0
    assert "nothing missing" in tapewatch("plan", "batch", path, code=0).out
    runs = tapewatch("jobs", "list", "--output", "json", code=0).json
    assert [run["label"] for run in runs] == ["second", "", "second", ""]


BROKEN = {
    "an unknown key": ([{"data_type": "spot_ohlcv"}, {"data_type": "spot_ohlcv", "pair_limitt": 5}], "pair_limit'"),
    "an unknown data type": ([{"data_type": "spot_ohlcv"}, {"data_type": "spot_olhcv"}], "spot_olhcv"),
    "a bad value": ([{"data_type": "spot_ohlcv"}, {"data_type": "spot_ohlcv", "interval": "2h"}], "2h"),
    "a value of another type": ([{"data_type": "spot_ohlcv"}, {"data_type": "spot_ohlcv", "recheck": "x"}], "recheck"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_batch_names_file_operation_and_key(tapewatch: Program, tmp_path: Path, name: str) -> None:
    operations, fragment = BROKEN[name]
    path = write(tmp_path / "broken.json", operations)
    ended = tapewatch("batch", path, code=2)
    assert path in ended.sentence
    assert "operation 2" in ended.sentence
    assert fragment in ended.sentence
    assert not tapewatch.db.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"operations": {}}', "[1]", "[" * 100_000])
def test_a_batch_file_of_another_kind(tapewatch: Program, tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "odd.json", content)
    assert path in tapewatch("batch", path, code=2).sentence


@pytest.mark.slow
def test_a_batch_file_of_a_windows_editor(tapewatch: Program, tmp_path: Path) -> None:
    path = tmp_path / "marked.json"
    path.write_text(json.dumps([{"data_type": "exchange_metadata"}]), "utf-8-sig")
    assert tapewatch("batch", str(path), "--dry_run", "--output", "json", code=0).json["metadata_requests"] == 2


@pytest.mark.slow
def test_a_failing_operation_stops_a_batch_unless_told_otherwise(tapewatch: Program, tmp_path: Path) -> None:
    span = {"start": "2025-05-01", "end": "2025-05-08"}
    operations = [
        {"data_type": "spot_ohlcv", "market": "kraken", "instrument": "NO-SUCH", **span},
        {"data_type": "spot_ohlcv", "market": "kraken", "instrument": "BTC-USD", **span},
    ]
    path = write(tmp_path / "batch.json", operations)
    stopped = tapewatch("batch", path, "--output", "json", code=3).json
    assert [part["status"] for part in stopped["operations"]] == ["failed", "cancelled"]
    assert "not started: spot_ohlcv 1d" in stopped["errors"][1]
    went_on = tapewatch("batch", path, "--continue_on_error", "--output", "json", code=1).json
    assert [part["status"] for part in went_on["operations"]] == ["failed", "complete"]
    assert went_on["status"] == "failed"


@pytest.mark.slow
def test_the_commands_of_the_readme(tapewatch: Program) -> None:
    assert plan(tapewatch, "futures_ohlcv", "--enable_monitoring", "--interval", "1h")[1] > 50
    assert tapewatch("status", "--enable_monitoring").code == 0


@pytest.mark.slow
def test_a_market_that_does_not_exist_is_a_mistake(tapewatch: Program) -> None:
    for command in (("--instrument", "BTC-USD", "--dry_run"), ("--pair_limit", "2")):
        ended = tapewatch("spot_ohlcv", "--market", "krakn", *command, code=2)
        assert "--market krakn: " in ended.err


@pytest.mark.slow
def test_fewer_than_asked_for_is_all_there_are(tapewatch: Program) -> None:
    command = ("indices_ohlcv", "--asset_limit", "100", "--market", "cadli", "--start", "2025-05-30")
    summary = tapewatch.ingest(*command)
    assert summary["status"] == "complete"
    assert summary["series"] >= 60


@pytest.mark.slow
def test_status_before_there_is_a_store(tapewatch: Program) -> None:
    ended = tapewatch("status", code=0)
    assert "health   down" in ended.out
    assert "no store" in ended.out
    assert tapewatch("status", "--check").code == 3
    found = tapewatch("status", "--output", "json", code=0).json
    assert (found["health"], found["runs"], found["data_types"]) == ("down", [], [])
    assert not tapewatch.db.exists()


@pytest.mark.slow
def test_looking_at_a_store(tapewatch: Program) -> None:
    summary = tapewatch.ingest("spot_ohlcv", *NAMED, *WEEK, "--label", "first look")
    status = tapewatch("status", code=0).out
    assert "health   ok" in status
    assert "2025-05-07T00:00:00Z" in status
    assert tapewatch("status", "--check").code == 0
    [run] = tapewatch("jobs", "list", "--output", "json", code=0).json
    assert (run["run_id"], run["state"], run["label"]) == (summary["run_id"], "complete", "first look")
    assert run["job"] in tapewatch("jobs", "list", code=0).out
    for name in (run["job"], run["run_id"]):
        shown = tapewatch("jobs", "show", name, "--output", "json", code=0).json
        assert shown["rows_inserted"] == 7
        [series] = shown["series_list"]
        assert (series["series"], series["state"]) == ("spot_ohlcv/kraken/BTC-USD/1d", "done")
    told = tapewatch("jobs", "show", run["job"], code=0).out
    assert re.search(r"^planned +requests 1, metadata_requests 0, rows 7$", told, re.MULTILINE)
    assert "None" not in told
    assert "nothing" in tapewatch("jobs", "show", "nothing", code=2).sentence
    assert tapewatch("series", "list", "--like", "%/ETH-USD/%", "--output", "json", code=0).json == []
    detail = tapewatch("series", "show", "spot_ohlcv/kraken/BTC-USD/1d", "--output", "json", code=0).json
    [covered] = detail["coverage"]
    assert (covered["start"], covered["end"]) == ("2025-05-01T00:00:00Z", "2025-05-08T00:00:00Z")
    assert (detail["base"], detail["quote"], detail["gap"]) == ("BTC", "USD", [])
    planned = tapewatch("spot_ohlcv", *NAMED, *WEEK, "--full_refresh", "--dry_run", code=0).out
    assert "1 series: 1 request (7 rows, " in planned
    assert planned.splitlines()[0].split() == [
        "series",
        "requests",
        "rows",
        "MB",
        "on",
        "disk",
        "minutes",
        "start",
        "why",
    ]
    rows = [json.loads(line) for line in tapewatch("jobs", "list", "--output", "jsonl", code=0).out.splitlines()]
    assert [row["run_id"] for row in rows] == [summary["run_id"]]


@pytest.mark.slow
def test_series_are_listed_by_data_type(tapewatch: Program) -> None:
    tapewatch.ingest("spot_ohlcv", *NAMED, *WEEK)
    for name, count in (("spot_ohlcv", 1), ("spot-ohlcv", 1), ("futures_ohlcv", 0)):
        assert len(tapewatch("series", "list", "--data_type", name, "--output", "json", code=0).json) == count
    named = ("--exchange", "kraken", "--symbol", "XXBTZUSD", "--granularity", "1d")
    for more, count in (((), 1), (("--like", "%/1h"), 0)):
        assert len(tapewatch("series", "list", *named, *more, "--output", "json", code=0).json) == count
    assert "no such series is stored" in tapewatch("series", "list", "--data_type", "futures_ohlcv", code=0).out
    assert "spot_ohlcv, futures_ohlcv" in tapewatch("series", "list", "--data_type", "spot", code=2).sentence


@pytest.mark.slow
def test_long_names_keep_the_columns_apart(tapewatch: Program) -> None:
    name = "futures_open_interest/binance/BTC-USDT-VANILLA-PERPETUAL/1d"
    perpetual = ("--market", "binance", "--instrument", "BTC-USDT-VANILLA-PERPETUAL")
    tapewatch.ingest("futures_open_interest", *perpetual, *WEEK)
    title, line = tapewatch("series", "list", code=0).out.splitlines()
    assert line.startswith(f"{name}  ")
    assert title.index("last closed bar") == line.index("2025-05-07T00:00:00Z")
    title, line = tapewatch("jobs", "list", code=0).out.splitlines()
    assert title.index("state") == line.index("complete")


@pytest.mark.slow
def test_dropping_a_series(tapewatch: Program) -> None:
    tapewatch.ingest("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD,ETH-USD", *WEEK)
    name = "spot_ohlcv/kraken/BTC-USD/1d"
    shown = tapewatch("series", "drop", name, code=2)
    assert "add --yes" in shown.err
    assert ["spot_ohlcv", "7"] in [line.split() for line in shown.out.splitlines()]
    assert tapewatch.store.one("SELECT count(*) FROM spot_ohlcv") == 14
    tapewatch("series", "drop", name, "--yes", code=0)
    assert tapewatch.store.one("SELECT count(*) FROM spot_ohlcv") == 7
    assert tapewatch.store.one("SELECT count(*) FROM coverage") == 1
    assert name in tapewatch("series", "drop", name, "--yes", code=2).sentence
    assert tapewatch.ingest("spot_ohlcv", *NAMED, *WEEK)["rows_inserted"] == 7


@pytest.mark.parametrize("command", [("jobs", "cancel", "j-0000"), ("jobs", "follow")])
def test_no_engine_to_talk_to(tapewatch: Program, command: tuple[str, ...]) -> None:
    assert "no engine is running" in tapewatch(*command, code=3).sentence


def panels(ended: Done) -> list[str]:
    return [name for name in ("Ingest", "Look", "Repair", "Operate", "Try") if f"─ {name} ─" in ended.out]


@pytest.mark.slow
def test_help_is_there_and_light(tapewatch: Program) -> None:
    assert panels(tapewatch("--help", code=0)) == ["Ingest", "Look", "Repair", "Operate", "Try"]
    ended = tapewatch("futures-ohlcv", "--help", code=0)
    assert "--pair_limit" in ended.out
    assert "tapewatch futures_ohlcv --interval 1d" in ended.out
    assert "old names too" in tapewatch("why", "--help", code=0).out
    assert "[retention] keeps" in tapewatch("series", "prune", "--help", code=0).out
    assert "100 of spot" in tapewatch("spot_ohlcv", "--help", code=0).out
    assert tapewatch("--version", code=0).out.startswith("tapewatch 0.")
    assert not tapewatch.db.exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", EXAMPLES)
def test_examples_use_options_that_exist(tapewatch: Program, command: str) -> None:
    shown = tapewatch(*command.split(), "--help", code=0, COLUMNS="200").out
    for example in EXAMPLES[command]:
        assert f"tapewatch {command} {example}".rstrip() in shown
        assert all(shown.count(word) > 1 for word in example.split() if word.startswith("--"))


COMPLETED = {
    "tapewatch fut": {"futures_ohlcv", "futures_funding_rate", "futures_open_interest", "futures_instruments"},
    "tapewatch spot_ohlcv --interval ": {"1d", "1h", "1m"},
    "tapewatch futures_ohlcv --contract ": {"perpetual", "expiring"},
    "tapewatch spot_ohlcv --output ": {"text", "json", "jsonl"},
    "tapewatch plan ba": {"batch"},
    "tapewatch export spot": {"spot_ohlcv", "spot_instruments"},
}


@pytest.mark.parametrize("line", COMPLETED)
def test_shells_are_told_what_can_follow(tapewatch: Program, line: str) -> None:
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    ended = tapewatch(_TAPEWATCH_COMPLETE="complete_bash", **asked)
    assert set(ended.out.split()) == COMPLETED[line]


@pytest.mark.slow
def test_without_a_store_and_a_terminal_the_program_explains(tapewatch: Program) -> None:
    ended = tapewatch(code=0)
    assert "tapewatch demo" in ended.out
    assert not tapewatch.db.exists()
