"""The power goes: with synchronous FULL nothing acknowledged is lost; with less it is, and the oracle sees it."""

import random
from pathlib import Path

import pytest

from tests.crash.killing import Nursery
from tests.crash.oracle import Oracle
from tests.crash.places import SQLitePlaces
from tests.crash.powercut import Cut, PowerCuts, record
from tests.crash.tables import read
from tests.crash.trial import Bench, Tally, Trial


def cuts(folder: Path, seed: int, sync: str = "FULL") -> list[Cut]:
    chance = random.Random(seed)
    played = PowerCuts(record(f"sqlite:///{folder}/record.db", seed), folder, chance, 1.0, sync).play()
    assert len(played) > 30
    return played


def complaints(found: list[Cut], seed: int) -> list[str]:
    oracle = Oracle(seed)
    return [text for cut in found for text in oracle.complaints(read(cut.url), cut.said)]


def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    assert complaints(cuts(tmp_path, seed), seed) == []


def test_a_rerun_completes(nursery: Nursery, sqlite: SQLitePlaces, tmp_path: Path, seed: int) -> None:
    tally = Tally()
    for cut in random.Random(seed).sample(cuts(tmp_path, seed), 4):
        Trial(Bench(nursery, sqlite, seed), cut.url, tally, cut.url, cut.said, interruptions=1).finish()
    assert tally.complaints == []


@pytest.mark.parametrize("sync", ["NORMAL", "OFF"])
def test_with_less_care_acknowledged_bars_are_lost(tmp_path: Path, seed: int, sync: str) -> None:
    """Planted: this is what the pragma is for."""
    assert any("acknowledged and is lost" in text for text in complaints(cuts(tmp_path, seed, sync), seed))
