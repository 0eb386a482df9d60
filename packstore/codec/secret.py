"""A secret on paper or in a key file: nine groups of four characters. FORMAT.md section 8.4.

20 random bytes and 20 check bits in Crockford's base32, so that a typing error is found before any
cryptography; O is read as 0, I and L as 1, and case, spaces and hyphens do not matter.
"""

import hashlib
from typing import Final

from packstore.codec.key import Key
from packstore.errors import KeyFileUnusable

SECRET_BYTES: Final = 20
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHECK_BITS: Final = 20
_CHARACTERS: Final = (SECRET_BYTES * 8 + _CHECK_BITS) // 5
_READ_AS: Final = str.maketrans("OIL", "011", " -\t\r\n")


def format_secret(secret: Key) -> str:
    """Return the text form of a 20-byte secret."""
    number = int.from_bytes(secret.secret, "big") << _CHECK_BITS | _check_bits(secret)
    text = "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_CHARACTERS - 1), -1, -5))
    return "-".join(text[at : at + 4] for at in range(0, _CHARACTERS, 4))


def parse_secret(text: str) -> Key:
    """Parse the text form of a secret.

    Raises:
        KeyFileUnusable: it has a typing error, or never was one.
    """
    letters = text.upper().translate(_READ_AS)
    if len(letters) != _CHARACTERS or any(letter not in _ALPHABET for letter in letters):
        raise KeyFileUnusable("not a packstore secret: it has nine groups of four letters and digits")
    number = 0
    for letter in letters:
        number = number << 5 | _ALPHABET.index(letter)
    secret = Key((number >> _CHECK_BITS).to_bytes(SECRET_BYTES, "big"))
    if number & (1 << _CHECK_BITS) - 1 != _check_bits(secret):
        raise KeyFileUnusable("the secret's check digits do not match: a character is wrong or missing")
    return secret


def _check_bits(secret: Key) -> int:
    digest = hashlib.sha512(b"packstore/1/secret\x00" + secret.secret).digest()
    return int.from_bytes(digest[:3], "big") >> (24 - _CHECK_BITS)
