"""`alerts test`: a message on a channel, or rules on made-up readings."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.context import settings, words
from core.cli.options import LookOutput, Output
from core.cli.stored import show
from core.text import clean

if TYPE_CHECKING:
    from core.config import Loaded

COLUMNS = ("case", "result", "expected", "problem")


def channels() -> list[str]:
    """What shells offer."""
    from core.errors import TapewatchError  # noqa: PLC0415

    try:
        return list(settings(announce=False).settings.alerts.channels)
    except TapewatchError:
        return []


def trials(
    target: Annotated[
        str,
        typer.Argument(metavar="CHANNEL|FILE", help="A channel, or a file of tests (TOML).", autocompletion=channels),
    ],
    output: LookOutput = Output.text,
) -> None:
    """Send a test message on a channel; or run a file's tests of rules on a clock of their own.

    A file has series of readings and what alerts have to become of them; exit 1 when one does not. It names its rules
    (`rules = "rules.toml"`, beside it), or means those in force. No store and no engine is asked.
    """
    loaded = settings(announce=False)
    is_path = Path(target).is_file() or Path(target).name != target or target.endswith(".toml")
    if is_path and target not in loaded.settings.alerts.channels:
        _run(Path(target), loaded, output)
        return
    from core.channels import test_channel  # noqa: PLC0415

    words(asyncio.run(test_channel(loaded, target)))


def _run(file: Path, loaded: "Loaded", output: Output) -> None:
    from core.alerting.rule_files import read_toml, rules_of  # noqa: PLC0415
    from core.alerting.trials import failures, make_trial  # noqa: PLC0415

    trial = make_trial(read_toml(file), clean(str(file)))
    rules = rules_of(file.parent / trial.rules if trial.rules else loaded.rules_file)
    rows = [_row(case.name, len(case.expect), failures(trial, case, rules)) for case in trial.case]
    show(rows, output, COLUMNS, "")
    if any(row["problem"] for row in rows):
        raise typer.Exit(1)


def _row(name: str, expected: int, wrong: list[str]) -> dict[str, Any]:
    result = "failed" if wrong else "ok"
    return {"case": clean(name), "result": result, "expected": expected, "problem": "; ".join(wrong) or None}
