"""Who asks the store: what is due, and what was changed while it was being asked."""

import pytest
from dashboard_fakes import FakeArchive, FakeTime
from test_behaviour import driving

from tui.app import SHOWN_WITHIN
from tui.archive import Archive
from tui.lookups import Librarian, Lookup


def librarian(time: FakeTime, *lookups: Lookup[object]) -> Librarian:
    made = Librarian(FakeArchive(), lambda *_: None, time.clock().monotonic)
    made.want(lookups)
    return made


def test_it_is_asked_again_when_it_is_due_and_not_before() -> None:
    time, asked = FakeTime(), list[float]()
    made = librarian(time, Lookup("series", lambda _: asked.append(time.elapsed), every=10.0))
    assert made.turn() == 10.0
    time.advance(9.0)
    assert made.turn() == 1.0
    time.advance(1.0)
    assert made.turn() == 10.0
    assert len(asked) == 2


def test_what_was_changed_while_it_was_asked_is_asked_again_at_once() -> None:
    """The answer that comes may be the one from before an order was carried out."""
    asked = list[int]()

    def ask(_archive: Archive) -> None:
        asked.append(1)
        if len(asked) == 1:
            made.again()

    made = librarian(FakeTime(), Lookup("series", ask))
    assert made.turn() == 0.0
    assert made.turn() == 10.0
    assert len(asked) == 2


async def test_what_is_found_first_is_shown_at_once_and_what_is_newer_with_the_next_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with driving() as at:
        delays: list[float] = []
        monkeypatch.setattr(at.app, "_by_hand", False)
        monkeypatch.setattr(at.app, "set_timer", lambda delay, _flush: delays.append(delay))
        at.time.advance(0.05)
        at.app.desk.wanted = {"asked"}
        at.app._answered("asked", "old", "")
        at.app._answered("asked", "new", "")
        assert delays == pytest.approx([SHOWN_WITHIN, at.app.desk.interval - 0.05])
