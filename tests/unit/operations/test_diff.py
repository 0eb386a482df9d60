"""Differences of versions, against their bytes."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from packstore.blocks import Extent, merge_extents
from packstore.errors import UsageError
from packstore.format.page import decode_page
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.limits import PAGE_ENTRIES
from packstore.operations.diff import DiffResult, diff
from packstore.progress import StopRequest
from packstore.repository.treediff import Root, tree_differences
from tests.support.devices import BLOCK, noise, noise_blocks
from tests.support.worlds import PlaceStorage, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty repository."""
    return World(PlaceStorage(), tmp_path / "index").create()


def found(world: World, first: Version, second: Version) -> DiffResult:
    """What the operation says."""
    with world.open() as repository:
        return diff(repository, first, second, StopRequest())


def expected(first: bytes, second: bytes) -> list[Extent]:
    """Blocks that differ, and what only one of them has, as ranges."""
    end, size = sorted((len(first), len(second)))
    ranges = [Extent(end, size - end)]
    for offset in range(0, size, BLOCK):
        pair = [content[offset : offset + BLOCK] for content in (first, second)]
        # A block of zeros is a hole, whatever its length; what is behind the shorter end counts anyway.
        if (pair[0] if any(pair[0]) else b"") != (pair[1] if any(pair[1]) else b""):
            ranges.append(Extent(offset, min(BLOCK, size - offset)))
    return merge_extents(ranges)


@pytest.mark.parametrize("seed", range(8))
def test_random_changes(world: World, seed: int) -> None:
    """A range that changed would be missing, and whoever relies on the list would lose it."""
    chance = random.Random(seed)
    palette = [noise(("diff", number), BLOCK) for number in range(5)] + [bytes(BLOCK)]
    contents = []
    content = [chance.choice(palette) for _ in range(chance.choice([1, 200, 256, 257, 520]))]
    for _ in range(3):
        for _ in range(chance.randrange(5)):
            content[chance.randrange(len(content))] = chance.choice(palette)
        size = chance.choice([len(content), len(content), 1, 256, 257, 600])
        content = (content + [chance.choice(palette)] * 600)[:size]
        contents.append(b"".join(content) + chance.choice([b"", b"\0\0", b"tail"]))
    versions = [world.backup(each).version for each in contents]
    for first, before in zip(versions, contents, strict=True):
        for second, after in zip(versions, contents, strict=True):
            assert found(world, first, second).changed == expected(before, after)


def test_time_is_in_proportion_to_the_difference(world: World) -> None:
    """Comparing two versions of a huge volume would read all their pages."""
    content = noise_blocks("pages", 4) * 1000
    first = world.backup(content).version
    changed = bytearray(content)
    changed[900 * BLOCK] ^= 1
    changed[3000 * BLOCK] ^= 1
    second = world.backup(bytes(changed)).version
    reads = []
    with world.open() as repository:
        roots = [Root(version.root, 4000) for version in (first, second)]
        differences = list(
            tree_differences(
                lambda page_id: reads.append(page_id) or repository.read_object(Kind.PAGE, page_id), *roots
            )
        )
    assert [difference.blocks for difference in differences] == [range(900, 901), range(3000, 3001)]
    assert len(reads) == 2 * (1 + 2)


def test_the_same_version(world: World) -> None:
    """A version would differ from itself, or be read for nothing."""
    version = world.backup(noise_blocks("same", 3)).version
    assert found(world, version, version).changed == []


def test_trees_of_different_heights(world: World) -> None:
    """A volume that outgrew its tree would differ everywhere, or only in what is new."""
    content = noise_blocks("height", 2) * 128
    assert len(content) == PAGE_ENTRIES * BLOCK
    first = world.backup(content).version
    second = world.backup(content + noise("new", BLOCK)).version
    for pair in ((first, second), (second, first)):
        assert found(world, *pair).changed == [Extent(256 * BLOCK, BLOCK)]


def test_different_block_sizes_are_refused(world: World) -> None:
    """Blocks of different lengths would be compared by their numbers."""
    version = world.backup(noise_blocks("other", 3)).version
    with pytest.raises(UsageError, match="cannot be compared"):
        found(world, version, replace(version, block_size=2 * BLOCK))


def test_damage_makes_a_range_unknown(world: World) -> None:
    """Damage in one page would hide all other differences, or show a range as equal."""
    content = noise_blocks("damage", 3) * 200
    first = world.backup(content).version
    changed = bytearray(content)
    changed[10 * BLOCK] ^= 1
    changed[300 * BLOCK] ^= 1
    second = world.backup(bytes(changed)).version
    with world.open() as repository:
        page = decode_page(repository.read_object(Kind.PAGE, second.root)).id_at(0)
        (location,) = repository.index.locate(Kind.PAGE, page)
    name = f"meta/{location.pack_id.hex()}"
    data = bytearray(world.storage.read(name))
    data[location.offset + 300] ^= 1
    world.storage.files[name] = bytes(data)  # type: ignore[attr-defined]
    result = found(world, first, second)
    assert result.changed == [Extent(300 * BLOCK, BLOCK)]
    assert result.unknown == [Extent(0, 256 * BLOCK)]
    assert result.reasons
