"""What the dashboard's commands do: show it over an engine, and be that engine."""

import asyncio
import sys

from core.app import App, open_app
from core.cli.archive import archive_of
from core.cli.context import data, words
from core.cli.engines import EngineChild, holder
from core.cli.execute import Interrupts
from core.cli.fleet import fleet_of
from core.config import Loaded, state_place
from core.engine.warm import warm_on_start
from core.errors import ConfigError
from core.stores import sqlite_path
from core.stores.lock import login_name
from core.stores.opening import is_there
from core.windows import iso
from tui import themes
from tui.actions import Action
from tui.app import DashboardOptions, run_dashboard
from tui.keymap import remapped
from tui.memory import Notebook

WELCOME = """There is no store at {path} yet.

  tapewatch demo                          watch real ingestion from a sandbox: no key, no network
  tapewatch spot_ohlcv --pair_limit 50    fetch daily candles of the top pairs (TAPEWATCH_API_KEY)
  tapewatch --help                        everything else
"""


def is_first_visit(loaded: Loaded) -> bool:
    """There is no store yet, and no engine about to make one."""
    return not is_there(loaded.database) and holder(loaded) is None


def wants_demo(loaded: Loaded) -> bool:
    """Explain where to begin; on a terminal, ask whether to run the demo now."""
    data(WELCOME.format(path=sqlite_path(loaded.database)))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return input("Run the demo now? [y/N] ").strip().lower() in {"y", "yes"}


def warmed(loaded: Loaded, warm: bool) -> Loaded:
    """The same settings, with `[caching] warm_on_start` if `warm`."""
    if not warm:
        return loaded
    caching = loaded.settings.caching.model_copy(update={"warm_on_start": True})
    return loaded.model_copy(update={"settings": loaded.settings.model_copy(update={"caching": caching})})


def actions_of(loaded: Loaded) -> tuple[Action, ...]:
    """The dashboard's actions with the keys of `[dashboard.keys]`. Raises ConfigError with the file's name."""
    try:
        return remapped(loaded.settings.dashboard.keys)
    except ConfigError as error:
        raise ConfigError(f"{loaded.path}: {error}") from None


def show_dashboard(
    loaded: Loaded, *, read_only: bool, theme: str | None, ascii_only: bool, mouse: bool, lean: bool
) -> int:
    """Attach to the store's engine, starting one when there is none; the exit code."""
    child = EngineChild(loaded)
    notebook = Notebook(state_place(loaded.settings) / "dashboard.json")
    remembered = notebook.memory.theme if notebook.memory.theme in themes.NAMES else None
    options = DashboardOptions(
        read_only=read_only,
        theme=theme or remembered or loaded.settings.theme,
        ascii=ascii_only,
        mouse=mouse and not lean,
        lean=lean,
        owns_engine=holder(loaded) is None,
        user=login_name(),
        actions=actions_of(loaded),
    )
    return int(run_dashboard(child.connect, options, fleet_of(loaded), archive_of(loaded), notebook))


async def serve_engine(loaded: Loaded, linger: float | None) -> int:
    """Take jobs until told to stop, or idle (no job, no client) for `linger` seconds."""
    if linger is not None:
        settings = loaded.settings
        engine = settings.engine.model_copy(update={"linger_seconds": linger})
        loaded = loaded.model_copy(update={"settings": settings.model_copy(update={"engine": engine})})
    with Interrupts().watching() as interrupts:
        async with open_app(loaded, "dashboard") as app:
            words(f"engine {app.engine.name} ready {iso(app.engine.tools.clock.wall())} on {app.socket}")
            idling = asyncio.create_task(_stop_when_idle(app, loaded.settings.engine.linger_seconds))
            waits = [asyncio.create_task(event.wait()) for event in (app.engine.stopped, interrupts.event)]
            warming = [asyncio.create_task(warm_on_start(app.engine))] if loaded.settings.caching.warm_on_start else []
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in [idling, *waits, *warming]:
                task.cancel()
    return interrupts.exit_code if interrupts.number else 0


async def _stop_when_idle(app: App, linger: float) -> None:
    """Nothing may come between the last look and the end: who asks for a job then is told to come again."""
    clock = app.engine.tools.clock
    idle_since = clock.monotonic()
    while clock.monotonic() - idle_since < linger:
        await clock.sleep(min(1.0, linger / 4 + 0.05))
        if app.engine.active or app.server.clients:
            idle_since = clock.monotonic()
    app.engine.stopped.set()
