"""A version's tree of pages: read it by leaf, write it entry by entry. FORMAT.md section 9.

Both know only a function that reads or stores a page; neither holds more than one page a level.
Before: format.page. After: operations.backup, operations.restore.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from packstore.errors import FormatError
from packstore.format.page import NO_FINGERPRINT, Page, decode_page, encode_page
from packstore.ids import HOLE, ObjectId
from packstore.limits import OBJECT_ID_BYTES, PAGE_ENTRIES

ReadPage = Callable[[ObjectId], bytes]
PutPage = Callable[[bytes], ObjectId]


@dataclass(frozen=True, slots=True)
class Kept:
    """Consecutive entries of a page at `level`, which a new tree has in the same place, with all that is below them.

    `level` is one more than the highest that has pages for the root itself; `fingerprints` only belong to blocks.
    """

    level: int
    blocks: range
    ids: bytes
    fingerprints: bytes = b""


def tree_levels(block_count: int) -> int:
    """Return the number of levels of a tree over so many blocks: 1 for up to 256."""
    levels = 1
    while PAGE_ENTRIES**levels < block_count:
        levels += 1
    return levels


def page_blocks(level: int) -> int:
    """Return how many blocks a full page at `level` covers; level 0 is a leaf."""
    return int(PAGE_ENTRIES ** (level + 1))


class TreeReader:
    """Reads a tree leaf by leaf, in order or not; remembers the path to the last leaf."""

    def __init__(self, read_page: ReadPage, root: ObjectId, block_count: int) -> None:
        self.root = root
        self.block_count = block_count
        self._read_page = read_page
        self._levels = tree_levels(block_count)
        self._path: dict[int, tuple[ObjectId, Page]] = {}

    def leaf(self, number: int) -> Page | None:
        """Return leaf `number`, which covers blocks 256 * number and following; None if all of it is a hole.

        Raises:
            DamageError: a page on the way cannot be read, or has the wrong shape.
        """
        page_id = self.root
        for level in range(self._levels - 1, -1, -1):
            if page_id == HOLE:
                return None
            page = self.page(level, page_id, number // PAGE_ENTRIES**level)
            if level == 0:
                return page
            page_id = page.id_at(number // PAGE_ENTRIES ** (level - 1) % PAGE_ENTRIES)
        return None

    def page(self, level: int, page_id: ObjectId, number: int) -> Page:
        """Return page `number` of a level, by its id.

        Raises:
            DamageError: it cannot be read, or has the wrong shape.
        """
        known = self._path.get(level)
        if known and known[0] == page_id:
            return known[1]
        page = decode_page(self._read_page(page_id))
        check_shape(page, level, number, self.block_count)
        self._path[level] = page_id, page
        return page

    def entry(self, index: int) -> tuple[ObjectId, bytes]:
        """Return object id and fingerprint of the block at `index`; `HOLE` where there is no object."""
        leaf = self.leaf(index // PAGE_ENTRIES)
        if leaf is None:
            return HOLE, NO_FINGERPRINT
        at = index % PAGE_ENTRIES
        return leaf.id_at(at), leaf.fingerprint_at(at)


def check_shape(page: Page, level: int, number: int, block_count: int) -> None:
    """Refuse a page that does not fit where the tree has it.

    Raises:
        FormatError: wrong level, or wrong number of entries.
    """
    below = PAGE_ENTRIES**level
    entries_in_level = -(-block_count // below)
    due = min(PAGE_ENTRIES, entries_in_level - number * PAGE_ENTRIES)
    if page.level != level or len(page) != due:
        reason = f"level {page.level} with {len(page)} entries where level {level} with {due} is due"
        raise FormatError("page", reason)


class TreeWriter:
    """Builds a tree from its entries, given once each and in order."""

    def __init__(self, put_page: PutPage) -> None:
        self._put_page = put_page
        self._ids: list[bytearray] = [bytearray()]
        self._fingerprints = bytearray()
        self._count = 0

    def add(self, object_id: ObjectId, fingerprint: bytes) -> None:
        """Add the entry of the next block."""
        self._fingerprints += fingerprint
        self._count += 1
        self._push(0, object_id)

    def add_holes(self, count: int) -> None:
        """Add `count` holes; whole pages of them cost nothing."""
        self._count += count
        self._push_holes(0, count)

    def take(self, kept: Kept) -> None:
        """Add the entries of the next blocks, or whole pages of them, from another tree; nothing below is looked at.

        Each page so taken has the shape that is due in this tree: it is full, or both trees end with it.
        """
        self._fingerprints += kept.fingerprints
        self._count += len(kept.blocks)
        self._push(kept.level, kept.ids)

    @property
    def count(self) -> int:
        """How many entries were added."""
        return self._count

    def snapshot(self) -> ObjectId:
        """Store a tree of the entries so far; return the id of its root. The writer goes on as if nothing was."""
        copy = TreeWriter(self._put_page)
        copy._ids = [bytearray(ids) for ids in self._ids]
        copy._fingerprints = bytearray(self._fingerprints)
        copy._count = self._count
        return copy.finish()

    def finish(self) -> ObjectId:
        """Store what is still open; return the id of the root, `HOLE` if there is nothing but holes."""
        if not self._count:
            return HOLE
        levels = tree_levels(self._count)
        for level in range(levels):
            if level < len(self._ids) and self._ids[level]:
                self._flush(level)
        return ObjectId(bytes(self._ids[levels]))

    def _push(self, level: int, ids: bytes) -> None:
        while level >= len(self._ids):
            self._ids.append(bytearray())
        self._ids[level] += ids
        if len(self._ids[level]) == PAGE_ENTRIES * OBJECT_ID_BYTES:
            self._flush(level)

    def _push_holes(self, level: int, count: int) -> None:
        if level == len(self._ids):
            self._ids.append(bytearray())
        held = len(self._ids[level]) // OBJECT_ID_BYTES
        if held:
            step = min(count, PAGE_ENTRIES - held)
            self._fill(level, step)
            count -= step
        whole, rest = divmod(count, PAGE_ENTRIES)
        if whole:
            self._push_holes(level + 1, whole)
        self._fill(level, rest)

    def _fill(self, level: int, count: int) -> None:
        self._ids[level] += HOLE * count
        if level == 0:
            self._fingerprints += NO_FINGERPRINT * count
        if len(self._ids[level]) == PAGE_ENTRIES * OBJECT_ID_BYTES:
            self._flush(level)

    def _flush(self, level: int) -> None:
        ids = bytes(self._ids[level])
        fingerprints = bytes(self._fingerprints) if level == 0 else b""
        self._ids[level].clear()
        if level == 0:
            self._fingerprints.clear()
        if ids == HOLE * (len(ids) // OBJECT_ID_BYTES):
            self._push(level + 1, HOLE)
        else:
            self._push(level + 1, self._put_page(encode_page(Page(level, ids, fingerprints))))


def leaf_spans(block_count: int) -> Iterator[tuple[int, range]]:
    """Yield each leaf's number and the indexes of its blocks."""
    for number in range(-(-block_count // PAGE_ENTRIES)):
        first = number * PAGE_ENTRIES
        yield number, range(first, min(first + PAGE_ENTRIES, block_count))
