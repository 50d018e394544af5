"""The process of `serve`: signals, reloads, and what its supervisor and its log are told."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socket import gethostname

from pydantic import SecretStr, ValidationError

from core.app import App, Daemon, open_app
from core.cli.context import words
from core.config import Loaded
from core.engine.scheduler import Scheduler
from core.errors import ConfigError, gathered
from core.events import LogLine
from core.monitoring.logs import Log
from core.renewal import Renewed
from core.schedule import Schedule, next_runs
from core.schedule_files import read_schedules
from core.settings import MonitoringSettings, Section
from core.systemd import Systemd
from core.text import clean, counted
from core.windows import iso

SHOWN_RUNS = 5


def with_flags(loaded: Loaded, serve: Mapping[str, str], listen: str) -> Loaded:
    """The same settings with what the command line says instead. Raises ConfigError for what is no address."""
    given = {name: value for name, value in serve.items() if value}
    changed: dict[str, Section] = {"serve": loaded.settings.serve.model_copy(update=given)}
    if listen:
        monitoring = {**loaded.settings.monitoring.model_dump(), "listen": listen}
        try:
            changed["monitoring"] = MonitoringSettings.model_validate(monitoring)
        except ValidationError as error:
            raise ConfigError(f"--listen {clean(listen)!r}: {error.errors()[0]['msg']}") from None
    return loaded.model_copy(update={"settings": loaded.settings.model_copy(update=changed)})


def schedules_path(loaded: Loaded, given: str = "") -> Path | None:
    """The file of schedules, if there is to be one: `given`, else as set; relative to the file of the settings."""
    if given:
        return Path(given).expanduser()
    name = loaded.settings.serve.schedules
    folder = loaded.path.parent if loaded.path else Path()
    return folder / Path(name).expanduser() if name else None


class Signals:
    """SIGTERM and SIGINT end the daemon, SIGHUP has it reload; `number` is that of the first that ends it."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.number = 0
        self.wants_reload = False

    @contextmanager
    def watching(self) -> Iterator["Signals"]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._hear, number)
        try:
            yield self
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _hear(self, number: int) -> None:
        if number == signal.SIGHUP:
            self.wants_reload = True
        else:
            self.number = self.number or number
        self.heard.set()


def schedules_of(loaded: Loaded) -> tuple[Schedule, ...]:
    """Raises ConfigError for a file with faults."""
    path = schedules_path(loaded)
    return read_schedules(path) if path else ()


async def run_daemon(loaded: Loaded, load: Callable[[], Loaded]) -> int:
    """Until a signal ends it, or another command; 0 for SIGTERM. Raises ConfigError for schedules with faults.

    `load` reads the settings again.
    """
    systemd, scheduler = Systemd(), Scheduler(schedules_of(loaded), gethostname())
    log = _open_log(loaded)
    try:
        with Signals().watching() as signals:
            async with open_app(loaded, "serve", Daemon(scheduler, (systemd,))) as app:
                app.bus.listen(log.hear)
                serving = _Serving(app, scheduler, load, log, systemd)
                serving.begin()
                await _until_ended(app, signals, serving)
                systemd.stopping()
                serving.say("stopping: what runs is cancelled, everything committed is kept")
    finally:
        log.close()
    return 128 + signals.number if signals.number not in {0, signal.SIGTERM} else 0


async def _until_ended(app: App, signals: Signals, serving: "_Serving") -> None:
    stopped = asyncio.create_task(app.engine.stopped.wait())
    try:
        while not (signals.number or stopped.done()):
            heard = asyncio.create_task(signals.heard.wait())
            await asyncio.wait({heard, stopped}, return_when=asyncio.FIRST_COMPLETED)
            heard.cancel()
            signals.heard.clear()
            if signals.wants_reload and not signals.number:
                signals.wants_reload = False
                await serving.reload()
    finally:
        stopped.cancel()


class _Serving:
    """What is said of a daemon, and its reload."""

    def __init__(self, app: App, scheduler: Scheduler, load: Callable[[], Loaded], log: Log, systemd: Systemd) -> None:
        self._app = app
        self._scheduler = scheduler
        self._load = load
        self._log = log
        self._systemd = systemd

    def begin(self) -> None:
        engine = self._app.engine
        words(f"engine {engine.name} ready {iso(engine.tools.clock.wall())} on {self._app.socket}")
        self._ready()

    async def reload(self) -> None:
        """Read everything first; what has faults anywhere changes nothing."""
        self._systemd.reloading()
        try:
            loaded = self._load()
            schedules, renewed, _ = gathered(
                partial(schedules_of, loaded), partial(self._app.renewal.read, loaded), self._log.reopen
            )
        except ConfigError as error:
            for line in str(error).splitlines():
                self.say(f"not reloaded, everything stays as it was: {line}", "error")
            self._systemd.ready("not reloaded: the new settings have faults")
            return
        self._scheduler.replace(schedules)
        await self._app.renewal.take_over(renewed)
        if others := self._app.renewal.takes_restart(loaded):
            self.say(f"changed as well, but only a restart takes it over: {', '.join(others)}", "warning")
        self.say(f"reloaded: {_counted(schedules, renewed)}")
        self._ready()

    def say(self, text: str, level: str = "info") -> None:
        self._app.bus.publish(LogLine(level=level, text=clean(text, 1_000), source="serve"))

    def _ready(self) -> None:
        coming = next_lines(self._scheduler.schedules, time.time())
        for line in coming:
            self.say(line)
        self._systemd.ready(coming[0])


def _counted(schedules: Sequence[Schedule], new: Renewed) -> str:
    numbers = ((len(schedules), "schedule"), (len(new.rules.rules), "rule"), (len(new.outlets.channels), "channel"))
    return ", ".join(counted(number, what) for number, what in numbers)


def next_lines(schedules: Sequence[Schedule], now: float) -> list[str]:
    """When what runs next, in words, the first first."""
    coming = next_runs(schedules, now)
    if not coming:
        return ["no schedules: jobs of other commands are taken"]
    lines = [f"next run of {name} at {iso(at)}" for at, name in coming[:SHOWN_RUNS]]
    return [f"{counted(len(coming), 'schedule')}; {lines[0]}", *lines[1:]]


def _open_log(loaded: Loaded) -> Log:
    given = loaded.settings.serve
    hidden = (loaded.api_key, loaded.secret, loaded.monitoring_token, loaded.otlp_headers)
    secrets = [each.get_secret_value() for each in hidden if isinstance(each, SecretStr)]
    return Log(given.log_format, Path(given.log_file).expanduser() if given.log_file else None, secrets)
