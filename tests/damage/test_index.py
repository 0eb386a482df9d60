"""The index is a cache: whatever happens to it, `ls`, restore and backup give the same results as before."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from packstore.storage.file import FileStorage
from tests.support.devices import BLOCK, noise_blocks
from tests.support.worlds import World

FIRST = noise_blocks("index", 20) + b"tail"
SECOND = FIRST[:BLOCK] + noise_blocks("more", 2) + FIRST[3 * BLOCK :]

_PROGRAM = """
import json, sys
from pathlib import Path
from packstore.errors import PackstoreError
from packstore.repository.runtime import Runtime
from packstore.storage.file import FileStorage
from tests.support.worlds import World, restore_bytes
from tests.support.devices import noise_blocks
world = World(FileStorage(Path(sys.argv[1])), Path(sys.argv[2]), threads=1)
try:
    found = {}
    with world.open() as repository:
        for state in repository.states():
            data, result = restore_bytes(repository, state.version)
            found[state.version.uid.hex()] = [state.version.volume, hash(data), len(result.bad_ranges)]
    third = noise_blocks("third", 3) + noise_blocks("index", 20) + b"another tail"
    result = world.backup(third, runtime=Runtime())
    data, restored = world.restore(result.version)
    same = data == third and not restored.bad_ranges
    print(json.dumps([found, same, world.check().clean]))
except PackstoreError as error:
    print(json.dumps([repr(error)]))
"""


class Scene:
    """A repository, its index, and an index as it was one version ago."""

    def __init__(self, place: Path) -> None:
        self.root = place / "repository"
        self.index_root = place / "index"
        self.old = place / "old index"
        self.template = place / "template"
        world = World(FileStorage(self.root), self.index_root, threads=1).create()
        world.backup(FIRST)
        shutil.copytree(self.index_root, self.old)
        world.backup(SECOND)
        self.root.rename(self.template)
        self.good_index = place / "good index"
        self.index_root.rename(self.good_index)
        self.reset()
        self.due = self.run()
        assert len(self.due) == 3, self.due
        assert self.due[1:] == [True, True]
        assert [bad for _, _, bad in self.due[0].values()] == [0, 0]

    def reset(self) -> Path:
        """Begin anew; return the file of the index."""
        for path, template in ((self.root, self.template), (self.index_root, self.good_index)):
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(template, path)
        return next(self.index_root.rglob("data.mdb"))

    def run(self) -> list:  # type: ignore[type-arg]
        """List, restore, back up and check in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, self.root, self.index_root],
            env=os.environ | {"PYTHONHASHSEED": "0"},
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-600:]}"
        found: list = json.loads(done.stdout)  # type: ignore[type-arg]
        return found

    def run_until_noticed(self) -> list:  # type: ignore[type-arg]
        """Do as a person would who is told to run the command again."""
        found = self.run()
        return self.run() if "IndexBroken" in str(found[0]) else found


@pytest.fixture(scope="module")
def scene(module_path: Path) -> Scene:
    """Two versions and an index."""
    return Scene(module_path)


def _poison(change: Callable[[bytes, bytes], tuple[bytes, bytes] | None]) -> Callable[[Path, Scene], None]:
    """Change every location of an object in the index."""

    def damage(path: Path, _: Scene) -> None:
        with lmdb.open(str(path.parent), max_dbs=20, map_size=1 << 30) as environment:
            objects = environment.open_db(b"objects", dupsort=True)
            with environment.begin(write=True) as transaction:
                rows = list(transaction.cursor(objects))
                transaction.drop(objects, delete=False)
                for key, value in rows:
                    changed = change(key, value)
                    if changed:
                        transaction.put(*changed, db=objects)

    return damage


def _truncate(share: float) -> Callable[[Path, Scene], None]:
    return lambda path, _: os.truncate(path, int(path.stat().st_size * share))


def _rubbish(path: Path, _: Scene) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def _older(path: Path, scene: Scene) -> None:
    shutil.rmtree(scene.index_root)
    shutil.copytree(scene.old, scene.index_root)


def _anothers(path: Path, scene: Scene) -> None:
    place = scene.index_root.parent / "another"
    shutil.rmtree(place, ignore_errors=True)
    world = World(FileStorage(place), place.with_name("another index"), threads=1).create()
    world.backup(noise_blocks("another", 4))
    shutil.copy(next(place.with_name("another index").rglob("data.mdb")), path)


CASES: dict[str, Callable[[Path, Scene], None]] = {
    "deleted": lambda path, scene: shutil.rmtree(scene.index_root),
    "no data file": lambda path, _: path.unlink(),
    "empty": lambda path, _: os.truncate(path, 0),
    "one byte": lambda path, _: os.truncate(path, 1),
    "one page": lambda path, _: os.truncate(path, 4096),
    "two pages": lambda path, _: os.truncate(path, 8192),
    "half": _truncate(0.5),
    "all but a page": lambda path, _: os.truncate(path, path.stat().st_size - 4096),
    "all but a byte": lambda path, _: os.truncate(path, path.stat().st_size - 1),
    "rubbish": _rubbish,
    "older": _older,
    "another repository's": _anothers,
    "no objects": _poison(lambda key, value: None),
    "wrong offsets": _poison(lambda key, value: (key, value[:4] + (64).to_bytes(4, "big") + value[8:])),
    "wrong packs": _poison(lambda key, value: (key, (1).to_bytes(4, "big") + value[4:])),
    "packs that are not there": _poison(lambda key, value: (key, (999).to_bytes(4, "big") + value[4:])),
    "huge sizes": _poison(lambda key, value: (key, value[:8] + b"\xff\xff\xff\xf0")),
    "short rows": _poison(lambda key, value: (key, value[:7])),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_index_changes_no_result(scene: Scene, case: str) -> None:
    """A cache would decide what can be restored."""
    CASES[case](scene.reset(), scene)
    assert scene.run_until_noticed() == scene.due


@pytest.mark.parametrize("page", range(2, 40, 4))
def test_a_zeroed_page_of_the_index_changes_no_result(scene: Scene, page: int) -> None:
    """A bad sector under the index would hide versions, or kill the process."""
    path = scene.reset()
    if (page + 1) * 4096 > path.stat().st_size:
        return
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(bytes(4096))
    assert scene.run_until_noticed() == scene.due


def test_an_object_claimed_in_a_pack_that_does_not_exist_is_stored_again(fast_path: Path) -> None:
    """A backup would commit a version over nothing, because the index said that its blocks were there."""
    world = World(FileStorage(fast_path / "r"), fast_path / "index", threads=1).create()
    world.backup(FIRST, "one")
    for path in (fast_path / "r" / "packs").rglob("*"):
        if path.is_file():
            path.unlink()
    result = world.backup(FIRST, "two")
    assert result.counters.dedup == 0
    data, restored = world.restore(result.version)
    assert data == FIRST
    assert not restored.bad_ranges
