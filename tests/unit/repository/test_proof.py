"""Proofs: only a pack's own directory says what it holds."""

import pytest

from packstore.format.pack import PackType
from packstore.format.record import Encryption, Kind
from packstore.ids import ObjectId, PackId
from packstore.repository import proof
from packstore.repository.proof import Prover
from packstore.storage.memory import MemoryStorage
from tests.support.packs import SmallPack, make_keyring, make_owner, make_pack
from tests.support.recording import RecordingStorage

KEYRING = make_keyring(Encryption.AEGIS_256)


@pytest.fixture
def storage() -> MemoryStorage:
    """A storage."""
    return MemoryStorage()


def _holds(prover: Prover, pack: SmallPack, plain: bytes, kind: Kind = Kind.BLOCK) -> bool:
    return prover.holds(PackType.BLOCKS, pack.pack_id, kind, KEYRING.object_id(plain))


def test_the_full_id_and_the_kind_must_be_in_the_directory(storage: MemoryStorage) -> None:
    """A version would rely on an object that only looks like the one it needs."""
    pack = make_pack(KEYRING, [b"one", b"two"], storage=storage)
    prover = Prover(storage, make_owner(KEYRING))
    assert _holds(prover, pack, b"one")
    assert not _holds(prover, pack, b"three")
    assert not _holds(prover, pack, b"one", Kind.PAGE)
    close = KEYRING.object_id(b"one")[:16] + bytes(48)
    assert not prover.holds(PackType.BLOCKS, pack.pack_id, Kind.BLOCK, ObjectId(close))


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "another's", "renamed"])
def test_a_pack_that_is_not_whole_proves_nothing(storage: MemoryStorage, damage: str) -> None:
    """A version would rely on a torn, forged or misplaced pack."""
    pack = make_pack(KEYRING, [b"one"], storage=storage)
    if damage == "gone":
        storage.delete(pack.name)
    elif damage == "cut":
        storage.files[pack.name] = pack.data[:-1]
    elif damage == "flipped":
        storage.files[pack.name] = pack.data[:-60] + bytes([pack.data[-60] ^ 1]) + pack.data[-59:]
    elif damage == "another's":
        storage.files[pack.name] = make_pack(make_keyring(Encryption.NONE), [b"one"]).data
    else:
        storage.files[pack.name] = make_pack(KEYRING, [b"one"], number=2).data
    assert not _holds(Prover(storage, make_owner(KEYRING)), pack, b"one")


def test_few_directories_are_kept_and_each_is_read_once(
    storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proving would read a directory for each block, or keep all of them in memory."""
    packs = [make_pack(KEYRING, [b"%d" % number], storage=storage, number=number) for number in range(1, 6)]
    recorder = RecordingStorage(storage)
    prover = Prover(recorder, make_owner(KEYRING))
    for _ in range(10):
        assert _holds(prover, packs[0], b"1")
    assert recorder.count()["read"] == 3
    monkeypatch.setattr(proof, "_MAX_KEPT_IDS", 2)
    for number, pack in enumerate(packs, 1):
        assert _holds(prover, pack, b"%d" % number)
    assert not prover.holds(PackType.BLOCKS, PackId(b"x" * 16), Kind.BLOCK, KEYRING.object_id(b"1"))
