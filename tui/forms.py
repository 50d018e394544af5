"""The fields of the job form, and the operation that they make. Pure: what is typed comes in, problems come out."""

from collections.abc import Mapping

from core.datasets import DATASETS, DEFAULT_SPAN_DAYS
from core.operations import Operation, read_operation
from core.options import OPTIONS
from core.references import REFERENCES
from core.windows import GRAINS

LABELS = {
    "data_type": "data type",
    "interval": "interval",
    "market": "markets",
    "instrument": "instruments",
    "pair_limit": "how many",
    "exchange_type": "exchanges",
    "start": "start",
    "end": "end",
    "label": "label",
    "max_requests": "calls at most",
}
"""By the option that a field is for, in their order."""
NUMBERS = frozenset({"pair_limit", "max_requests"})


def takes(data_type: str, name: str) -> bool:
    """Whether jobs of that data type have the option."""
    return name == "data_type" or name in OPTIONS[data_type]


def hint(name: str, data_type: str, interval: str) -> str:
    """What an empty field means."""
    kind = DATASETS.get(data_type) or REFERENCES[data_type]
    is_list = data_type in REFERENCES
    days = None if is_list else DEFAULT_SPAN_DAYS[GRAINS[interval]]
    hints = {
        "market": ",".join(kind.markets),
        "instrument": f"{'all' if is_list else 'the top ones'}, or BTC-USD,/^ETH-/",
        "pair_limit": "100" if is_list else f"{DATASETS[data_type].default_count} by rank",
        "exchange_type": "all, or spot, or futures",
        "start": "listing, or 2025-01-31" if days is None else f"{days} days ago, or 2025-01-31",
        "end": "now, or 2025-01-31T12:00",
        "label": "for people",
        "max_requests": "the usual share of what is left",
    }
    return hints.get(name, "")


def given(values: Mapping[str, str]) -> dict[str, object]:
    """What is filled in, of the options that the data type has."""
    found: dict[str, object] = {}
    for name, value in values.items():
        text = value.strip()
        if text and takes(values["data_type"], name):
            found[name] = int(text) if name in NUMBERS and text.isdecimal() and text.isascii() else text
    return found


def read(values: Mapping[str, str]) -> tuple[Operation | None, dict[str, str]]:
    """The operation, or None and what is wrong by the name of the field."""
    filled = given(values)
    problems = {name: "write a number" for name in NUMBERS if isinstance(filled.get(name), str)}
    operation, found = read_operation({name: value for name, value in filled.items() if name not in problems})
    for problem in found:
        problems.setdefault(problem.key, problem.text)
    return (None if problems else operation), problems
