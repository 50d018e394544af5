"""What all tests share: a seed that is printed and can be replayed, and hypothesis without a deadline."""

import random

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="Replay random tests with the seed they printed.")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A new seed for every test, printed with its failure; `--seed` replays it."""
    given = request.config.getoption("--seed")
    chosen = random.SystemRandom().randrange(2**32) if given is None else int(given)
    print(f"replay with --seed {chosen}")
    return chosen
