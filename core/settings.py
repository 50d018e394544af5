"""What can be set, section by section: every field with its default, its bounds and its words."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from core.addresses import is_loopback, parse_address
from core.books import FILE, REDIS
from core.datasets import DATASETS
from core.errors import ConfigError
from core.references import LISTS
from core.text import clean, nearest
from core.windows import GRAINS, parse_span

AUTO, OWN = "auto", "own"
CHANNEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


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
    max_outage: float = Field(20.0, ge=1, le=31 * 86_400)
    """Seconds that a run waits for a vendor that does not answer, while one call at a time looks whether it is back."""
    lease_seconds: float = Field(30.0, ge=1, le=3_600)
    """On PostgreSQL: seconds that series stay an engine's that is not heard of any more; it renews them in time."""
    group_readable_socket: bool = False
    """Also open a socket that only emits and that the user's group may read."""


class SourceSettings(Section):
    """How the vendor is talked to."""

    name: str = "coindesk"
    """Entry point of the source."""
    connections: int = Field(64, ge=1, le=64)
    """Requests in flight at once, at most: as many are used as bring more answers a second."""
    request_timeout: float = Field(8.0, gt=0, le=300)
    """Seconds until a request must have been answered completely."""
    compress: bool = True
    """Ask for gzip: six times fewer bytes on a network. On loopback it only costs time."""
    key_hosts: tuple[str, ...] = ()
    """Hosts, besides the vendor's (https) and loopback, that the API key may be sent to."""
    listing_ttl: float = Field(72_000.0, ge=1, le=7 * 86_400)
    """Seconds that lists are taken from the cache or the store: 20 hours, so that a daily job finds them due."""

    @field_validator("key_hosts", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return [host.strip() for host in value.split(",") if host.strip()] if isinstance(value, str) else value


class QuotaSettings(Section):
    """How much of the account's calls may be spent."""

    budget_share: float = Field(0.10, gt=0, le=1)
    """Share of what is left of the day and of the month that a run may spend without --max_requests."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of each of the vendor's limits that is ours at most; what others use counts first against it."""
    reserve_month: int = Field(0, ge=0)
    """Calls of the vendor's month that are left to others."""
    max_per_second: int | None = Field(None, ge=1)
    """Calls that begin in a second at most, of all engines of the account. Default: as many as the vendor allows."""
    month_budget: int | None = Field(None, ge=1)
    """Calls that may be sent a calendar month (UTC) with this key, by all engines on the store. Default: no budget."""
    live_share: float = Field(0.8, ge=0, le=0.9)
    """Share of each limit that is kept, at most, for the newest bars of series that are followed; history waits."""
    ledger: str = AUTO
    """Where calls are counted: auto (in PostgreSQL if the store is there, else file), file (for all engines of the
    user on this machine), redis://host:port/0 (for those of several) or own (each engine for itself)."""

    @field_validator("ledger")
    @classmethod
    def _is_a_place(cls, value: str) -> str:
        if value not in {AUTO, OWN, FILE} and urlsplit(value).scheme not in REDIS:
            raise ValueError(f"write {AUTO}, {FILE}, {OWN} or redis://host:port/0")
        return value


class CachingSettings(Section):
    """How listings are cached; where, `cache` says."""

    serialiser: Literal["json", "msgpack", "pickle"] = "json"
    """How values are written. pickle on a shared cache needs a secret in TAPEWATCH_CACHE_SECRET, which signs them."""
    stale_for: float = Field(7 * 86_400.0, ge=0, le=90 * 86_400)
    """Seconds that a list which is over may be used for while the vendor does not answer; its age is told."""
    revalidate_for: float = Field(0.0, ge=0, le=7 * 86_400)
    """Seconds that a list which is over is used at once while one call beside the run refreshes it; 0 waits for it."""
    refused_for: float = Field(300.0, ge=0, le=86_400)
    """Seconds that a list which the vendor refuses (400, 404) is not asked for again; 0 asks every time."""
    warm_on_start: bool = False
    """Ask for what selections need as soon as a dashboard's engine starts; lists that are fresh cost no call."""
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


class MonitoringSettings(Section):
    """What an engine shows of itself, and to whom."""

    listen: str = "127.0.0.1:9464"
    """HOST:PORT of /metrics, /healthz and /readyz; beyond this machine only with a token."""
    token_file: str = ""
    """File of mode 0600 with the token that requests have to carry; or TAPEWATCH_MONITORING_TOKEN."""
    hosts: tuple[str, ...] = ()
    """Names, besides the address and those of loopback, that requests may call this machine by."""
    label_values: int = Field(100, ge=1, le=10_000)
    """Values that a label of the metrics may have; what comes then is "other"."""
    anomalies: bool = True
    """A dashboard's engine and `serve` compare new bars with what is usual at their hour of the week."""
    otlp_endpoint: str = ""
    """Where metrics are sent by OTLP over HTTP, as in http://127.0.0.1:4318/v1/metrics. Default: nowhere."""
    otlp_headers_file: str = ""
    """File of mode 0600 with the headers for it, NAME: VALUE a line; or TAPEWATCH_OTLP_HEADERS, NAME=VALUE,..."""
    otlp_temporality: Literal["cumulative", "delta"] = "cumulative"
    """Whether totals are sent since the engine's start, or since they were last taken, as New Relic wants them."""
    otlp_seconds: float = Field(60.0, ge=1, le=3_600)
    """Seconds between two of these."""

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parse_address(value)
        return value

    @field_validator("hosts", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return [host.strip() for host in value.split(",") if host.strip()] if isinstance(value, str) else value

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.username):
            raise ValueError("write http://127.0.0.1:4318/v1/metrics or https://host/v1/metrics")
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("beyond this machine only https is used")
        return value


class ChannelSettings(Section):
    """Where alerts are told, and which. What is secret may come from files of mode 0600, or from the environment as
    TAPEWATCH_CHANNEL_NAME_URL and TAPEWATCH_CHANNEL_NAME_SECRET."""

    url: SecretStr = SecretStr("")
    """log://, bell://, command://, https://host/path (a signed webhook) or alertmanager+https://host; from a file or
    the environment also any URL of Apprise."""
    url_file: str = ""
    """File of mode 0600 with the URL."""
    secret_file: str = ""
    """File of mode 0600 with the secret of a webhook, whsec_..."""
    program: tuple[str, ...] = ()
    """What command:// runs, without a shell; {subject} and {text} as arguments stand for the message."""
    rules: tuple[str, ...] = ("*",)
    """Globs of rules that are told here."""
    sources: tuple[str, ...] = ("*",)
    """Globs of sources that are told here."""
    level: Literal["INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    """The lowest level that is told here."""
    allow_private: bool = False
    """Let plain http be, and addresses of this machine and its networks."""
    timeout: float = Field(15.0, ge=1, le=60)
    """Seconds within which the channel has to take a message."""
    fallback: str = ""
    """The channel that gets what could not be delivered here for three days."""
    escalate_after: float = Field(0.0, ge=0, le=7 * 86_400)
    """Seconds after which an open alert that nobody has acknowledged or silenced is told on escalate_to, once."""
    escalate_to: str = ""
    """The channel that is told then. Default: nobody else is."""

    @field_validator("rules", "sources", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("rules", "sources")
    @classmethod
    def _are_globs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if not 0 < len(pattern) <= 200 or pattern.count("*") > 8:
                raise ValueError("a pattern has up to 200 characters, with 8 stars at most")
        return value


class AlertSettings(Section):
    """What operators are told of."""

    rules: str = ""
    """TOML file that changes the default rules by name, adds to them or switches some off. A relative path is relative
    to the file of these settings. Default: the defaults alone."""
    every: float = Field(15.0, ge=1, le=600)
    """Seconds between two evaluations of the rules."""
    channels: dict[str, ChannelSettings] = Field(default_factory=dict)
    """Where alerts are told, by names of your own. Default: nowhere but on the dashboard and in `alerts`."""
    heartbeat_url: SecretStr = SecretStr("")
    """https URL of a dead man's switch, which is told each minute that alerts are looked after; or
    TAPEWATCH_HEARTBEAT_URL."""
    heartbeat_url_file: str = ""
    """File of mode 0600 with that URL."""
    heartbeat_allow_private: bool = False
    """Let it be plain http, and an address of this machine or its networks."""

    @field_validator("channels")
    @classmethod
    def _are_named(cls, value: dict[str, ChannelSettings]) -> dict[str, ChannelSettings]:
        for name, channel in value.items():
            if not CHANNEL_NAME.fullmatch(name):
                raise ValueError(f"{clean(name)!r} is no name of a channel: up to 32 of a-z, 0-9 and _, a letter first")
            for key in ("fallback", "escalate_to"):
                other = getattr(channel, key)
                if other and (other == name or other not in value):
                    raise ValueError(f"{name}: {key} names another channel; there are {', '.join(value)}")
            if bool(channel.escalate_to) != bool(channel.escalate_after):
                raise ValueError(f"{name}: write both escalate_after, in seconds, and escalate_to")
        return value


class ServeSettings(Section):
    """The engine as a daemon."""

    schedules: str = ""
    """TOML file of what runs when. A relative path is relative to the file of these settings. Default: nothing does."""
    log_format: Literal["text", "json"] = "text"
    """How lines of its log are written."""
    log_file: str = ""
    """Where to; after SIGHUP the file is opened anew. Default: stderr."""


class DashboardSettings(Section):
    """How the dashboard is used."""

    keys: dict[str, str] = Field(default_factory=dict)
    """Other keys for actions, by their names in its command line, as in "job.cancel" = "X,ctrl+x"; "" for none."""


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
    theme: Literal["dark", "light", "ansi", "contrast", "blind"] = "dark"
    """Colours of the dashboard."""
    engine: EngineSettings = EngineSettings()
    source: SourceSettings = SourceSettings()
    quota: QuotaSettings = QuotaSettings()
    caching: CachingSettings = CachingSettings()
    history: HistorySettings = HistorySettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    alerts: AlertSettings = AlertSettings()
    serve: ServeSettings = ServeSettings()
    dashboard: DashboardSettings = DashboardSettings()
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
                hint = nearest(name, known)
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
