"""Backups that were interrupted after a checkpoint, and the backups after them."""

import errno
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from packstore.blocks import Extent
from packstore.errors import Interrupted, PackstoreError
from packstore.format.checkpoint import Checkpoint
from packstore.format.document import DocumentType, encode_document
from packstore.format.intent import CondemnedList, encode_list
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.ids import HOLE, Uid
from packstore.operations.backup import BackupOptions, BackupResult, backup
from packstore.operations.checkpoints import CheckpointPolicy
from packstore.packs.names import list_packs
from packstore.progress import NullProgress, StopRequest
from packstore.repository.checkpoints import open_checkpoints
from packstore.storage.file import FileStorage
from tests.support.devices import BLOCK, BytesSource, noise_blocks
from tests.support.faults import READING, WRITING, CrashFileOps, FaultyFileOps, PowerLost
from tests.support.worlds import World

OFTEN = CheckpointPolicy(stored_bytes=1)
NEVER = CheckpointPolicy(stored_bytes=1 << 60, seconds=1e9)
GAP = bytes(2 * BLOCK)
DEVICE = noise_blocks("a", 5) + GAP + noise_blocks("b", 4) + GAP + noise_blocks("c", 3) + b"odd tail"
CHANGED = DEVICE[:BLOCK] + noise_blocks("new", 1) + DEVICE[2 * BLOCK : -4] + b"head"
VARIANTS = ("worst", "names", "zeros", "all")


def frozen(data: bytes, name: str = "state 1", **more: Any) -> BytesSource:
    """Return a sparse source whose state has a name. After each of its holes a checkpoint may be due."""
    return BytesSource(data, sparse=True, immutable_id=name, **more)


def checkpoint_of(world: World) -> Checkpoint | None:
    """Return the open checkpoint."""
    with world.open() as repository:
        versions = [state.version for state in repository.states()]
        found = open_checkpoints(versions, repository.checkpoints())
    assert len(found) <= 1
    return found[0] if found else None


