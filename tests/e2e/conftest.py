"""What every test of the whole program needs: isolated processes, sandboxes, a database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_program import Processes, Program, Sandbox


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The clean sandbox that tests share; they look only at calls after a mark."""
    made = Processes(tmp_path_factory.mktemp("market"))
    yield made.sandbox()
    made.close()


@pytest.fixture
def tapewatch(processes: Processes, market: Sandbox, tmp_path: Path) -> Program:
    """The program on a fresh database and the shared sandbox."""
    return Program(processes, tmp_path / "store.db", market)
