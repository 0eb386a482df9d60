"""Backups and `init` with a fault, or a loss of power, at each of their file operations."""

import errno
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from packstore.errors import PackstoreError, RepositoryExists, RepositoryNotFound
from packstore.format.pack import PackType
from packstore.operations.backup import BackupResult
from packstore.packs.names import list_packs
from packstore.packs.reader import read_seal
from packstore.repository.documents import REPOSITORY_NAME
from packstore.repository.repository import Repository
from packstore.storage.file import FileStorage
from tests.support.devices import BLOCK, noise_blocks
from tests.support.faults import READING, WRITING, CrashFileOps, FaultyFileOps, PowerLost
from tests.support.worlds import World

BEFORE = noise_blocks("before", 6) + b"odd tail"
AFTER = noise_blocks("before", 3) + bytes(BLOCK) + noise_blocks("after", 14) + b"another tail"
VARIANTS = ("worst", "names", "zeros", "all")


def _init_points() -> Iterator[int]:
    """Yield every operation of `init`, but of the 256 directories, which are alike, only some."""
    return itertools.chain(range(1, 4), range(4, 255, 50), itertools.count(255))


class Scene:
    """A repository in a directory that can be put back to its beginning, and to which things happen."""

    def __init__(self, place: Path, *, incremental: bool) -> None:
        self.place = place
        self.root = place / "repository"
        self.index_root = place / "index"
        self._template = place / "template"
        world = self.world()
        world.create()
        self.committed: dict[bytes, bytes] = {}
        if incremental:
            world.backup(BEFORE)
            self.committed = dict(world.expected)
        self.root.rename(self._template)
        shutil.rmtree(self.index_root, ignore_errors=True)

    def world(self, ops: CrashFileOps | FaultyFileOps | None = None) -> World:
        """Return the repository as seen through these operations."""
        return World(FileStorage(self.root, ops), self.index_root, threads=1)

    def reset(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.index_root, ignore_errors=True)
        shutil.copytree(self._template, self.root)

    def verify(self, *, committed: bool | None = None) -> int:
        """See that all is as it should be after an interruption, run the backup again; return blocks in packs."""
        world = self.world()
        world.expected = dict(self.committed)
        with world.open() as repository:
            new = [state.version.uid for state in repository.states() if state.version.uid not in self.committed]
            assert len(new) <= 1
            assert committed is None or len(new) == int(committed)
            world.expected |= dict.fromkeys(new, AFTER)
            stored = _stored_blocks(repository)
        assert world.verify() == set(world.expected), "a committed version is gone"
        report = world.check()
        assert report.clean, report
        self._again(world, stored)
        return stored

    def _again(self, world: World, stored: int) -> None:
        result = world.backup(AFTER)
        assert world.verify() == set(world.expected)
        assert result.counters.new <= _new_bytes(stored), "what had been published was stored again"
        assert result.bytes_stored <= _new_bytes(stored) + 64 * 1024
        self._swept(world, result)

    def _swept(self, world: World, result: BackupResult) -> None:
        assert world.check().clean
        assert world.storage.unfinished("packs") + world.storage.unfinished("meta") == []
        assert world.storage.list_files("gc") == [], "the intent of a dead writer was left"
        with world.open() as repository:
            there = list_packs(world.storage, PackType.BLOCKS)
            assert not [pack_id for pack_id in repository.index.orphans() if pack_id in there], result


def _stored_blocks(repository: Repository) -> int:
    """Return how many blocks of AFTER lie in sealed packs, whether anything names these or not."""
    wanted = {repository.keyring.object_id(AFTER[at : at + BLOCK]) for at in range(0, len(AFTER), BLOCK)}
    found = {
        entry.object_id
        for pack_id in list_packs(repository.storage, PackType.BLOCKS)
        for entry in read_seal(repository.storage, PackType.BLOCKS, pack_id, repository.owner).entries
    }
    return len(wanted & found)


def _new_bytes(stored: int) -> int:
    distinct = 3 + 14 + 1
    return (distinct - stored) * BLOCK


