"""kill -9 at any moment and a rerun: the same table, and no window asked for twice but those in flight."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from e2e_program import DAY, HOUR, Call, Processes, Program, Sandbox, Started, until

from core.windows import Window, intersect, merge

pytestmark = pytest.mark.slow

KILLED = 137
WORKERS = 4  # of both operations together: they run side by side
PAIRS = (
    *("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "DOGE-USD", "LTC-USD", "LINK-USD", "DOT-USD"),
    *("AVAX-USD", "UNI-USD", "BCH-USD", "ATOM-USD", "XLM-USD", "TRX-USD", "ETC-USD", "FIL-USD", "AAVE-USD"),
)
# Named ranges, so that nothing is read again once it is complete: many small windows, then series of several.
OPERATIONS = [
    {"instrument": PAIRS, "interval": "1d", "start": "2025-01-01", "end": "2025-03-01"},
    {"instrument": PAIRS[:2], "interval": "1h", "start": "2024-11-15", "end": "2025-04-01"},
]
WINDOWS = 18 + 2 * 2
STEPS = {"1d": DAY, "1h": HOUR}
NETWORK = ("before_request", "after_headers", "after_body", "after_parse", "after_validate")
TRANSACTION = ("tx_begin", "tx_rows", "tx_quarantine", "tx_cursor", "before_commit", "after_commit")
KILLS = 7


def bars(call: Call) -> tuple[str, tuple[int, int]]:
    return call.series, call.window


@dataclass
class Victim:
    """A store that is worked on by runs that are killed, and what all of them asked for."""

    program: Program
    asked: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.batch = self.program.db.with_name("batch.json")
        common = {"data_type": "spot_ohlcv", "market": "kraken", "parallel_workers": WORKERS // len(OPERATIONS)}
        self.batch.write_text(json.dumps([{**common, **operation} for operation in OPERATIONS]))

    @property
    def sandbox(self) -> Sandbox:
        assert self.program.sandbox is not None
        return self.program.sandbox

    @property
    def command(self) -> tuple[str, ...]:
        return ("batch", str(self.batch), "--output", "json")

    def settled(self) -> int:
        """A mark for the log, once the sandbox has read what dead clients had sent."""
        for _ in range(2):
            self.sandbox.get("/info/v1/version")
        return len(self.sandbox.calls)

    def note(self, mark: int) -> list[Call]:
        """The history calls since `mark`; none of them twice, none of them for what was kept before."""
        self.settled()
        calls = [call for call in self.sandbox.since(mark) if call.is_history]
        assert len({bars(call) for call in calls}) == len(calls)
        self.asked += calls
        return calls

    def killed_at(self, failpoint: str) -> list[Call]:
        """One run that ends at `failpoint`; the calls that it made."""
        kept, mark = self.coverage, self.settled()
        ended = self.program(*self.command, TAPEWATCH_FAILPOINT=failpoint)
        assert (ended.code, ended.out) == (KILLED, ""), failpoint
        calls = self.note(mark)
        check_nothing_kept_is_asked_again(kept, calls)
        return calls

    def rerun(self) -> list[Call]:
        """One run that nobody disturbs; the calls that it made."""
        kept, mark = self.coverage, self.settled()
        summary = self.program(*self.command, code=0).json
        assert summary["status"] == "complete"
        calls = self.note(mark)
        check_nothing_kept_is_asked_again(kept, calls)
        return calls

    @property
    def coverage(self) -> dict[str, list[Window]]:
        """What the store claims to have, by series; nothing when it was killed before it had tables."""
        store = self.program.store
        if not self.program.db.exists() or not store.all("SELECT 1 FROM sqlite_master WHERE name = 'coverage'"):
            return {}
        found: dict[str, list[Window]] = {}
        for row in store.all('SELECT s.*, c.start, c."end" FROM coverage c JOIN series s ON s.id = c.series_id'):
            found.setdefault(series_of(row), []).append(Window(row["start"], row["end"]))
        return {name: merge(windows) for name, windows in found.items()}

    @property
    def rows(self) -> list[dict[str, Any]]:
        query = "SELECT *, '{0}' AS interval FROM spot_ohlcv_{0}"
        both = " UNION ALL ".join(query.format(interval) for interval in STEPS)
        return self.program.store.all(f"{both} ORDER BY series_id, ts")


def series_of(row: dict[str, Any]) -> str:
    return f"spot_ohlcv/{row['market']}/{row['instrument']}/{row['interval']}"


def check_nothing_kept_is_asked_again(kept: dict[str, list[Window]], calls: Sequence[Call]) -> None:
    for call in calls:
        assert not intersect(kept.get(call.series, []), [Window(*call.window)]), call


@dataclass(frozen=True)
class Whole:
    """What a run that nobody disturbs leaves behind."""

    calls: list[Call]
    rows: list[dict[str, Any]]
    coverage: dict[str, list[Window]]

    def check_claims(self, victim: Victim) -> None:
        """The oracle: not "a cursor is far enough", but "exactly these rows, each of them whole"."""
        claimed = victim.coverage
        if not claimed:
            return
        assert victim.program.store.is_sound
        expected = [
            row
            for row in self.rows
            if intersect(claimed.get(series_of(row), []), [Window(row["ts"], row["ts"] + STEPS[row["interval"]])])
        ]
        assert victim.rows == expected

    def missing(self, victim: Victim) -> list[Call]:
        claimed = victim.coverage
        return [call for call in self.calls if not intersect(claimed.get(call.series, []), [Window(*call.window)])]

    def check_end(self, victim: Victim) -> None:
        """The rerun's store is this one, and all runs together asked for what one run asks for."""
        self.check_claims(victim)
        victim.rerun()
        assert victim.program.store.is_sound
        assert victim.rows == self.rows
        assert victim.coverage == self.coverage
        assert {bars(call) for call in victim.asked} == {bars(call) for call in self.calls}
        assert victim.rerun() == []


