"""What surrounds a cached value, so that it can be told from a damaged, foreign or forged one. Pure.

    magic (4 bytes) | BLAKE2b of the rest (32 bytes, keyed with the secret if there is one) | MessagePack of `Sealed`

The checksum is compared before anything of the rest is read.
"""

import hmac
from hashlib import blake2b

import msgspec

MAGIC = b"TWC1"
DIGEST_SIZE = 32
_HEAD = len(MAGIC) + DIGEST_SIZE


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """A serialised value with its key; `written` and `expires` are UTC epoch seconds.

    `form` names the serialiser, `origin` who had answered: the vendor, or one of the sandboxes.
    """

    key: str
    written: float
    expires: float
    form: str
    origin: str
    payload: bytes


class Poisoned(ValueError):
    """These bytes are no value of ours for this key."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Sealed)


def seal(sealed: Sealed, secret: bytes = b"") -> bytes:
    rest = _encoder.encode(sealed)
    return MAGIC + _digest(rest, secret) + rest


def unseal(raw: bytes, key: str, secret: bytes = b"") -> Sealed:
    """The value that was kept for `key`. Raises Poisoned for anything else."""
    rest = raw[_HEAD:]
    if raw[: len(MAGIC)] != MAGIC or not hmac.compare_digest(raw[len(MAGIC) : _HEAD], _digest(rest, secret)):
        raise Poisoned("not an envelope of ours, or damaged")
    try:
        sealed = _decoder.decode(rest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Poisoned(str(error)) from error
    if sealed.key != key:
        raise Poisoned("the value of another key")
    return sealed


def _digest(rest: bytes, secret: bytes) -> bytes:
    return blake2b(rest, digest_size=DIGEST_SIZE, key=secret[:64]).digest()
