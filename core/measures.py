"""What measures an engine: figures and their history always, metrics, exports and HTTP when somebody wants them."""

from functools import cached_property
from typing import TYPE_CHECKING

from core.config import Loaded
from core.engine.engine import Service
from core.engine.figures import EngineFigures
from core.engine.history import History
from core.engine.tools import Tools
from core.events import LogLine
from core.history import Recorder
from core.monitoring.hooks import installed_hooks

if TYPE_CHECKING:
    from core.monitoring.metrics import Metrics
    from core.server import HttpServer


class Measures:
    """Of the engine that `services` are given to. Libraries for metrics are loaded when they are needed."""

    def __init__(self, loaded: Loaded, tools: Tools, *, is_daemon: bool = False) -> None:
        """A daemon serves HTTP. Raises ConfigError where it may not listen, and for an extra that is missing."""
        self._loaded = loaded
        self._tools = tools
        self.figures = EngineFigures()
        recorder = Recorder()
        tools.telemetry.add(recorder.hear)
        for hook in installed_hooks(self._warn):
            tools.telemetry.add(hook)
        self.services: list[Service] = [self.figures, History(recorder, self.figures)]
        if loaded.settings.monitoring.otlp_endpoint:
            self.services.append(self._otlp())
        if is_daemon:
            self.services.append(self.http())

    @cached_property
    def metrics(self) -> "Metrics":
        """Those of everything that happens from the first time on that somebody asks for them."""
        from core.monitoring.metrics import Metrics  # noqa: PLC0415 - most runs need none

        metrics = Metrics(self.figures, self._loaded.settings.monitoring.label_values)
        self._tools.telemetry.add(metrics.hear)
        return metrics

    def http(self) -> "HttpServer":
        """Where `monitoring.listen` says. Raises ConfigError where that is beyond this machine without a token."""
        from core.server import HttpServer, http_address  # noqa: PLC0415 - most runs need none

        settings, token = self._loaded.settings.monitoring, self._loaded.monitoring_token
        secret = token.get_secret_value() if token else ""
        return HttpServer(http_address(settings.listen, secret, settings.hosts), self.metrics)

    def _otlp(self) -> Service:
        from core.monitoring.otlp import OtlpExport, parse_headers  # noqa: PLC0415 - an extra

        settings, headers = self._loaded.settings.monitoring, self._loaded.otlp_headers
        given = parse_headers(headers.get_secret_value() if headers else "")
        return OtlpExport(
            settings.otlp_endpoint,
            given,
            settings.otlp_seconds,
            self.metrics.collect,
            self._warn,
            sends_deltas=settings.otlp_temporality == "delta",
        )

    def _warn(self, text: str) -> None:
        self._tools.bus.publish(LogLine(level="warning", text=text, source="monitoring"))
