"""Settings: flag over environment (`TAPEWATCH_*`) over TOML file over default.

Unknown keys are refused at every depth, naming file, key and the nearest one that exists. The API key
comes from the environment or a private file, never from a flag, and shows as `***` everywhere.
"""

import difflib
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from core.datasets import DATASETS
from core.errors import ConfigError
from core.references import LISTS
from core.text import clean
from core.windows import GRAINS, parse_span

LARGEST_FILE = 1024 * 1024
CACHE_SECRET = "TAPEWATCH_CACHE_SECRET"  # noqa: S105 - its name
NOT_SETTINGS = frozenset({"TAPEWATCH_API_KEY", "TAPEWATCH_FAILPOINT", CACHE_SECRET})
VENDOR_HOSTS = frozenset({"data-api.coindesk.com", "data-api.cryptocompare.com"})
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
ENVIRONMENT, FLAG = "environment: ", ""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineSettings(Section):
    """How jobs run."""

    concurrent_jobs: int = Field(4, ge=1, le=64)
    """Jobs that run side by side in one engine; the others wait in order."""
    linger_seconds: float = Field(60.0, ge=0, le=86_400)
    """How long a dashboard's engine stays after its last job and client."""
    lock_wait: float = Field(600.0, ge=0, le=86_400)
    """Seconds that a command waits for another command's store before it exits 75."""
    max_wait: float = Field(900.0, ge=0, le=31 * 86_400)
    """Seconds that a run waits for one of the vendor's limits before it ends as waiting_quota."""
    lease_seconds: float = Field(30.0, ge=1, le=3_600)
    """On PostgreSQL: seconds that series stay an engine's that is not heard of any more; it renews them in time."""
    group_readable_socket: bool = False
    """Also open a socket that only emits and that the user's group may read."""


