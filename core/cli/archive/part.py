"""What all parts of the archive share: the settings, and a way to the store."""

from contextlib import AbstractContextManager

from core.config import Loaded
from core.stores.opening import reading
from core.stores.reading import Reader


class Part:
    """Questions of one area."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def reading(self) -> AbstractContextManager[Reader]:
        """The store, for one question. Raises StoreError when there is none, StoreRefused when it is not ours."""
        return reading(self._loaded.database)
