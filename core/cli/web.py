"""`dash --web`: the dashboard in a browser, each tab of it a `dash` of its own over the same engine."""

import os
import shlex
import sys
from collections.abc import Sequence

from core.cli.context import words
from core.cli.engines import surroundings
from core.config import Loaded
from core.errors import ConfigError

MISSING = "a dashboard in the browser needs textual-serve: pip install 'tapewatch[web]'"


def serve_dashboard(loaded: Loaded, port: int, options: Sequence[str]) -> None:
    """Until interrupted; `options` are those of `dash`. Raises ConfigError where it cannot."""
    try:
        from tui.web import DashboardServer  # noqa: PLC0415
    except ImportError:
        raise ConfigError(MISSING) from None
    command = [sys.executable, "-m", "core.cli"]
    command += ["--config_file", str(loaded.path)] if loaded.path is not None else []
    try:
        server = DashboardServer(shlex.join([*command, "dash", *options]), port, words)
    except OSError as error:
        raise ConfigError(f"--port {port}: {error.strerror}") from None
    os.environ.update(surroundings(loaded))
    server.run()
