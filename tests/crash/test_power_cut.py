"""The power goes: with synchronous FULL nothing acknowledged is lost; with less it is, and the oracle sees it."""

import random
from pathlib import Path

import pytest

from tests.crash.killing import Nursery
from tests.crash.places import SQLitePlaces
from tests.crash.powercut import cuts
from tests.crash.trial import Bench, Tally, Trial


@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    found = cuts(tmp_path, seed)
    assert len(found) > 80
    assert [text for cut in found for text in cut.complaints(seed)] == []


@pytest.mark.slow
def test_a_rerun_completes(nursery: Nursery, sqlite: SQLitePlaces, tmp_path: Path, seed: int) -> None:
    tally, bench = Tally(), Bench(nursery, sqlite, seed)
    for cut in random.Random(seed).sample(cuts(tmp_path, seed), 4):
        Trial(bench, cut.url, tally, cut.url, cut.said, interruptions=1).finish()
    assert tally.complaints == []


@pytest.mark.parametrize("sync", ["NORMAL", "OFF"])
def test_with_less_care_acknowledged_bars_are_lost(tmp_path: Path, seed: int, sync: str) -> None:
    """Planted: this is what the pragma is for."""
    found = (text for cut in cuts(tmp_path, seed, sync) for text in cut.complaints(seed))
    assert any("acknowledged and is lost" in text for text in found)
