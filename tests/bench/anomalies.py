"""`python -m tests.bench.anomalies`: recall and false alarms of each installed detector, by kind, and of all together.

A learned detector shows up here as soon as it is registered under the entry point group `tapewatch.detectors`.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from core.monitoring.anomalies import KINDS, Anomaly, Detector, installed_detectors
from tests.anomaly_kit import (
    PER_KIND,
    Panel,
    Score,
    Sizes,
    plant,
    sandbox_panel,
    score,
    silence,
    synthetic_panel,
    watch,
)

PANELS: dict[str, Callable[[int], Panel]] = {"synthetic": synthetic_panel, "sandbox": sandbox_panel}
SIZES = {
    "synthetic": Sizes(),
    # An hour of the sandbox differs from the next by a factor of e: only more than that can be told from it.
    "sandbox": Sizes(spike=40.0, shift=8.0, dropout_bars=12),
}
SILENCES = 10


def panel_of(data: str, seed: int, is_clean: bool) -> Panel:
    panel = PANELS[data](seed)
    if not is_clean:
        plant(panel, seed, SIZES[data], PER_KIND)
        silence(panel, seed, SIZES[data], SILENCES)
    return panel


def measure(data: str, seeds: Sequence[int], names: Sequence[str], is_clean: bool) -> None:
    detectors = installed_detectors()
    scores: dict[str, list[Score]] = {name: [] for name in (*names, "all")}
    seconds: Counter[str] = Counter()
    values = 0
    for seed in seeds:
        panel = panel_of(data, seed, is_clean)
        values += sum(map(len, panel.lines.values()))
        everything: list[Anomaly] = []
        for name in names:
            detector: Detector = detectors[name]()
            started = time.process_time()
            found = watch(panel, detector)
            seconds[name] += time.process_time() - started
            scores[name].append(score(panel, found))
            everything += found
        scores["all"].append(score(panel, everything))
    print(f"\n{data}{', nothing planted' if is_clean else ''}: seeds {', '.join(map(str, seeds))}")
    for name, each in scores.items():
        cost = seconds[name] / values if name != "all" else sum(seconds.values()) / values
        print("\n".join(table(name, each, cost)))


def table(name: str, scores: Sequence[Score], cost: float) -> list[str]:
    planted, found, false = Counter[str](), Counter[str](), Counter[str]()
    for each in scores:
        planted.update(each.planted)
        found.update(each.found)
        false.update(each.false)
    recall = sum(found.values()) / max(1, sum(planted.values()))
    alarms = sum(each.false_a_day for each in scores) / len(scores)
    worst = max(each.false_a_day for each in scores)
    words = [f"{name}: recall {recall:.3f}, {alarms:.2f} false alarms a day per 100 series (worst {worst:.2f}),"]
    words[0] += f" {1e6 * cost:.0f} us a value"
    for kind in KINDS:
        if planted[kind] or false[kind]:
            share = f"{found[kind]}/{planted[kind]}" if planted[kind] else "-"
            words.append(f"  {kind:8} found {share:>8}  false alarms {false[kind]}")
    return words


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.anomalies", description=__doc__)
    parser.add_argument("--data", choices=[*PANELS, "both"], default="both")
    parser.add_argument("--seeds", default="1,2,3", help="comma separated")
    parser.add_argument("--only", default="", help="detectors, comma separated. Default: all installed ones")
    parser.add_argument("--clean", action="store_true", help="plant nothing")
    given = parser.parse_args(arguments)
    names = given.only.split(",") if given.only else sorted(installed_detectors())
    if unknown := set(names) - set(installed_detectors()):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    for data in PANELS if given.data == "both" else [given.data]:
        measure(data, [int(seed) for seed in given.seeds.split(",")], names, given.clean)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