@pytest.mark.parametrize("incremental", [False, True], ids=["first", "incremental"])
def test_power_lost_at_every_operation(fast_path: Path, incremental: bool) -> None:
    """A crash would lose a committed version, show half of a new one, or waste what was stored."""
    scene = Scene(fast_path, incremental=incremental)
    most = 0
    for at in itertools.count(1):
        scene.reset()
        ops = CrashFileOps(scene.root, at)
        try:
            scene.world(ops).backup(AFTER)
        except PowerLost:
            pass
        else:
            break
        for number, variant in enumerate(("worst", VARIANTS[1 + at % 3])):
            ops.survive(variant)
            if (at + number) % 2:
                shutil.rmtree(scene.index_root, ignore_errors=True)
            most = max(most, scene.verify())
    assert at > 30
    assert most >= 18, "no crash came late enough for the packs to be found again"


def _is_worth_failing(operation: str, *args: Any) -> bool:
    """Leave out the listings of the 256 directories of packs, which are alike, but for one."""
    return operation != "list_directory" or args[0].parent.name != "packs" or args[0].name == "7f"


@pytest.mark.parametrize(
    ("number", "names", "sticky"),
    [
        (errno.EIO, WRITING | READING, False),
        (errno.ENOSPC, WRITING - {"close", "lock", "unlink"}, False),
        (errno.EIO, WRITING | READING, True),
    ],
    ids=["EIO", "ENOSPC", "unplugged"],
)
@pytest.mark.parametrize("incremental", [False, True], ids=["first", "incremental"])
def test_a_fault_at_every_operation(
    fast_path: Path, incremental: bool, number: int, names: frozenset[str], sticky: bool
) -> None:
    """One failed call would lose a version, or be taken for success."""
    scene = Scene(fast_path, incremental=incremental)
    for at in itertools.count(1, 3 if sticky else 1):
        scene.reset()
        ops = FaultyFileOps(number, at, names, sticky=sticky)
        ops.applies = _is_worth_failing
        committed: bool | None = None
        try:
            scene.world(ops).backup(AFTER)
            committed = True
        except PackstoreError:
            assert ops.fired
        scene.verify(committed=committed)
        if not ops.fired:
            break
    assert at > 30


def test_power_lost_at_every_operation_of_init(fast_path: Path) -> None:
    """An interrupted `init` would leave something that looks like a repository and is none."""
    root = fast_path / "repository"
    states = set()
    for at in _init_points():
        shutil.rmtree(root, ignore_errors=True)
        ops = CrashFileOps(root, at)
        world = World(FileStorage(root, ops), fast_path / "index")
        try:
            world.create()
        except PowerLost:
            pass
        else:
            break
        for variant in VARIANTS:
            ops.survive(variant)
            states.add(_init_again(root, fast_path / "index"))
    assert at > 290
    assert states == {"nothing", "something", "repository"}
    World(FileStorage(root), fast_path / "index").backup(BEFORE)


def _init_again(root: Path, index_root: Path) -> str:
    """See that there is a repository or none, and that `init` says so; return which."""
    world = World(FileStorage(root), index_root)
    storage = world.storage
    if storage.exists(REPOSITORY_NAME) or storage.exists(REPOSITORY_NAME + ".copy"):
        with world.open() as repository:
            assert repository.states() == []
        return "repository"
    with pytest.raises(RepositoryNotFound):
        world.states()
    if root.exists() and any(root.iterdir()):
        with pytest.raises(RepositoryExists):
            world.create()
        return "something"
    return "nothing"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_a_fault_at_every_operation_of_init(fast_path: Path, number: int) -> None:
    """A failed `init` would report success, or leave a repository that cannot be opened."""
    root = fast_path / "repository"
    for at in _init_points():
        shutil.rmtree(root, ignore_errors=True)
        ops = FaultyFileOps(number, at, WRITING)
        try:
            World(FileStorage(root, ops), fast_path / "index").create()
        except PackstoreError:
            assert ops.fired
            _init_again(root, fast_path / "index")
        else:
            assert not ops.fired, f"{ops.fired} number {at} failed and `init` said nothing"
            break
    assert at > 290
