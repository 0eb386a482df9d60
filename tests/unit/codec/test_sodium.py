"""libsodium behind its seam: packstore.codec.sodium. No exception of the binding comes out."""

import nacl.bindings
import nacl.exceptions
import pytest

from packstore.codec import sodium
from packstore.codec.key import Key
from packstore.codec.sodium import AEADS, argon2id, box_open, box_public_key, box_seal, seal, unseal
from packstore.errors import FormatError, KeyUnavailable
from packstore.format.record import MAX_OVERHEAD_BYTES, Encryption
from packstore.limits import MIB

KEY = Key(b"k" * 32)
PLAIN = b"a block of forty-two bytes, more or less.."
CIPHERS = list(AEADS)


def sealed(encryption: Encryption) -> bytes:
    """Return PLAIN, sealed with associated data "header"."""
    return seal(encryption, KEY, b"n" * AEADS[encryption].nonce_size, PLAIN, b"header")


def test_each_encryption_version_has_a_cipher() -> None:
    """A version could be written that nobody can encrypt, or be longer than a record's header allows."""
    assert set(AEADS) == set(Encryption) - {Encryption.NONE}
    assert max(aead.nonce_size + aead.tag_size for aead in AEADS.values()) == MAX_OVERHEAD_BYTES


@pytest.mark.parametrize("encryption", CIPHERS)
def test_round_trip(encryption: Encryption) -> None:
    """What was encrypted could not be decrypted."""
    assert unseal(encryption, KEY, sealed(encryption), b"header") == PLAIN


@pytest.mark.parametrize("encryption", CIPHERS)
def test_every_flipped_bit_is_found(encryption: Encryption) -> None:
    """A changed nonce, ciphertext or tag would decrypt to something."""
    good = sealed(encryption)
    for place in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FormatError) as caught:
            unseal(encryption, KEY, bytes(damaged), b"header")
        assert caught.value.failure == "decrypt-failed"


@pytest.mark.parametrize("encryption", CIPHERS)
def test_short_ciphertexts(encryption: Encryption) -> None:
    """A payload shorter than its tag is a ValueError in the binding, and would end a restore."""
    good = sealed(encryption)
    for length in range(81):
        for data in (bytes(length), good[:length]):
            with pytest.raises(FormatError) as caught:
                unseal(encryption, KEY, data, b"header")
            assert caught.value.failure == "decrypt-failed"


@pytest.mark.parametrize("encryption", CIPHERS)
def test_another_key_or_header(encryption: Encryption) -> None:
    """A payload would open under another header, and so as another object."""
    good = sealed(encryption)
    other = next(version for version in CIPHERS if version is not encryption)
    for version, key, associated in (
        (encryption, Key(b"K" * 32), b"header"),
        (encryption, KEY, b"Header"),
        (encryption, KEY, b""),
        (other, KEY, b"header"),
    ):
        with pytest.raises(FormatError):
            unseal(version, key, good, associated)


def test_boxes() -> None:
    """An epoch's secret would not come out of its box, or come out of a damaged one."""
    box = box_seal(KEY, box_public_key(Key(b"s" * 32)))
    assert len(box) == 80
    assert box_open(box, Key(b"s" * 32)) == KEY
    for place in range(len(box)):
        with pytest.raises(FormatError) as caught:
            box_open(box[:place] + bytes([box[place] ^ 1]) + box[place + 1 :], Key(b"s" * 32))
        assert caught.value.failure == "decrypt-failed"
    for data in (*(bytes(length) for length in range(81)), box[:-1], box + b"\0"):
        with pytest.raises(FormatError):
            box_open(data, Key(b"s" * 32))
    with pytest.raises(FormatError):
        box_open(box, Key(b"t" * 32))


def test_weak_public_keys() -> None:
    """A forged slot with a public key of low order would give an epoch's secret to everybody."""
    order_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"
    for public_key in (bytes(32), b"\x01" + bytes(31), bytes.fromhex(order_8)):
        with pytest.raises(FormatError):
            box_seal(KEY, public_key)


def test_argon2id_known_answer() -> None:
    """Another argon2, or other units, would make passphrases useless in every other program."""
    expected = nacl.bindings.crypto_pwhash_alg(
        32, b"passphrase", b"s" * 16, 1, 8 * MIB, nacl.bindings.crypto_pwhash_ALG_ARGON2ID13
    )
    assert argon2id(Key(b"passphrase"), b"s" * 16, 1, 8 * MIB).secret == expected


@pytest.mark.parametrize("error", [nacl.exceptions.RuntimeError("out of memory"), MemoryError()])
def test_no_memory_for_argon2id(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small machine would be told that its passphrase is wrong, when it only lacks memory."""

    def fail(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(sodium.sodium, "crypto_pwhash_alg", fail)
    with pytest.raises(KeyUnavailable, match="256 MiB"):
        argon2id(Key(b"passphrase"), b"s" * 16, 3, 256 * MIB)
