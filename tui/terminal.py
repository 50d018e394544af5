"""The terminal: whether we may start on it, what it can show, and leaving it in order, whatever happens."""

import contextlib
import locale
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from core.errors import ConfigError

EXIT_CODES = {signal.SIGTERM: 143, signal.SIGHUP: 129}
# Textual handles these from its start on, and goes on doing so when it has ended.
_OF_TEXTUAL = (signal.SIGTSTP, signal.SIGCONT)
BROWSER = "textual.drivers.web_driver:WebDriver"
GRACE_SECONDS = 4.0
LOOK_SECONDS = 1.0
Settings = list[Any]
_MODES_OFF = (
    "?1000l",
    "?1002l",
    "?1003l",
    "?1006l",
    "?1015l",
    "?2004l",
    "?1004l",
    "<u",
    "?25h",
    "0m",
    "?1049l",
)
_RESTORE = "".join(f"\x1b[{mode}" for mode in _MODES_OFF).encode()


def require_terminal() -> None:
    """Raises ConfigError, naming the command that needs no terminal. A browser is one."""
    if os.environ.get("TEXTUAL_DRIVER", "") == BROWSER:
        return
    instead = "without one use `tapewatch status`"
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise ConfigError(f"the dashboard needs a terminal; {instead}")
    if os.environ.get("TERM", "dumb") in {"dumb", ""}:
        raise ConfigError(f"the dashboard needs a terminal that can move its cursor (TERM); {instead}")


def speaks_unicode() -> bool:
    """Whether the locale's encoding can draw our glyphs."""
    return locale.getpreferredencoding(False).lower().replace("-", "") == "utf8"


@contextlib.contextmanager
def leaving_in_order(leave: Callable[[int], None]) -> Iterator[None]:
    """Within this block SIGTERM and SIGHUP call `leave` with the exit code that each is known for.

    So does a terminal that is gone: who is not its session's first process may not be told by a signal. `leave`
    must only schedule. A terminal that has stopped reading can block the event loop for good, so
    the process ends after a grace period whether or not anything was able to run.
    """
    before = {number: signal.getsignal(number) for number in (*EXIT_CODES, *_OF_TEXTUAL)}
    settings = _terminal_settings()

    def handle(number: int, _frame: FrameType | None) -> None:
        code = EXIT_CODES[signal.Signals(number)]
        guard = threading.Timer(GRACE_SECONDS, _end_now, (code, settings))
        guard.daemon = True
        guard.start()
        leave(code)

    for number in EXIT_CODES:
        signal.signal(number, handle)
    over = threading.Event()
    threading.Thread(target=_hang_up_when_gone, args=(over,), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _hang_up_when_gone(over: threading.Event) -> None:
    """Send ourselves the hang-up that never came."""
    try:
        watch = select.poll()
        watch.register(sys.stdin.fileno(), 0)  # what is always reported is all that is asked for
    except (ValueError, OSError):
        return
    while not over.wait(LOOK_SECONDS):
        if watch.poll(0):
            os.kill(os.getpid(), signal.SIGHUP)
            return


def _terminal_settings() -> Settings | None:
    try:
        return termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, ValueError, OSError):
        return None


def _end_now(code: int, settings: Settings | None) -> None:
    """Without the event loop: give the terminal back as far as it lets us, and go."""
    with contextlib.suppress(Exception):
        os.set_blocking(sys.stderr.fileno(), False)
        os.write(sys.stderr.fileno(), _RESTORE)
    with contextlib.suppress(Exception):
        if settings is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, settings)
    os._exit(code)
