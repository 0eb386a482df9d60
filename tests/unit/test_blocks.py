"""Geometry of devices: lengths, extents, runs."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packstore.blocks import Extent, Geometry, block_runs, is_zero, merge_extents

SIZES = st.integers(0, 3000)
EXTENTS = st.lists(st.builds(Extent, st.integers(0, 3200), st.integers(0, 400)), max_size=12)


@given(SIZES, st.sampled_from([64, 100, 512]))
def test_blocks_cover_the_device_once(size: int, block: int) -> None:
    """A byte would be in no block, or in two."""
    geometry = Geometry(size, block)
    extents = [geometry.extent(index) for index in range(geometry.count)]
    assert sum(extent.length for extent in extents) == size
    assert all(before.end == after.offset for before, after in itertools.pairwise(extents))
    assert geometry.length(geometry.count) == 0
    assert geometry.span(range(geometry.count)).length == size


@given(EXTENTS)
def test_merged_extents_are_the_same_bytes(extents: list[Extent]) -> None:
    """A range would be lost or invented."""
    merged = merge_extents(extents)
    assert _bytes(merged) == _bytes(extents)
    assert all(before.end < after.offset for before, after in itertools.pairwise(merged))


@given(SIZES, EXTENTS, st.sampled_from([64, 100, 512]))
def test_runs_cover_every_block_once_and_mark_what_is_touched(size: int, extents: list[Extent], block: int) -> None:
    """A block with data would be taken for a hole."""
    geometry = Geometry(size, block)
    inside = sorted(extent for extent in extents if extent.offset < size)
    runs = list(block_runs(geometry, inside))
    assert [index for blocks, _ in runs for index in blocks] == list(range(geometry.count))
    touched = {index for extent in inside for index in geometry.blocks_of(extent)}
    assert {index for blocks, is_data in runs if is_data for index in blocks} == touched


@pytest.mark.parametrize(("block", "zero"), [(b"", True), (b"\0", True), (bytes(65_536), True), (b"\0\0\1", False)])
def test_zeros(block: bytes, zero: bool) -> None:
    """A block with one bit set would be taken for a hole."""
    assert is_zero(block) is zero


def _bytes(extents: list[Extent]) -> set[int]:
    return {byte for extent in extents for byte in range(extent.offset, extent.end)}
