"""`alerts --follow`: what happens to alerts as it happens, a line each, for as long as somebody reads.

Changes are read from the store, where every one of them is: engines may come and go. Nothing is read while the reader
takes its time, so that a stopped terminal costs no memory and loses nothing.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from core.cli import alert_lines
from core.cli.alert_names import rules_in_force
from core.cli.context import ending_cleanly, settings, words
from core.cli.options import Output
from core.cli.terminal import Out, has_colours

if TYPE_CHECKING:
    from core.alerting.listing import Wanted
    from core.alerting.silences import Silence
    from core.config import Loaded
    from core.events import AlertChanged
    from core.stores.alerts import Logged
    from core.stores.reading import Reader

T = TypeVar("T")
LOOK_SECONDS = 1.0
LOOK_BACK = PAGE = 1_000
LOOKS_BETWEEN_ENGINES = 15


@dataclass(frozen=True, slots=True)
class Asked:
    """What to show and how: what came after the change `after`, None for the open alerts and what comes."""

    wanted: "Wanted"
    output: Output
    after: int | None
    bell: bool


class Page(NamedTuple):
    """Some changes, oldest first, and the silences that are in force."""

    changes: "Sequence[Logged]"
    silences: "Sequence[Silence]"


def follow(asked: Asked) -> None:
    """Until a signal, or until nobody reads any more."""
    view, out = _View(asked), Out()
    with ending_cleanly() as received, _saying_where(view):
        watch = _Watch(settings(announce=False), received, out)
        if asked.after is None:
            view.opened(watch.open_alerts(), out)
            view.newest = watch.began
        for page in watch.pages(asked.after):
            view.changed(page, out)


@contextmanager
def _saying_where(view: "_View") -> Iterator[None]:
    """Where it ended, whatever ended it. A reader who has seen enough goes away, which is nothing wrong."""
    try:
        yield
    except BrokenPipeError:
        return
    except BaseException:
        if view.newest is not None and Out(sys.stderr).has_room:
            words(f"to go on from here: tapewatch alerts --follow --after {view.newest}")
        raise


class _Watch:
    """Looks at the store again and again, and says once when it is away and when it is back; of engines alike."""

    def __init__(self, loaded: "Loaded", received: list[int], out: Out) -> None:
        from core.alerting.followed import Seen  # noqa: PLC0415

        self._loaded = loaded
        self._received = received
        self._out = out
        self._seen = Seen(0)
        self.began = 0
        """The newest change when the open alerts were read."""
        self._has_read, self._is_away, self._has_engine = False, False, True

    def open_alerts(self) -> "list[AlertChanged]":
        """As they are; what `pages` has comes after that."""
        from core.alerting.listing import listed  # noqa: PLC0415

        now, rules = time.time(), rules_in_force(self._loaded)
        kept, silences = self._read(lambda reader: self._start(reader, now))
        return [alert for alert in listed(kept, silences, rules, now) if alert.is_open]

    def _start(self, reader: "Reader", now: float) -> tuple[Any, Any]:
        from core.alerting.followed import Seen  # noqa: PLC0415

        with reader.snapshot():
            self.began = reader.last_alert_change()
            self._seen = Seen(max(0, self.began - LOOK_BACK))
            self._seen.fresh(reader.alert_changes(self._seen.mark, LOOK_BACK))
            return reader.kept_alerts(), reader.silences(now)

    def pages(self, after: int | None) -> Iterator[Page]:
        """Endlessly, what has not been there yet; with `after` all that came after that change."""
        from core.alerting.followed import Seen  # noqa: PLC0415

        if after is not None:
            self._seen = Seen(after)
        looks = 0
        while True:
            yield from self._look()
            if looks % LOOKS_BETWEEN_ENGINES == 0:
                self._look_for_engines()
            looks += 1
            self._out.pause(LOOK_SECONDS)

    def _look(self) -> Iterator[Page]:
        began, last = time.monotonic(), self._seen.mark
        while True:
            page = self._read(partial(_page, last=last))
            if fresh := self._seen.fresh(page.changes):
                yield page._replace(changes=fresh)
            if len(page.changes) < PAGE:
                break
            last = page.changes[-1].id
        self._seen.looked(began)

    def _read(self, ask: "Callable[[Reader], T]") -> T:
        """Waits while the store is away. Raises StoreError when it has never been there, StoreRefused at once."""
        from core.errors import StoreError, StoreRefused  # noqa: PLC0415
        from core.stores.opening import reading  # noqa: PLC0415

        while True:
            try:
                with reading(self._loaded.database) as reader:
                    found = ask(reader)
            except StoreError as error:
                if self._received or not self._has_read or isinstance(error, StoreRefused):
                    raise
                self._say_away(str(error))
                self._out.pause(LOOK_SECONDS)
            else:
                self._say_away("")
                self._has_read = True
                return found

    def _say_away(self, reason: str) -> None:
        if bool(reason) != self._is_away:
            self._is_away = bool(reason)
            words(f"the store is away, and looked for again: {reason}" if reason else "the store is back")

    def _look_for_engines(self) -> None:
        from core.errors import StoreError  # noqa: PLC0415
        from core.stores.opening import engines_of  # noqa: PLC0415

        try:
            has_engine = bool(engines_of(self._loaded.database))
        except StoreError:
            if self._received:
                raise
            return
        if has_engine != self._has_engine:
            self._has_engine = has_engine
            words("an engine is at work on the store" if has_engine else "no engine is at work on the store now")


def _page(reader: "Reader", last: int) -> Page:
    changes = reader.alert_changes(last, PAGE)
    return Page(changes, reader.silences(time.time()) if changes else ())


class _View:
    """Prints what is wanted. `newest` is the largest id that was printed, or passed over."""

    def __init__(self, asked: Asked) -> None:
        self.newest = asked.after
        self._asked = asked
        self._colour = has_colours()
        self._bell = _bell() if asked.bell else None
        self._sounded: dict[str, tuple[str, int]] = {}

    def opened(self, alerts: "Sequence[AlertChanged]", out: Out) -> None:
        for alert in alerts:
            self._sounded[alert.alert] = (alert.incident, alert.sequence)
            if self._asked.wanted.has(alert):
                found = {"event": "open", "id": None, **alert_lines.as_object(alert)}
                self._print(found, alert, alert.since, out)

    def changed(self, page: Page, out: Out) -> None:
        for change in page.changes:
            if self._asked.wanted.has(change.alert):
                self._print(alert_lines.change_object(change), change.alert, change.alert.time, out)
                self._ring(change.alert, page.silences)
            self.newest = max(self.newest or 0, change.id)

    def _print(self, found: dict[str, object], alert: "AlertChanged", at: float, out: Out) -> None:
        is_text = self._asked.output is Output.text
        out.line(alert_lines.change_line(alert, at, colour=self._colour) if is_text else json.dumps(found))

    def _ring(self, alert: "AlertChanged", silences: "Sequence[Silence]") -> None:
        """Once for what fires or gets worse; an acknowledgement is no news, and neither is what is silenced."""
        from core.alerting.silences import is_silenced  # noqa: PLC0415

        if self._bell is None:
            return
        mark = (alert.incident, alert.sequence)
        is_news = alert.is_open and alert.state != "recovering" and self._sounded.get(alert.alert) != mark
        if is_news and is_silenced(alert, silences, time.time()) is None:
            self._bell.write("\a")
        if alert.is_open:
            self._sounded[alert.alert] = mark
        else:
            self._sounded.pop(alert.alert, None)


def _bell() -> Out | None:
    """The terminal, whichever of stdout and stderr it is on."""
    return next((Out(stream) for stream in (sys.stdout, sys.stderr) if stream.isatty()), None)
