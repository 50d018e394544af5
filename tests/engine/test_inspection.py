"""After a job the checks look at the newest bars of what it wrote; what they find is said once and kept."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine_kit import Kit, ask

from core.datasets import SeriesKey
from core.events import LogLine
from core.findings import NEWEST_BARS, Bars, Finding, Learned
from core.monitoring.checks import installed_checks
from core.windows import parse_time

TEN = parse_time("2025-06-15T10:00")


def lines(kit: Kit, about: str) -> list[tuple[str, str]]:
    return [(line.level, line.text) for line in kit.said(LogLine) if about in line.text]


async def test_each_series_is_looked_at_and_what_is_new_is_said(kit: Kit) -> None:
    seen: list[tuple[str, int, int]] = []

    def check(bars: Bars) -> list[Finding]:
        seen.append((bars.key.instrument, bars.ts[0], len(bars.ts)))
        return [Finding("odd", bars.span(0, 1), "warning", "odd")]

    kit.make_tools(checks={"odd": check})
    job = await kit.run(ask(instrument="BTC-USD,ETH-USD"))
    assert job.state == "complete"
    assert sorted(seen) == [("BTC-USD", TEN, 60), ("ETH-USD", TEN, 60)]
    assert lines(kit, "checks") == [("warning", "checks: 2 new findings; see them with: tapewatch verify --offline")]
    await kit.run(ask(instrument="BTC-USD,ETH-USD", full_refresh=True))
    assert len(lines(kit, "checks")) == 1
    found = await kit.query('SELECT check_name, start, "end", sightings FROM finding ORDER BY series_id')
    assert found == [("odd", TEN, TEN + 120, 2)] * 2


async def test_only_the_newest_bars_are_looked_at_and_only_of_what_came(kit: Kit) -> None:
    seen: list[int] = []

    def check(bars: Bars) -> list[Finding]:
        seen.append(len(bars.ts))
        return []

    kit.make_tools(checks={"count": check})
    await kit.run(ask(start="2025-06-14"))
    assert seen == [NEWEST_BARS]
    await kit.run(ask(start="2025-06-14"))
    assert len(seen) == 1


async def test_a_defective_check_is_named_once_and_fails_no_job(kit: Kit) -> None:
    def broken(_bars: Bars) -> list[Finding]:
        raise ZeroDivisionError("by \x1b[31mzero")

    kit.make_tools(checks={"broken": broken})
    job = await kit.run(ask(instrument="BTC-USD,ETH-USD"))
    assert job.state == "complete"
    assert lines(kit, "broken") == [("error", "the check broken is defective: ZeroDivisionError: by  [31mzero")]


async def test_a_vendor_that_contradicts_itself_is_flagged(kit: Kit) -> None:
    """The fake vendor's bars open at the close before; one of them is changed on its way."""
    kit.make_tools(checks=installed_checks())
    await kit.run(ask())
    assert await kit.query("SELECT count(*) FROM finding") == [(0,)]
    kit.source.versions = {TEN + 600: 5}
    await kit.store._db.run(lambda db: db.execute("UPDATE spot_ohlcv SET open = open + 1 WHERE ts = ?", (TEN + 1_200,)))
    await kit.run(ask(start="2025-06-15T11:00", end="2025-06-15T11:30"))
    assert await kit.query("SELECT check_name, start FROM finding") == [("discontinuity", TEN + 1_200)]


async def test_what_is_unusual_in_series_is_flagged_and_said(kit: Kit) -> None:
    asked: list[int] = []

    class Everything:
        """Finds each newest bar unusual, and the market as a whole."""

        def place(self, key: SeriesKey) -> None:
            """All are known."""

        def restore(self, place: tuple[str, str], learned: Sequence[Learned]) -> None:
            raise AssertionError

        def catch_up(self, bars: Bars) -> Iterator[None]:
            yield

        def fresh(self, bars: Bars) -> list[Bars]:
            return [bars]

        def judge(self, fresh: Sequence[Bars], now: float) -> list[tuple[SeriesKey, Finding]]:
            asked.append(len(fresh))
            assert TEN < now <= kit.source.now()
            found = [(bars.key, Finding("anomaly_spike", bars.span(-1, -1), "info", "odd")) for bars in fresh]
            return [*found, (SeriesKey("spot_ohlcv", "kraken"), found[0][1])]

    kit.tools = replace(kit.make_tools(), watch=Everything())
    job = await kit.run(ask(instrument="BTC-USD,ETH-USD"))
    assert job.state == "complete"
    assert asked == [2]
    assert len(lines(kit, "checks: 2 new findings")) == 1
    last = TEN + 59 * 60
    found = await kit.query('SELECT check_name, start, "end", level FROM finding ORDER BY series_id')
    assert found == [("anomaly_spike", last, last + 60, "info")] * 2
