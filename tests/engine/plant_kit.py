"""A plant whose figures are set by hand: an engine that evaluates the default rules over a real store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine_kit import Kit

from core.alerting import Reading
from core.alerting.book import Alerts
from core.alerting.rule_files import default_rules
from core.alerting.rules import Rules
from core.datasets import SETTLE_SECONDS, SeriesKey
from core.engine.engine import Engine
from core.engine.evaluator import EVERY_SECONDS, Evaluator, Sources
from core.engine.samples import quota_sample
from core.events import AlertChanged, MonthUsage, QuotaSample, QuotaWindow
from core.monitoring.rates import Rates
from core.monitoring.readings import POLL_SECONDS, STORED, own_readings, stored_readings
from core.stores import RunRecord
from core.stores.vitals import Vitals
from core.telemetry import API, DATABASE, OK
from core.windows import GRAINS

HOST = "plant"
PLACE = ("spot_ohlcv", "1d")
CADENCE = 600.0
OPERATIONS = 200


class Plant:
    """`memory` is percent in use, `failing` the percent of operations that fail, `unusual` that of series.

    `quota` stands for the vendor's.
    """

    def __init__(self, kit: Kit, rules: Rules | None = None) -> None:
        self.kit = kit
        self.memory: float | None = 40.0
        self.failing = {API: 0.0, DATABASE: 0.0}
        self.quota: QuotaSample | None = None
        self.followed: dict[tuple[str, str], float] = {}
        self.unusual = 0.0
        self.asked = 0
        self.fault: Exception | None = None
        self._rates = Rates(kit.clock.monotonic)
        kit.tools.telemetry.add(self._rates)
        object.__setattr__(kit.tools, "alerts", Alerts(kit.bus, (), rules or default_rules()))
        self.evaluator = Evaluator(Sources(HOST, self._own, self._stored, STORED, lambda: list(self.followed)))
        self.engine = Engine("e", kit.tools, services=[self.evaluator])

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Plant"]:
        """With everything that an engine does beside."""
        async with self.engine:
            yield self

    async def pass_(self, seconds: float) -> None:
        """So long at work, of an engine that does nothing but evaluate."""
        for _ in range(round(seconds / EVERY_SECONDS)):
            for operation, percent in self.failing.items():
                self.work(operation, round(OPERATIONS * percent / 100))
            await self.kit.clock.sleep(EVERY_SECONDS)
            await self.evaluator.evaluate(self.engine)

    def work(self, operation: str, failures: int = 0) -> None:
        """Two hundred operations, some of which fail."""
        for number in range(OPERATIONS):
            self.kit.tools.telemetry.done(operation, "some", "5xx" if number < failures else OK, 0.1)

    @property
    def open(self) -> dict[str, str]:
        """The level of each rule that fires."""
        return {alert.rule: alert.level for alert in self.kit.tools.alerts.open_alerts()}

    @property
    def fired(self) -> set[str]:
        """The rules that have ever fired."""
        return {alert.rule for alert in self.kit.said(AlertChanged) if alert.is_open}

    async def late_by(self, seconds: float) -> None:
        """The newest bar of a market is overdue by so much."""
        self.followed = {PLACE: CADENCE}
        [state] = await self.kit.store.series("coindesk", [SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1d")])
        grain = GRAINS["1d"]
        due = self.kit.clock.wall() - seconds
        last_bar = int(due - 2 * grain.seconds - SETTLE_SECONDS[grain] - CADENCE - POLL_SECONDS)
        await self.execute("UPDATE series SET last_bar = ? WHERE id = ?", last_bar, state.id)

    async def ran(self, rows: int, quarantined: int, state: str = "complete") -> None:
        """A run of today, replaced by the next one."""
        now = self.kit.clock.wall()
        summary = {"rows_fetched": rows, "rows_quarantined": quarantined}
        await self.kit.store.journal([RunRecord("r", "e", *PLACE, "", state, now, now, now, summary)], [], [])

    async def restated(self, rows: int) -> None:
        """So many closed bars changed just now."""
        [state] = await self.kit.store.series("coindesk", [SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1d")])
        await self.execute("DELETE FROM restatement")
        for ts in range(rows):
            await self.execute(
                "INSERT INTO restatement (series_id, ts, old, new, seen_at, run_id) VALUES (?, ?, '{}', '{}', ?, 'r')",
                *(state.id, ts, int(self.kit.clock.wall())),
            )

    async def undelivered(self, count: int) -> None:
        """So many notifications of a channel were given up just now."""
        now = self.kit.clock.wall()
        await self.execute("DELETE FROM outbox")
        for number in range(count):
            await self.execute(
                "INSERT INTO outbox (channel, grouping, incident, sequence, kind, body, created, not_before, state, "
                "ended) VALUES ('webhook', 'g', 'i', ?, 'fired', '{}', ?, ?, 'dead', ?)",
                *(number, now, now, now),
            )

    def spend(self, percent: float) -> None:
        """So much of the vendor's month will be used by its end."""
        month = QuotaWindow("month", 1_000, 900, self.kit.clock.wall() + 86_400)
        self.quota = QuotaSample(windows=(month,), account="me", month=MonthUsage(100, round(10 * percent)))

    async def execute(self, sql: str, *values: Any) -> None:
        await self.kit.store._db.run(lambda db: db.execute(sql, values))

    def _own(self, now: float) -> list[Reading]:
        unusual = Reading("anomaly", "spot_ohlcv/kraken", self.unusual, now)
        return [*own_readings(self._rates, HOST, self.memory, now), unusual]

    def _stored(self, vitals: Vitals, now: float) -> list[Reading]:
        self.asked += 1
        quota = self.quota or quota_sample(self.kit.tools)
        return stored_readings(vitals, self.followed, quota, now, self.kit.source.now())
