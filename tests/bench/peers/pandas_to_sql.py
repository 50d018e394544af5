"""requests, a DataFrame a page, `to_sql`: the analyst's script. It appends, so it cannot run twice."""

import argparse

import pandas as pd
from sqlalchemy import create_engine

from tests.bench.peers.pages import pages, report

KEY = {"MARKET": "market", "MAPPED_INSTRUMENT": "instrument", "TIMESTAMP": "ts"}


def load(given: argparse.Namespace) -> int:
    engine = create_engine(given.db.replace("postgresql://", f"postgresql+{given.variant}://"))
    names = KEY | {name.upper(): name for name in given.columns}
    rows = 0
    for page in pages(given):
        frame = pd.DataFrame(page)[list(names)].rename(columns=names)
        frame.to_sql("bars", engine, if_exists="append", index=False)
        rows += len(frame)
    engine.dispose()
    return rows


if __name__ == "__main__":
    report(load)
