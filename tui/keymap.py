"""Other keys for actions, as `[dashboard.keys]` of the configuration file has them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from textual.keys import Keys, _character_to_key

from core.errors import ConfigError
from core.text import clean, nearest
from tui.actions import ACTIONS, BY_ID, Action

ALWAYS = {"quit.now": "ctrl+c"}
"""Who cannot leave in any other way can in this one."""
TAB_KEYS = "screen."
SENT_AS_OTHERS = {"ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m"}
"""What terminals send for backspace, tab, line feed and enter."""
NAMED = {key.value for key in Keys if not key.value.startswith("<")} - SENT_AS_OTHERS
NAMED |= {_character_to_key(chr(code)) for code in range(ord("!"), ord("~") + 1)}


def remapped(keys: Mapping[str, str]) -> tuple[Action, ...]:
    """The table of actions with `keys` (`"x,ctrl+x"`, empty for none) instead of their own, by the actions' ids.

    Raises ConfigError for an unknown action or key, and where two actions of one screen would share a key.
    """
    for name in keys:
        _check_name(name)
    table = tuple(_with(action, keys[action.id]) if action.id in keys else action for action in ACTIONS)
    _check_shared(table)
    return table


def _check_name(name: str) -> None:
    if name.startswith(TAB_KEYS):
        raise ConfigError(f"dashboard.keys: {clean(name)} stays on the number of its tab")
    if name not in BY_ID:
        hint = nearest(name, BY_ID) or f"; there are {', '.join(BY_ID)}"
        raise ConfigError(f"dashboard.keys: no action {clean(name)!r}{hint}")


def _with(action: Action, given: str) -> Action:
    typed = list(dict.fromkeys(key.strip() for key in given.split(",") if key.strip()))
    keys = [_key(key, action.id) for key in typed]
    always = ALWAYS.get(action.id)
    if always and always not in keys:
        keys, typed = [*keys, always], [*typed, always]
    return replace(action, keys=",".join(keys), shown=" ".join(typed).replace("ctrl+", "^") or "^p")


def _key(typed: str, action: str) -> str:
    """As Textual calls it: `/` is `slash`."""
    if len(typed) == 1 and typed.isprintable():
        return _character_to_key(typed)
    if typed not in NAMED:
        raise ConfigError(f"dashboard.keys: {action}: {clean(typed)!r} is no key; write one as x, /, ctrl+x or f5")
    return typed


def _check_shared(table: Sequence[Action]) -> None:
    for one, other in combinations(table, 2):
        shared = set(filter(None, one.keys.split(","))) & set(other.keys.split(","))
        if shared and (not one.scopes or not other.scopes or set(one.scopes) & set(other.scopes)):
            raise ConfigError(
                f"dashboard.keys: {one.id} and {other.id} would share the key {', '.join(sorted(shared))}"
            )