def require_readable(world: World, checkpoint: Checkpoint, data: bytes) -> None:
    """See that all that a checkpoint refers to is there, and is the beginning of the device."""
    with world.open() as repository:
        tree = repository.tree_of(checkpoint.root, checkpoint.covered // BLOCK)
        for index in range(checkpoint.covered // BLOCK):
            object_id, _ = tree.entry(index)
            block = bytes(BLOCK) if object_id == HOLE else repository.read_object(Kind.BLOCK, object_id)
            assert block == data[index * BLOCK : (index + 1) * BLOCK]


def interrupt(world: World, source: BytesSource, at: int, policy: CheckpointPolicy = OFTEN, **more: Any) -> None:
    """Run a backup that is asked to stop at its n-th read."""
    stop = StopRequest()

    def on_read(number: int) -> None:
        if number == at:
            stop.request()

    source.on_read = on_read
    source.reads = 0
    with pytest.raises(Interrupted):
        world.backup(source, stop=stop, checkpoints=policy, **more)
    source.on_read = lambda _: None
    source.offsets.clear()


@pytest.fixture
def world(fast_path: Path) -> World:
    """An empty repository."""
    return World(FileStorage(fast_path / "repository"), fast_path / "index", threads=1).create()


def finish(world: World, data: bytes, source: BytesSource) -> BackupResult:
    """Run a backup to its end; see that it is exact, and that the repository is sound."""
    result = world.backup(source, checkpoints=NEVER)
    world.expected[result.version.uid] = data
    assert world.verify() == set(world.expected)
    assert world.check().clean
    assert checkpoint_of(world) is None
    numbers = result.version.statistics
    names = ("hole", "unchanged", "dedup", "new", "resumed")
    assert sum(numbers[f"bytes_{name}"] for name in names) == numbers["bytes_total"] == len(data)
    return result


class Scene:
    """A repository that is put back to its beginning again and again."""

    def __init__(self, place: Path) -> None:
        self.root, self.index_root, self._template = place / "repository", place / "index", place / "template"
        self.world().create()
        self.root.rename(self._template)

    def world(self, ops: CrashFileOps | FaultyFileOps | None = None) -> World:
        """Return the repository as seen through these operations."""
        return World(FileStorage(self.root, ops), self.index_root, threads=1)

    def reset(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.index_root, ignore_errors=True)
        shutil.copytree(self._template, self.root)

    def go_on(self, *, changed: bool) -> int:
        """See that what an interrupted backup left is sound, and back up again; return how far it had come."""
        world = self.world()
        committed = {state.version.uid for state in world.states()}
        assert len(committed) <= 1
        world.expected |= dict.fromkeys(committed, DEVICE)
        found = checkpoint_of(world)
        covered = found.covered if found else 0
        if found:
            require_readable(world, found, DEVICE)
        data = CHANGED if changed else DEVICE
        source = frozen(data, "state 2" if changed else "state 1")
        finish(world, data, source)
        resumed_at = 0 if changed else covered
        assert all(offset >= resumed_at for offset in source.offsets), "what the checkpoint covers was read again"
        return covered


def test_power_lost_at_every_operation(fast_path: Path) -> None:
    """A crash would leave a checkpoint that refers to what is not there, and the next version would lack it."""
    scene = Scene(fast_path)
    seen = set()
    for at in itertools.count(1):
        scene.reset()
        ops = CrashFileOps(scene.root, at)
        try:
            scene.world(ops).backup(frozen(DEVICE), checkpoints=OFTEN)
        except PowerLost:
            pass
        else:
            break
        for number, variant in enumerate(("worst", VARIANTS[1 + at % 3])):
            ops.survive(variant)
            if (at + number) % 2:
                shutil.rmtree(scene.index_root, ignore_errors=True)
            seen.add(scene.go_on(changed=bool(number)))
    assert at > 60
    assert seen == {0, 7 * BLOCK, 13 * BLOCK}, "no crash came between the checkpoints"


@pytest.mark.parametrize(("number", "names"), [(errno.EIO, WRITING | READING), (errno.ENOSPC, WRITING)])
def test_a_fault_at_every_operation(fast_path: Path, number: int, names: frozenset[str]) -> None:
    """A failed write would leave a checkpoint that claims more than there is."""
    scene = Scene(fast_path)
    seen = set()
    for at in itertools.count(1):
        scene.reset()
        ops = FaultyFileOps(number, at, names)
        ops.applies = lambda operation, *args: operation != "list_directory" or args[0].parent.name != "packs"
        try:
            scene.world(ops).backup(frozen(DEVICE), checkpoints=OFTEN)
        except PackstoreError:
            assert ops.fired
        seen.add(scene.go_on(changed=bool(at % 2)))
        if not ops.fired:
            break
    assert at > 60
    assert {7 * BLOCK, 13 * BLOCK} <= seen


@pytest.mark.parametrize("at", range(2, 13))
def test_stopped_at_every_read(world: World, at: int) -> None:
    """Ctrl-C would cost what was read since the last checkpoint, or the next backup begin in the wrong place."""
    data = DEVICE[: 12 * BLOCK] + noise_blocks("more", 12) + b"odd tail"
    source = frozen(data)
    interrupt(world, source, at, NEVER)
    found = checkpoint_of(world)
    covered = found.covered if found else 0
    result = finish(world, data, source)
    assert result.resumed_at == covered
    assert sorted(source.offsets) == [offset for offset, _ in _data_extents(data) if offset >= covered]
    assert result.counters.new == sum(length for offset, length in _data_extents(data) if offset >= covered)
    # The reader is ahead by what a window of one thread holds.
    assert covered or at <= 8


def _data_extents(data: bytes = DEVICE) -> list[tuple[int, int]]:
    blocks = [(at, data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    return [(at, len(block)) for at, block in blocks if any(block)]


def _data_offsets() -> list[int]:
    return [at for at, _ in _data_extents()]


def test_stopped_again_and_again(world: World) -> None:
    """A machine that is switched off every evening would never come to the end of a large backup."""
    data = noise_blocks("long", 60) + b"odd tail"
    source = frozen(data)
    covered = [0]
    for _ in range(4):
        interrupt(world, source, 14, NEVER)
        found = checkpoint_of(world)
        covered.append(found.covered if found else 0)
    assert sorted(set(covered)) == covered, "one of the backups came to nothing"
    assert finish(world, data, source).resumed_at == covered[-1]


def test_a_source_in_another_state_is_read_whole(world: World) -> None:
    """A changed source would be mixed with what it was before."""
    interrupt(world, frozen(DEVICE), 12)
    for name in ("state 2", ""):
        source = frozen(CHANGED, name)
        interrupt(world, source, 5)
        assert checkpoint_of(world) is not None
    result = finish(world, CHANGED, source)
    assert len(source.offsets) == len(_data_offsets())
    assert result.resumed_at == 0
    assert result.counters.unchanged > 0, "nothing was compared with the checkpoint"
    assert result.version.trusted_runs == 1


def test_a_source_that_changes_while_it_is_read(world: World) -> None:
    """A checkpoint would claim to be of a state that only a part of it was read from."""
    source = frozen(DEVICE)
    stop = StopRequest()

    def on_read(number: int) -> None:
        if number == 2:
            source.immutable_id = ""
        if number == 12:
            stop.request()

    source.on_read = on_read
    with pytest.raises(Interrupted):
        world.backup(source, stop=stop, checkpoints=OFTEN)
    found = checkpoint_of(world)
    assert found
    assert found.immutable_id == ""


def test_a_promise_that_is_broken_is_told(world: World) -> None:
    """A version would mix two states of a source, and nobody be told."""
    source = frozen(DEVICE)
    interrupt(world, source, 12)

    def on_read(_number: int) -> None:
        source.immutable_id = ""

    source.on_read = on_read
    progress = NullProgress()
    with world.open() as repository:
        options = BackupOptions("volume", threads=1, checkpoints=NEVER, run_bytes=BLOCK)
        result = backup(repository, source, options, StopRequest(), progress)
    assert result.resumed_at > 0
    assert any("may mix" in warning for warning in progress.warnings)


def test_nothing_is_taken_over_of_another_size(world: World) -> None:
    """A device that was enlarged would end where it ended before."""
    interrupt(world, frozen(DEVICE), 12)
    longer = DEVICE + noise_blocks("more", 2)
    source = frozen(longer)
    assert finish(world, longer, source).resumed_at == 0


@pytest.mark.parametrize("how", ["flipped", "missing", "condemned"])
def test_what_is_lost_is_read_again(world: World, how: str) -> None:
    """A block that a checkpoint names and that is damaged, or about to be collected, would end up in a version."""
    interrupt(world, frozen(DEVICE), 12)
    found = checkpoint_of(world)
    assert found
    storage = world.storage
    packs = sorted(list_packs(storage, PackType.BLOCKS).items())
    pack_id, listed = packs[0]
    if how == "condemned":
        with world.open() as repository:
            condemned = CondemnedList(Uid(bytes(16)), [pack_id], [])
            document = encode_document(DocumentType.LIST, encode_list(condemned), repository.keyring.pack_mac)
        storage.put(f"gc/list-{condemned.id.hex()}", document)
    else:
        data = bytearray(storage.read(listed.name))
        storage.delete(listed.name)
        if how == "flipped":
            data[BLOCK // 2] ^= 1
            storage.put(listed.name, bytes(data))
            assert not world.check().clean
    source = frozen(DEVICE)
    result = world.backup(source, checkpoints=NEVER)
    assert result.resumed_at == found.covered
    again = [offset for offset in source.offsets if offset < found.covered]
    assert again, "what is lost was taken over"
    assert (len(again) == 1) == (how == "flipped")
    if how == "condemned":
        storage.delete(listed.name)
    assert world.restore(result.version)[0] == DEVICE


def test_pages_that_are_lost_cost_only_reading(world: World) -> None:
    """Damage in a checkpoint would stop every later backup of the volume."""
    interrupt(world, frozen(DEVICE), 12)
    for listed in world.storage.list_files("meta"):
        data = bytearray(world.storage.read(listed.name))
        # The checkpoint itself stays: it is the last record, and the page before it is spoiled.
        with world.open() as repository:
            found = checkpoint_of(world)
            assert found
            (location,) = repository.index.locate(Kind.PAGE, found.root)
        if location.pack_id.hex() in listed.name:
            data[location.offset + 120] ^= 1
            world.storage.delete(listed.name)
            world.storage.put(listed.name, bytes(data))
            break
    source = frozen(DEVICE)
    result = world.backup(source, checkpoints=NEVER)
    assert world.restore(result.version)[0] == DEVICE
    assert len(source.offsets) == len(_data_offsets())


def test_what_was_unreadable_is_tried_again(world: World) -> None:
    """Zeros that stand for a bad sector would be taken over as content, and nobody be told."""
    bad = Extent(BLOCK + 4096, 4096)
    interrupt(world, frozen(DEVICE, bad=(bad,)), 27)
    found = checkpoint_of(world)
    assert found
    assert found.unreadable == [bad]
    still = frozen(DEVICE, bad=(bad,))
    interrupt(world, still, 20)
    result = world.backup(still, checkpoints=NEVER)
    assert result.version.unreadable == [bad]
    assert result.resumed_at > 0


def test_a_sector_that_can_be_read_again_is_read(world: World) -> None:
    """A block that could be read at the second attempt would stay zeros."""
    bad = Extent(BLOCK + 4096, 4096)
    interrupt(world, frozen(DEVICE, bad=(bad,)), 27)
    source = frozen(DEVICE)
    result = finish(world, DEVICE, source)
    assert source.offsets[0] == BLOCK
    assert result.resumed_at > BLOCK
    assert result.version.unreadable == []


def test_what_trusted_fingerprints_is_no_paranoid_backup(world: World) -> None:
    """--paranoid would take over what was never hashed."""
    world.backup(DEVICE)
    interrupt(world, frozen(CHANGED), 12)
    found = checkpoint_of(world)
    assert found
    assert found.trusted_runs == 1
    source = frozen(CHANGED)
    paranoid = world.backup(source, paranoid=True, checkpoints=NEVER)
    assert paranoid.version.trusted_runs == 0
    assert paranoid.resumed_at == 0
    assert len(source.offsets) == len(_data_offsets())


def test_what_was_hashed_is_taken_over_by_a_paranoid_backup(world: World) -> None:
    """A paranoid backup that takes a week could never be interrupted."""
    world.backup(DEVICE)
    interrupt(world, frozen(CHANGED), 12, paranoid=True)
    result = world.backup(frozen(CHANGED), paranoid=True, checkpoints=NEVER)
    assert result.resumed_at > 0
    assert result.version.trusted_runs == 0
    assert world.restore(result.version)[0] == CHANGED


def _declare_dead(world: World, at: int) -> Callable[[int], None]:
    def on_read(number: int) -> None:
        if number == at:
            for listed in world.storage.list_files("gc"):
                world.storage.delete(listed.name)

    return on_read


def test_declared_dead_before_a_checkpoint(world: World) -> None:
    """A checkpoint would stay that refers to what a collector has taken away meanwhile, and stop it for ever."""
    source = frozen(DEVICE)
    source.on_read = _declare_dead(world, 3)
    result = world.backup(source, checkpoints=OFTEN)
    assert world.restore(result.version)[0] == DEVICE
    with world.open() as repository:
        first = sorted(repository.checkpoints(), key=lambda found: found.counter)[:2]
    assert [found.root == HOLE for found in first] == [False, True]


def test_checkpoints_that_nobody_needs_are_not_published(world: World) -> None:
    """Each backup would leave a meta pack more than it needs."""
    world.backup(frozen(DEVICE), checkpoints=CheckpointPolicy())
    with world.open() as repository:
        assert repository.checkpoints() == []
    data = b"".join(noise_blocks(part, 3) + GAP for part in range(3))
    world.backup(frozen(data), volume="other", checkpoints=OFTEN)
    with world.open() as repository:
        covered = [found.covered for found in sorted(repository.checkpoints(), key=lambda found: found.counter)]
    assert covered == [5 * BLOCK, 10 * BLOCK, 15 * BLOCK]


def test_time_alone_makes_a_checkpoint_due(world: World) -> None:
    """A slow source would be read for days without a checkpoint."""
    world.backup(frozen(DEVICE), checkpoints=CheckpointPolicy(seconds=0))
    with world.open() as repository:
        assert len(repository.checkpoints()) == 2


def test_checkpoints_between_leaf_pages(world: World) -> None:
    """A device without holes would have no checkpoint, or one for each block."""
    data = b"".join(index.to_bytes(4, "big") * (BLOCK // 4) for index in range(1, 515))
    world.backup(BytesSource(data), checkpoints=OFTEN)
    with world.open() as repository:
        covered = sorted(found.covered // BLOCK for found in repository.checkpoints())
    assert covered == [256, 512]
