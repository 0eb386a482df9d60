"""What is still needed: walk every version that counts, and note each object that it refers to.

One bit for each record number of the index, so that 200 million records cost 25 MB; a page whose bit is set
is not read again, however many versions share it. Of several copies of an object one is chosen and marked:
the others are what garbage they look like, until somebody has proven that the chosen one is good.
Before: index.objectindex. After: operations.gc.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from packstore.errors import DamageError, FormatError
from packstore.format.page import Page, decode_page, differing
from packstore.format.record import Kind
from packstore.ids import HOLE, ObjectId, PackId
from packstore.index.objectindex import ObjectIndex
from packstore.index.tables import Location
from packstore.limits import PAGE_ENTRIES
from packstore.progress import StopRequest

_MAX_LAST: Final = 4096
"""So many pages' ids are remembered, in 70 MB."""


class Bits:
    """A set of record numbers. What the index has learnt of since is in it too: nobody has looked at that yet."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._size = 0

    def extend(self, size: int) -> None:
        """Make room for the numbers below `size`; the new ones are in the set, as they were before."""
        if size <= self._size:
            return
        spare = -self._size % 8
        if spare:
            self._bytes[-1] |= (0xFF << (8 - spare)) & 0xFF
        self._bytes += b"\xff" * (-(-size // 8) - len(self._bytes))
        self._size = size

    def copy(self) -> "Bits":
        """Return a set of the same numbers."""
        found = Bits()
        found._bytes, found._size = bytearray(self._bytes), self._size
        return found

    def clear(self) -> None:
        """Take everything out."""
        self._bytes = bytearray(len(self._bytes))

    def add(self, number: int) -> None:
        """Put a number into the set."""
        if number < self._size:
            self._bytes[number >> 3] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        return number >= self._size or bool(self._bytes[number >> 3] >> (number & 7) & 1)

    def count(self, first: int, count: int) -> int:
        """Return how many of the `count` numbers from `first` are in the set."""
        end = min(first + count, self._size)
        beyond = first + count - max(end, first)
        if beyond:
            return beyond + (self.count(first, end - first) if end > first else 0)
        window = int.from_bytes(self._bytes[first >> 3 : (end + 7) >> 3], "little") >> (first & 7)
        return (window & ((1 << count) - 1)).bit_count()


@dataclass
class Marker:
    """Marks what is needed. `is_place` says whether a location counts: its pack is there and not condemned.

    `read_pages` yields pages that lie at these places, in any order, or raises DamageError.
    """

    index: ObjectIndex
    read_pages: Callable[[Mapping[ObjectId, Location]], Iterable[tuple[ObjectId, bytes]]]
    stop: StopRequest
    is_place: Callable[[Location], bool] = lambda _: True
    bits: Bits = field(default_factory=Bits)
    pages_read: int = 0
    _begun: bool = False
    _last: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """By level and number: the ids of the page that was last marked at that place, in whichever tree."""

    def begin(self, is_place: Callable[[Location], bool]) -> None:
        """Begin, or go on after the index has grown: what is new in it counts as needed."""
        self.is_place = is_place
        self._last = {}
        self.bits.extend(self.index.record_numbers())
        if not self._begun:
            self.bits.clear()
            self._begun = True

    def mark(self, kind: Kind, object_id: ObjectId) -> None:
        """Mark an object."""
        self._mark_one(kind, object_id, self.index.locate(kind, object_id))

    def is_needed(self, kind: Kind, object_id: ObjectId) -> bool:
        """Say whether an object is marked. One that the index does not know is: nobody can have looked for it."""
        found = self.index.locate(kind, object_id)
        return not found or any(location.number in self.bits for location in found)

    def mark_tree(self, root: ObjectId) -> None:
        """Mark a tree of pages and its blocks.

        Raises:
            DamageError: a page cannot be read: what is below it is unknown.
            Interrupted: between two pages.
        """
        if root == HOLE:
            return
        marked = self._mark_many(Kind.PAGE, [root])
        self._mark_below(marked, None, {root: 0})

    def _mark_below(self, marked: Mapping[ObjectId, Location], level: int | None, numbers: dict[ObjectId, int]) -> None:
        """Mark what is below pages of one level, just marked themselves; `numbers` are theirs in that level."""
        for page_id, plain in self.read_pages(marked):
            self.stop.check()
            page = decode_page(plain)
            self.pages_read += 1
            if level is not None and page.level != level:
                raise FormatError("page", f"of level {page.level} where {level} is due")
            number = numbers[page_id]
            changed = self._changed(page, number)
            fresh = self._mark_many(Kind.PAGE if page.level else Kind.BLOCK, changed)
            if page.level and fresh:
                below = {page_id: number * PAGE_ENTRIES + changed[page_id] for page_id in fresh}
                self._mark_below(fresh, page.level - 1, below)

    def _changed(self, page: Page, number: int) -> dict[ObjectId, int]:
        """Return the objects of a page that the one before it at this place did not have, each with its entry."""
        place = page.level, number
        before = self._last.get(place, b"")
        if before or len(self._last) < _MAX_LAST:
            self._last[place] = page.ids
        changed = {page.id_at(entry): entry for entry in differing(before, page.ids) if entry < len(page)}
        changed.pop(HOLE, None)
        return changed

    def _mark_many(self, kind: Kind, ids: Iterable[ObjectId]) -> dict[ObjectId, Location]:
        """Mark objects; return those that were not marked before, each with the place that was chosen."""
        found = (
            (object_id, self._mark_one(kind, object_id, at)) for object_id, at in self.index.locate_many(kind, ids)
        )
        return {object_id: place for object_id, place in found if place is not None}

    def _mark_one(self, kind: Kind, object_id: ObjectId, locations: list[Location]) -> Location | None:
        if any(location.number in self.bits for location in locations):
            return None
        if not locations:
            if kind is Kind.PAGE:
                raise DamageError(f"page {object_id.hex()[:16]}… is in no pack")
            return None  # a block that is not here; there is nothing to keep
        several = len(locations) > 1
        good = [location for location in locations if several and self.is_place(location)]
        number = min(location.number for location in good or locations)
        self.bits.add(number)
        return next(location for location in locations if location.number == number)


def places_in(packs: Iterable[PackId], condemned: set[PackId], index: ObjectIndex) -> Callable[[Location], bool]:
    """Return what says whether a location is in one of `packs`, in none of `condemned`, and not damaged."""
    present = set(packs) - condemned

    def is_place(location: Location) -> bool:
        return location.pack_id in present and not index.is_doubtful(location)

    return is_place