class SourceSettings(Section):
    """How the vendor is talked to."""

    name: str = "coindesk"
    """Entry point of the source."""
    connections: int = Field(16, ge=1, le=64)
    """Requests in flight at once; beyond 16 nothing but memory grows."""
    request_timeout: float = Field(8.0, gt=0, le=300)
    """Seconds until a request must have been answered completely."""
    compress: bool = True
    """Ask for gzip: six times fewer bytes on a network. On loopback it only costs time."""
    key_hosts: tuple[str, ...] = ()
    """Hosts, besides the vendor's (https) and loopback, that the API key may be sent to."""
    listing_ttl: float = Field(3_600.0, ge=1, le=7 * 86_400)
    """Seconds that instrument listings and rankings are taken from the cache."""

    @field_validator("key_hosts", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return [host.strip() for host in value.split(",") if host.strip()] if isinstance(value, str) else value


class QuotaSettings(Section):
    """How much of the account's calls may be spent."""

    budget_share: float = Field(0.10, gt=0, le=1)
    """Share of what is left of the day and of the month that a run may spend without --max_requests."""


class CachingSettings(Section):
    """How listings are cached; where, `cache` says."""

    serialiser: Literal["json", "msgpack", "pickle"] = "json"
    """How values are written. pickle on a shared cache needs a secret in TAPEWATCH_CACHE_SECRET, which signs them."""
    stale_for: float = Field(7 * 86_400.0, ge=0, le=90 * 86_400)
    """Seconds that a list which is over may be used for while the vendor does not answer; its age is told."""
    ttl: dict[str, Annotated[float, Field(ge=1, le=7 * 86_400)]] = Field(default_factory=dict)
    """Seconds that a list is fresh, by data type, as in spot_instruments = 7200. Default: source.listing_ttl."""

    @field_validator("ttl")
    @classmethod
    def _is_of_lists(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if name not in LISTS:
                raise ValueError(f"{clean(name)!r} is no data type of lists; there are {', '.join(LISTS)}")
        return value


class HistorySettings(Section):
    """How a stored history is kept true."""

    audit_days: int | None = Field(None, ge=1, le=3_650)
    """Every page of the stored history is read again once in so many days; each costs a call. Default: never."""
    checks: bool = True
    """Look through the newest bars of each series after a job for what is suspect; findings are only flagged."""


class Settings(Section):
    """Everything that can be set. Every field has a default."""

    db: str = ""
    """Store: sqlite:///relative.db or sqlite:////absolute.db. Default: the user's data directory."""
    cache: str = "memory://"
    """Cache of listings: memory://, disk:///path, redis://host:port/0, hybrid+redis://host:port/0 or off://."""
    base_url: str = "https://data-api.coindesk.com"
    """Where the vendor's API is; a sandbox has its own."""
    state: str = ""
    """Directory for logs and other state. Default: the user's state directory."""
    api_key_file: str = ""
    """File of mode 0600 that holds the API key."""
    theme: Literal["dark", "light", "ansi", "contrast"] = "dark"
    """Colours of the dashboard."""
    engine: EngineSettings = EngineSettings()
    source: SourceSettings = SourceSettings()
    quota: QuotaSettings = QuotaSettings()
    caching: CachingSettings = CachingSettings()
    history: HistorySettings = HistorySettings()
    retention: dict[str, str] = Field(default_factory=dict)
    """How long bars are kept, by data type and interval, as in spot_ohlcv_1m = "90d". Default: for ever."""

    @property
    def kept_seconds(self) -> dict[tuple[str, str], int]:
        """`retention` by (data type, interval)."""
        split = {name: tuple(name.rsplit("_", 1)) for name in self.retention}
        return {(split[name][0], split[name][1]): parse_span(text) for name, text in self.retention.items()}

    @field_validator("retention")
    @classmethod
    def _is_of_series(cls, value: dict[str, str]) -> dict[str, str]:
        known = [f"{data_type}_{interval}" for data_type in DATASETS for interval in GRAINS]
        for name, text in value.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"{clean(name)!r} is no data type with its interval, as in spot_ohlcv_1m{hint}")
            try:
                parse_span(text)
            except ConfigError as error:
                raise ValueError(f"{name}: {error}") from None
        return value

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        parts = urlsplit(value)
        # Reading the port is what checks it.
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.port == 0:
            raise ValueError("write http://host:port or https://host")
        parts.hostname.encode("idna")  # a name that no resolver takes is a ValueError here, not later
        return value.rstrip("/")


class Loaded(BaseModel):
    """Settings with where they came from."""

    model_config = ConfigDict(frozen=True)

    settings: Settings
    path: Path | None
    api_key: SecretStr | None
    secret: SecretStr | None = None

    @property
    def cache_secret(self) -> bytes:
        """What signs cached values; empty for none."""
        return self.secret.get_secret_value().encode() if self.secret else b""

    @property
    def database(self) -> str:
        return self.settings.db or f"sqlite:///{data_directory() / 'tapewatch.db'}"

    @property
    def key(self) -> str | None:
        """The API key if the base URL's host may have it, else None."""
        parts = urlsplit(self.settings.base_url)
        host = parts.hostname or ""
        is_vendor = parts.scheme == "https" and host in VENDOR_HOSTS
        if self.api_key and (is_vendor or host in LOOPBACK_HOSTS or host in self.settings.source.key_hosts):
            return self.api_key.get_secret_value()
        return None


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Loaded:
    """Settings from `flags` (global options that were given), environment and file.

    Raises ConfigError listing every problem at once.
    """
    path = _find_file(flags.get("config_file"))
    given = {name: value for name, value in flags.items() if value is not None and name != "config_file"}
    layers = {
        f"{path}: ": _read_file(path) if path else {},
        ENVIRONMENT: _from_environment(environ),
        FLAG: given,
    }
    for name, instead in {"db": "TAPEWATCH_DB or a passfile", "cache": "TAPEWATCH_CACHE"}.items():
        if _password(name, str(given.get(name, ""))):
            raise ConfigError(f"--{name} holds a password, which other users could read; use {instead}")
    values: dict[str, Any] = {}
    for layer in layers.values():
        _merge(values, layer)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, layers)) from None
    return Loaded(settings=settings, path=path, api_key=_api_key(settings, environ), secret=_secret(environ))


def config_candidates() -> list[Path]:
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [
        Path("tapewatch.toml"),
        base / "tapewatch" / "tapewatch.toml",
        Path("/etc/tapewatch/tapewatch.toml"),
    ]


