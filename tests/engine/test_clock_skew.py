"""Two clocks that disagree: the vendor's decides what is closed, and the difference is said."""

import pytest
from engine_kit import NOW, Kit, ask

from core.alerting.book import Alerts
from core.bus import Bus
from core.engine.alerts import judge_clock
from core.engine.engine import Engine
from core.events import AlertChanged
from core.windows import iso
from tests.fakes import bar


@pytest.mark.parametrize(
    ("skew", "said"),
    [
        (42.4, "this machine's clock is 42 s behind the vendor's"),
        (-90.0, "this machine's clock is 90 s ahead of the vendor's"),
        (29.0, None),
        (-90_000.0, None),
    ],
)
def test_a_skewed_clock_is_said_and_a_stopped_one_is_a_sandboxs(skew: float, said: str | None) -> None:
    bus = Bus(lambda: NOW)
    heard: list[AlertChanged] = []
    bus.listen(lambda event: heard.append(event) if isinstance(event, AlertChanged) else None)
    alerts = Alerts(bus)
    judge_clock(alerts, "coindesk", skew, NOW)
    assert [alert.message for alert in heard] == ([said] if said else [])
    judge_clock(alerts, "coindesk", 0.0, NOW + 1)
    assert [alert.state for alert in heard] == (["firing", "resolved"] if said else [])


@pytest.mark.parametrize("skew", [-90, 0, 90])
async def test_bars_close_by_the_vendors_clock(kit: Kit, skew: int) -> None:
    """Ours is ahead or behind by a minute and a half; whatever is stored as closed is closed, and nothing is late."""
    kit.source.now = lambda: kit.clock.wall() + skew  # type: ignore[method-assign]
    for minute in range(12):
        vendor_now = int(kit.source.now())
        # A running bar tells what has happened so far; a closed one never changes again.
        kit.source.versions = {vendor_now // 60 * 60: 1 + minute % 2}
        await kit.run(ask(start=iso(NOW - 3_600), end="2030-01-01"))
        now = int(kit.source.now())
        closed = await kit.query("SELECT ts, volume FROM spot_ohlcv WHERE closed ORDER BY ts")
        final = [(ts, bar(kit.source.log[-1].key, ts)["volume"]) for ts, _ in closed]  # type: ignore[arg-type]
        assert closed == final
        assert closed[-1][0] + 60 <= now - 65
        assert closed[-1][0] + 120 > now - 65 - 2
        await kit.clock.sleep(45)
    assert await kit.query("SELECT count(*) FROM restatement") == [(0,)]


async def test_an_engine_whose_clock_is_off_says_so(kit: Kit) -> None:
    kit.source.now = lambda: kit.clock.wall() - 75  # type: ignore[method-assign]
    async with Engine("e", kit.tools) as engine:
        await engine.wait(engine.submit(ask()))
    [alert] = [event for event in kit.said(AlertChanged) if event.rule == "clock_skew"]
    assert (alert.level, alert.source, alert.message) == (
        "WARNING",
        "coindesk",
        "this machine's clock is 75 s ahead of the vendor's",
    )
