"""A page: one node of a version's tree. FORMAT.md section 9.

A leaf page has an entry for each of up to 256 consecutive blocks, an inner page an id for each of up to 256
pages below it. An id of zeros is a hole: nothing but zeros there. Pages say nothing about where in a
device they lie, and so are shared between versions, between volumes, and within one.
Before: codec.objectcodec. After: repository.tree.
"""

from dataclasses import dataclass
from typing import Final

from packstore.errors import FormatError
from packstore.format.strictmsgpack import Key, MapSchema, decode, encode
from packstore.ids import HOLE, ObjectId
from packstore.limits import FINGERPRINT_BYTES, MAX_PAGE_BYTES, MAX_TREE_LEVELS, OBJECT_ID_BYTES, PAGE_ENTRIES

PAGE: Final = MapSchema("page", Key("level", "u8"), Key("ids", "bin"), Key("fingerprints", "bin"))

_STRETCH: Final = 16
"""Entries that are compared at once; versions that follow each other share most of each page."""
NO_FINGERPRINT: Final = bytes(FINGERPRINT_BYTES)
"""Stands beside a hole."""


@dataclass(frozen=True, slots=True)
class Page:
    """`ids` holds 64 bytes an entry; `fingerprints` 16 bytes an entry in a leaf (level 0), none above."""

    level: int
    ids: bytes
    fingerprints: bytes = b""

    def __len__(self) -> int:
        return len(self.ids) // OBJECT_ID_BYTES

    def id_at(self, entry: int) -> ObjectId:
        """Return the object id of an entry; `HOLE` where there is no object."""
        return ObjectId(self.ids[entry * OBJECT_ID_BYTES : (entry + 1) * OBJECT_ID_BYTES])

    def fingerprint_at(self, entry: int) -> bytes:
        """Return the fingerprint of an entry of a leaf."""
        return self.fingerprints[entry * FINGERPRINT_BYTES : (entry + 1) * FINGERPRINT_BYTES]

    def part(self, start: int, stop: int) -> "Page":
        """Return the entries from `start` up to but not including `stop`, as a page of the same level."""
        ids = self.ids[start * OBJECT_ID_BYTES : stop * OBJECT_ID_BYTES]
        return Page(self.level, ids, self.fingerprints[start * FINGERPRINT_BYTES : stop * FINGERPRINT_BYTES])


def encode_page(page: Page) -> bytes:
    """Return the bytes of a page: the plaintext of a page object."""
    return encode({"level": page.level, "ids": page.ids, "fingerprints": page.fingerprints})


def decode_page(data: bytes) -> Page:
    """Decode a page.

    Raises:
        FormatError: it is not a page, is empty, or is made of holes only (such a page is never written).
    """
    found = PAGE.check(decode(data, MAX_PAGE_BYTES))
    page = Page(found["level"], found["ids"], found["fingerprints"])
    if page.level >= MAX_TREE_LEVELS:
        raise FormatError("page", f"level {page.level}", failure="oversize")
    if len(page.ids) % OBJECT_ID_BYTES or not 1 <= len(page) <= PAGE_ENTRIES:
        raise FormatError("page", f"{len(page.ids)} bytes of ids")
    if len(page.fingerprints) != (len(page) * FINGERPRINT_BYTES if page.level == 0 else 0):
        raise FormatError("page", f"{len(page.fingerprints)} bytes of fingerprints for {len(page)} entries")
    if page.ids == HOLE * len(page):
        raise FormatError("page", "nothing but holes")
    return page


def differing(first: bytes, second: bytes) -> list[int]:
    """Return in ascending order the entries in which the ids of two pages differ; what only one has differs too."""
    found = []
    for begin in range(0, max(len(first), len(second)), _STRETCH * OBJECT_ID_BYTES):
        stretch = slice(begin, begin + _STRETCH * OBJECT_ID_BYTES)
        one, other = first[stretch], second[stretch]
        if one == other:
            continue
        found += [
            (begin + at) // OBJECT_ID_BYTES
            for at in range(0, max(len(one), len(other)), OBJECT_ID_BYTES)
            if one[at : at + OBJECT_ID_BYTES] != other[at : at + OBJECT_ID_BYTES]
        ]
    return found
