"""The real source against the sandbox without a network, on virtual time: faults end by the vendor's clock."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from engine_kit import Kit

from core.sandbox.gate import Gate
from core.sandbox.options import SandboxOptions
from core.sandbox.quota import PRESETS
from core.sandbox.wire import Request
from core.sources.coindesk import CoinDeskSource
from core.sources.http import Answer
from core.windows import Window

STEP = {"days": 86_400, "hours": 3_600, "minutes": 60}


class GateClient:
    """Implements `HttpClient.get` with a sandbox that is a function."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def get(self, path: str, params: Mapping[str, str]) -> Answer:
        found = self._gate.answer(Request(path, dict(params)))
        return Answer(found.status, found.headers, found.body)

    async def close(self) -> None: ...


class Asked:
    """One call in the sandbox's log."""

    def __init__(self, line: str) -> None:
        said = json.loads(line)
        parts = urlsplit(said["path"])
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.path, self.status = parts.path, int(said["status"])
        self.is_history = "/historical/" in self.path
        self.instrument = query.get("instrument", "")
        if self.is_history:
            step = STEP[self.path.rsplit("/", 1)[1]]
            end = int(query["to_ts"]) + step
            self.window = Window(end - int(query["limit"]) * step, end)


class Vendor:
    """A sandbox on the kit's clock, and its log."""

    def __init__(self, kit: Kit, folder: Path, faults: list[dict[str, Any]], seed: int = 7) -> None:
        self._lines: list[str] = []
        rules = folder / "faults.json"
        rules.write_text(json.dumps(faults))
        options = SandboxOptions(seed=seed, limits=PRESETS["none"], faults=rules)
        gate = Gate(options, self._lines.append, kit.clock.wall)
        source = CoinDeskSource("http://127.0.0.1:9", observe=kit.observe, clock=kit.clock)
        source._http = GateClient(gate)  # type: ignore[assignment]
        kit.source = source  # type: ignore[assignment]
        kit.make_tools()

    @property
    def calls(self) -> list[Asked]:
        return [Asked(line) for line in self._lines]

    def since(self, mark: int) -> list[Asked]:
        return self.calls[mark:]
