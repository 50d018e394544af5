"""How things went over a span of time, for `status --since`: statistics of operations, and lines of figures."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from core.cli.context import data
from core.cli.stored import print_table

if TYPE_CHECKING:
    from core.history import Performance, Sample
    from core.stores.reading import Reader

POINTS = 24
NARROW = 72


class Shown(NamedTuple):
    """A figure that is drawn: what it is called, and how a value is written. A rate is drawn by the second."""

    title: str
    write: Callable[[float], str]
    is_rate: bool = False


def history_object(reader: "Reader", since: int, now: float) -> dict[str, Any]:
    """The object of `status --since`: `performance` of each operation, `rows` by what became of them, `figures`.

    A figure has its lowest, highest, mean and newest value, and `line`: so many equal parts of the span, null where
    nothing is known. Rates are by the second.
    """
    from core.history import performance, resolution  # noqa: PLC0415
    from core.windows import Window, iso  # noqa: PLC0415

    seconds = resolution(Window(since, int(now)), now)
    span = Window(since // seconds * seconds, int(now) + 1)
    samples = reader.samples(seconds, span)
    return {
        "since": iso(span.start),
        "until": iso(now),
        "resolution_seconds": seconds,
        "performance": [_performance(entry) for entry in performance(samples, span.seconds)],
        "rows": _rows(samples),
        "figures": [_figure(name, list(found), span) for name, found in _by_figure(samples)],
    }


def _performance(entry: "Performance") -> dict[str, Any]:
    return {
        "operation": entry.operation,
        "kind": entry.kind,
        "count": entry.count,
        "success_rate": round(entry.success, 5),
        "per_minute": round(entry.per_second * 60, 3),
        "amount_per_second": round(entry.amount_per_second, 1),
        "p50_seconds": round(entry.p50, 6),
        "p95_seconds": round(entry.p95, 6),
        "p99_seconds": round(entry.p99, 6),
    }


def _rows(samples: Iterable["Sample"]) -> dict[str, dict[str, int]]:
    """Of each data type how many rows were inserted, updated ..."""
    found: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for sample in samples:
        if sample.name == "rows":
            found[sample.label("kind")][sample.label("outcome")] += int(sample.total)
    return {kind: dict(outcomes) for kind, outcomes in found.items()}


def _by_figure(samples: Iterable["Sample"]) -> Iterable[tuple[tuple[str, str], Iterable["Sample"]]]:
    """Those of gauges and counters of the engine by name and labels; `samples` are in that order."""
    from core.history import KEPT_FIGURES  # noqa: PLC0415

    kept = (sample for sample in samples if sample.name in KEPT_FIGURES)
    return groupby(kept, key=lambda sample: (sample.name, sample.labels))


def _figure(key: tuple[str, str], samples: "list[Sample]", span: Any) -> dict[str, Any]:
    import json  # noqa: PLC0415

    from core.history import line  # noqa: PLC0415

    name, labels = key
    is_rate = name.endswith("_total")
    values = line(samples, span, POINTS, is_rate=is_rate)
    times = sum(sample.times for sample in samples)
    return {
        "name": name,
        "labels": json.loads(labels),
        "lowest": min(sample.lowest for sample in samples),
        "highest": max(sample.highest for sample in samples),
        "mean": sum(sample.total for sample in samples) / max(1, times),
        "newest": samples[-1].newest,
        "line": [None if value is None else round(value, 6) for value in values],
    }


def print_history(found: dict[str, Any]) -> None:
    """The same for people, in 40 columns if there are no more."""
    data(f"since    {found['since']}")
    data("")
    if not found["performance"]:
        data("nothing was done since then")
    else:
        print_table([_row(entry) for entry in found["performance"]])
    lines = [line for figure in found["figures"] if (line := _drawn(figure))]
    if lines:
        data("")
    for line in lines:
        data(line)


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    row = {
        "operation": f"{entry['operation']} {entry['kind']}"[:21],
        "count": entry["count"],
        "ok": f"{100 * entry['success_rate']:.4g}%",
    }
    percentiles = {name: _seconds(entry[f"{name}_seconds"]) for name in ("p50", "p95", "p99")}
    if shutil.get_terminal_size().columns < NARROW:
        return {**row, "p95": percentiles["p95"]}
    return {**row, "per_minute": entry["per_minute"], **percentiles}


def _seconds(value: float) -> str:
    return f"{1_000 * value:.3g}ms" if value < 1 else f"{value:.3g}s"


def _span(value: float) -> str:
    return f"{value:.3g}s" if value < 120 else f"{value / 60:.3g}m" if value < 7_200 else f"{value / 3_600:.3g}h"


def _bytes(value: float) -> str:
    return f"{value / 1e6:.3g}MB"


def _number(value: float) -> str:
    return f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"


SHOWN = {
    "process_cpu_seconds_total": Shown("cpu", lambda value: f"{100 * value:.3g}%", is_rate=True),
    "process_resident_memory_bytes": Shown("memory", _bytes),
    "tapewatch_event_loop_lag_seconds": Shown("loop lag", _seconds),
    "tapewatch_freshness_seconds": Shown("age", _span),
    "tapewatch_gaps": Shown("gaps", _number),
    "tapewatch_quota_remaining_calls": Shown("left", _number),
    "tapewatch_windows_waiting": Shown("waiting", _number),
}


def _drawn(figure: dict[str, Any]) -> str:
    """One figure with its line and its newest value; nothing for one that is not drawn."""
    from core.history import sparkline  # noqa: PLC0415

    shown = SHOWN.get(figure["name"])
    if shown is None:
        return ""
    values = figure["line"]
    known = [value for value in values if value is not None]
    newest = known[-1] if shown.is_rate and known else figure["newest"]
    curve = sparkline(values)
    title = " ".join([shown.title, *figure["labels"].values()])
    if shutil.get_terminal_size().columns < NARROW:
        return f"{title[:31]:31} {shown.write(newest):>8}\n  {curve}"
    return f"{title:32} {curve} {shown.write(newest):>8}"
