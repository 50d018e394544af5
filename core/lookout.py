"""What an engine looks out for: the readings that its alert rules are evaluated over, anomalies among them."""

from collections.abc import Callable
from socket import gethostname

from core.alerting import Reading
from core.bus import Bus
from core.clock import Clock
from core.config import Loaded
from core.engine.evaluator import Evaluator, Sources
from core.engine.samples import quota_sample
from core.engine.tools import Tools
from core.events import LogLine
from core.monitoring.anomalies import installed_detectors
from core.monitoring.anomalies.figures import Figures
from core.monitoring.anomalies.watch import Watch
from core.monitoring.rates import Rates
from core.monitoring.readings import STORED, Followed, memory_percent, own_readings, stored_readings
from core.stores.vitals import Vitals
from core.text import clean


def anomaly_watch(bus: Bus) -> Watch:
    """All installed detectors of anomalies; one that is defective is named once."""

    def complain(name: str, defect: Exception) -> None:
        text = clean(f"the detector {name} is defective and left out: {type(defect).__name__}: {defect}", 400)
        bus.publish(LogLine(level="warning", text=text, source="anomalies"))

    return Watch({name: make() for name, make in installed_detectors().items()}, complain)


def _unusual(tools: Tools, watch: Watch) -> Callable[[float], list[Reading]]:
    """Readings of what is unusual, of the engine's own figures too."""
    figures = Figures(tools.source.now)
    tools.telemetry.add(figures)

    def readings(now: float) -> list[Reading]:
        vendor_now = tools.source.now()
        watch.note(figures.take(), vendor_now)
        return watch.readings(now, vendor_now)

    return readings


def open_evaluator(loaded: Loaded, tools: Tools, followed: Callable[[], Followed], watch: Watch | None) -> Evaluator:
    """What evaluates the rules; `followed` are the data types and intervals that are polled, and how often."""
    rates, host = Rates(tools.clock.monotonic), gethostname()
    tools.telemetry.add(rates)

    unusual = _unusual(tools, watch) if watch else lambda _: []

    def stored(vitals: Vitals, now: float) -> list[Reading]:
        return stored_readings(vitals, followed(), quota_sample(tools), now, tools.source.now())

    def own(now: float) -> list[Reading]:
        return [*own_readings(rates, host, memory_percent(), now), *unusual(now)]

    return Evaluator(Sources(host, own, stored, STORED, lambda: list(followed())), loaded.settings.alerts.every)


def evaluated_ago(evaluator: Evaluator, clock: Clock) -> float | None:
    """Seconds since the rules were evaluated last, None before the first time."""
    return None if evaluator.evaluated is None else clock.monotonic() - evaluator.evaluated
