"""One `clean()` for all text that others wrote: vendor names and messages, error texts, file contents.

Untrusted text reaches a terminal, a log line or a table only through here. Control characters would
let a data source move the cursor, write the clipboard (OSC 52) or start another command; bidi and
zero-width characters would let one name look like another.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1 (0x9b is CSI on 8-bit terminals)
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"  # invisible or bidi
    "\ud800-\udfff"  # lone surrogates: no encoder accepts them
    "\U000e0000-\U000e007f]+"  # tags
)
_USERINFO = re.compile(r"(://[^/@:]*:)[^@/]*@")
_PASSWORD = re.compile(r"([?&]password=)[^&]*")
_NAME = re.compile(r"[A-Za-z0-9._:/+$@-]{1,100}")


def clean(text: str, limit: int = 200) -> str:
    """`text` on one line without control, bidi, zero-width or surrogate characters.

    Each run of them becomes one space (nothing is joined that was apart); at most `limit` characters,
    the cut marked by an ellipsis.
    """
    flat = _UNSAFE.sub(" ", text[: 4 * limit]).strip()
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def shown_url(url: str) -> str:
    """`url` without the password that it may hold."""
    return without_passwords(clean(url))


def without_passwords(text: str) -> str:
    """`text` without the passwords of the URLs that it may hold."""
    return _PASSWORD.sub(r"\1***", _USERINFO.sub(r"\1***@", text))


def counted(number: int, noun: str) -> str:
    """`1 request`, `2,735 requests`; `series` is the same for one and for many."""
    plural = "" if number == 1 or noun.endswith("series") else "s"
    return f"{number:,} {noun}{plural}"


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'btc'?` after a message about an unknown word, empty when none is near; a long one is cut."""
    near = get_close_matches(word[:100], list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def is_name(text: str) -> bool:
    """Whether `text` may be an identifier: what a market, an instrument or an asset is called."""
    return _NAME.fullmatch(text) is not None
