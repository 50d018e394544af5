"""Stand-ins for what is outside of us, and generators of what may come from there. No mocks of our own code."""

import random

POISON = (b"null", b"true", b"1e999", b"NaN", b'"', b"[", b"{", b"}", b"\\ud800", b"\x00", b"\xff", b"-", b"9" * 50)


def mutated(body: bytes, chance: random.Random) -> bytes:
    """`body` with one to four small wounds: bytes changed, cut out, doubled, or something odd put in."""
    wounded = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(wounded) + 1), chance.randint(1, 8)
        match chance.randrange(4):
            case 0:
                wounded[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del wounded[at : at + length]
            case 2:
                wounded[at:at] = wounded[at : at + length]
            case _:
                wounded[at:at] = chance.choice(POISON)
    return bytes(wounded)


class ManualClock:
    """Monotonic seconds that pass when told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds
