"""What every command needs: the settings, and the first line on stderr that names them."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import typer

from core.text import shown_url

if TYPE_CHECKING:
    from core.config import Loaded

_flags: dict[str, str | None] = {}


def remember(flags: dict[str, str | None]) -> None:
    """Keep the global options for `settings()`; called once a process, before any command runs."""
    _flags.clear()
    _flags.update(flags)


def settings(*, announce: bool = True) -> "Loaded":
    """The settings of this process. Raises ConfigError."""
    from core.config import load  # noqa: PLC0415 - pydantic is dear, commands that need no settings skip it

    flags: dict[str, object] = dict(_flags)
    engine = {name: flags.pop(name) for name in ("lock_wait", "max_wait") if name in flags}
    if engine:
        flags["engine"] = engine
    loaded = load(flags)
    if announce:
        where = loaded.path or "defaults"
        words(f"tapewatch: config {where}, store {shown_url(loaded.database)}, source {loaded.settings.base_url}")
    return loaded


def words(text: str) -> None:
    """One line for people, on stderr; a closed stderr is nobody's problem."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        leave(sys.stderr)
    except ValueError:
        pass


def leave(stream: TextIO) -> None:
    """The reader of `stream` went away: what is still buffered goes to nobody, so that the exit is silent."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def data(text: str) -> None:
    """One line of data, on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def ending_cleanly() -> Iterator[list[int]]:
    """A signal ends the command through its cleaning up, with the code that is promised.

    What it gives has the signals that came: a library that was interrupted may have an exception of its own for that.
    """
    received: list[int] = []

    def end(number: int, _frame: object) -> None:
        received.append(number)
        raise typer.Exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield received
    except Exception:
        if received:
            raise typer.Exit(128 + received[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