def data_directory() -> Path:
    """Where the default store lies; made when absent."""
    base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    path = base / "tapewatch"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _find_file(given: str | None) -> Path | None:
    if given:
        if not Path(given).is_file():
            raise ConfigError(f"--config-file {given}: there is no such file")
        return Path(given)
    return next((path for path in config_candidates() if path.is_file()), None)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(f"{path}: larger than 1 MiB")
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: {clean(str(error))}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """`TAPEWATCH_ENGINE__MAX_WAIT=60` sets `[engine] max_wait`."""
    values: dict[str, Any] = {}
    fields = set(Settings.model_fields)
    for name, value in environ.items():
        keys = name.removeprefix("TAPEWATCH_").lower().split("__")
        if name.startswith("TAPEWATCH_") and name not in NOT_SETTINGS:
            if keys[0] not in fields:
                near = difflib.get_close_matches(keys[0], fields, 1)
                hint = f"; did you mean TAPEWATCH_{near[0].upper()}?" if near else ""
                raise ConfigError(f"the environment sets {clean(name)}, which is no setting{hint}")
            nested: Any = value
            for key in reversed(keys):
                nested = {key: nested}
            _merge(values, nested)
    return values


def _secret(environ: Mapping[str, str]) -> SecretStr | None:
    text = environ.get(CACHE_SECRET, "")
    return SecretStr(text) if text else None


def _password(name: str, url: str) -> str | None:
    try:
        parts = urlsplit(url)
        return parts.password or dict(parse_qsl(parts.query)).get("password")
    except ValueError as error:
        raise ConfigError(f"--{name} {clean(url)!r}: {error}") from None


def _merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, dict):
            under = into.get(key)
            into[key] = dict(under) if isinstance(under, dict) else {}
            _merge(into[key], value)
        else:
            into[key] = value


def _explain(error: ValidationError, layers: Mapping[str, Mapping[str, Any]]) -> str:
    """A line a problem, each with the place that its value comes from."""
    lines = []
    for problem in error.errors():
        keys = [str(part) for part in problem["loc"]]
        where = next((name for name in reversed(list(layers)) if _has(layers[name], keys)), FLAG)
        key = clean(_spelled(where, keys))
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(keys[-1], _all_keys(), 1)
            lines.append(f"{where}unknown setting {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        else:
            lines.append(f"{where}{key}: {problem['msg']}")
    return "\n".join(lines)


def _has(values: Any, keys: list[str]) -> bool:
    """Whether `values` says something about the setting that `keys` lead to."""
    for key in keys:
        if not isinstance(values, Mapping):
            return True
        if key not in values:
            return False
        values = values[key]
    return True


def _spelled(where: str, keys: list[str]) -> str:
    if where == FLAG:
        return f"--{keys[-1]}"
    return "TAPEWATCH_" + "__".join(keys).upper() if where == ENVIRONMENT else ".".join(keys)


def _all_keys() -> list[str]:
    models = (Settings, EngineSettings, SourceSettings, QuotaSettings)
    return [name for model in models for name in model.model_fields]


def _api_key(settings: Settings, environ: Mapping[str, str]) -> SecretStr | None:
    key = environ.get("TAPEWATCH_API_KEY") or environ.get("CCDATA_API_KEY")
    if key:
        return _as_key(key, "TAPEWATCH_API_KEY")
    if not settings.api_key_file:
        return None
    path = Path(settings.api_key_file).expanduser()
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"api_key_file {path} can be read by others; run: chmod 600 {path}")
        return _as_key(path.read_text("utf-8", "replace"), f"api_key_file {path}")
    except OSError as error:
        raise ConfigError(f"api_key_file {path}: {error.strerror}") from None


def _as_key(text: str, where: str) -> SecretStr:
    """`text` as a key that can be sent in a header. Raises ConfigError, which never shows it."""
    key = text.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(f"{where}: an API key is one line of printable ASCII characters without spaces")
    return SecretStr(key)


def state_directory(settings: Settings) -> Path:
    """Where logs go; made when absent, mode 0700."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = Path(settings.state) if settings.state else base / "tapewatch"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
