"""Changes of alerts that are not in the journal yet, in bounded memory, whatever becomes of the store."""

from collections.abc import Iterable
from dataclasses import replace

from core.alerting import Change, Entry

MOST = 10_000
_Place = tuple[str, str, int]


class Unrecorded:
    """In the order in which they happened; of what changed without a new sequence only the last."""

    def __init__(self) -> None:
        self._changes: dict[_Place, Change] = {}

    def add(self, change: Change) -> None:
        place = _place(change)
        if (before := self._changes.get(place)) is not None:
            change = replace(
                change,
                entries=(*before.entries, *change.entries),
                is_logged=before.is_logged or change.is_logged,
            )
        self._changes[place] = change
        if len(self._changes) > MOST:
            self._shorten()

    def all(self) -> list[Change]:
        return list(self._changes.values())

    def written(self, changes: Iterable[Change]) -> None:
        """These are in the journal; of what has changed since, the rest still has to go there."""
        for change in changes:
            place = _place(change)
            now = self._changes.get(place)
            if now is change:
                del self._changes[place]
            elif now is not None:
                left = now.entries[len(change.entries) :]
                self._changes[place] = replace(now, entries=left, is_logged=now.is_logged and not change.is_logged)

    def _shorten(self) -> None:
        """Forget the history: of each alert the last state is left, and of each incident what was to be told last."""
        changes = list(self._changes.values())
        entries: dict[str, dict[tuple[str, str], Entry]] = {}
        for change in changes:
            told = entries.setdefault(change.alert.alert, {})
            told.update({(entry.channel, entry.alert.incident): entry for entry in change.entries})
        newest = {change.alert.alert: change for change in changes}
        left = [replace(change, entries=tuple(entries[name].values())) for name, change in newest.items()]
        self._changes = {_place(change): change for change in left}


def _place(change: Change) -> _Place:
    return change.alert.alert, change.alert.incident, change.alert.sequence
