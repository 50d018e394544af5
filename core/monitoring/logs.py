"""The log of a long-running engine: a line an event, as text or JSON, for files and journals that others read.

What others wrote cannot break a line, secrets are not in it, and what is said again and again is said once a minute
with how often.
"""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import msgspec

from core.errors import ConfigError
from core.events import AlertChanged, AnyEvent, JobChanged, LogLine, WindowFailed
from core.text import clean, without_passwords
from core.windows import iso

REPEAT_SECONDS, MOST_REPEATS = 60.0, 1_000
LONGEST_TEXT = 2_000
SHORTEST_SECRET = 6
_LEVELS = {"INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "critical"}


@dataclass(frozen=True, slots=True)
class Line:
    """One event in words. `about` says which job, run, series, rule it is about."""

    time: float
    level: str
    text: str
    about: dict[str, Any] = field(default_factory=dict)


def line_of(event: AnyEvent, said: dict[str, str]) -> Line | None:
    """What is logged of an event, None for most. `said` is the last state of each job, which is kept here."""
    if isinstance(event, LogLine):
        return Line(event.time, event.level, event.text, _known(source=event.source, job=event.job))
    if isinstance(event, AlertChanged):
        about = _known(rule=event.rule, source=event.source, alert=event.alert, incident=event.incident)
        level = _LEVELS.get(event.level, "warning") if event.is_open else "info"
        return Line(event.time, level, f"alert {event.state}: {event.message}", about)
    if isinstance(event, WindowFailed):
        about = _known(job=event.job, series=event.series)
        return Line(event.time, "error", f"gave up the window at {iso(event.start)}: {event.error}", about)
    return _of_job(event, said) if isinstance(event, JobChanged) else None


def _of_job(job: JobChanged, said: dict[str, str]) -> Line | None:
    """A line a change of state."""
    if said.get(job.job) == job.state:
        return None
    said[job.job] = job.state
    if job.is_final:
        del said[job.job]
    about = _known(job=job.job, run=job.run_id, data_type=job.data_type, interval=job.interval, label=job.label)
    words = f"{job.title}: {job.state}" + (f", {job.error}" if job.error and job.is_final else "")
    return Line(job.time, "error" if job.state == "failed" else "info", words, about)


def _known(**about: str) -> dict[str, Any]:
    return {name: value for name, value in about.items() if value}


class Repeats:
    """Lets a text through once in `REPEAT_SECONDS`, with how often it was held back since."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def passes(self, line: Line, now: float) -> int | None:
        """How often the same was held back since it was said; None holds this one back too. `now` is monotonic."""
        key = (line.level, line.text)
        at, held = self._said.get(key, (float("-inf"), 0))
        if now - at < REPEAT_SECONDS:
            self._said[key] = at, held + 1
            return None
        self._said.pop(key, None)
        self._said[key] = now, 0
        if len(self._said) > MOST_REPEATS:
            del self._said[next(iter(self._said))]
        return held


def as_text(line: Line) -> str:
    about = " ".join(f"{name}={_word(value)}" for name, value in line.about.items())
    stamp = iso(line.time)
    return f"{stamp} {line.level.upper():8} {clean(line.text, LONGEST_TEXT)}" + (f" [{about}]" if about else "")


def _word(value: Any) -> str:
    text = clean(str(value), 300)
    return f'"{text}"' if " " in text else text


def as_json(line: Line) -> str:
    about = {name: clean(str(value), 300) for name, value in line.about.items()}
    said = {"time": iso(line.time), "level": line.level, "message": clean(line.text, LONGEST_TEXT), **about}
    return msgspec.json.encode(said).decode()


FORMS: dict[str, Callable[[Line], str]] = {"text": as_text, "json": as_json}


class Log:
    """Writes events to a file, or to stderr. Raises ConfigError when the file cannot be opened.

    A log that cannot be written is nobody's reason to stop: it is tried again with the next line.
    """

    def __init__(
        self, form: str, path: Path | None, secrets: Sequence[str], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._form = FORMS[form]
        self._path = path
        self._secrets = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
        self._monotonic = monotonic
        self._repeats = Repeats()
        self._states: dict[str, str] = {}
        self._file = self._opened()

    def hear(self, event: AnyEvent) -> None:
        """Takes every event."""
        line = line_of(event, self._states)
        if line is None or (held := self._repeats.passes(line, self._monotonic())) is None:
            return
        self._write(Line(line.time, line.level, line.text, {**line.about, **({"repeated": held} if held else {})}))

    def reopen(self) -> None:
        """Whoever rotates logs has moved the file. Raises ConfigError, and goes on with the old one, when it cannot."""
        if self._path is not None:
            fresh = self._opened()
            self.close()
            self._file = fresh

    def close(self) -> None:
        if self._path is not None:
            with suppress(OSError):
                self._file.close()

    def _opened(self) -> TextIO:
        if self._path is None:
            return sys.stderr
        try:
            return self._path.open("a", encoding="utf-8", errors="replace")
        except OSError as error:
            raise ConfigError(f"serve.log_file: {clean(str(self._path))}: {error.strerror}") from error

    def _write(self, line: Line) -> None:
        with suppress(OSError, ValueError):
            self._file.write(self._without_secrets(self._form(line)) + "\n")
            self._file.flush()

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return without_passwords(text)
