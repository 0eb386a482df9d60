"""Epochs mixed in one repository; records brought into the newest one; an epoch retired."""

from pathlib import Path

import pytest

from packstore.errors import FormatError, KeyStillNeeded
from packstore.format.pack import PackType
from packstore.format.record import Encryption, Kind
from packstore.ids import PackId
from packstore.operations import check
from packstore.operations.gc_epochs import packs_with
from packstore.operations.scrub_plan import Amount
from packstore.packs.names import list_packs
from packstore.packs.reader import read_seal
from packstore.progress import NullProgress, StopRequest
from packstore.repository.coordination import publish_intent
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.storage.base import Listed, Storage
from tests.collection.test_gc import changed, device, gc_files, is_sound, stored
from tests.keys.holders import RECOVERY, KeyWorld, make_world
from tests.support.worlds import PlaceStorage, fixed_runtime


@pytest.fixture
def world(tmp_path: Path) -> KeyWorld:
    """A repository with versions in epochs 1 (AEGIS), 2 (XChaCha) and 3 (AEGIS), of which some are removed."""
    world = make_world(tmp_path, PlaceStorage())
    world.add(RECOVERY)
    data = device(1)
    world.backup(data)
    gone = world.backup(changed(data, 1, *range(5))).version
    for number, encryption in ((2, Encryption.XCHACHA20_POLY1305), (3, Encryption.AEGIS_256)):
        assert world.rotate(encryption) == number
        data = changed(data, number, *range(number, number + 9))
        world.backup(data)
    world.remove(gone.uid)
    return world


def epochs_in_use(world: KeyWorld) -> set[int]:
    """The epochs that records in the storage name."""
    with world.open() as repository:
        by_id = {key_id: epoch.number for epoch in repository.keyring.epochs for key_id in epoch.key_ids}
        return {
            by_id[entry.key_id]
            for pack_type in PackType
            for pack_id in list_packs(world.storage, pack_type)
            for entry in read_seal(world.storage, pack_type, pack_id, repository.owner).entries
        }


def test_epochs_and_encryption_versions_mix(world: KeyWorld) -> None:
    """After a rotation, what was stored before could not be read, or would be stored again."""
    assert epochs_in_use(world) == {1, 2, 3}
    assert len(world.verify()) == 3
    before = stored(world.storage)
    world.backup(device(1), "a second volume")
    assert stored(world.storage) == before, "ids do not depend on epochs: nothing is stored twice"
    assert is_sound(world)


def test_migration(world: KeyWorld) -> None:
    """Records of an older epoch would stay, or be lost on the way."""
    done = world.migrate()
    assert not done.left
    assert epochs_in_use(world) == {3}
    assert len(world.verify()) == 3
    assert is_sound(world)
    assert not gc_files(world.storage)
    packs = set(list_packs(world.storage, PackType.BLOCKS))
    world.migrate()
    assert set(list_packs(world.storage, PackType.BLOCKS)) == packs, "what is in the newest epoch is not written again"
    with world.as_(RECOVERY):
        assert len(world.verify()) == 3


def test_a_collection_brings_what_it_copies_into_the_newest_epoch(world: KeyWorld) -> None:
    """What `migrate` has begun and another collection finishes would be begun again for ever."""
    old = set(list_packs(world.storage, PackType.BLOCKS))
    world.remove(world.states()[0].version.uid)
    world.gc(threshold=1, merge_metas=1, merge_blocks=1)
    new = set(list_packs(world.storage, PackType.BLOCKS)) - old
    assert new
    with world.open() as repository:
        current = repository.keyring.newest.data.id
        for pack_id in new:
            entries = read_seal(world.storage, PackType.BLOCKS, pack_id, repository.owner).entries
            assert {entry.key_id for entry in entries} == {current}
    assert len(world.verify()) == 2


def test_runs_that_are_always_too_short(world: KeyWorld) -> None:
    """A night that is too short to find out what is to be done would be spent on that every night, for ever."""
    done = world.migrate(max_seconds=0.0)
    while done.left:
        assert done.collected.packs_deleted == 1
        assert len(world.verify()) == 3
        done = world.migrate(max_seconds=0.0)


