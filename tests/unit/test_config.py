"""Settings: who wins, what is refused and how it is named, and who may have the key."""

import os
from pathlib import Path
from typing import Any

import pytest

from core import config
from core.config import Loaded, load
from core.errors import ConfigError
from core.settings import EngineSettings, Settings
from core.stores import sqlite_path

KEY = "canary-key-7f3a"


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of the machine or of this checkout takes part."""
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


def from_file(path: Path, text: str | bytes, environ: dict[str, str] | None = None, **flags: Any) -> Loaded:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load({"config_file": str(path), **flags}, environ or {})


def test_without_anything_the_defaults_hold() -> None:
    loaded = load({}, {})
    assert loaded.settings == Settings()
    assert loaded.path is None
    assert loaded.key is None
    assert loaded.database.startswith("sqlite:////")
    assert loaded.database.endswith("/tapewatch/tapewatch.db")


def test_a_flag_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    text = 'db = "sqlite:///file.db"\ncache = "off://"\n[engine]\nmax_wait = 1\nlock_wait = 2\nlinger_seconds = 3\n'
    environ = {
        "TAPEWATCH_DB": "sqlite:///environment.db",
        "TAPEWATCH_ENGINE__MAX_WAIT": "10",
        "TAPEWATCH_ENGINE__LOCK_WAIT": "20",
    }
    flags = {"db": "sqlite:///flag.db", "base_url": None, "engine": {"max_wait": "100"}}
    settings = from_file(tmp_path / "t.toml", text, environ, **flags).settings
    assert settings.db == "sqlite:///flag.db"
    assert settings.cache == "off://"
    assert (settings.engine.max_wait, settings.engine.lock_wait, settings.engine.linger_seconds) == (100, 20, 3)
    assert settings.base_url == Settings().base_url


def test_the_first_file_that_exists_is_read(tmp_path: Path) -> None:
    (tmp_path / "xdg_config_home" / "tapewatch").mkdir(parents=True)
    users = tmp_path / "xdg_config_home" / "tapewatch" / "tapewatch.toml"
    users.write_text("[engine]\nmax_wait = 1\n")
    assert load({}, {}).path == users
    (tmp_path / "tapewatch.toml").write_text("[engine]\nmax_wait = 2\n")
    assert load({}, {}).settings.engine.max_wait == 2


def test_environment_reaches_every_depth_and_leaves_other_names_alone() -> None:
    environ = {
        "TAPEWATCH_BASE_URL": "http://127.0.0.1:9/",
        "TAPEWATCH_SOURCE__KEY_HOSTS": "a.example, b.example",
        "TAPEWATCH_SOURCE__COMPRESS": "false",
        "TAPEWATCH_FAILPOINT": "x",
        "OTHER_DB": "x",
    }
    settings = load({}, environ).settings
    assert settings.base_url == "http://127.0.0.1:9"
    assert settings.source.key_hosts == ("a.example", "b.example")
    assert settings.source.compress is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("engin = 1", "unknown setting 'engin'; did you mean 'engine'?"),
        ("[engine]\nmax_wiat = 1", "unknown setting 'engine.max_wiat'; did you mean 'max_wait'?"),
        ("[source]\nconection = 1", "unknown setting 'source.conection'; did you mean 'connections'?"),
        ("[engine.deeper]\nx = 1", "unknown setting 'engine.deeper'"),
        ("[engine]\nmax_wait = 'soon'", "engine.max_wait: "),
        ("[engine]\nmax_wait = -1", "engine.max_wait: "),
        ("[engine]\nmax_wait = nan", "engine.max_wait: "),
        ("[engine]\nmax_wait = inf", "engine.max_wait: "),
        ("[engine]\nconcurrent_jobs = 0", "engine.concurrent_jobs: "),
        ("[engine]\nconcurrent_jobs = 1.5", "engine.concurrent_jobs: "),
        ("engine = 5", "engine: "),
        ("[[engine]]\nmax_wait = 1", "engine: "),
        ("db = 5", "db: "),
        ("theme = 'pink'", "theme: "),
        ("base_url = 'ftp://x'", "base_url: "),
        ("base_url = 'http://user:pw@host'", "base_url: "),
        ("base_url = 'http://[::1'", "base_url: "),
        ("base_url = 'http://host:99999'", "base_url: "),
        ("base_url = 'http://host:x'", "base_url: "),
        ("base_url = 'http://'", "base_url: "),
        ("[quota]\nbudget_share = 0", "quota.budget_share: "),
        ("[quota]\nbudget_share = 1.01", "quota.budget_share: "),
        ("[quota]\nledger = 'postgres'", "quota.ledger: "),
        ("[quota]\nledger = 'http://host/0'", "quota.ledger: "),
        ("[quota]\nledger = ''", "quota.ledger: "),
        ("[quota]\nledger = 5", "quota.ledger: "),
        ("[quota]\nledger = 'redis://[::1'", "quota.ledger: "),
        ("[quota]\nledger = 'redis://:secret@host/0'", "quota.ledger holds a password"),
        ("[quota]\nledger = 'rediss://host/0?password=secret'", "quota.ledger holds a password"),
        ("nonsense", ""),
        (b"\xff", ""),
        ("a = " + "[" * 5_000, ""),
        ("db = '\x00'", ""),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_file_and_key(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = tmp_path / "t.toml"
    with pytest.raises(ConfigError) as caught:
        from_file(path, text)
    assert str(caught.value).startswith(f"{path}: {words}")


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path / "t.toml", "them = 'dark'\n[engine]\nmax_wait = -1\n[source]\nconnections = 0\n")
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(str(tmp_path)) for line in lines)


def test_a_problem_is_named_where_its_value_comes_from(tmp_path: Path) -> None:
    environ = {"TAPEWATCH_ENGINE__MAX_WAIT": "soon", "TAPEWATCH_ENGINE__MAX_WIAT": "1"}
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path / "t.toml", "[engine]\nmax_wait = 5\n", environ, engine={"lock_wait": "x"})
    lines = sorted(str(caught.value).splitlines())
    assert lines[0].startswith("--lock_wait: ")
    assert lines[1].startswith("environment: TAPEWATCH_ENGINE__MAX_WAIT: ")
    assert lines[2] == "environment: unknown setting 'TAPEWATCH_ENGINE__MAX_WIAT'; did you mean 'max_wait'?"


def test_a_file_must_be_a_file_of_sensible_size(tmp_path: Path) -> None:
    (tmp_path / "large.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    for name in ("none.toml", ".", "large.toml"):
        with pytest.raises(ConfigError, match=r"config-file|larger"):
            load({"config_file": str(tmp_path / name)}, {})


@pytest.mark.parametrize("db", ["postgresql://user:secret@host/db", "http://[::1", "http://[::1:secret@x"])
def test_a_password_or_nonsense_in_the_db_flag_is_refused(db: str) -> None:
    with pytest.raises(ConfigError, match="--db"):
        load({"db": db}, {})


@pytest.mark.parametrize("ledger", ["auto", "own", "file", "redis://host:1/0", "rediss://u@host/1", "unix:///run/r"])
def test_places_where_calls_are_counted(tmp_path: Path, ledger: str) -> None:
    assert from_file(tmp_path / "t.toml", f"[quota]\nledger = '{ledger}'\n").settings.quota.ledger == ledger


def test_the_ledgers_password_comes_from_the_environment_only() -> None:
    url = "redis://:secret@host/0"
    assert load({}, {"TAPEWATCH_QUOTA__LEDGER": url}).settings.quota.ledger == url
    with pytest.raises(ConfigError, match="TAPEWATCH_QUOTA__LEDGER") as caught:
        load({"quota": {"ledger": url}}, {})
    assert "secret" not in str(caught.value)


def test_a_password_may_come_from_the_environment() -> None:
    assert load({}, {"TAPEWATCH_DB": "postgresql://user:secret@host/db"}).settings.db.startswith("postgresql")


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a.db", "a.db"), ("sqlite:////srv/a.db", "/srv/a.db"), ("sqlite:///:memory:", ":memory:")],
)
def test_sqlite_urls_as_sqlalchemy_writes_them(url: str, path: str) -> None:
    assert sqlite_path(url) == path


@pytest.mark.parametrize(
    "url", ["", "a.db", "sqlite://", "sqlite:///", "sqlite://host/a.db", "http://[::1", "postgresql:///x"]
)
def test_other_urls_are_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(ConfigError, match="write sqlite:///relative"):
        sqlite_path(url)


# --- the key


@pytest.mark.parametrize(
    ("base_url", "key_hosts", "is_sent"),
    [
        ("https://data-api.coindesk.com", "", True),
        ("https://DATA-API.CoinDesk.com", "", True),
        ("https://data-api.cryptocompare.com", "", True),
        ("http://data-api.coindesk.com", "", False),
        ("https://data-api.coindesk.com.evil.example", "", False),
        ("https://evil.example/data-api.coindesk.com", "", False),
        ("https://evil.example?data-api.coindesk.com", "", False),
        ("https://evil.example", "", False),
        ("http://127.0.0.1:8080", "", True),
        ("http://localhost:8080", "", True),
        ("http://[::1]:8080", "", True),
        ("http://127.0.0.1.evil.example", "", False),
        ("https://proxy.example", "proxy.example", True),
        ("https://sub.proxy.example", "proxy.example", False),
    ],
)
def test_the_key_goes_to_the_vendor_to_loopback_and_to_listed_hosts(
    base_url: str, key_hosts: str, is_sent: bool
) -> None:
    environ = {"TAPEWATCH_API_KEY": KEY, "TAPEWATCH_SOURCE__KEY_HOSTS": key_hosts}
    loaded = load({"base_url": base_url}, environ)
    assert loaded.key == (KEY if is_sent else None)


def test_where_the_key_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}-file\n")
    file.chmod(0o600)
    given = {"base_url": "http://localhost", "api_key_file": str(file)}
    assert load(given, {"TAPEWATCH_API_KEY": KEY, "CCDATA_API_KEY": "other"}).key == KEY
    assert load(given, {"CCDATA_API_KEY": f" {KEY}\n"}).key == KEY
    assert load(given, {}).key == f"{KEY}-file"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o777])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load({"api_key_file": str(file)}, {})
    assert KEY not in str(caught.value)


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        tmp_path.chmod(0o700)
        with pytest.raises(ConfigError, match="api_key_file"):
            load({"api_key_file": str(path)}, {})


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "a b", "schlüssel", "a\x00", "\x1b[31m"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match="one line of printable ASCII") as caught:
        load({}, {"TAPEWATCH_API_KEY": key})
    assert key not in str(caught.value)
    file = tmp_path / "key"
    file.write_bytes(b"\xff\xfe" + key.encode())
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=str(file)):
        load({"api_key_file": str(file)}, {})


def test_the_key_is_never_shown() -> None:
    loaded = load({"base_url": "http://localhost"}, {"TAPEWATCH_API_KEY": KEY})
    for text in (repr(loaded), str(loaded), loaded.model_dump_json(), repr(loaded.settings)):
        assert KEY not in text


BAD = ["", "x", "\x00", "-1", "1e999", "nan", "-0", "9" * 400, [], {}, {"a": 1}, None, True, -1, 10**30, 1e400]


@pytest.mark.parametrize("name", EngineSettings.model_fields)
@pytest.mark.parametrize("value", BAD, ids=repr)
def test_odd_values_of_any_setting_are_taken_or_refused_in_words(name: str, value: object) -> None:
    try:
        settings = load({"engine": {name: value}}, {}).settings
    except ConfigError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert 0 <= getattr(settings.engine, name) <= 31 * 86_400
    assert not refusal or name in refusal


def test_directories_are_private(tmp_path: Path) -> None:
    assert config.data_directory().stat().st_mode & 0o777 == 0o700
    state = config.state_directory(Settings(state=str(tmp_path / "deep" / "state")))
    assert state.stat().st_mode & 0o777 == 0o700
    assert os.access(state, os.W_OK)


def test_retention_is_by_data_type_and_interval(tmp_path: Path) -> None:
    text = '[retention]\nspot_ohlcv_1m = "90d"\nfutures_funding_rate_1h = "2w"\n'
    loaded = from_file(tmp_path / "t.toml", text, {"TAPEWATCH_RETENTION__SPOT_OHLCV_1M": "12h"})
    assert loaded.settings.kept_seconds == {("spot_ohlcv", "1m"): 43_200, ("futures_funding_rate", "1h"): 14 * 86_400}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('spot_ohlcv_2m = "90d"', "did you mean 'spot_ohlcv_1m'"),
        ('spot_ohlcv = "90d"', "is no data type with its interval"),
        ('asset_metadata_1d = "90d"', "is no data type with its interval"),
        ('spot_ohlcv_1m = "long"', "not a length of time"),
        ("spot_ohlcv_1m = 90", "retention.spot_ohlcv_1m"),
    ],
)
def test_retention_that_means_nothing_is_refused(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        from_file(tmp_path / "t.toml", f"[retention]\n{line}\n")
    assert str(tmp_path / "t.toml") in str(caught.value)
