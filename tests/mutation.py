"""Pages of all five series types with wounds in structure or bytes, and a validator that knows nothing of ours."""

import json
import math
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from core.datasets import DATASETS, Dataset, SeriesKey
from core.records import in_groups
from core.sandbox.api import Api, synthetic
from core.sandbox.options import SandboxOptions
from core.sandbox.wire import Request
from core.windows import GRAINS, Grain, Window
from tests.fakes import mutated

NOW = 1_750_010_400
END = 1_748_736_000  # 2025-06-01
ROWS = 8
PERPETUAL = ("binance", "BTC-USDT-VANILLA-PERPETUAL")
NAMES = {
    "spot_ohlcv": ("kraken", "ARB-BTC"),
    "futures_ohlcv": PERPETUAL,
    "futures_funding_rate": PERPETUAL,
    "futures_open_interest": PERPETUAL,
    "indices_ohlcv": ("cadli", "BTC-USD"),
}

EDGES = ("first", "high", "low", "last")

Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request and its right answer."""

    dataset: Dataset
    key: SeriesKey
    groups: tuple[str, ...]
    window: Window
    body: bytes

    @property
    def grain(self) -> Grain:
        return GRAINS[self.key.interval]


def right_pages() -> Iterator[Asked]:
    """Every series type at every grain, with its default groups and with all."""
    api = Api(synthetic(SandboxOptions(seed=7)))
    for name, dataset in DATASETS.items():
        for grain in GRAINS.values():
            for groups in (dataset.default_groups, dataset.groups):
                key = SeriesKey(name, *NAMES[name], grain.name)
                window = Window(END - ROWS * grain.seconds, END)
                asked = {"market": key.market, "instrument": key.instrument, "groups": ",".join(groups)}
                query = {**asked, "limit": str(ROWS), "to_ts": str(END - grain.seconds)}
                answer = api.answer(Request(f"{dataset.path}/{grain.path}", query), NOW)
                assert answer.status == 200, answer
                yield Asked(dataset, key, groups, window, answer.body)


ODD: tuple[Any, ...] = (
    *(None, True, "", "1.5", "NaN", "x\u202ey\x00", [], {}, [1], {"A": 1}, 0, -1, 1, -0.0, 0.5, -1e-9, 1e-300, 1e300),
    *(
        2**53 + 1,
        2**63 - 1,
        2**63,
        -(2**63) - 1,
        10**30,
        math.nan,
        math.inf,
        "MINUTE",
        "kraken",
        "ETH-USD",
        "a" * 5_000,
    ),
)


def _odd(chance: random.Random) -> Any:
    return deepcopy(chance.choice(ODD))


def _odd_value(rows: list[Any], row: Json, name: str, chance: random.Random) -> None:
    row[name] = _odd(chance)


def _moved_number(rows: list[Any], row: Json, name: str, chance: random.Random) -> None:
    if isinstance(row[name], (int, float)):
        row[name] = chance.choice((-1, 0.5, 1 + 1e-8, 1 + 1e-12, 1.5, 1000)) * row[name] + chance.choice((0, 0, 1, -1))


def _renamed(rows: list[Any], row: Json, name: str, chance: random.Random) -> None:
    row[chance.choice(("X", name.lower(), *row))] = row.pop(name)


def _swapped(rows: list[Any], row: Json, name: str, chance: random.Random) -> None:
    other = chance.choice(list(row))
    row[name], row[other] = row[other], row[name]


def _shifted(rows: list[Any], row: Json, name: str, chance: random.Random) -> None:
    if isinstance(row.get("TIMESTAMP"), int):
        row["TIMESTAMP"] = row["TIMESTAMP"] * chance.choice((1, 1, 1, 1000)) + chance.choice(
            (1, -60, 3_600, 86_400, 10**9)
        )


def _dropped(rows: list[Any], row: Json, name: str, chance: random.Random) -> None:
    rows.remove(row)


def _repeated(rows: list[Any], row: Json, name: str, chance: random.Random) -> None:
    rows.insert(chance.randrange(len(rows) + 1), dict(row))


def _contradicted(rows: list[Any], row: Json, name: str, chance: random.Random) -> None:
    rows.append({**row, name: _odd(chance)})


def _replaced(rows: list[Any], row: Json, name: str, chance: random.Random) -> None:
    rows[rows.index(row)] = _odd(chance)


def _shuffled(rows: list[Any], row: Json, name: str, chance: random.Random) -> None:
    chance.shuffle(rows)


Wound = Callable[[list[Any], Json, str, random.Random], None]
WOUNDS: tuple[Wound, ...] = (
    *(_odd_value, _odd_value, _moved_number, _moved_number, _renamed, _swapped, _shifted, _dropped),
    *(_repeated, _contradicted, _replaced, _shuffled),
)


def _wound(rows: list[Any], chance: random.Random, *, everywhere: bool) -> None:
    """One wound of one row, or the same of all rows, as when a field changes its name."""
    wound, name = chance.choice(WOUNDS), ""
    candidates = [row for row in rows if isinstance(row, dict) and row]
    for row in candidates if everywhere else chance.sample(candidates, min(1, len(candidates))):
        name = name if name in row else chance.choice(list(row))
        wound(rows, row, name, chance)


def wounded(asked: Asked, chance: random.Random) -> Asked:
    """The same request; its answer has one to four wounds of its rows, or of its envelope, or of its bytes."""
    if chance.random() < 0.2:
        return replace(asked, body=mutated(asked.body, chance))
    page = json.loads(asked.body)
    for _ in range(chance.randint(1, 4)):
        _wound(page["Data"], chance, everywhere=chance.random() < 0.1)
    if chance.random() < 0.03:
        page[chance.choice(("Data", "Err", "X"))] = _odd(chance)
    body = json.dumps(page, ensure_ascii=chance.random() < 0.5).encode()
    return replace(asked, body=mutated(body, chance) if chance.random() < 0.1 else body)


def is_valid(asked: Asked, row: Json) -> bool:
    """Whether a stored bar of `asked` can be true, by the contract's words; the row has our column names."""
    present = {name: value for name, value in row.items() if value is not None}
    must = [c.name for c in in_groups(asked.dataset.columns, asked.groups) if not c.group.startswith("OHLC_")]
    rates = {"open", "high", "low", "close"} if asked.dataset.positive is False else set()
    figures = [
        name.removeprefix("low") for name in row if name in {"low", "low_settlement", "low_mark_price", "low_quote"}
    ]
    return (
        row["ts"] % asked.grain.seconds == 0
        and asked.window.start <= row["ts"] < asked.window.end
        and all(name in present or "_tier" in name or "_direct" in name for name in must)
        and all(math.isfinite(value) and value < 1.8e308 for value in present.values())
        and all(value >= 0 for name, value in present.items() if name not in rates and "_message_value" not in name)
        and all(row[f"low{f}"] <= row[edge + f] <= row[f"high{f}"] for f in figures for edge in ("open", "close"))
        and row.get("interval_ms", 1) > 0
        and (asked.dataset.positive is False or row.get("low", 1) > 0)
    )


TOLD = {"": ("_trade_price", "_message_value"), "_settlement": ("_message_settlement",)}
TOLD |= {figure: (f"_message{figure}",) for figure in ("_mark_price", "_quote")}


def adds_up(asked: Asked, row: Json) -> bool:
    """What holds of the vendor's samples: sides make the total, what a bar reports lies inside it."""
    totals = [name for name in ("volume", "quote_volume", "total_trades") if f"{name}_buy" in row]
    sides = {name: sum(row[f"{name}_{side}"] for side in ("buy", "sell", "unknown")) for name in totals}
    stamps = [value for name, value in row.items() if name.endswith("_timestamp") and value is not None]
    told = [(figure, row.get(f"{edge}{end}")) for figure, ends in TOLD.items() for end in ends for edge in EDGES]
    inside = [(row[f"low{figure}"], value, row[f"high{figure}"]) for figure, value in told if value is not None]
    return (
        all(abs(row[name] - side) <= 1e-9 * max(row[name], side) for name, side in sides.items())
        and all(row["ts"] <= stamp < row["ts"] + asked.grain.seconds for stamp in stamps)
        and all(low <= value <= high for low, value, high in inside)
    )
