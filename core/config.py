"""Settings: flag over environment (`TAPEWATCH_*`) over TOML file over default.

Unknown keys are refused at every depth, naming file, key and the nearest one that exists. The API key
comes from the environment or a private file, never from a flag, and shows as `***` everywhere.
"""

import difflib
import hashlib
import os
import stat
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from core.errors import ConfigError
from core.settings import ChannelSettings, Section, Settings
from core.text import clean, nearest

LARGEST_FILE = 1024 * 1024
CACHE_SECRET = "TAPEWATCH_CACHE_SECRET"  # noqa: S105 - its name
MONITORING_TOKEN = "TAPEWATCH_MONITORING_TOKEN"  # noqa: S105 - its name
OTLP_HEADERS = "TAPEWATCH_OTLP_HEADERS"
HEARTBEAT_URL = "TAPEWATCH_HEARTBEAT_URL"
NOT_SETTINGS = frozenset(
    {"TAPEWATCH_API_KEY", "TAPEWATCH_FAILPOINT", CACHE_SECRET, MONITORING_TOKEN, OTLP_HEADERS, HEARTBEAT_URL}
)
OF_CHANNELS = "TAPEWATCH_CHANNEL_"
SHORTEST_TOKEN = 16
VENDOR_HOSTS = frozenset({"data-api.coindesk.com", "data-api.cryptocompare.com"})
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
ENVIRONMENT, FLAG = "environment: ", ""
LEDGER = "TAPEWATCH_QUOTA__LEDGER"


class ChannelSecrets(BaseModel):
    """What a channel is opened with; `is_private` says that the URL comes from where secrets are kept."""

    model_config = ConfigDict(frozen=True)

    url: SecretStr
    secret: SecretStr
    is_private: bool


class Loaded(BaseModel):
    """Settings with where they came from."""

    model_config = ConfigDict(frozen=True)

    settings: Settings
    path: Path | None
    api_key: SecretStr | None
    secret: SecretStr | None = None
    monitoring_token: SecretStr | None = None
    otlp_headers: SecretStr | None = None
    channels: Mapping[str, ChannelSecrets] = Field(default_factory=dict)
    heartbeat_url: SecretStr = SecretStr("")

    @property
    def cache_secret(self) -> bytes:
        """What signs cached values; empty for none."""
        return self.secret.get_secret_value().encode() if self.secret else b""

    @property
    def database(self) -> str:
        return self.settings.db or f"sqlite:///{data_directory() / 'tapewatch.db'}"

    @property
    def rules_file(self) -> Path | None:
        """The file that changes the rules of alerts, None for the defaults alone."""
        given, folder = self.settings.alerts.rules, self.path.parent if self.path else Path()
        return folder / Path(given).expanduser() if given else None

    @property
    def account(self) -> str:
        """Whose calls the vendor counts: a key's, or those of nobody in particular."""
        return f"{key_fingerprint(self.key) or 'no key'} at {urlsplit(self.settings.base_url).netloc}"

    @property
    def key(self) -> str | None:
        """The API key if the base URL's host may have it, else None."""
        parts = urlsplit(self.settings.base_url)
        host = parts.hostname or ""
        is_vendor = parts.scheme == "https" and host in VENDOR_HOSTS
        if self.api_key and (is_vendor or host in LOOPBACK_HOSTS or host in self.settings.source.key_hosts):
            return self.api_key.get_secret_value()
        return None


def key_fingerprint(key: str | None) -> str:
    """Names a key without showing it: engines of one account recognise each other by it."""
    return hashlib.sha256(key.encode()).hexdigest()[:16] if key else ""


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
    _check_ledger(layers)
    values: dict[str, Any] = {}
    for layer in layers.values():
        _merge(values, layer)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, layers)) from None
    return Loaded(
        settings=settings,
        path=path,
        api_key=_api_key(settings, environ),
        secret=_secret(environ),
        monitoring_token=_monitoring_token(settings, environ),
        otlp_headers=_otlp_headers(settings, environ),
        channels=_channels(settings, environ),
        heartbeat_url=_heartbeat_url(settings, environ),
    )


def _check_ledger(layers: Mapping[str, Mapping[str, Any]]) -> None:
    for where, layer in layers.items():
        section = layer.get("quota")
        url = section.get("ledger") if isinstance(section, Mapping) else None
        if where != ENVIRONMENT and isinstance(url, str) and _holds_password(url):
            raise ConfigError(f"{where}quota.ledger holds a password, which others could read; use {LEDGER}")


