"""A secret on paper or in a key file: nine groups of four characters. FORMAT.md section 8.4.

20 random bytes and 20 check bits, so that a typing error is found before any cryptography.
Before: format.checked. After: the command line.
"""

from typing import Final

from packstore.codec.key import Key
from packstore.errors import FormatError, KeyFileUnusable
from packstore.format.checked import format_checked, parse_checked

SECRET_BYTES: Final = 20
_CONTEXT: Final = b"packstore/1/secret"


def format_secret(secret: Key) -> str:
    """Return the text form of a 20-byte secret."""
    return format_checked(secret.secret, _CONTEXT)


def parse_secret(text: str) -> Key:
    """Parse the text form of a secret.

    Raises:
        KeyFileUnusable: it has a typing error, or never was one.
    """
    try:
        return Key(parse_checked(text, SECRET_BYTES, _CONTEXT))
    except FormatError as error:
        if error.failure == "bad-checksum":
            reason = "the secret's check digits do not match: a character is wrong or missing"
        else:
            reason = "not a packstore secret: it has nine groups of four letters and digits"
        raise KeyFileUnusable(reason) from None
