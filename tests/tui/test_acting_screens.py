"""What ordering work looks like, by size: forms, plans, and what is wrong."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from acting_fakes import quote
from dashboard_fakes import Bench, bench
from test_screens import SIZES, Compare, settle, work_a_while
from textual.pilot import Pilot

from core.errors import TapewatchError

pytestmark = pytest.mark.slow

TYPED = ("n", "tab", "tab", *"kraken", "tab", *"BTC-USD", "tab", "tab", *"2025-01-01")
ORDERS: dict[str, tuple[str, ...]] = {
    "form": TYPED,
    "faults": ("n", "tab", "tab", "tab", "tab", *"1o", "tab", *"2025-13"),
    "plan": (*TYPED, "enter"),
    "refused": ("n", "enter"),
    "asking": ("n", "enter"),
    "error": ("n", "enter"),
    "batch": ("b", *"nowhere.json", "enter"),
}
REPLIES: dict[str, object] = {
    "refused": quote(5_000),
    "error": TapewatchError("--market: kraken has no instrument 'NO-SUCH'\n--start: it is not before --end 2020-01-01"),
}


def ordering(made: Bench, name: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    async def run(pilot: Pilot[int]) -> None:
        made.engine.replies["quote"] = REPLIES.get(name, quote())
        await settle(made, pilot)
        work_a_while(made.engine)
        await settle(made, pilot)
        made.engine.held = asyncio.Event() if name == "asking" else None
        await pilot.press(*ORDERS[name])
        await settle(made, pilot)
        made.time.advance(7)
        await settle(made, pilot)

    return run


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", ["form", "plan", "error"])
def test_orders(snap_compare: Compare, name: str, size: tuple[int, int]) -> None:
    made = bench()
    assert snap_compare(made.app, terminal_size=size, run_before=ordering(made, name))


@pytest.mark.parametrize("name", ["faults", "refused", "asking", "batch"])
def test_orders_at_80(snap_compare: Compare, name: str) -> None:
    made = bench()
    assert snap_compare(made.app, terminal_size=(80, 24), run_before=ordering(made, name))


def test_a_plan_in_ascii(snap_compare: Compare) -> None:
    made = bench(ascii=True)
    assert snap_compare(made.app, terminal_size=(120, 40), run_before=ordering(made, "plan"))
