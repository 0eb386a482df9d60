"""Bytes as text that people copy by hand: base 32 with check digits, in groups of four. FORMAT.md section 8.4.

Letters that look like digits are read as these; case, spaces and hyphens do not matter; a typing error is found.
Before: codec.secret, format.export.
"""

import hashlib
from typing import Final

from packstore.errors import FormatError

CHECK_BITS: Final = 20
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS: Final = str.maketrans("OIL", "011", " -\t\r\n")


def characters_of(size: int) -> int:
    """Return how many characters so many bytes make; `size` is a multiple of 5."""
    return (size * 8 + CHECK_BITS) // 5


def format_checked(data: bytes, context: bytes) -> str:
    """Return the text of `data`, a multiple of 5 bytes; the check digits depend on `context` too."""
    number = int.from_bytes(data, "big") << CHECK_BITS | _check(data, context)
    last = characters_of(len(data)) - 1
    text = "".join(_ALPHABET[number >> 5 * shift & 31] for shift in range(last, -1, -1))
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def parse_checked(text: str, size: int, context: bytes) -> bytes:
    """Return the `size` bytes that `text` stands for.

    Raises:
        FormatError: it has another length or strange characters ("malformed"), or a typing error ("bad-checksum").
    """
    letters = text.upper().translate(_READ_AS)
    if len(letters) != characters_of(size) or any(letter not in _ALPHABET for letter in letters):
        raise FormatError("text", f"not {characters_of(size)} letters and digits")
    number = 0
    for letter in letters:
        number = number << 5 | _ALPHABET.index(letter)
    data = (number >> CHECK_BITS).to_bytes(size, "big")
    if number & (1 << CHECK_BITS) - 1 != _check(data, context):
        raise FormatError("text", "the check digits do not match", failure="bad-checksum")
    return data


def _check(data: bytes, context: bytes) -> int:
    digest = hashlib.sha512(context + b"\x00" + data).digest()
    return int.from_bytes(digest[:3], "big") >> (24 - CHECK_BITS)
