"""Trees of pages against a plain list."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packstore.errors import FormatError
from packstore.format.page import NO_FINGERPRINT, Page, decode_page, encode_page
from packstore.ids import HOLE, ObjectId
from packstore.limits import PAGE_ENTRIES
from packstore.repository.tree import TreeReader, TreeWriter, leaf_spans, tree_levels

Runs = list[tuple[bool, int]]
SIZES = [0, 1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537]


class Pages:
    """Pages by id, and how many were stored."""

    def __init__(self) -> None:
        self.by_id: dict[ObjectId, bytes] = {}

    def put(self, plain: bytes) -> ObjectId:
        """Store a page."""
        object_id = ObjectId(hashlib.sha512(plain).digest())
        self.by_id[object_id] = plain
        return object_id


def _id(index: int) -> ObjectId:
    return ObjectId(hashlib.sha512(index.to_bytes(8, "big")).digest())


def _build(runs: Runs, *, split: int = 1 << 40) -> tuple[Pages, ObjectId, list[ObjectId]]:
    pages, plain = Pages(), []
    writer = TreeWriter(pages.put)
    for is_hole, count in runs:
        if is_hole:
            left = count
            while left:
                writer.add_holes(min(left, split))
                left -= min(left, split)
            plain += [HOLE] * count
        else:
            for _ in range(count):
                writer.add(_id(len(plain)), _id(len(plain))[:16])
                plain.append(_id(len(plain)))
    return pages, writer.finish(), plain


def _check(pages: Pages, root: ObjectId, plain: list[ObjectId]) -> None:
    reader = TreeReader(pages.by_id.__getitem__, root, len(plain))
    for number, blocks in leaf_spans(len(plain)):
        leaf = reader.leaf(number)
        due = plain[blocks.start : blocks.stop]
        if leaf is None:
            assert due == [HOLE] * len(due)
        else:
            assert [leaf.id_at(at) for at in range(len(leaf))] == due
    for index in {0, len(plain) // 2, len(plain) - 1} & set(range(len(plain))):
        object_id, fingerprint = reader.entry(index)
        assert object_id == plain[index]
        assert fingerprint == (NO_FINGERPRINT if plain[index] == HOLE else plain[index][:16])


@pytest.mark.parametrize("size", SIZES)
def test_sizes_at_the_borders_of_pages(size: int) -> None:
    """A device whose number of blocks fills its pages exactly would lose its end."""
    for runs in ([(False, size)], [(True, size)], [(False, size // 2), (True, size - size // 2)]):
        pages, root, plain = _build(runs)
        assert len(plain) == size
        _check(pages, root, plain)
        if all(found == HOLE for found in plain):
            assert root == HOLE
            assert not pages.by_id


@pytest.mark.parametrize("size", [1 << 20, (1 << 24) + 1, 1 << 33])
def test_huge_holes_cost_nothing(size: int) -> None:
    """An empty device of petabytes would take hours, or memory."""
    pages = Pages()
    writer = TreeWriter(pages.put)
    writer.add_holes(size)
    writer.add(_id(1), bytes(16))
    writer.add_holes(size)
    root = writer.finish()
    assert len(pages.by_id) == tree_levels(2 * size + 1)
    reader = TreeReader(pages.by_id.__getitem__, root, 2 * size + 1)
    assert reader.entry(size)[0] == _id(1)
    assert reader.entry(size - 1)[0] == HOLE
    assert reader.entry(2 * size)[0] == HOLE


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 700)), max_size=8), st.integers(1, 900))
def test_a_tree_is_its_list(runs: Runs, split: int) -> None:
    """Runs of holes and blocks would be shifted, or depend on how they arrive."""
    pages, root, plain = _build(runs)
    _check(pages, root, plain)
    assert _build(runs, split=split)[1] == root


def test_a_changed_block_costs_one_page_a_level() -> None:
    """Versions would not share what did not change."""
    pages, _, _ = _build([(False, 70_000)])
    writer = TreeWriter(pages.put)
    before = len(pages.by_id)
    for index in range(70_000):
        writer.add(_id(index if index != 40_000 else -1 & 0xFFFF), _id(index)[:16])
    writer.finish()
    assert len(pages.by_id) - before == 3


@pytest.mark.parametrize(("level", "entries"), [(1, 4), (0, 3), (0, 5)])
def test_a_page_that_does_not_fit_its_place_is_refused(level: int, entries: int) -> None:
    """A page from elsewhere in the tree would be restored in the wrong place."""
    fingerprints = b"f" * 16 * entries if level == 0 else b""
    plain = encode_page(Page(level, _id(1) * entries, fingerprints))
    assert decode_page(plain).level == level
    with pytest.raises(FormatError):
        TreeReader(lambda _: plain, _id(9), 4).leaf(0)


def test_levels() -> None:
    """A tree would be one level too high or too low at the borders."""
    assert [tree_levels(count) for count in (1, 256, 257, 65_536, 65_537)] == [1, 1, 2, 2, 3]
    assert PAGE_ENTRIES == 256


@pytest.mark.parametrize("holes", [0, 3, 300])
def test_a_snapshot_is_the_tree_so_far(holes: int) -> None:
    """A checkpoint would cover something else than what was read, or taking one change the version."""
    for taken_at in (1, 255, 256, 257, 511, 512, 600, 70_000):
        writer, plain, short = (TreeWriter(hash_page) for _ in range(3))
        for index in range(taken_at + 5):
            if index == taken_at:
                assert writer.count == taken_at + holes
                assert writer.snapshot() == short.finish()
            for tree in (writer, plain) if index >= taken_at else (writer, plain, short):
                tree.add(ObjectId(index.to_bytes(4, "big") + b"\x01" * 60), b"\x02" * 16)
                if index == 0:
                    tree.add_holes(holes)
        assert writer.finish() == plain.finish()


def hash_page(data: bytes) -> ObjectId:
    """Store a page nowhere."""
    return ObjectId(hashlib.sha512(data).digest())
