"""What all tests share: a seed that can be replayed, hypothesis without a deadline, and rare garbage collections."""

import gc
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.services", "tests.stores"]

# A loaded machine is not a defect, and failing examples are printed rather than kept in a directory.
settings.register_profile(
    "tapewatch",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tapewatch")


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: looking through them for garbage again and again is a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="Replay random tests with the seed they printed.")


@pytest.fixture(autouse=True, scope="session")
def _nothing_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test opens, the ledger of the user who runs it and his stores are left alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A new seed for every test, printed with its failure; `--seed` replays it."""
    given = request.config.getoption("--seed")
    chosen = random.SystemRandom().randrange(2**32) if given is None else int(given)
    print(f"replay with --seed {chosen}")
    return chosen
