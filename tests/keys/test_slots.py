"""Slots and epochs: whoever has a key opens everything, whoever has none any more opens nothing new."""

from pathlib import Path

import pytest

from packstore.errors import KeyStillNeeded, KeysUnreadable, UsageError, WrongKey
from packstore.format.record import Encryption
from packstore.limits import MAX_SLOTS
from packstore.operations.keys import complete, open_store
from packstore.operations.restore import explain
from packstore.progress import StopRequest
from packstore.repository.documents import COPY_SUFFIX, key_name
from packstore.repository.keyfiles import read_key_files
from tests.collection.test_gc import changed, device, is_sound
from tests.keys.holders import PASSPHRASE, RECOVERY, KeyWorld, make_world, secret
from tests.support.worlds import SECRET, PlaceStorage, World, fixed_runtime, restore_bytes

OTHER = secret(7)


@pytest.fixture
def world(tmp_path: Path) -> KeyWorld:
    """A repository with a version."""
    world = make_world(tmp_path, PlaceStorage())
    world.backup(device(1, 8))
    return world


def everybody(world: KeyWorld, *holders: object, versions: int) -> None:
    """See that each of them restores everything."""
    for holder in holders:
        with world.as_(holder):  # type: ignore[arg-type]
            assert len(world.verify()) == versions
            assert is_sound(world)


def test_a_new_slot_opens_what_was_there_before(world: KeyWorld) -> None:
    """Somebody who is given a key would find that it opens nothing that is stored."""
    world.rotate()
    world.backup(changed(device(1, 8), 2, 3))
    for holder in (OTHER, PASSPHRASE, RECOVERY):
        world.add(holder)
    everybody(world, SECRET, OTHER, PASSPHRASE, RECOVERY, versions=2)


def test_one_secret_rotates_and_every_slot_opens_the_new_epoch(world: KeyWorld) -> None:
    """The recovery key on paper would be worthless from the first rotation on, and nobody would notice."""
    for holder in (OTHER, RECOVERY):
        world.add(holder)
    assert [world.rotate(), world.rotate(Encryption.XCHACHA20_POLY1305)] == [2, 3]
    world.backup(changed(device(1, 8), 3, 1, 2))
    everybody(world, SECRET, OTHER, RECOVERY, versions=2)
    with world.as_(RECOVERY):
        assert world.rotate() == 4
    world.backup(changed(device(1, 8), 4, 1))
    everybody(world, SECRET, OTHER, RECOVERY, versions=3)


def test_a_removed_slot_opens_nothing_new(world: KeyWorld) -> None:
    """Somebody whose key was taken away would go on reading."""
    world.add(OTHER)
    slot = world.slot_of(OTHER)
    files = {
        name: world.storage.read(name) for name in (key_name(slot.header.id), key_name(slot.header.id) + COPY_SUFFIX)
    }
    world.drop(OTHER)
    new = world.backup(changed(device(1, 8), 3, 1, 2)).version
    with world.as_(OTHER), pytest.raises(WrongKey):
        world.keyring()
    # Whoever holds the storage puts the slot back: it opens what it opened before, and gets nothing new.
    for name, content in files.items():
        world.storage.put(name, content)
    with world.as_(OTHER):
        ring = world.keyring()
        assert [epoch.number for epoch in ring.epochs] == [1]
        with pytest.raises(KeysUnreadable):
            ring.newest  # noqa: B018
        with pytest.raises(KeysUnreadable):
            world.backup(device(5, 4), "their own")
        with world.open() as repository:
            assert new.uid not in {state.version.uid for state in repository.states()}
    world.rotate()
    assert not any(world.storage.exists(name) for name in files), "what was removed does not stay"
    for name, content in files.items():
        world.storage.put(name, content)
    with world.as_(OTHER):
        assert [epoch.number for epoch in world.keyring().epochs] == [1]
    world.backup(device(6, 4), "afterwards")
    everybody(world, SECRET, versions=3)


def test_the_last_slot_stays(world: KeyWorld) -> None:
    """Nobody could ever read the repository again."""
    with pytest.raises(KeyStillNeeded):
        world.drop(SECRET)
    world.add(OTHER)
    with world.as_(OTHER):
        world.drop(SECRET)
        with pytest.raises(KeyStillNeeded):
            world.drop(OTHER)
    everybody(world, OTHER, versions=1)


def test_whoever_removes_their_own_slot(world: KeyWorld) -> None:
    """The last thing that a key does would fail half way."""
    world.add(OTHER)
    world.drop(SECRET)
    world.holder = OTHER
    world.backup(changed(device(1, 8), 3, 1, 2))
    everybody(world, OTHER, versions=2)


def test_sixty_four_slots(world: KeyWorld) -> None:
    """One slot too many, and nobody could open the repository any more."""
    for number in range(1, MAX_SLOTS):
        world.add(secret(number))
    with pytest.raises(KeyStillNeeded):
        world.add(secret(99))
    assert len(world.report().living) == MAX_SLOTS
    with world.as_(secret(MAX_SLOTS - 1)):
        assert world.rotate() == 2
    everybody(world, SECRET, secret(5), versions=1)


def _merged(one: World, other: World) -> None:
    """Copy by name what either lacks, as rsync with --ignore-existing does both ways."""
    for source, target in ((one, other), (other, one)):
        for prefix in ("keys", "meta", "packs"):
            for listed in source.storage.list_files(prefix):
                if not target.storage.exists(listed.name):
                    target.storage.put(listed.name, source.storage.read(listed.name))


