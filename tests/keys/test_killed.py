"""Key changes that are killed at every step: every version restores throughout, with every key that should open it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from packstore.codec.slots import Credential
from packstore.errors import KeyStillNeeded
from packstore.format.record import Encryption
from packstore.operations.repair_documents import apply_documents, plan_documents
from tests.collection.test_gc import changed, device, gc_files, is_sound
from tests.keys.holders import RECOVERY, KeyWorld, make_world, secret
from tests.support.dying import DyingStorage, Killed
from tests.support.worlds import SECRET, PlaceStorage

OTHER, NEW = secret(7), secret(8)
KEPT = (SECRET, RECOVERY)


def prepare(root: Path) -> KeyWorld:
    """A repository with two epochs, three slots, and two versions."""
    world = make_world(root, PlaceStorage())
    world.add(RECOVERY)
    world.add(OTHER)
    data = device(1, 12)
    world.backup(data)
    world.rotate(Encryption.XCHACHA20_POLY1305)
    world.backup(changed(data, 2, *range(4)))
    return world


def _retire(world: KeyWorld) -> None:
    try:
        world.retire("1")
    except KeyStillNeeded:
        world.migrate()
        world.retire("1")


ACTIONS: dict[str, tuple[Callable[[KeyWorld], object], tuple[Credential, ...]]] = {
    "add": (lambda world: world.add(NEW), (*KEPT, OTHER)),
    "remove": (lambda world: world.drop(OTHER), KEPT),
    "rotate": (lambda world: world.rotate(), (*KEPT, OTHER)),
    "migrate": (lambda world: world.migrate(), (*KEPT, OTHER)),
    "retire": (_retire, (*KEPT, OTHER)),
}
"""What is done, and whose keys open everything throughout."""


@pytest.mark.parametrize("name", ACTIONS)
def test_killed_at_every_change(name: str, tmp_path: Path) -> None:
    """Power is lost while keys change, and somebody's only key opens nothing any more."""
    action, holders = ACTIONS[name]
    world = prepare(tmp_path)
    shared = world.storage
    files = dict(shared.files)  # type: ignore[attr-defined]
    world.storage = counting = DyingStorage(shared)  # type: ignore[arg-type]
    action(world)
    total = counting.changes
    assert total >= 4
    for at in range(1, total + 1):
        for after in (False, True):
            shared.files.clear()  # type: ignore[attr-defined]
            shared.files.update(files)  # type: ignore[attr-defined]
            world.storage = DyingStorage(shared, at, after=after)  # type: ignore[arg-type]
            with pytest.raises(Killed):
                action(world)
            world.storage = shared
            for holder in holders:
                with world.as_(holder):
                    assert len(world.verify()) == 2, (name, at, after, holder)
            _again(world, name, action)
            for holder in (*holders, *((NEW,) if name == "add" else ())):
                with world.as_(holder):
                    assert len(world.verify()) == 2, (name, at, after, holder)
            fixes = plan_documents(shared, world.keyring(), None)
            assert all(fix.source for fix in fixes), "one of two copies may be missing, never both"
            apply_documents(shared, None, fixes)
            assert is_sound(world), (name, at, after)
            world.gc()
            assert not gc_files(shared), "what a dead process leaves goes with the next collection"


def _again(world: KeyWorld, name: str, action: Callable[[KeyWorld], object]) -> None:
    """Do once more what was cut short, unless it was done."""
    living = world.report().living
    if name == "add" and len(living) == 4:
        return
    if name == "remove" and len(living) == 2:
        return
    action(world)
