"""What the documents show is run: every fenced block after a line `<!-- tested -->`, in a folder with a store."""

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from e2e_program import NOW, Processes, Program

from core.servers import PostgresServer
from tests.services import run_sql

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^<!-- tested( on postgres)? -->\n+```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Whatever a block makes that has rows must have some.
CHECK = """
for name, value in list(globals().items()):
    if not name.startswith("_") and hasattr(value, "shape"):
        assert value.shape[0] > 0, name
"""
PERPETUAL = ("--market", "binance", "--instrument", "BTC-USDT-VANILLA-PERPETUAL", "--interval", "1h")
STORED = (
    ("spot_ohlcv", "--market", "kraken,coinbase", "--instrument", "BTC-USD,ETH-USD", "--interval", "1h"),
    ("futures_ohlcv", *PERPETUAL),
    ("futures_funding_rate", *PERPETUAL),
    ("futures_open_interest", *PERPETUAL),
)


class Block(NamedTuple):
    where: str
    language: str
    text: str


def blocks(*, on_postgres: bool = False) -> list[Block]:
    found = []
    for document in DOCUMENTS:
        text = document.read_text()
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            if bool(match[1]) == on_postgres:
                found.append(Block(f"{document.name}:{line}", match[2], match[3]))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A folder with a store of May 2025 in it, in which every `sh` block has run."""
    processes = Processes(tmp_path_factory.mktemp("documents"))
    try:
        sandbox = processes.sandbox(now=NOW)
        program = Program(processes, processes.folder / "tapewatch.db", sandbox)
        for command in STORED:
            program(*command, "--start", "2025-05-20", "--end", "2025-06-02", code=0)
        program("exchange_metadata", code=0)
        binaries = str(Path(sys.executable).parent)
        env = {"TAPEWATCH_DB": f"sqlite:///{program.db}", "TAPEWATCH_BASE_URL": sandbox.url}
        env["PATH"] = f"{binaries}:{processes.environment()['PATH']}"
        for block in blocks():
            if block.language == "sh":
                done = processes.run(["bash", "-ec", block.text], env).done()
                assert done.code == 0, (block.where, done)
        yield program
    finally:
        processes.close()


@pytest.mark.slow
def test_what_the_documents_show_of_postgres_works(
    folder: Program, postgres_server: PostgresServer, postgres_url: str
) -> None:
    run_sql(postgres_server.url(), "CREATE DATABASE documents_copy")
    copy = postgres_server.url("documents_copy")
    assert folder.sandbox is not None
    env = {"TAPEWATCH_DB": postgres_url, "TAPEWATCH_BASE_URL": folder.sandbox.url, "COPY": copy}
    env["PATH"] = f"{Path(sys.executable).parent}:{folder.processes.environment()['PATH']}"
    try:
        for block in blocks(on_postgres=True):
            if block.language == "sql":
                assert run_sql(f"{postgres_url}?options=-csearch_path%3Dtapewatch", block.text)
            else:
                done = folder.processes.run(["bash", "-ec", block.text], env).done()
                assert done.code == 0, (block.where, done)
    finally:
        run_sql(postgres_server.url(), "DROP DATABASE documents_copy WITH (FORCE)")


def test_all_the_tools_are_shown() -> None:
    shown = "\n".join(block.text for block in blocks())
    for tool in ("tapewatch export", "SELECT", "import pandas", "import polars", "import duckdb", "--as_of"):
        assert tool in shown, tool


def test_every_marker_has_its_block() -> None:
    for document in DOCUMENTS:
        text = document.read_text()
        assert text.count("<!-- tested") == len(BLOCK.findall(text)), document


@pytest.mark.slow
@pytest.mark.parametrize(
    "block", [block for block in blocks() if block.language != "sh"], ids=lambda block: block.where
)
def test_what_the_documents_show_works(folder: Program, block: Block) -> None:
    if block.language == "sql":
        with closing(sqlite3.connect(f"file:{folder.db}?mode=ro", uri=True)) as db:
            assert db.execute(block.text).fetchall()
        return
    assert block.language == "python"
    done = folder.processes.run([sys.executable, "-c", block.text + CHECK], {}).done()
    assert done.code == 0, done
