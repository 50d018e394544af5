"""Hooks of other distributions: they hear everything, and a broken one costs a line."""

from importlib.metadata import EntryPoint

import pytest

from core.monitoring import hooks
from core.monitoring.hooks import Guarded, installed_hooks
from core.telemetry import API, OK, Done, Telemetry

HEARD: list[Done] = []


def hear(done: Done) -> None:
    """What an entry point of these tests names."""
    HEARD.append(done)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    points: list[EntryPoint] = []
    monkeypatch.setattr(hooks, "entry_points", lambda group: points if group == "tapewatch.hooks" else [])
    HEARD.clear()
    return points


def test_registered_hooks_hear_of_operations(registered: list[EntryPoint]) -> None:
    registered.append(EntryPoint("mine", f"{__name__}:hear", "tapewatch.hooks"))
    telemetry = Telemetry()
    for hook in installed_hooks(print):
        telemetry.add(hook)
    telemetry.done(API, "history", OK, 0.5, 10)
    assert [Done(API, "history", OK, 0.5, 10)] == HEARD


def test_one_that_cannot_be_loaded_is_told_and_left_out(registered: list[EntryPoint]) -> None:
    registered += [EntryPoint("gone", "no_such_module:hear", "g"), EntryPoint("mine", f"{__name__}:hear", "g")]
    said: list[str] = []
    assert len(installed_hooks(said.append)) == 1
    [line] = said
    assert line.startswith("the hook gone is not called any more: ModuleNotFoundError")


def test_one_that_fails_is_called_no_more_and_told_once() -> None:
    calls: list[Done] = []

    def broken(done: Done) -> None:
        calls.append(done)
        raise RuntimeError("half\x1b[2J")

    said: list[str] = []
    telemetry = Telemetry()
    telemetry.add(Guarded("bad", broken, said.append))
    telemetry.add(calls.append)
    for _ in range(3):
        telemetry.done(API, "history", OK, 0.5)
    assert len(calls) == 4, "others go on"
    assert said == ["the hook bad is not called any more: RuntimeError: half [2J"]
