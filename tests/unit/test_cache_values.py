"""What surrounds cached values and how they become bytes: nothing that was not written by us is taken for a value."""

import pickle
import random

import msgspec
import pytest

from core.cache.envelope import Poisoned, Sealed, seal, unseal
from core.cache.serialisers import Unreadable, serialiser
from core.errors import ConfigError
from core.patterns import exactly, for_redis, matcher
from core.sources import Exchange
from tests.fakes import mutated

SEALED = Sealed("instruments:kraken", 1_000.0, 2_000.0, "json", "coindesk", b'[{"market":"kraken"}]')


def test_what_was_sealed_is_unsealed() -> None:
    assert unseal(seal(SEALED), SEALED.key) == SEALED
    assert unseal(seal(SEALED, b"secret"), SEALED.key, b"secret") == SEALED


def test_a_value_of_another_key_or_secret_is_none() -> None:
    for raw, secret in ((seal(SEALED), b"secret"), (seal(SEALED, b"secret"), b""), (seal(SEALED, b"a"), b"b")):
        with pytest.raises(Poisoned):
            unseal(raw, SEALED.key, secret)
    with pytest.raises(Poisoned, match="another key"):
        unseal(seal(SEALED), "instruments:coinbase")


@pytest.mark.slow
def test_damaged_values_are_never_taken(seed: int) -> None:
    """A hundred thousand wounds: cut, doubled, changed, filled with nonsense."""
    chance = random.Random(seed)
    whole = seal(SEALED)
    taken = 0
    for _ in range(100_000):
        raw = mutated(whole, chance)
        try:
            taken += unseal(raw, SEALED.key) is not None and raw != whole
        except Poisoned:
            continue
    assert taken == 0


@pytest.mark.parametrize("form", ["json", "msgpack", "pickle"])
def test_values_come_back_as_they_were(form: str) -> None:
    value = [Exchange("kraken", "ACTIVE", "AA"), Exchange("gemini")]
    how = serialiser(form, is_shared=False, secret=b"")
    assert how.decode(how.encode(value), list[Exchange]) == value


@pytest.mark.parametrize("form", ["json", "msgpack", "pickle"])
@pytest.mark.parametrize("payload", [b"", b"\xff", b"null", b"[1]", b"[" * 100_000, b"\x80\x05."])
def test_what_is_no_value_of_the_type_is_unreadable(form: str, payload: bytes) -> None:
    with pytest.raises(Unreadable):
        serialiser(form, is_shared=False, secret=b"").decode(payload, list[Exchange])


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("code of a cached value was run",))


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_a_pickle_is_only_read_where_pickle_was_asked_for(form: str) -> None:
    with pytest.raises(Unreadable):
        serialiser(form, is_shared=True, secret=b"").decode(pickle.dumps(Bomb()), list[Exchange])


def test_pickle_on_a_shared_cache_needs_a_secret() -> None:
    with pytest.raises(ConfigError, match="TAPEWATCH_CACHE_SECRET"):
        serialiser("pickle", is_shared=True, secret=b"")
    assert serialiser("pickle", is_shared=True, secret=b"x").form == "pickle"
    with pytest.raises(ConfigError, match="json, msgpack, pickle"):
        serialiser("yaml", is_shared=False, secret=b"")


def test_with_a_secret_nothing_is_read_that_we_did_not_sign() -> None:
    forged = Sealed("k", 0.0, 1e12, "pickle", "", pickle.dumps(Bomb()))
    with pytest.raises(Poisoned):
        unseal(seal(forged), "k", b"secret")


def test_an_envelope_of_other_contents_is_poisoned() -> None:
    class Other(msgspec.Struct, array_like=True):
        key: int

    raw = seal(Other(1))  # type: ignore[arg-type]
    with pytest.raises(Poisoned):
        unseal(raw, "k")


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*", "a\nb", None),
        ("spot:*", "spot:kraken", "futures:kraken"),
        ("s?t", "s.t", "st"),
        ("a[b]", "a[b]", "ab"),
        ("a.c", "a.c", "abc"),
    ],
)
def test_patterns_know_stars_and_question_marks_alone(pattern: str, matching: str, other: str | None) -> None:
    assert matcher(pattern)(matching)
    assert other is None or not matcher(pattern)(other)


def test_patterns_for_redis_mean_the_same() -> None:
    assert for_redis("a[b]*?^\\") == "a\\[b\\]*?\\^\\\\"
    assert exactly("a*?[") == "a\\*\\?\\["
