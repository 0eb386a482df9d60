"""Synthetic devices: what measurements and other tests rely on."""

from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packstore.blocks import Extent
from packstore.errors import UsageError
from packstore.sources.null import NullDevice, NullSource

CELL = 4096

devices = st.builds(
    NullDevice,
    size=st.integers(0, 40 * CELL),
    seed=st.integers(0, 5),
    round=st.integers(0, 4),
    changed=st.integers(0, 45),
    holes=st.sampled_from([0.0, 10.0, 50.0, 100.0]),
    random=st.sampled_from([0.0, 30.0, 100.0]),
    cell=st.just(CELL),
)


def read(source: NullSource, offset: int, length: int) -> bytes:
    """Return a range of a source."""
    data = bytearray(length)
    assert source.read_into(offset, memoryview(data)) == length
    return bytes(data)


def _content(device: NullDevice) -> bytes:
    return read(NullSource(device), 0, device.size)


@given(devices, st.data())
def test_any_range_is_a_part_of_the_whole(device: NullDevice, data: st.DataObject) -> None:
    """Blocks of another size than the cells would be of another device, and nothing could be verified."""
    whole = _content(device)
    assert len(whole) == device.size
    start = data.draw(st.integers(0, device.size))
    end = data.draw(st.integers(start, device.size))
    assert read(NullSource(device), start, end - start) == whole[start:end]


@given(devices)
def test_what_is_not_an_extent_is_zeros(device: NullDevice) -> None:
    """A backup would leave out what is there."""
    rest = bytearray(_content(device))
    extents = list(NullSource(device).extents())
    for extent in extents:
        assert extent.length > 0
        rest[extent.offset : extent.end] = bytes(extent.length)
    assert not any(rest)
    assert all(first.end < second.offset for first, second in pairwise(extents))


@given(devices)
def test_hints_are_exact(device: NullDevice) -> None:
    """A measurement with hints would measure backups that fall back to a full read, or that miss changes."""
    before = replace(device, round=max(device.round - 1, 0))
    old, new = _content(before), _content(device)
    said = NullSource(device).changed() if device.round else []
    numbers = {offset // CELL for extent in said for offset in range(extent.offset, extent.end, CELL)}
    different = {
        at for at in range(device.cells) if old[at * CELL : at * CELL + CELL] != new[at * CELL : at * CELL + CELL]
    }
    assert numbers == different
    assert len(numbers) == (min(device.changed, device.cells) if device.round else 0)


@given(devices)
def test_every_cell_differs(device: NullDevice) -> None:
    """Blocks would be shared by accident, and what a repository takes be measured too small."""
    content = _content(device)
    cells = [content[at : at + CELL] for at in range(0, len(content) // CELL * CELL, CELL)]
    data = [cell for cell in cells if any(cell)]
    assert len(set(data)) == len(data)


def test_distinct_cells_come_again() -> None:
    """A base of many terabytes could not be made of a few blocks."""
    content = _content(NullDevice(10 * CELL, distinct=3, cell=CELL))
    assert content[: 3 * CELL] == content[3 * CELL : 6 * CELL]
    assert len({content[at : at + CELL] for at in range(0, len(content), CELL)}) == 3
    changed = _content(NullDevice(10 * CELL, distinct=3, cell=CELL, round=1, changed=4))
    assert len({changed[at : at + CELL] for at in range(0, len(content), CELL)}) >= 4


def test_a_large_one_costs_nothing() -> None:
    """A device of 200 TiB would need a list of its blocks."""
    source = NullSource(NullDevice.parse("null://200TiB?seed=3&round=9&changed=100"))
    assert source.size == 200 << 40
    changed = source.changed()
    assert sum(extent.length for extent in changed) == 100 << 20
    before = NullSource(replace(source.device, round=8))
    assert read(source, changed[50].offset, 4096) != read(before, changed[50].offset, 4096)
    assert list(source.extents()) == [Extent(0, 200 << 40)]


@given(devices)
def test_the_url_says_it_all(device: NullDevice) -> None:
    """A version would record a source that cannot be made again."""
    assert NullDevice.parse(str(device)) == device
    assert cast("str", NullSource(device).description["path"]) == str(device)


@pytest.mark.parametrize(
    "url",
    [
        "null://",
        "null://x",
        "null://1X",
        "null://-1",
        "null://1G?seed",
        "null://1G?seed=",
        "null://1G?seed=-1",
        "null://1G?seed=1&seed=2",
        "null://1G?nothing=1",
        "null://1G?change=101",
        "null://1G?change=nan",
        "null://1G?change=1&changed=1",
        "null://1G?cell=1",
        "null://1G?cell=1TiB",
        "null://99999999P",
        "null://1G?round=99999999",
    ],
)
def test_refused(url: str) -> None:
    """A mistyped word would be ignored, and something else be measured."""
    with pytest.raises(UsageError):
        NullDevice.parse(url)
