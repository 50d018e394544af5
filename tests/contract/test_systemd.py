"""What a supervisor hears, on a real socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.systemd import Systemd


@pytest.fixture(params=["path", "abstract"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = f"tapewatch-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(10)
        address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
        listening.bind("\0" + name if request.param == "abstract" else address)
        yield listening, address


def test_it_says_how_things_stand(supervisor: tuple[socket.socket, str]) -> None:
    listening, address = supervisor
    systemd = Systemd({"NOTIFY_SOCKET": address})
    systemd.ready("3 schedules")
    assert listening.recv(1_000) == b"READY=1\nSTATUS=3 schedules"
    systemd.reloading()
    assert listening.recv(1_000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    systemd.stopping()
    assert listening.recv(1_000) == b"STOPPING=1"


def test_where_nobody_listens_nothing_is_said(tmp_path: Path) -> None:
    Systemd({}).stopping()
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).stopping()
    Systemd({"NOTIFY_SOCKET": "not-an-address"}).stopping()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_the_watchdog_is_for_who_is_meant(given: dict[str, str], seconds: float) -> None:
    assert Systemd(given).watchdog == seconds
