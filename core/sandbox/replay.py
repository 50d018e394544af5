"""Recorded history pages, served with the exact text of their figures.

Each `*.json` file of a directory that holds a history answer contributes its rows: the endpoint and
the grain follow from TYPE and UNIT, the series from MARKET and either instrument id. Files of one
series are merged; of two rows of one time the later file's wins.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from core.errors import ConfigError
from core.sandbox import params
from core.sandbox.history import time_refusal
from core.sandbox.params import PageRequest
from core.sandbox.wire import Answer, Refusal
from core.windows import GRAINS, Grain

_PREFIXES = {
    "954": "/spot/v1/historical",
    "914": "/futures/v1/historical",
    "934": "/futures/v1/historical/funding-rate",
    "944": "/futures/v1/historical/open-interest",
    **dict.fromkeys(("227", "267", "986", "989"), "/index/cc/v1/historical"),
}
_UNITS = {grain.unit: grain for grain in GRAINS.values()}
_GROUPS = (
    "ID", "MAPPING", "MAPPING_ADVANCED", "VALUE", "OHLC", "OHLC_TRADE", "OHLC_MESSAGE", "TRADE", "MESSAGE",
    "VOLUME",
)  # fmt: skip
_FIXED_GROUPS = {
    "ID": {"TYPE", "MARKET", "INSTRUMENT"},
    "MAPPING": {
        "MAPPED_INSTRUMENT", "BASE", "QUOTE", "INDEX_UNDERLYING", "QUOTE_CURRENCY", "SETTLEMENT_CURRENCY",
        "CONTRACT_CURRENCY", "DENOMINATION_TYPE",
    },
    "VALUE": {"INTERVAL_MS"},
}  # fmt: skip
# The first pattern that fits decides.
_PATTERNS = (
    ("*_ID", "MAPPING_ADVANCED"),
    ("TRANSFORM_FUNCTION", "MAPPING_ADVANCED"),
    ("*VOLUME*", "VOLUME"),
    ("NUMBER_OF_CONTRACTS", "VOLUME"),
    ("TOTAL_TRADES*", "TRADE"),
    ("TOTAL_*", "MESSAGE"),
    ("*_TRADE_*", "OHLC_TRADE"),
    ("*_MESSAGE_*", "OHLC_MESSAGE"),
)


class _Page(msgspec.Struct):
    data: list[msgspec.Raw] = msgspec.field(name="Data")


class _Row(msgspec.Struct, rename="upper"):
    unit: str
    timestamp: int
    type: str
    market: str
    instrument: str
    mapped_instrument: str | None = None


Rows = dict[int, msgspec.Raw]
Series = dict[tuple[str, str], Rows]


class Replay:
    """The recorded series of a directory, by path."""

    def __init__(self, folder: Path, complain: Callable[[str], None]) -> None:
        """Reads every file; those that are no history pages are named to `complain`.

        Raises ConfigError if the directory cannot be read.
        """
        if not folder.is_dir():
            raise ConfigError(f"--replay: {folder} is not a directory")
        self._paths: dict[str, tuple[Grain, Series]] = {}
        for file in sorted(folder.glob("*.json")):
            try:
                self._add(file.read_bytes())
            except (msgspec.DecodeError, OSError, KeyError) as error:
                complain(f"sandbox: {file.name} is not a recorded history page, skipped ({error})")

    def handlers(self) -> dict[str, Callable[[Mapping[str, str], int], Answer]]:
        """What answers each recorded path."""
        return {path: partial(self._page, path) for path in self._paths}

    def _add(self, text: bytes) -> None:
        page = msgspec.json.decode(text, type=_Page)
        for raw in page.data:
            row = msgspec.json.decode(raw, type=_Row)
            grain = _UNITS[row.unit]
            _, series = self._paths.setdefault(f"{_PREFIXES[row.type]}/{grain.path}", (grain, {}))
            rows = series.setdefault((row.market, row.instrument), {})
            series[row.market, row.mapped_instrument or row.instrument] = rows
            rows[row.timestamp] = raw.copy()

    def _page(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        grain, series = self._paths[path]
        asked = PageRequest.parse(_GROUPS, grain, query)
        if asked.aggregate != 1:
            raise params.bad("aggregate", asked.aggregate, "Recorded pages are plain bars.")
        if asked.csv:
            raise params.bad("response_format", "CSV", "Recorded pages are JSON.")
        rows = series.get((asked.market, asked.instrument))
        if rows is None:
            raise Refusal(
                404,
                f"Not found: instrument parameter. {asked.instrument} of {asked.market} is not recorded.",
                param="instrument",
                values=[asked.instrument],
            )
        times = sorted(rows)
        end = bisect_right(times, now if asked.to_ts is None else asked.to_ts)
        if end == 0:
            raise time_refusal(grain, asked.to_ts or now, "ACTIVE", times[0], times[-1])
        chosen = [rows[ts] for ts in times[max(0, end - asked.limit) : end]]
        if not asked.fill:
            chosen = [row for row in chosen if not _is_idle(row)]
        if query.get("groups"):
            chosen = [_filtered(row, asked.groups) for row in chosen]
        return Answer(200, msgspec.json.encode({"Data": chosen, "Err": {}}))


def _is_idle(row: msgspec.Raw) -> bool:
    fields: dict[str, Any] = msgspec.json.decode(row)
    activity = [value for name, value in fields.items() if group_of(name) in {"TRADE", "MESSAGE", "VOLUME"}]
    return bool(activity) and not any(activity)


def _filtered(row: msgspec.Raw, groups: Iterable[str]) -> msgspec.Raw:
    """The fields of `groups`, in their order, with UNIT and TIMESTAMP first and all texts kept."""
    fields = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
    kept = {name: fields[name] for name in ("UNIT", "TIMESTAMP")}
    for group in groups:
        kept |= {name: value for name, value in fields.items() if group_of(name) == group}
    return msgspec.Raw(msgspec.json.encode(kept))


def group_of(name: str) -> str:
    """The group of a field of any kind of history row; empty for UNIT and TIMESTAMP."""
    if name in {"UNIT", "TIMESTAMP"}:
        return ""
    for group, names in _FIXED_GROUPS.items():
        if name in names:
            return group
    return next((group for pattern, group in _PATTERNS if fnmatchcase(name, pattern)), "OHLC")