@pytest.fixture(scope="module")
def whole(market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    folder: Path = tmp_path_factory.mktemp("whole")
    processes = Processes(folder)
    victim = Victim(Program(processes, folder / "store.db", market))
    calls = victim.rerun()
    assert len(calls) == WINDOWS
    yield Whole(calls, victim.rows, victim.coverage)
    processes.close()


@pytest.fixture
def victim(tapewatch: Program) -> Victim:
    return Victim(tapewatch)


def test_killed_where_nothing_is_committed_yet(victim: Victim, whole: Whole) -> None:
    """At every failpoint when it is reached first, one run after the other on one store."""
    for name in (*NETWORK, *TRANSACTION[:-1]):
        calls = victim.killed_at(f"{name}:1")
        assert len(calls) <= WORKERS
        assert victim.coverage == {}, name
    whole.check_end(victim)


@pytest.mark.parametrize("names", [NETWORK, TRANSACTION], ids=["network", "transaction"])
def test_killed_at_every_failpoint_on_the_way(victim: Victim, whole: Whole, names: tuple[str, ...]) -> None:
    """When it is reached again: every run gets a little further than the one before."""
    turn = WORKERS + 2
    for name in names:
        if len(whole.missing(victim)) < turn:
            break
        victim.killed_at(f"{name}:{turn}")
        whole.check_claims(victim)
    assert victim.coverage
    whole.check_end(victim)


def test_killed_in_the_middle_of_a_series(victim: Victim, whole: Whole) -> None:
    """The second operation's series have two windows each; their order does not matter."""
    victim.killed_at("tx_cursor:20")
    assert any(name.endswith("/1h") for name in victim.coverage)
    whole.check_end(victim)


@pytest.mark.parametrize("turn", [1, 12])
def test_killed_while_the_schema_is_made(victim: Victim, whole: Whole, turn: int) -> None:
    assert victim.killed_at(f"migrate_step:{turn}") == []
    whole.check_end(victim)


def test_killed_at_random_again_and_again(victim: Victim, whole: Whole) -> None:
    """The killer waits for a random call in the log, and then for a random while."""
    chance = random.Random(20_250_601)
    for _ in range(KILLS):
        kept, mark = victim.coverage, victim.settled()
        kill_after(victim, victim.program.start(*victim.command), mark, chance)
        check_nothing_kept_is_asked_again(kept, victim.note(mark))
        whole.check_claims(victim)
    # Every kill costs at most what was in flight then.
    assert len(victim.asked) - len({bars(call) for call in victim.asked}) <= KILLS * WORKERS
    whole.check_end(victim)


def kill_after(victim: Victim, run: Started, mark: int, chance: random.Random) -> None:
    calls, looks = chance.randint(0, 4), chance.randint(0, 10)

    def is_due() -> bool:
        nonlocal looks
        if len(victim.sandbox.since(mark)) < calls and run.is_running:
            return False
        looks -= 1
        return looks < 0

    until(is_due, f"call {calls}")
    run.kill()


def test_a_killed_run_is_told_as_interrupted(victim: Victim) -> None:
    victim.killed_at("before_commit:8")
    status = victim.program("status", "--output", "json", code=0).json
    assert status["engine"] is None
    assert [run["state"] for run in status["runs"]] == ["interrupted"] * len(OPERATIONS)
