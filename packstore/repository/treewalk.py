"""What of a tree a new tree over the same device takes over, when only some blocks have changed.

The old tree is descended only where something changed: whole pages, with all that is below them, are taken over by
their ids. So the time is in proportion to the changes and not to the device. FORMAT.md section 9.3.
Before: repository.tree. After: operations.incremental.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from packstore.blocks import merge_runs
from packstore.errors import DamageError
from packstore.ids import HOLE, ObjectId
from packstore.limits import OBJECT_ID_BYTES
from packstore.repository.tree import Kept, TreeReader, page_blocks, tree_levels

Present = Callable[[Iterable[ObjectId]], set[ObjectId]]
"""Says which of these pages are still there."""


class KeptHoles(NamedTuple):
    """Consecutive blocks that are holes still."""

    blocks: range


class Changed(NamedTuple):
    """Consecutive blocks to look at: they were said to have changed, or `fault` says why the tree tells nothing."""

    blocks: range
    fault: str = ""


Piece = Kept | KeptHoles | Changed


def unchanged_parts(tree: TreeReader, present: Present, changed: Sequence[range], block_count: int) -> Iterator[Piece]:
    """Yield in ascending order what becomes of all `block_count` blocks of a device that had another number of them.

    `changed` are ascending, not touching, and cover all that the old device has not; a page that is not `present`
    is read instead of being taken, so that what is known to be lost of it counts as changed.
    """
    levels = tree_levels(tree.block_count)
    walk = _Walk(tree, present, changed, block_count)
    yield from walk.entries(levels, 0, range(1), tree.root)
    if block_count > tree.block_count:
        yield Changed(range(tree.block_count, block_count))


class _Walk:
    def __init__(self, tree: TreeReader, present: Present, changed: Sequence[range], block_count: int) -> None:
        self._tree = tree
        self._present = present
        self._changed = changed
        self._starts = [run.start for run in changed]
        self._shared = min(block_count, tree.block_count)
        self._same_shape = block_count == tree.block_count

    def entries(self, level: int, begin: int, numbers: range, ids: bytes) -> Iterator[Piece]:
        """Yield what becomes of the pages that the entries of a page at `level`, from block `begin` on, name."""
        each = page_blocks(level - 1)
        kept = self._kept_entries(level, begin, numbers, ids)
        for run, is_kept in _alternate(kept, numbers):
            at = slice(run.start * OBJECT_ID_BYTES, run.stop * OBJECT_ID_BYTES)
            blocks = self._clip(range(begin + run.start * each, begin + run.stop * each))
            if is_kept:
                yield Kept(level, blocks, ids[at])
                continue
            for number in run:
                page_id = ObjectId(ids[number * OBJECT_ID_BYTES : (number + 1) * OBJECT_ID_BYTES])
                yield from self._page(level - 1, begin + number * each, page_id)

    def _kept_entries(self, level: int, begin: int, numbers: range, ids: bytes) -> list[range]:
        """Return the entries whose pages can be taken as they are: unchanged, of the same shape, present."""
        each = page_blocks(level - 1)
        whole = numbers
        if not self._same_shape:
            whole = range(min(numbers.stop, max(0, self._shared - begin) // each))
        touched = [
            range((run.start - begin) // each, -(-(run.stop - begin) // each))
            for run in self._touching(range(begin, begin + whole.stop * each))
        ]
        kept = [run for run, is_touched in _alternate(merge_runs(touched), whole) if not is_touched]
        wanted = [
            ObjectId(ids[number * OBJECT_ID_BYTES : (number + 1) * OBJECT_ID_BYTES]) for run in kept for number in run
        ]
        found = self._present(page_id for page_id in wanted if page_id != HOLE)
        lacking = {page_id for page_id in wanted if page_id != HOLE} - found
        if not lacking:
            return kept
        there = [
            number
            for run in kept
            for number in run
            if ids[number * OBJECT_ID_BYTES : (number + 1) * OBJECT_ID_BYTES] not in lacking
        ]
        return merge_runs(range(number, number + 1) for number in there)

    def _page(self, level: int, begin: int, page_id: ObjectId) -> Iterator[Piece]:
        blocks = self._clip(range(begin, begin + page_blocks(level)))
        touched = self._touching(blocks)
        if not blocks:
            return
        if page_id == HOLE:
            for run, is_touched in _alternate(touched, blocks):
                yield Changed(run) if is_touched else KeptHoles(run)
            return
        if touched == [blocks]:
            yield Changed(blocks)
            return
        try:
            page = self._tree.page(level, page_id, begin // page_blocks(level))
        except DamageError as error:
            yield Changed(blocks, error.message)
            return
        if level:
            yield from self.entries(level, begin, range(len(page)), page.ids)
            return
        for run, is_touched in _alternate(touched, blocks):
            part = page.part(run.start - begin, run.stop - begin)
            yield Changed(run) if is_touched else Kept(0, run, part.ids, part.fingerprints)

    def _clip(self, blocks: range) -> range:
        return range(min(blocks.start, self._shared), min(blocks.stop, self._shared))

    def _touching(self, blocks: range) -> list[range]:
        """Return the changed runs, as far as they lie within these blocks."""
        found = []
        at = max(0, bisect_right(self._starts, blocks.start) - 1)
        while at < len(self._changed) and self._changed[at].start < blocks.stop:
            run = range(max(self._changed[at].start, blocks.start), min(self._changed[at].stop, blocks.stop))
            if run:
                found.append(run)
            at += 1
        return found


def _alternate(marked: Iterable[range], whole: range) -> Iterator[tuple[range, bool]]:
    """Cut a range at ascending runs that lie in it; yield each piece with whether it is one of them."""
    done = whole.start
    for run in marked:
        if run.start > done:
            yield range(done, run.start), False
        yield run, True
        done = run.stop
    if done < whole.stop:
        yield range(done, whole.stop), False
