"""The samples for long-running engines: schedules that are read, and units in the eyes of systemd's own tool."""

import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from core.schedule import followed
from core.schedule_files import read_schedules
from core.windows import parse_time

SAMPLES = Path(__file__).parents[2] / "sample_configs"
UNITS = sorted((SAMPLES / "systemd").glob("*.service"))


def test_the_schedules_are_read() -> None:
    schedules = read_schedules(SAMPLES / "schedules.toml")
    assert [schedule.name for schedule in schedules] == ["metadata", "daily", "hourly", "majors", "gaps"]
    polled = followed(schedules, parse_time("2025-06-15"))
    assert polled["spot_ohlcv", "1m"] == 300.0
    assert polled["spot_ohlcv", "1h"] == 3_630.0


def read(unit: Path) -> ConfigParser:
    found = ConfigParser(interpolation=None, strict=False)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read(unit)
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_what_the_program_has(unit: Path) -> None:
    service = read(unit)["Service"]
    assert service["Type"] == "notify"  # serve says READY=1
    program, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name == "tapewatch"
    # Help comes last: what stands before it is parsed all the same.
    asked = subprocess.run([sys.executable, "-m", "core.cli", *arguments, "--help"], capture_output=True, check=False)
    assert asked.returncode == 0, asked.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_fault(unit: Path, tmp_path: Path) -> None:
    if (tool := shutil.which("systemd-analyze")) is None:
        pytest.skip("there is no systemd-analyze here: apt-get install systemd")
    copy = tmp_path / unit.name
    # The program is not installed where tests run.
    copy.write_text(unit.read_text().replace("/usr/local/bin/tapewatch", "/bin/true"))
    done = subprocess.run([tool, "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []
