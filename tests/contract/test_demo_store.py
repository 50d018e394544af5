"""The demo's own PostgreSQL: made anew with its tables, looked into during the demo and after it, never shared."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.cli import demo_store
from core.cli.demo_store import GONE, QUERY, postgres_store
from core.errors import StoreBusy
from tests.services import run_sql

pytestmark = pytest.mark.slow


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory that nobody may enter too."""
    made = Path(tempfile.mkdtemp(prefix="tapewatch test ", dir="/tmp"))
    made.chmod(0o755)
    monkeypatch.setattr(demo_store, "data_directory", lambda: made)
    yield made
    shutil.rmtree(made)


def test_the_commands_it_prints_work_while_it_runs_and_the_files_stay(place: Path) -> None:
    with postgres_store(7) as store:
        command = store.now.split(": ", 1)[1]
        shown = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True).stdout
        assert "quote_volume" in shown
        with pytest.raises(StoreBusy, match="another --seed"), postgres_store(7):
            pass
    assert (place / "demo-7-postgres/data/PG_VERSION").exists()
    assert "pg_ctl" in store.later
    assert QUERY in store.later


def test_each_demo_begins_anew(place: Path) -> None:
    for _ in range(2):
        with postgres_store(7) as store:
            run_sql(store.url, "CREATE TABLE only_once (a int)")


def test_where_the_server_may_not_enter_nothing_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_store, "reachable", lambda directory: False)
    with postgres_store(7) as store:
        assert run_sql(store.url, QUERY) == []
    assert store.later == GONE
    assert list(place.iterdir()) == []
