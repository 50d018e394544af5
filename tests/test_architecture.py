"""The architecture as checks: imports point one way, starting is cheap, samples and settings are kept up."""

import inspect
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import core
import tui
from core import settings
from core.alerting import rule_files
from core.batch import read_batch
from core.sandbox.faults import read_rules
from core.sandbox.scenario import read_events
from core.schedule_files import read_schedules

ROOT = Path(__file__).parent.parent
SAMPLES = sorted(path for path in (ROOT / "sample_configs").iterdir() if path.is_file())
HEAVY = {"aiohttp", "aiosqlite", "pydantic", "pydantic_settings", "psutil", "textual"}


def test_imports_point_one_way() -> None:
    """The contracts of pyproject.toml, as CI runs them."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def loaded_by(program: str) -> set[str]:
    """Top-level modules in memory after `program` ran in a process of its own."""
    report = f"{program}\nimport sys, json\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def run_line(*arguments: str) -> str:
    """A program that runs `tapewatch` with `arguments` in its own process and goes on after it."""
    return (
        f"import sys; sys.argv = ['tapewatch', *{list(arguments)!r}]\n"
        "from core.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )


def test_the_version_loads_next_to_nothing() -> None:
    assert not loaded_by(run_line("--version")) & (HEAVY | {"typer", "rich", "msgspec", "asyncio"})


def test_importing_the_command_line_loads_no_library() -> None:
    assert not loaded_by("import core.cli") & (HEAVY | {"typer", "rich", "msgspec"})


@pytest.mark.parametrize("arguments", [("--help",), ("spot_ohlcv", "--help"), ("sandbox", "--help")])
def test_help_loads_none_of_the_engine(arguments: tuple[str, ...]) -> None:
    assert not loaded_by(run_line(*arguments)) & HEAVY


def test_completion_loads_none_of_the_engine() -> None:
    asked = {"_TAPEWATCH_COMPLETE": "complete_bash", "COMP_WORDS": "tapewatch sp", "COMP_CWORD": "1"}
    assert not loaded_by(f"import os; os.environ.update({asked!r})\n{run_line()}") & HEAVY


def test_the_engine_loads_no_dashboard() -> None:
    assert not loaded_by("import core.app, core.cli.execute") & {"textual", "rich", "tui"}


def test_no_other_distribution_took_our_import_names() -> None:
    assert Path(core.__file__).parent.parent == ROOT
    assert Path(tui.__file__).parent.parent == ROOT


@pytest.mark.parametrize("model", settings.Section.__subclasses__())
def test_every_setting_has_a_default_and_a_docstring(model: type[settings.Section]) -> None:
    source = inspect.getsource(model)
    for name, field in model.model_fields.items():
        assert not field.is_required(), name
        after = source.split(f"    {name}:", 1)[1].split("\n", 1)[1].lstrip()
        assert after.startswith('"""') or isinstance(field.default, settings.Section), f"{name} has no docstring"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_right(path: Path) -> None:
    if path.name.startswith("batch"):
        assert read_batch(path)
    elif path.name.startswith("faults"):
        assert read_rules(path)
    elif path.name.startswith("scenario"):
        assert read_events(path)
    elif path.name.startswith("alerts"):
        assert rule_files.read_rules(path).rules["kraken_freshness"].covers("spot_ohlcv/kraken/1m")
    elif path.name.startswith("schedules"):
        assert read_schedules(path)
    else:
        settings.Settings.model_validate(tomllib.loads(path.read_text()))


def test_the_readme_names_commands_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    readme = (ROOT / "README.md").read_text()
    for target in ("demo", "test", "check", "bench", "picture"):
        assert f"make {target}" in readme
        assert f"\n{target}:" in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text()
