"""What a new tree takes over from an old one, against building it entry by entry."""

import hashlib
from collections.abc import Callable, Iterable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packstore.blocks import merge_runs
from packstore.errors import FormatError
from packstore.format.page import NO_FINGERPRINT
from packstore.ids import HOLE, ObjectId
from packstore.repository.tree import Kept, TreeReader, TreeWriter
from packstore.repository.treewalk import Changed, unchanged_parts

Entries = list[ObjectId]


class Pages:
    """Pages by id, and which of them were read."""

    def __init__(self) -> None:
        self.by_id: dict[ObjectId, bytes] = {}
        self.read: list[ObjectId] = []

    def put(self, plain: bytes) -> ObjectId:
        """Store a page."""
        object_id = ObjectId(hashlib.sha512(plain).digest())
        self.by_id[object_id] = plain
        return object_id

    def get(self, object_id: ObjectId) -> bytes:
        """Read a page, or fail as a damaged one does."""
        self.read.append(object_id)
        if object_id not in self.by_id:
            raise FormatError("page", "lost")
        return self.by_id[object_id]


def _all(ids: Iterable[ObjectId]) -> set[ObjectId]:
    return set(ids)


@cache
def _entry(seed: str, index: int) -> ObjectId:
    return ObjectId(hashlib.sha512(f"{seed} {index}".encode()).digest())


def _add(writer: TreeWriter, object_id: ObjectId) -> None:
    if object_id == HOLE:
        writer.add_holes(1)
    else:
        writer.add(object_id, object_id[:16])


def _build(pages: Pages, entries: Entries) -> ObjectId:
    writer = TreeWriter(pages.put)
    for object_id in entries:
        _add(writer, object_id)
    return writer.finish()


def _rebuild(
    pages: Pages, old: Entries, new: Entries, changed: list[range], present: Callable[..., set[ObjectId]] = _all
) -> tuple[ObjectId, int]:
    """Build the new tree from the old one; return its root and how many blocks were looked at."""
    root = _build(pages, old)
    pages.read.clear()
    writer = TreeWriter(pages.put)
    looked = 0
    for piece in unchanged_parts(TreeReader(pages.get, root, len(old)), present, changed, len(new)):
        if isinstance(piece, Kept):
            writer.take(piece)
        elif isinstance(piece, Changed):
            looked += len(piece.blocks)
            for index in piece.blocks:
                _add(writer, new[index])
        else:
            writer.add_holes(len(piece.blocks))
    return writer.finish(), looked


sizes = st.one_of(st.integers(0, 700), st.sampled_from([65_535, 65_536, 65_537]))


@settings(max_examples=40)
@given(st.data())
def test_same_tree_as_entry_by_entry(data: st.DataObject) -> None:
    """A version made from hints would have blocks in the wrong places, or pages of the wrong shape."""
    before = data.draw(sizes)
    after = data.draw(st.one_of(st.just(before), sizes))
    old = [_entry("old", index) for index in range(before)]
    for start in data.draw(st.lists(st.integers(0, max(0, before - 1)), max_size=3)):
        length = data.draw(st.sampled_from([1, 3, 256, 600]))
        old[start : start + length] = [HOLE] * len(old[start : start + length])
    new = (old + [HOLE] * after)[:after]
    runs = [range(max(0, min(before, after) - 1), after)] if before != after else []
    starts = data.draw(st.lists(st.integers(0, max(0, after - 1)), max_size=5))
    runs += [range(start, min(after, start + data.draw(st.sampled_from([1, 2, 256, 300])))) for start in starts]
    changed = merge_runs(sorted(filter(None, runs), key=lambda run: run.start))
    is_hole = data.draw(st.booleans())
    for run in changed:
        for index in run:
            new[index] = HOLE if is_hole else _entry("new", index)
    pages = Pages()
    root, looked = _rebuild(pages, old, new, changed)
    assert looked == sum(map(len, changed))
    assert root == _build(pages, new)


def test_only_the_path_to_a_change_is_read() -> None:
    """A backup of one changed block would read all pages of the base, and take as long as the volume is large."""
    old = [_entry("old", index) for index in range(66_000)]
    new = [*old[:40_000], _entry("new", 0), *old[40_001:]]
    pages = Pages()
    stored: list[bytes] = []
    root = _build(pages, old)
    pages.read.clear()
    writer = TreeWriter(lambda plain: stored.append(plain) or pages.put(plain))
    for piece in unchanged_parts(TreeReader(pages.get, root, len(old)), _all, [range(40_000, 40_001)], len(new)):
        if isinstance(piece, Kept):
            writer.take(piece)
        else:
            assert piece == Changed(range(40_000, 40_001))
            writer.add(new[40_000], new[40_000][:16])
    assert writer.finish() == _build(Pages(), new)
    assert len(pages.read) == 3
    assert len(stored) == 3


def test_nothing_changed_reads_nothing() -> None:
    """A version of an unchanged device would cost a walk over its base."""
    old = [_entry("old", index) for index in range(70_000)]
    pages = Pages()
    root, looked = _rebuild(pages, old, old, [])
    assert root == _build(Pages(), old)
    assert (looked, pages.read) == (0, [])


@pytest.mark.parametrize("lost", [0, 100, 256])
def test_a_page_that_is_gone_counts_as_changed(lost: int) -> None:
    """A page that was lost would be taken over from version to version, and never be stored again."""
    old = [_entry("old", index) for index in range(66_000)]
    pages = Pages()
    root = _build(pages, old)
    reader = TreeReader(pages.get, root, len(old))
    reader.leaf(lost)
    gone = pages.read[-1]
    del pages.by_id[gone]

    def present(ids: Iterable[ObjectId]) -> set[ObjectId]:
        return set(ids) & set(pages.by_id)

    pieces = list(unchanged_parts(TreeReader(pages.get, root, len(old)), present, [range(30_000, 30_001)], len(old)))
    faulty = [piece.blocks for piece in pieces if isinstance(piece, Changed) and piece.fault]
    if lost < 256:
        assert faulty == [range(lost * 256, lost * 256 + 256)]
    else:  # below an inner page in which nothing changed: known damage is what finds it
        assert faulty == []


def test_kept_leaf_entries_keep_their_fingerprints() -> None:
    """Every block beside a changed one would be hashed at the next full read."""
    old = [_entry("old", index) for index in range(10)]
    pages = Pages()
    root, _ = _rebuild(pages, old, [*old[:5], HOLE, *old[6:]], [range(5, 6)])
    leaf = TreeReader(pages.get, root, 10).leaf(0)
    assert leaf is not None
    assert [leaf.fingerprint_at(index) for index in range(4, 7)] == [old[4][:16], NO_FINGERPRINT, old[6][:16]]
