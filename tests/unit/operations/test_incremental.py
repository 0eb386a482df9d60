"""Backups that are told what has changed: what they read, and what they make of what is not true."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packstore.blocks import Extent
from packstore.errors import Interrupted, UsageError
from packstore.format.pack import PackType
from packstore.format.version import EventType
from packstore.limits import PARANOID_EVERY
from packstore.operations.backup import BackupResult
from packstore.operations.checkpoints import CheckpointPolicy
from packstore.operations.hints import Change, Hints
from packstore.packs.names import list_packs
from packstore.progress import StopRequest
from tests.support.devices import BLOCK, BytesSource, noise, noise_blocks
from tests.support.worlds import PlaceStorage, World

COUNT = 300
"""Two leaf pages and an inner one."""


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An empty repository."""
    return World(PlaceStorage(), tmp_path_factory.mktemp("index")).create()


def _device(seed: object, count: int = COUNT) -> bytes:
    """Return blocks that differ and cost little: noise at their begin, a hole in their midst."""
    blocks = [noise((seed, index), 64) + bytes(BLOCK - 64) for index in range(count)]
    blocks[40:60] = [bytes(BLOCK)] * len(blocks[40:60])
    return b"".join(blocks)


def _edited(device: bytes, indexes: list[int], seed: object = "edit") -> bytes:
    changed = bytearray(device)
    for index in indexes:
        changed[index * BLOCK : index * BLOCK + 64] = noise((seed, index), 64)
    return bytes(changed)


def _hints(*indexes: int) -> Hints:
    return Hints(tuple(Change(Extent(index * BLOCK, BLOCK), exists=True) for index in sorted(indexes)))


def _run(world: World, device: bytes, hints: Hints, **options: object) -> tuple[BackupResult, BytesSource]:
    source = BytesSource(device)
    result = world.backup(source, hints=hints, **options)  # type: ignore[arg-type]
    world.expected[result.version.uid] = device
    return result, source


