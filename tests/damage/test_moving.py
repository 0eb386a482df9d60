"""A reader that runs for days beside collectors, which copy objects to other packs and delete the old ones."""

from pathlib import Path

import pytest

from packstore.codec.objectcodec import EncodedObject
from packstore.errors import ObjectMissing
from packstore.format.pack import PackHeader, PackType
from packstore.format.record import Kind, decode_record
from packstore.ids import ObjectId, PackId
from packstore.packs.names import META_PREFIX, list_packs, pack_name
from packstore.packs.reader import read_seal
from packstore.packs.writer import PackWriter
from packstore.progress import NullProgress
from packstore.repository.repository import Repository
from packstore.storage.base import Listed
from tests.support.devices import noise_blocks
from tests.support.worlds import PlaceStorage, World

DEVICE = noise_blocks("moving", 40)


class CountingStorage(PlaceStorage):
    """Counts how often `meta/` and `packs/` are listed."""

    listings = 0

    def list_files(self, prefix: str) -> list[Listed]:
        """List, and count."""
        self.listings += prefix == META_PREFIX
        return super().list_files(prefix)


def move_everything(world: World) -> None:
    """Do what a collector does: copy each block pack record by record, publish the directories, delete the old."""
    with world.open() as repository:
        old = list_packs(world.storage, PackType.BLOCKS)
        header = PackHeader(
            PackType.META, repository.runtime.new_pack_id(), repository.file.id, repository.owner.domain
        )
        meta = PackWriter(world.storage, header, repository.keyring.pack_mac)
        for pack_id in old:
            plain = _copy(repository, pack_id)
            encoded = repository.codec.encode(Kind.DIRECTORY, repository.keyring.object_id(plain), plain)
            meta.append(encoded)
        meta.seal()
        for listed in old.values():
            world.storage.delete(listed.name)


def _copy(repository: Repository, pack_id: PackId) -> bytes:
    storage = repository.storage
    header = PackHeader(PackType.BLOCKS, repository.runtime.new_pack_id(), repository.file.id, repository.owner.domain)
    new = PackWriter(storage, header, repository.keyring.pack_mac)
    for entry in read_seal(storage, PackType.BLOCKS, pack_id, repository.owner).entries:
        data = storage.read(pack_name(PackType.BLOCKS, pack_id), entry.offset, entry.record_size)
        record, payload = decode_record(data)
        new.append(EncodedObject(record, data[: len(data) - len(payload)], bytes(payload)))
    new.seal()
    return new.directory


def block_ids(repository: Repository) -> list[ObjectId]:
    """Return the ids of all blocks of the only version."""
    leaf = repository.tree(repository.states()[0].version).leaf(0)
    assert leaf
    return [leaf.id_at(at) for at in range(len(leaf))]


def test_a_long_reader_looks_again_each_time(tmp_path: Path) -> None:
    """A mount, or a restore of days, would call blocks lost that a second collector has moved, and give zeros."""
    world = World(PlaceStorage(), tmp_path / "collector").create()
    world.backup(DEVICE)
    reader = World(world.storage, tmp_path / "reader")
    with reader.open() as repository:
        ids = block_ids(repository)
        for step in range(5):
            assert repository.read_object(Kind.BLOCK, ids[step]) == DEVICE[step * 65536 : (step + 1) * 65536]
            move_everything(world)
        data = b"".join(repository.read_object(Kind.BLOCK, object_id) for object_id in ids)
    assert data == DEVICE


def test_what_is_lost_does_not_list_for_ever(tmp_path: Path) -> None:
    """Each of a million blocks of a lost pack would list the whole of `meta/` again."""
    storage = CountingStorage()
    world = World(storage, tmp_path).create()
    world.backup(DEVICE)
    with world.open() as repository:
        ids = block_ids(repository)
        lost = list_packs(storage, PackType.BLOCKS)
        for listed in lost.values():
            storage.delete(listed.name)
        before = storage.listings
        for _ in range(10):
            for object_id in ids:
                with pytest.raises(ObjectMissing):
                    repository.read_object(Kind.BLOCK, object_id)
        # One for each pack, two to search everywhere, and one whenever the number of failures has doubled.
        assert storage.listings - before <= len(lost) + 2 + (10 * len(ids)).bit_length()


def test_what_comes_back_is_found_again(tmp_path: Path) -> None:
    """A reader that has met a lost pack would never see what a backup has stored anew since."""
    storage = PlaceStorage()
    world = World(storage, tmp_path / "writer").create()
    world.backup(DEVICE)
    with World(storage, tmp_path / "reader").open() as repository:
        ids = block_ids(repository)
        for listed in list_packs(storage, PackType.BLOCKS).values():
            storage.delete(listed.name)
        with pytest.raises(ObjectMissing):
            repository.read_object(Kind.BLOCK, ids[0])
        world.backup(DEVICE)
        found = 0
        for object_id in ids:
            try:
                found += bool(repository.read_object(Kind.BLOCK, object_id))
            except ObjectMissing:
                continue
        assert found > len(ids) // 2
        repository.refresh(NullProgress())
