"""Bytes of a row on the wire and on disk, for every series type: what `core.engine.quote` estimates with.

Each data type is ingested from the sandbox into a database of its own, two years of hours of three
instruments, with its default groups and with all of them. On disk is the file after the engine has ended,
over its rows: rows, index, coverage and free pages. On the wire is a full page as it comes, gzipped.
"""

import http.client
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from core.datasets import DATASETS
from tests.bench.harness import environment, sandbox, workplace

PLACES = {
    "spot": ("kraken", ("BTC-USD", "ETH-USD", "SOL-USD")),
    "futures": ("binance", tuple(f"{asset}-USDT-VANILLA-PERPETUAL" for asset in ("BTC", "ETH", "SOL"))),
    "index": ("cadli", ("BTC-USD", "ETH-USD", "SOL-USD")),
}
SPAN = ("2023-05-01", "2025-05-01")
PAGE = 2_000


def main() -> None:
    print(f"{'data type':24} {'groups':8} {'columns':>8} {'disk B/row':>11} {'wire B/row':>11}")
    with sandbox() as base_url, workplace() as place:
        for dataset in DATASETS.values():
            for groups in (dataset.default_groups, dataset.groups):
                count = sum(column.group in groups for column in dataset.columns)
                label = "default" if groups is dataset.default_groups else "ALL"
                disk = on_disk(base_url, place, dataset.name, ",".join(groups))
                wire = on_wire(base_url, dataset.name, ",".join(groups))
                print(f"{dataset.name:24} {label:8} {count:>8} {disk:>11.0f} {wire:>11.0f}", flush=True)


def on_disk(base_url: str, place: Path, data_type: str, groups: str) -> float:
    market, names = PLACES[DATASETS[data_type].kind]
    path = place / f"{data_type}-{len(groups)}.db"
    command = [sys.executable, "-m", "core.cli", data_type, "--market", market, "--instrument", ",".join(names)]
    command += ["--interval", "1h", "--start", SPAN[0], "--end", SPAN[1], "--groups", groups]
    command += ["--base_url", base_url, "--db", f"sqlite:///{path}", "--output", "json"]
    done = subprocess.run(command, env=environment(place), capture_output=True, text=True, check=True)
    return path.stat().st_size / int(json.loads(done.stdout)["rows_inserted"])


def on_wire(base_url: str, data_type: str, groups: str) -> float:
    market, names = PLACES[DATASETS[data_type].kind]
    query = urlencode({"market": market, "instrument": names[0], "limit": PAGE, "groups": groups})
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=60)
    connection.request("GET", f"{DATASETS[data_type].path}/hours?{query}", headers={"Accept-Encoding": "gzip"})
    try:
        return len(connection.getresponse().read()) / PAGE
    finally:
        connection.close()


if __name__ == "__main__":
    main()