def _copy(world: KeyWorld, root: Path) -> KeyWorld:
    storage = PlaceStorage()
    storage.files = dict(world.storage.files)  # type: ignore[attr-defined]
    return KeyWorld(storage, root / "other index", expected=dict(world.expected))


def test_copies_whose_keys_were_changed_apart(world: KeyWorld, tmp_path: Path) -> None:
    """After a merge a slot would not open what the other copy has written, or a removed one would open it again."""
    world.add(OTHER)
    copy = _copy(world, tmp_path)
    world.drop(OTHER)
    world.expected |= {world.backup(changed(device(1, 8), 8, 1)).version.uid: changed(device(1, 8), 8, 1)}
    new = secret(40)
    copy.add(new)
    copy.rotate()
    copy.backup(changed(device(1, 8), 9, 2), "there")
    _merged(world, copy)
    for each in (world, copy):
        each.expected = world.expected | copy.expected
        report = each.report()
        assert [slot.removed for slot in report.slots].count(True) == 1
        assert any(slot.lacks for slot in report.living), "the new slot cannot open the epoch made here"
        complete(open_store(each.storage, each.keyring(), fixed_runtime()))
        report = each.report()
        assert not any(slot.lacks for slot in report.living)
        assert not any(slot.removed for slot in report.slots)
        everybody(each, SECRET, new, versions=3)
        with each.as_(OTHER), pytest.raises(WrongKey):
            each.keyring()
        newest = each.keyring().newest
        assert world.slot_of(new).header.id in newest.slots


def test_the_newest_of_two_epochs_is_not_open_to_a_removed_slot(world: KeyWorld, tmp_path: Path) -> None:
    """Both copies made epoch 2, one to shut somebody out: what is written after the merge would be open to them."""
    world.add(OTHER)
    gone = world.slot_of(OTHER).header.id
    copy = _copy(world, tmp_path)
    world.drop(OTHER)
    copy.rotate()
    _merged(world, copy)
    for each in (world, copy):
        assert gone not in each.keyring().newest.slots


def test_keys_of_a_clear_repository(tmp_path: Path) -> None:
    """Somebody would believe that a clear repository is encrypted from now on."""
    world = World(PlaceStorage(), tmp_path / "index", Encryption.NONE).create()
    with world.open() as repository, pytest.raises(UsageError, match="not encrypted") as caught:
        open_store(repository.storage, repository.keyring, fixed_runtime())
    assert "sync" in caught.value.advice


def test_each_copy_removes_the_other_ones_slot(world: KeyWorld, tmp_path: Path) -> None:
    """After the merge, what one copy has written would be closed to everybody, and nobody told."""
    world.add(OTHER)
    copy = _copy(world, tmp_path)
    world.drop(OTHER)
    copy.holder = OTHER
    copy.drop(SECRET)
    there = changed(device(1, 8), 9, 2)
    copy.backup(there, "there")
    _merged(world, copy)
    world.expected |= copy.expected
    with pytest.raises(KeysUnreadable):
        world.backup(device(3, 4), "not while there is an epoch that cannot be opened")
    with pytest.raises(KeysUnreadable):
        world.check()
    new = secret(41)
    world.add(new)
    with world.as_(new):
        assert world.keyring().foreign, "and `key add` says so"
    with world.as_(OTHER):
        complete(world.store())
    with world.as_(new):
        assert not world.keyring().foreign
        assert not any(slot.removed for slot in world.report().slots), "and only now the removed ones go"
        world.rotate()
        world.backup(device(3, 4), "again")
    everybody(world, new, versions=3)


def test_a_slot_that_lacks_an_epoch_judges_nothing(world: KeyWorld) -> None:
    """Good packs would be called damaged, for everybody, and moved aside: for want of one small file."""
    before = set(world.storage.list_files("keys"))
    world.add(OTHER)
    grants = [
        listed.name
        for listed in set(world.storage.list_files("keys")) - before
        if listed.name.removesuffix(COPY_SUFFIX) != key_name(world.slot_of(OTHER).header.id)
    ]
    world.rotate()
    world.backup(changed(device(1, 8), 8, 1))
    for name in grants:
        world.storage.delete(name)
    with world.as_(OTHER):
        assert list(world.keyring().foreign.values()) == [1]
        with pytest.raises(KeysUnreadable):
            world.check()
        with world.open() as repository:
            state = next(state for state in repository.states())
            _, result = restore_bytes(repository, state.version)
            with pytest.raises(KeysUnreadable):
                explain(repository, state.version, result, StopRequest())
    everybody(world, SECRET, versions=2)
    complete(world.store())
    everybody(world, SECRET, OTHER, versions=2)


def test_what_was_taken_away_is_said_in_every_later_file(world: KeyWorld) -> None:
    """Whoever holds the storage would undo a removal or a retirement by deleting one small file."""
    world.add(OTHER)
    gone = world.slot_of(OTHER).header.id
    world.drop(OTHER)
    world.migrate()
    world.retire("1")
    retired = world.keyring().retired
    world.rotate()
    newest = world.keyring().newest.number
    for document, epoch in list(read_key_files(world.storage).epochs.values()):
        if epoch.number != newest:
            world.storage.delete(key_name(epoch.id))
            world.storage.delete(key_name(epoch.id) + COPY_SUFFIX)
        assert document
    ring = world.keyring()
    assert gone in ring.removed
    assert ring.retired == retired