def test_beside_a_backup(world: KeyWorld) -> None:
    """A backup under way would lose what it relies on."""
    with world.open() as repository:
        session = Session(repository, "backup")
        done = world.migrate()
        assert done.left, "a writer that does not know of the list is at work"
        assert len(world.verify()) == 3
        session.keep()
    assert not world.migrate().left
    assert len(world.verify()) == 3


def test_retirement(world: KeyWorld) -> None:
    """Whoever has an old key, and the storage, could still add records."""
    for spec in ("1", "2", "3"):
        with pytest.raises(KeyStillNeeded):
            world.retire(spec)
    world.migrate()
    assert world.retire("1").collected
    assert world.retire("1").collected is None
    ring = world.keyring()
    first, second = ring.epochs[:2]
    for kind, key in ((Kind.BLOCK, first.data), (Kind.PAGE, first.meta)):
        with pytest.raises(FormatError, match="retired") as caught:
            ring.reading_key(kind, key.id, key.encryption)
        assert caught.value.failure == "unknown-key"
    assert ring.reading_key(Kind.BLOCK, second.data.id, second.encryption)
    with pytest.raises(KeyStillNeeded, match="written in"):
        world.retire("3")
    world.backup(changed(device(1), 50, 3))
    for holder in (world.holder, RECOVERY):
        with world.as_(holder):
            assert len(world.verify()) == 4
            assert is_sound(world)


def test_no_retirement_beside_a_writer_from_before(world: KeyWorld) -> None:
    """A backup that began before the rotation would commit records that nobody can read any more."""
    intent = publish_intent(world.storage, world.keyring(), fixed_runtime(), "backup from before")
    world.migrate()
    with pytest.raises(KeyStillNeeded):
        world.retire("1")
    intent.withdraw()
    world.migrate()
    world.retire("1")
    assert not gc_files(world.storage)


def test_a_writer_finds_the_newest_epoch_when_its_intent_stands(world: KeyWorld) -> None:
    """It would write in an epoch that is being retired, because it opened the repository a moment before."""
    with world.open() as repository:
        number = world.rotate()
        with Session(repository, "backup") as session:
            assert repository.keyring.newest.number == number
            session.keep()


def test_forged_record_of_a_retired_epoch(world: KeyWorld) -> None:
    """Somebody with a leaked key puts a pack with a version of theirs into the storage: it would be listed."""
    with world.open() as repository:
        found = packs_with(repository, repository.keyring.epochs[0].key_ids, StopRequest(), NullProgress())
    planted = {listed.name: world.storage.read(listed.name) for listed in found}
    world.migrate()
    world.retire("1")
    before = {state.version.uid for state in world.states()}
    for name, content in planted.items():
        world.storage.put(name, content)
    with world.open() as repository:
        assert any("retired" in warning for warning in repository.warnings)
        assert {state.version.uid for state in repository.states()} == before
        assert packs_with(repository, repository.keyring.epochs[0].key_ids, StopRequest(), NullProgress())
    assert not world.check().clean


def test_a_check_while_everything_moves(world: KeyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs that a collector moves again while a check looks for them anew would be reported as missing."""
    listed, relearn = check.all_packs, Repository.relearn
    moves = []

    def move() -> None:
        moves.append(world.rotate())
        assert not world.migrate().left

    def move_and_list(storage: Storage) -> dict[tuple[PackType, PackId], Listed]:
        move()
        return listed(storage)

    def relearn_and_move(repository: Repository) -> None:
        relearn(repository)
        move()

    with world.open() as repository:
        monkeypatch.setattr(check, "all_packs", move_and_list)
        monkeypatch.setattr(Repository, "relearn", relearn_and_move)
        report = check.check_repository(repository, StopRequest(), NullProgress(), threads=2, amount=Amount(1.0))
    assert len(moves) >= 2
    assert not report.versions, report.missing
