"""How values become bytes. JSON and MessagePack give what the wanted type allows and nothing else.

Pickle runs what it reads. It has to be asked for, and where others can write it is refused unless a secret signs
the values: then only what we have written ourselves is read at all.
"""

import pickle
from typing import Any, Protocol

import msgspec

from core.errors import ConfigError

FORMS = ("json", "msgpack", "pickle")


class Unreadable(ValueError):
    """These bytes are not a value of the wanted type."""


class Serialiser(Protocol):
    form: str

    def encode(self, value: object) -> bytes: ...

    def decode(self, payload: bytes, kind: Any) -> Any:
        """A value of type `kind`. Raises Unreadable."""
        ...


class _Typed:
    """`module` is msgspec.json or msgspec.msgpack."""

    def __init__(self, form: str, module: Any) -> None:
        self.form = form
        self._module = module

    def encode(self, value: object) -> bytes:
        return bytes(self._module.encode(value))

    def decode(self, payload: bytes, kind: Any) -> Any:
        try:
            return self._module.decode(payload, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable(str(error)) from error


class _Pickle:
    form = "pickle"

    def encode(self, value: object) -> bytes:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    def decode(self, payload: bytes, kind: Any) -> Any:
        try:
            return msgspec.convert(pickle.loads(payload), kind, from_attributes=True)  # noqa: S301 - ours: see above
        except Exception as error:
            raise Unreadable(f"{type(error).__name__}: {error}") from error


def serialiser(form: str, *, is_shared: bool, secret: bytes) -> Serialiser:
    """Raises ConfigError for a form that does not exist, and for pickle where others could write it."""
    if form == "pickle":
        if is_shared and not secret:
            raise ConfigError(
                "[caching] serialiser = pickle on a shared cache: who can write there could run code here; "
                "set TAPEWATCH_CACHE_SECRET, which signs the values, or take json or msgpack"
            )
        return _Pickle()
    if form not in FORMS:
        raise ConfigError(f"[caching] serialiser = {form!r}: write one of {', '.join(FORMS)}")
    return _Typed(form, msgspec.json if form == "json" else msgspec.msgpack)
