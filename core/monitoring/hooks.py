"""Hooks of other distributions: they hear of every operation that ended.

A distribution registers a callable that takes a `core.telemetry.Done`, in its pyproject.toml:

    [project.entry-points."tapewatch.hooks"]
    statsd = "my_package:tell"

It is called a few times a page on the engine's own thread, so it has to be quick and must not wait for anything;
whoever wants to send something puts it into a queue. One that raises is left alone from then on, which the log says.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from core.telemetry import Done, Hook
from core.text import clean

GROUP = "tapewatch.hooks"

Say = Callable[[str], None]


class Guarded:
    """A hook of somebody else: the first time that it raises is the last that it is called."""

    def __init__(self, name: str, hook: Hook, say: Say) -> None:
        self._name = name
        self._hook: Hook | None = hook
        self._say = say

    def __call__(self, done: Done) -> None:
        if self._hook is None:
            return
        try:
            self._hook(done)
        except Exception as error:  # a plug-in boundary
            self._hook = None
            self._say(_words(self._name, error))


def installed_hooks(say: Say) -> list[Guarded]:
    """Every registered hook; `say` hears of those that cannot be loaded, and of those that fail later."""
    found = [(point, _loaded(point, say)) for point in entry_points(group=GROUP)]
    return [Guarded(point.name, hook, say) for point, hook in found if hook is not None]


def _loaded(point: EntryPoint, say: Say) -> Hook | None:
    try:
        hook: Hook = point.load()
    except Exception as error:  # a plug-in boundary
        say(_words(point.name, error))
        return None
    return hook


def _words(name: str, error: Exception) -> str:
    return clean(f"the hook {name} is not called any more: {type(error).__name__}: {error}", 400)
