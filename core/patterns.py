"""Globs of keys: `*` is any text, `?` any one character, everything else is itself."""

import re
from collections.abc import Callable

_SPECIAL_TO_REDIS = re.compile(r"([\[\]\\^])")


def matcher(pattern: str) -> Callable[[str], object]:
    """Whether a key matches as a whole."""
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(char) or re.escape(char) for char in pattern), re.DOTALL).fullmatch


def for_redis(pattern: str) -> str:
    """The same pattern for MATCH, whose globs have sets of characters too."""
    return _SPECIAL_TO_REDIS.sub(r"\\\1", pattern)


def exactly(text: str) -> str:
    """`text` as a part of a pattern for MATCH that means itself."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", text)
