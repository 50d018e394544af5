"""`dash --snapshot`: the dashboard's first screen as text, from the engine, from the store where none runs."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace

from core.cli import terminal
from core.cli.archive import archive_of
from core.cli.engines import holder, open_connection
from core.cli.fleet import fleet_of, journal_jobs
from core.config import Loaded
from core.errors import EngineUnreachable
from core.events import Message, Snapshot
from core.stores.lock import Holder
from core.stores.opening import reading
from tui import text
from tui.desk import Clock, DashboardOptions, Desk
from tui.state import Link
from tui.terminal import speaks_unicode
from tui.ticket import overview_text

WIDTH = 120
ANSWER_SECONDS = 5.0


def ticket(loaded: Loaded, *, ascii_only: bool) -> Iterator[str]:
    """The overview, a line each. Raises StoreError when neither an engine nor the store can be asked."""
    desk = Desk(DashboardOptions(ascii=ascii_only or not _takes_unicode()), Clock())
    engine = holder(loaded)
    try:
        heard = asyncio.run(_ask(engine)) if engine is not None and engine.is_here else ()
    except (EngineUnreachable, TimeoutError):
        heard = ()
    if heard:
        _show_engine(desk, heard, loaded)
    else:
        _show_journal(desk, loaded)
    whence = desk.state.link.reason or "as the engine says"
    yield f"Tapewatch overview at {text.moment(desk.clock.wall())} UTC; {whence}"
    yield from overview_text(desk, terminal.width() or WIDTH, archive_of(loaded))


def _takes_unicode() -> bool:
    return speaks_unicode() and (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


async def _ask(engine: Holder) -> tuple[Message, ...]:
    """What it says of itself, and how everything stands."""
    async with asyncio.timeout(ANSWER_SECONDS):
        connection = await open_connection(engine)
        try:
            async for message in connection.messages():
                if isinstance(message, Snapshot):
                    return connection.hello, message
        finally:
            await connection.close()
    return ()


def _show_engine(desk: Desk, heard: tuple[Message, ...], loaded: Loaded) -> None:
    desk.link_changed(Link("online", desk.clock.monotonic()))
    for message in heard:
        desk.receive(message)
    desk.fold()
    read_fleet = fleet_of(loaded)
    if read_fleet is not None:
        desk.fleet_changed(read_fleet(), "")


def _show_journal(desk: Desk, loaded: Loaded) -> None:
    """Runs, alerts and the vendor's clock. Raises StoreError."""
    desk.fleet_changed(journal_jobs(loaded.database), "")
    with reading(loaded.database) as reader:
        alerts = {alert.alert: alert for alert in reader.alerts()}
        ahead = reader.vendor_time(0.0)
    now = desk.clock.monotonic()
    no_engine = Link("lost", now, "no engine is running, as the store has it")
    desk.state = replace(desk.state, alerts=alerts, link=no_engine, heard=now, stored_ahead=ahead)
