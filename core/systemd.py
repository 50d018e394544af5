"""What a service tells systemd: that it is ready, reloads, stops, and is alive. Nothing where nobody listens."""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.engine.engine import Engine


class Systemd:
    """The other end of NOTIFY_SOCKET. As a service of an engine it says that the loop is alive, if asked to."""

    name = "systemd"

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        given = environ.get("WATCHDOG_USEC", "")
        is_meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog = int(given) / 1e6 if given.isdigit() and is_meant else 0.0
        """Seconds within which it has to be told that the loop is alive; 0 is never."""

    def ready(self, status: str) -> None:
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    async def run(self, engine: "Engine") -> None:
        if not (self._address and self.watchdog):
            return
        while True:
            self._tell("WATCHDOG=1")
            await engine.tools.clock.sleep(self.watchdog / 3)

    def _tell(self, *lines: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto("\n".join(lines).encode(), address)
