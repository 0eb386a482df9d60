"""The derivation of keys: packstore.codec.derivation. The known answers are vectors."""

from itertools import combinations

from packstore.codec.derivation import kdf, key_id, mac, prf
from packstore.codec.key import Key
from packstore.ids import Uid

ONE, TWO = Uid(b"\x01" * 16), Uid(b"\x02" * 16)


def test_different_purposes_give_different_keys() -> None:
    """Two purposes would share a key, and what is proven for one would hold for the other."""
    answers = [
        prf(Key(b"k" * 32), "id", ONE),
        prf(Key(b"k" * 32), "ids", ONE),
        prf(Key(b"k" * 32), "id", TWO),
        prf(Key(b"K" * 32), "id", ONE),
        prf(Key(b"k" * 32), "id", ONE, b"\0"),
        prf(Key(b"k" * 32), "", ONE, b"id"),
    ]
    assert all(one[:32] != other[:32] and one[32:] != other[32:] for one, other in combinations(answers, 2))


def test_lengths() -> None:
    """A key would be too short for its cipher."""
    key = Key(b"k" * 32)
    assert [
        len(value) for value in (prf(key, "a", ONE), kdf(key, "a", ONE).secret, mac(key, ONE, b""), key_id(key, ONE))
    ] == [
        64,
        32,
        32,
        8,
    ]
    assert kdf(key, "a", ONE).secret == prf(key, "a", ONE)[:32]
