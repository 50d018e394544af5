"""dlt: a resource of pages, merged by key into the database."""

import argparse
import os
from collections.abc import Iterator

import dlt
import pyarrow as pa

from tests.bench.peers.pages import Row, kept, pages, report

KEY = ("market", "instrument", "ts")


def load(given: argparse.Namespace) -> int:
    """The variant says: format of the loader's files / strategy of the merge / what the resource yields."""
    file_format, strategy, form = given.variant.split("/")
    disposition = {"disposition": "merge", "strategy": strategy}
    loaded = 0

    @dlt.resource(name="bars", primary_key=KEY, write_disposition=disposition, max_table_nesting=0)
    def bars() -> Iterator[list[Row] | pa.Table]:
        nonlocal loaded
        for page in pages(given):
            loaded += len(page)
            rows = [kept(row, given.columns) for row in page]
            yield pa.Table.from_pylist(rows) if form == "arrow" else rows

    pipeline(given.db).run(bars(), loader_file_format=file_format)
    return loaded


def pipeline(url: str) -> dlt.Pipeline:
    where = {"pipelines_dir": os.environ["DLT_DATA_DIR"]}
    if url.startswith("sqlite"):
        # "main" is the file itself; another name would be a file beside it.
        return dlt.pipeline("bench", destination=dlt.destinations.sqlalchemy(url), dataset_name="main", **where)
    # It insists on a password, though the server asks for none.
    destination = dlt.destinations.postgres(url.replace("@", ":none@", 1))
    return dlt.pipeline("bench", destination=destination, dataset_name="public", **where)


if __name__ == "__main__":
    report(load)
