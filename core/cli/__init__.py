"""The command line: parse, hand over to the app, print. stdout is data, stderr is words.

Imports stay light here, because completion and `--version` run on every key press and in every script:
a command's dependencies are imported when it runs.
"""

import sys


def main() -> None:
    """Entry point of the `tapewatch` program."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from importlib.metadata import version  # noqa: PLC0415

        sys.stdout.write(f"tapewatch {version('tapewatch')}\n")
        return
    from core.cli.application import run  # noqa: PLC0415

    raise SystemExit(run(arguments))
