"""Other keys for actions."""

import re

import pytest
from dashboard_fakes import FakeEngine, job, make_busy
from test_behaviour import driving

from core.errors import ConfigError
from tui import actions
from tui.keymap import remapped
from tui.screens.modals import Question


def test_without_any_the_table_is_as_it_is() -> None:
    assert remapped({}) == actions.ACTIONS


def test_what_is_typed_becomes_what_textual_calls_it() -> None:
    table = {action.id: action for action in remapped({"job.cancel": "X, ctrl+x", "sort": "%", "lean": ""})}
    assert (table["job.cancel"].keys, table["job.cancel"].key) == ("X,ctrl+x", "X ^x")
    assert (table["sort"].keys, table["sort"].key) == ("percent_sign", "%")
    assert (table["lean"].keys, table["lean"].key) == ("", "^p")


@pytest.mark.parametrize("action", actions.ACTIONS, ids=lambda action: action.id)
def test_every_key_of_the_table_can_be_written(action: actions.Action) -> None:
    if not action.id.startswith("screen."):
        [same] = [each for each in remapped({action.id: action.keys}) if each.id == action.id]
        assert same.keys == action.keys


def test_a_key_that_is_written_twice_is_one() -> None:
    [cancel] = [action for action in remapped({"job.cancel": "f5, f5"}) if action.id == "job.cancel"]
    assert (cancel.keys, cancel.key) == ("f5", "f5")


def test_leaving_at_once_keeps_one_key() -> None:
    [leave] = [action for action in remapped({"quit.now": "E"}) if action.id == "quit.now"]
    assert (leave.keys, leave.key) == ("E,ctrl+c", "E ^c")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"job.cancle": "X"}, "dashboard.keys: no action 'job.cancle'; did you mean 'job.cancel'?"),
        ({"\x1b[2J": "X"}, "dashboard.keys: no action "),
        ({"job.cancel": "strg+x"}, "dashboard.keys: job.cancel: 'strg+x' is no key; write one as x, /, ctrl+x or f5"),
        ({"job.cancel": "nonsense"}, "'nonsense' is no key"),
        ({"job.cancel": "<any>"}, "'<any>' is no key"),
        ({"job.cancel": "ctrl+X"}, "'ctrl+X' is no key"),
        ({"job.cancel": "ctrl+m"}, "'ctrl+m' is no key"),
        ({"job.cancel": "\x1b"}, " is no key"),
        ({"job.cancel": "p"}, "dashboard.keys: job.cancel and job.hold would share the key p"),
        ({"job.hold": "s"}, "dashboard.keys: sort and job.hold would share the key s"),
        ({"screen.jobs": "J"}, "dashboard.keys: screen.jobs stays on the number of its tab"),
    ],
)
def test_what_cannot_be_is_refused_in_words(keys: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        remapped(keys)
    assert words in str(error.value)
    assert "\x1b" not in str(error.value)


def test_two_that_change_places_share_nothing() -> None:
    table = {action.id: action.keys for action in remapped({"job.hold": "x", "job.cancel": "p"})}
    assert (table["job.hold"], table["job.cancel"]) == ("x", "p")


@pytest.mark.slow
async def test_the_new_key_works_the_old_one_does_not_and_footer_and_help_know() -> None:
    engine = make_busy(FakeEngine())
    engine.publish(job(5))
    table = remapped({"job.cancel": "X", "help": "f1", "open": "o"})
    async with driving(engine, size=(200, 60), actions=table) as at:
        at.pane().select("j-0005")
        await at.press("x")
        assert not isinstance(at.app.screen, Question)
        assert " X cancel " in at.screen.footer.text_lines()[0]
        assert " o open " in at.screen.footer.text_lines()[0]
        await at.press("X")
        assert isinstance(at.app.screen, Question)
        await at.press("escape", "f1")
        shown = "\n".join(at.pane("help").text_lines())
        assert re.search(r" X +cancel the job", shown)
        assert re.search(r" f1 +this help", shown)