def _holds_password(url: str) -> bool:
    with suppress(ConfigError):  # what is no URL is refused where settings are checked
        return bool(_password("", url))
    return False


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
        if name.startswith("TAPEWATCH_") and name not in NOT_SETTINGS and not name.startswith(OF_CHANNELS):
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
            lines.append(f"{where}unknown setting {key!r}{nearest(keys[-1], _all_keys())}")
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
    return [name for model in Section.__subclasses__() for name in model.model_fields]


def _api_key(settings: Settings, environ: Mapping[str, str]) -> SecretStr | None:
    key = environ.get("TAPEWATCH_API_KEY") or environ.get("CCDATA_API_KEY")
    if key:
        return _as_key(key, "TAPEWATCH_API_KEY")
    if not settings.api_key_file:
        return None
    return _as_key(*_private("api_key_file", settings.api_key_file))


def _private(setting: str, file: str) -> tuple[str, str]:
    """What is in a file that nobody else may read, and what to call it. Raises ConfigError."""
    path = Path(file).expanduser()
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{setting} {path} can be read by others; run: chmod 600 {path}")
        return path.read_text("utf-8", "replace"), f"{setting} {path}"
    except OSError as error:
        raise ConfigError(f"{setting} {path}: {error.strerror}") from None


def _monitoring_token(settings: Settings, environ: Mapping[str, str]) -> SecretStr | None:
    text, where = environ.get(MONITORING_TOKEN, ""), MONITORING_TOKEN
    if not text and settings.monitoring.token_file:
        text, where = _private("monitoring.token_file", settings.monitoring.token_file)
    elif not text:
        return None
    token = text.strip()
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(f"{where}: a token is {SHORTEST_TOKEN} or more printable ASCII characters without spaces")
    return SecretStr(token)


def _otlp_headers(settings: Settings, environ: Mapping[str, str]) -> SecretStr | None:
    """Lines of NAME: VALUE."""
    if text := environ.get(OTLP_HEADERS, ""):
        return SecretStr("\n".join(part.replace("=", ": ", 1) for part in text.split(",")))
    if settings.monitoring.otlp_headers_file:
        return SecretStr(_private("monitoring.otlp_headers_file", settings.monitoring.otlp_headers_file)[0])
    return None


def _channels(settings: Settings, environ: Mapping[str, str]) -> dict[str, ChannelSecrets]:
    """What channels are opened with, by name. Raises ConfigError, which never shows any of it."""
    channels = settings.alerts.channels
    known = {f"{OF_CHANNELS}{name.upper()}_{what}" for name in channels for what in ("URL", "SECRET")}
    for name in environ:
        if name.startswith(OF_CHANNELS) and name not in known:
            raise ConfigError(f"the environment sets {clean(name)}, which belongs to no channel of alerts.channels")
    return {name: _channel_secrets(name, given, environ) for name, given in channels.items()}


def _channel_secrets(name: str, given: ChannelSettings, environ: Mapping[str, str]) -> ChannelSecrets:
    where, variable = f"alerts.channels.{name}", f"{OF_CHANNELS}{name.upper()}"
    private = _secret_text(f"{where}.url_file", given.url_file, environ.get(f"{variable}_URL", ""))
    url = private or given.url.get_secret_value().strip()
    if not url or not (url.isascii() and url.isprintable()):
        raise ConfigError(f"{where}: url is one line of printable ASCII, as in log://; or {variable}_URL or url_file")
    secret = _secret_text(f"{where}.secret_file", given.secret_file, environ.get(f"{variable}_SECRET", ""))
    return ChannelSecrets(url=SecretStr(url), secret=SecretStr(secret), is_private=bool(private))


def _heartbeat_url(settings: Settings, environ: Mapping[str, str]) -> SecretStr:
    alerts = settings.alerts
    private = _secret_text("alerts.heartbeat_url_file", alerts.heartbeat_url_file, environ.get(HEARTBEAT_URL, ""))
    return SecretStr(private) if private else alerts.heartbeat_url


def _secret_text(setting: str, file: str, given: str) -> str:
    """What the environment gives, else what the file holds."""
    return given.strip() or (_private(setting, file)[0].strip() if file else "")


def _as_key(text: str, where: str) -> SecretStr:
    """`text` as a key that can be sent in a header. Raises ConfigError, which never shows it."""
    key = text.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(f"{where}: an API key is one line of printable ASCII characters without spaces")
    return SecretStr(key)


def state_place(settings: Settings) -> Path:
    """Where logs and other state go, whether it is there or not."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Path(settings.state) if settings.state else base / "tapewatch"


def state_directory(settings: Settings) -> Path:
    """As `state_place`; made when absent, mode 0700."""
    path = state_place(settings)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
