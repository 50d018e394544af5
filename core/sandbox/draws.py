"""Randomness without state: every draw is a function of a key, so any bar can be made at any time.

`shake_128` gives as many bytes as a page of bars needs in one call; `lattice` is for single values on
a hot path, where a few integer operations are cheaper than a hash object.
"""

import struct
from functools import lru_cache
from hashlib import blake2b, shake_128

_MASK = (1 << 64) - 1
# Days and amplitudes: slow swings carry most of the movement, as in real prices.
_OCTAVES = ((1, 0.5), (4, 0.9), (16, 1.9), (64, 3.6), (256, 6.5))


def key_of(*parts: object) -> int:
    """A 64-bit key for the thing named by `parts`."""
    return int.from_bytes(blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest(), "little")


def uniforms(key: int, index: int, count: int) -> tuple[int, ...]:
    """`count` integers in [0, 65536) that belong to item `index` of `key`."""
    raw = shake_128(struct.pack("<Qq", key, index)).digest(2 * count)
    return struct.unpack(f"<{count}H", raw)


def unit(key: int, index: int) -> float:
    """One number in [0, 1) for item `index` of `key` (the splitmix64 finaliser)."""
    x = (key + index * 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((x ^ (x >> 31)) >> 11) / 9007199254740992.0


@lru_cache(maxsize=1 << 17)
def lattice(key: int, index: int) -> float:
    """Value of the noise at a lattice point, in [-1, 1)."""
    return 2.0 * unit(key, index) - 1.0


def wander(key: int, day: int) -> float:
    """Smooth multi-octave value noise over days; one day's step has a magnitude of about 1."""
    total = 0.0
    for period, amplitude in _OCTAVES:
        index, offset = divmod(day, period)
        here = lattice(key + period, index)
        if offset:
            part = offset / period
            there = lattice(key + period, index + 1)
            here += (there - here) * part * part * (3.0 - 2.0 * part)
        total += amplitude * here
    return total
