"""libsodium: the only module that imports PyNaCl.

FORMAT.md sections 4 and 8. Every exception of the binding ends here: a payload that does not open is a
`FormatError`, never a ValueError from somewhere below.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import nacl.bindings as sodium
from nacl.exceptions import CryptoError

from packstore.checksum import Buffer
from packstore.codec.key import Key
from packstore.errors import FormatError, KeyUnavailable
from packstore.format.record import Encryption

BOX_SECRET_BYTES: Final = 32


class Aead(NamedTuple):
    """One authenticated cipher; sizes in bytes. The functions take (data, associated data, nonce, key)."""

    nonce_size: int
    tag_size: int
    encrypt: Callable[[bytes, bytes, bytes, bytes], bytes]
    decrypt: Callable[[bytes, bytes, bytes, bytes], bytes]


AEADS: Final = {
    Encryption.XCHACHA20_POLY1305: Aead(
        sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
        sodium.crypto_aead_xchacha20poly1305_ietf_ABYTES,
        sodium.crypto_aead_xchacha20poly1305_ietf_encrypt,
        sodium.crypto_aead_xchacha20poly1305_ietf_decrypt,
    ),
    Encryption.AEGIS_256: Aead(
        sodium.crypto_aead_aegis256_NPUBBYTES,
        sodium.crypto_aead_aegis256_ABYTES,
        sodium.crypto_aead_aegis256_encrypt,
        sodium.crypto_aead_aegis256_decrypt,
    ),
}


def seal(encryption: Encryption, key: Key, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
    """Encrypt and authenticate; return nonce, ciphertext and tag in one piece."""
    return nonce + AEADS[encryption].encrypt(plain, associated, nonce, key.secret)


def unseal(encryption: Encryption, key: Key, sealed: Buffer, associated: bytes) -> bytes:
    """Undo `seal`.

    Raises:
        FormatError: too short, damaged, another key, or other associated data ("decrypt-failed").
    """
    aead = AEADS[encryption]
    if len(sealed) < aead.nonce_size + aead.tag_size:
        raise FormatError("payload", f"{len(sealed)} bytes are too short", failure="decrypt-failed")
    try:
        nonce, body = bytes(sealed[: aead.nonce_size]), bytes(sealed[aead.nonce_size :])
        return aead.decrypt(body, associated, nonce, key.secret)
    except CryptoError:
        raise FormatError("payload", "cannot be decrypted: damaged or forged", failure="decrypt-failed") from None


def argon2id(password: Key, salt: bytes, passes: int, memory: int) -> Key:
    """Derive 32 bytes from a passphrase; `memory` in bytes. The caller has checked the costs.

    Raises:
        KeyUnavailable: the memory is not to be had.
    """
    try:
        return Key(
            sodium.crypto_pwhash_alg(32, password.secret, salt, passes, memory, sodium.crypto_pwhash_ALG_ARGON2ID13)
        )
    except (CryptoError, MemoryError):
        message = f"deriving the key from the passphrase needs {memory >> 20} MiB of memory, which are not to be had"
        raise KeyUnavailable(message, advice="free some memory and try again") from None


def box_public_key(secret: Key) -> bytes:
    """Return the X25519 public key of a 32-byte secret key."""
    public: bytes = sodium.crypto_scalarmult_base(secret.secret)
    return public


def box_seal(message: Key, public_key: bytes) -> bytes:
    """Seal a secret to an X25519 public key (libsodium's sealed box: 48 bytes longer)."""
    try:
        sealed: bytes = sodium.crypto_box_seal(message.secret, public_key)
    except CryptoError:
        raise FormatError("slot", "its public key is not a valid one") from None
    return sealed


def box_open(sealed: bytes, secret: Key) -> Key:
    """Open a sealed box.

    Raises:
        FormatError: it was not sealed to the public key of `secret`, or is damaged.
    """
    try:
        return Key(sodium.crypto_box_seal_open(sealed, box_public_key(secret), secret.secret))
    except CryptoError:
        raise FormatError("epoch", "its box does not open", failure="decrypt-failed") from None
