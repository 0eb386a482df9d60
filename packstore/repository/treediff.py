"""Where two trees differ: both are walked together, and only below pages whose ids differ.

So the time is in proportion to the difference and not to the devices. A page that cannot be read makes a
range unknown and ends nothing. FORMAT.md section 9.3.
Before: repository.tree. After: operations.diff.
"""

from collections.abc import Iterator
from typing import NamedTuple

from packstore.errors import DamageError
from packstore.format.page import decode_page, differing
from packstore.ids import HOLE, ObjectId
from packstore.limits import OBJECT_ID_BYTES, PAGE_ENTRIES
from packstore.repository.tree import ReadPage, check_shape, page_blocks, tree_levels


class Root(NamedTuple):
    """A tree: the id of its root, and how many blocks it has."""

    page_id: ObjectId
    block_count: int


class Difference(NamedTuple):
    """Consecutive blocks that differ; or that may, where `fault` says why nobody can tell."""

    blocks: range
    fault: str = ""


def tree_differences(read_page: ReadPage, first: Root, second: Root) -> Iterator[Difference]:
    """Yield in ascending order which blocks differ. One that only the longer device has differs from a hole only."""
    levels = max(tree_levels(first.block_count), tree_levels(second.block_count))
    yield from _Walk(read_page, first, second).below(levels - 1, 0, first.page_id, second.page_id)


class _Walk:
    def __init__(self, read_page: ReadPage, first: Root, second: Root) -> None:
        self._read_page = read_page
        self._roots = (first, second)
        self._count = max(first.block_count, second.block_count)

    def below(self, level: int, number: int, first: ObjectId, second: ObjectId) -> Iterator[Difference]:
        """Yield the differences below page `number` of `level`, which has these ids in the two trees."""
        if first == second:
            return
        begin = number * page_blocks(level)
        try:
            pair = [
                self._entries(root, level, number, page_id)
                for root, page_id in zip(self._roots, (first, second), strict=True)
            ]
        except DamageError as error:
            yield Difference(range(begin, min(begin + page_blocks(level), self._count)), error.message)
            return
        for entry in differing(*pair):
            if level == 0:
                yield Difference(range(begin + entry, begin + entry + 1))
            else:
                at = slice(entry * OBJECT_ID_BYTES, (entry + 1) * OBJECT_ID_BYTES)
                ids = [ObjectId(ids[at]) for ids in pair]
                yield from self.below(level - 1, number * PAGE_ENTRIES + entry, *ids)

    def _entries(self, root: Root, level: int, number: int, page_id: ObjectId) -> bytes:
        """Return the ids in a page, filled up with holes: the other device may be longer."""
        if page_id == HOLE:
            return HOLE * PAGE_ENTRIES
        if level >= tree_levels(root.block_count):
            return root.page_id + HOLE * (PAGE_ENTRIES - 1)  # the other tree is higher: all of this one is entry 0
        page = decode_page(self._read_page(page_id))
        check_shape(page, level, number, root.block_count)
        return page.ids + HOLE * (PAGE_ENTRIES - len(page))
