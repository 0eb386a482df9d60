"""Slots and epochs outside a repository: one document, as lines of text. FORMAT.md section 8.6.

Each line has its number and check digits of its own, so that a typing error is found in the line where it is, and
lines may come in any order, from several QR codes.
Before: format.document, format.checked. After: operations.key_export.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from packstore.errors import FormatError
from packstore.format.checked import format_checked, parse_checked
from packstore.format.document import (
    DIGEST_BYTES,
    DOCUMENT_HEADER,
    DOCUMENT_MAGIC,
    DocumentType,
    body_limit,
)
from packstore.format.layout import check_magic
from packstore.format.strictmsgpack import Key, MapSchema, decode, encode
from packstore.limits import MAX_EPOCHS, MAX_SLOTS

EXPORT: Final = MapSchema("export", Key("repository", "bin"), Key("keys", "array"))
LINE_BYTES: Final = 30
_STEP: Final = 5
"""Five bytes are eight characters, without a remainder."""
_LINE: Final = re.compile(r"(?<!\w)(\d{1,5}):([0-9A-Za-z](?:-?[0-9A-Za-z]){11,180})(?![\w-])")
_CONTEXT: Final = b"packstore/1/line"


@dataclass(frozen=True, slots=True)
class Export:
    """The repository file and key files, each a document byte for byte."""

    repository: bytes
    keys: list[bytes]


def encode_export(export: Export) -> bytes:
    """Return the body of an export."""
    return encode({"repository": export.repository, "keys": export.keys})


def decode_export(body: bytes) -> Export:
    """Decode the body of an export; the documents in it are not looked at.

    Raises:
        FormatError: malformed, or more than a repository can have.
    """
    found = EXPORT.check(decode(body, body_limit(DocumentType.EXPORT)))
    if len(found["keys"]) > MAX_SLOTS + MAX_EPOCHS:
        raise FormatError("export", f"{len(found['keys'])} slots and epochs", failure="oversize")
    if any(not isinstance(each, bytes) for each in found["keys"]):
        raise FormatError("export", "a slot or epoch is not bytes")
    return Export(found["repository"], found["keys"])


def to_lines(data: bytes) -> Iterator[str]:
    """Yield the lines of text that a document becomes: number, colon, groups of four."""
    padded = data + bytes(-len(data) % _STEP)
    for number, at in enumerate(range(0, len(padded), LINE_BYTES), 1):
        yield f"{number}:{format_checked(padded[at : at + LINE_BYTES], _context(number))}"


def from_lines(text: str) -> bytes:
    """Return the document whose lines are somewhere in `text`, in any order; whatever else is there is passed over.

    Raises:
        FormatError: a line is missing or has a typing error; the reason names it.
    """
    found: dict[int, bytes] = {}
    for match in _LINE.finditer(text):
        number = int(match[1])
        size = (len(match[2].replace("-", "")) * 5 - 20) // 8
        if size % _STEP or not 0 < size <= LINE_BYTES:
            raise FormatError("export", f"line {number} has characters too many or too few")
        try:
            found[number] = parse_checked(match[2], size, _context(number))
        except FormatError as error:
            error.message = f"line {number}: {error.reason}"
            error.args = (error.message,)
            raise
    return _joined(found)


def _joined(found: dict[int, bytes]) -> bytes:
    if 1 not in found:
        raise FormatError("export", "line 1 is missing: is this an export?", failure="truncated")
    magic, _, _, _, body_size = DOCUMENT_HEADER.unpack(found[1])
    check_magic("export", magic, DOCUMENT_MAGIC)
    size = DOCUMENT_HEADER.size + body_size + 2 * DIGEST_BYTES
    missing = [number for number in range(1, -(-size // LINE_BYTES) + 1) if number not in found]
    if missing:
        shown = ", ".join(map(str, missing[:10]))
        raise FormatError("export", f"lines are missing: {shown}", failure="truncated")
    return b"".join(part for _, part in sorted(found.items()))[:size]


def _context(number: int) -> bytes:
    return _CONTEXT + number.to_bytes(4, "little")


def chunks(lines: Iterable[str], per_chunk: int) -> Iterator[str]:
    """Yield so many lines at a time, joined by spaces: what one QR code holds."""
    held: list[str] = []
    for line in lines:
        held.append(line)
        if len(held) == per_chunk:
            yield " ".join(held)
            held = []
    if held:
        yield " ".join(held)