def test_reads_what_changed_and_some_blocks_more(world: World) -> None:
    """A backup with hints would read the whole device, and be no faster than one without."""
    device = _device("one")
    world.backup(device)
    changed = _edited(device, [7, 50, 299])
    result, source = _run(world, changed, _hints(7, 50, 299))
    assert result.hints_fault == ""
    assert {7, 50, 299, 0} <= {offset // BLOCK for offset in source.offsets}
    assert source.reads <= 3 + 2 + 16
    counters = result.counters
    assert counters.new == 3 * BLOCK
    assert counters.skipped == (COUNT - 3) * BLOCK
    assert counters.hole + counters.unchanged + counters.dedup + counters.new == len(changed)
    assert result.version.statistics["bytes_skipped"] == counters.skipped
    assert world.verify() == set(world.expected)


def test_the_same_tree_as_a_full_read(world: World) -> None:
    """A version made by hints would differ from one that was read: nothing would be shared between them."""
    device = _device("one")
    world.backup(device)
    changed = _edited(device, [7, 290])
    by_hints, _ = _run(world, changed, _hints(7, 290))
    assert world.backup(changed).version.root == by_hints.version.root


@pytest.mark.parametrize("unnamed", [0, COUNT - 1])
def test_hints_that_are_not_true(world: World, unnamed: int) -> None:
    """A list that misses a change would make a version that never existed, and nobody would be told."""
    device = _device("one")
    world.backup(device)
    changed = _edited(device, [7, unnamed])
    result, source = _run(world, changed, _hints(7))
    assert result.hints_fault
    assert source.reads >= COUNT
    assert result.counters.skipped == 0
    assert world.verify() == set(world.expected)


def test_a_hole_that_is_none(world: World) -> None:
    """Data that a list calls discarded would be replaced by zeros."""
    device = _device("one")
    world.backup(device)
    result, _ = _run(world, device, Hints((Change(Extent(0, len(device)), exists=False),)))
    assert result.hints_fault
    assert world.verify() == set(world.expected)


def test_holes_are_not_read(world: World) -> None:
    """Trimming a device would cost reading all that was trimmed."""
    device = _device("one")
    world.backup(device)
    changed = device[: 100 * BLOCK] + bytes(150 * BLOCK) + device[250 * BLOCK :]
    result, source = _run(world, changed, Hints((Change(Extent(100 * BLOCK, 150 * BLOCK), exists=False),)))
    assert result.hints_fault == ""
    assert source.reads <= 2 + 16
    assert result.counters.hole >= 150 * BLOCK
    assert world.verify() == set(world.expected)


@pytest.mark.parametrize("size", [COUNT * BLOCK - 77, (COUNT - 1) * BLOCK, 200 * BLOCK + 5, 320 * BLOCK, BLOCK // 2, 0])
def test_another_size(world: World, size: int) -> None:
    """What was added to a device, or the block at its old end, would be taken for zeros or for what it was."""
    device = _device("one") + b"tail"
    world.backup(device)
    changed = (device + noise("more", 30 * BLOCK))[:size]
    result, source = _run(world, changed, Hints())
    assert result.hints_fault == ""
    smaller = min(size, len(device))
    assert source.reads <= 2 + 16 + (max(size - smaller, 0) // BLOCK) + 2
    assert world.verify() == set(world.expected)


def test_no_base_or_not_the_latest(world: World) -> None:
    """Hints relative to a version that was removed would be applied to an older one, and changes be lost."""
    first = _device("one")
    result, _ = _run(world, first, Hints())
    assert result.hints_fault
    second = _edited(first, [5, 7])
    newer = world.backup(second).version
    world.event(EventType.REMOVE, newer.uid)
    world.expected.pop(newer.uid)
    third = _edited(second, [9], "again")
    result, _ = _run(world, third, _hints(9))
    assert "--hints-from" in str(result.hints_fault)
    assert world.verify() == set(world.expected)


def test_a_named_base_is_what_they_are_relative_to(world: World) -> None:
    """Hints relative to an older version could not be used at all."""
    first = _device("one")
    base = world.backup(first).version
    second = _edited(first, [5, 7])
    world.backup(second)
    third = _edited(first, [9])
    result, _ = _run(world, third, _hints(9), base=base.uid.hex())
    assert result.hints_fault == ""
    assert world.verify() == set(world.expected)


def test_what_is_damaged_is_read_whatever_the_hints_say(world: World) -> None:
    """A block that was lost would stay lost for as long as it does not change."""
    device = _device("one")
    world.backup(device)
    storage = world.storage
    assert isinstance(storage, PlaceStorage)
    name = max(list_packs(storage, PackType.BLOCKS).values(), key=lambda listed: listed.size).name
    data = bytearray(storage.files[name])
    data[len(data) // 2] ^= 1
    storage.files[name] = bytes(data)
    world.check()
    result, _ = _run(world, device, Hints())
    assert result.hints_fault == ""
    assert result.counters.new == BLOCK
    assert world.verify() == set(world.expected)


def test_what_could_not_be_read_is_read_again(world: World) -> None:
    """Zeros in place of a bad sector would stay in every later version, although the disk was repaired."""
    device = _device("one")
    source = BytesSource(device, bad=(Extent(9 * BLOCK, 10),))
    assert world.backup(source).version.unreadable
    result, _ = _run(world, device, Hints())
    assert result.hints_fault == ""
    assert not result.version.unreadable
    data, _ = world.restore(result.version)
    assert data == device


def test_a_device_that_cannot_be_read_is_not_taken_for_the_same(world: World) -> None:
    """A dying disk would have perfect backups: nothing that is compared with the hints can be read."""
    device = _device("one")
    world.backup(device)
    source = BytesSource(device, bad=(Extent(0, len(device)),))
    result = world.backup(source, hints=Hints())
    assert result.hints_fault
    assert "cannot be read" in result.hints_fault
    assert result.version.unreadable


def test_a_pack_of_pages_that_vanished(world: World) -> None:
    """A version would rely on pages that are gone, and be lost although the device still has everything."""
    device = _device("one")
    world.backup(device)
    storage = world.storage
    assert isinstance(storage, PlaceStorage)
    gone = [listed.name for listed in list_packs(storage, PackType.META).values()]
    world.backup(_edited(device, [3]))
    for name in gone:
        del storage.files[name]
    result, source = _run(world, _edited(device, [3]), _hints(5))
    assert result.hints_fault == ""
    assert set(range(256, COUNT)) <= {offset // BLOCK for offset in source.offsets}
    assert world.restore(result.version)[0] == _edited(device, [3])


def test_every_so_often_all_is_hashed(world: World) -> None:
    """A change that hints always miss would never be seen."""
    device = _device("one", 20)
    for number in range(PARANOID_EVERY + 1):
        result, _ = _run(world, device, Hints())
        expected = bool(number % PARANOID_EVERY == 0)
        assert bool(result.hints_fault) is expected
        assert (result.version.trusted_runs == 0) is expected
    result, _ = _run(world, device, Hints(), paranoid=True)
    assert result.hints_fault


def test_a_stream_has_no_hints(world: World) -> None:
    """A stream would be skipped over, which nobody can."""
    source = BytesSource(b"")
    source.__class__ = type("Stream", (BytesSource,), {"size": None})
    with pytest.raises(UsageError):
        world.backup(source, hints=Hints())


@pytest.mark.parametrize("immutable", ["", "snapshot 1"])
def test_interrupted_and_run_again(world: World, immutable: str) -> None:
    """A backup by hints that was interrupted would leave out what its checkpoint covers, or mix two states."""
    device = _device("one")
    world.backup(device)
    changed = _edited(device, list(range(0, 300, 3)))
    hints = _hints(*range(0, 300, 3))
    stop = StopRequest()
    source = BytesSource(changed, immutable_id=immutable)
    source.on_read = lambda reads: stop.request() if reads == 90 else None
    with pytest.raises(Interrupted):
        world.backup(source, hints=hints, stop=stop, checkpoints=CheckpointPolicy(stored_bytes=1))
    again = BytesSource(changed, immutable_id=immutable)
    result = world.backup(again, hints=hints)
    world.expected[result.version.uid] = changed
    assert result.hints_fault == ""
    assert result.counters.new < 60 * BLOCK
    assert again.reads <= 100 + 2 + 16
    assert world.verify() == set(world.expected)


def test_after_a_full_read_that_was_interrupted(world: World) -> None:
    """What a checkpoint says, which is newer than the base, would be mixed with hints relative to the base."""
    device = _device("one")
    world.backup(device)
    meanwhile = _edited(device, [2, 5, 280])
    stop = StopRequest()
    source = BytesSource(meanwhile)
    source.on_read = lambda reads: stop.request() if reads == 270 else None
    with pytest.raises(Interrupted):
        world.backup(source, stop=stop, checkpoints=CheckpointPolicy(stored_bytes=1))
    later = _edited(meanwhile, [5], "later")
    result, _ = _run(world, later, _hints(2, 5, 280))
    assert result.hints_fault == ""
    assert world.verify() == set(world.expected)


@settings(max_examples=8)
@given(st.integers(0, 1 << 32))
def test_any_edits(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Some sequence of writes, discards and resizes would make a version that restores to something else."""
    rng = random.Random(seed)
    world = World(PlaceStorage(), tmp_path_factory.mktemp("index"), threads=1).create()
    device = noise_blocks(seed, rng.randrange(1, 6)) * rng.choice((1, 20)) + bytes(rng.randrange(BLOCK))
    world.backup(device)
    for _ in range(3):
        changed, marks = bytearray(device), []
        for _ in range(rng.randrange(4)):
            offset = rng.randrange(len(device))
            length = rng.randrange(1, 4 * BLOCK)
            marks.append((offset, min(length, len(device) - offset), rng.random() < 0.5))
        marks.sort()
        changes, end = [], 0
        for offset, length, exists in marks:
            if offset >= end:
                changed[offset : offset + length] = noise((seed, offset), length) if exists else bytes(length)
                changes.append(Change(Extent(offset, length), exists))
                end = offset + length
        size = rng.choice((len(device), max(end, rng.randrange(2 * len(device)))))
        device = bytes(changed[:size]) + noise((seed, size), max(0, size - len(changed)))
        result, _ = _run(world, device, Hints(tuple(changes)))
        assert result.hints_fault == "", f"seed {seed}"
        assert world.verify() == set(world.expected), f"seed {seed}"
