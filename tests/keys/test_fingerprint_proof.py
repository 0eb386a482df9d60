"""When a fingerprint may prove a block in place of its id: decision 0021."""

from pathlib import Path

import pytest

from packstore.codec.compression import CompressionSpec, Compressor
from packstore.codec.keyring import Keyring
from packstore.codec.objectcodec import EncodedObject, ObjectCodec
from packstore.codec.stages import Stages
from packstore.errors import FormatError
from packstore.format.page import NO_FINGERPRINT
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import ObjectId, Uid
from tests.keys.holders import RECOVERY, KeyWorld, make_world, secret
from tests.support.devices import BLOCK, noise_blocks
from tests.support.worlds import PlaceStorage
from tools.vectors.material import AEGIS, CLEAR, XCHACHA, Keys

PLAIN = b"what a version says is here " * 50
OTHER_ID = ObjectId(b"\x07" * 64)


def forged(keyring: Keyring, object_id: ObjectId = OTHER_ID) -> tuple[ObjectCodec, EncodedObject]:
    """Return a record whose content is not what its id says, as only somebody with the key can make one."""
    codec = ObjectCodec(keyring, Compressor(CompressionSpec(3)), Stages())
    return codec, codec.encode(Kind.BLOCK, object_id, PLAIN)


@pytest.mark.parametrize("keys", [AEGIS, XCHACHA], ids=["aegis", "xchacha"])
def test_an_equal_fingerprint_is_enough_while_only_owners_have_keys(keys: Keys) -> None:
    """Every restore would hash every block, and take twice as long."""
    keyring = keys.keyring()
    codec, encoded = forged(keyring)
    assert codec.decode(encoded.header, encoded.payload, keyring.fingerprint(PLAIN)) == PLAIN
    assert "hash" not in codec.stages.seconds()


def test_who_was_shut_out_is_not_believed() -> None:
    """The holder of a removed slot, who knows the seed, would replace old blocks by others of equal fingerprint."""
    keyring = AEGIS.keyring()
    codec, encoded = forged(keyring)
    keyring.removed.add(Uid(b"r" * 16))
    with pytest.raises(FormatError) as caught:
        codec.decode(encoded.header, encoded.payload, keyring.fingerprint(PLAIN))
    assert caught.value.failure == "wrong-id"


def test_without_encryption_only_ids_count() -> None:
    """Anybody can write a record, and knows the seed."""
    keyring = CLEAR.keyring()
    codec, encoded = forged(keyring)
    with pytest.raises(FormatError) as caught:
        codec.decode(encoded.header, encoded.payload, keyring.fingerprint(PLAIN))
    assert caught.value.failure == "wrong-id"


@pytest.mark.parametrize("fingerprint", [NO_FINGERPRINT, b"\x01" * 16])
def test_where_fingerprints_do_not_tell_ids_decide(fingerprint: bytes) -> None:
    """A version with a wrong fingerprint could not be restored; or a wrong block would come back with one."""
    keyring = AEGIS.keyring()
    codec, encoded = forged(keyring, keyring.object_id(PLAIN))
    assert codec.decode(encoded.header, encoded.payload, fingerprint) == PLAIN
    codec, encoded = forged(keyring)
    with pytest.raises(FormatError) as caught:
        codec.decode(encoded.header, encoded.payload, fingerprint)
    assert caught.value.failure == "wrong-id"


def test_ids_are_computed_again_once_somebody_was_shut_out(tmp_path: Path) -> None:
    """A slot would be removed, and what its holder forges of the old epochs be restored all the same."""
    world = make_world(tmp_path, PlaceStorage())
    world.add(RECOVERY)
    world.add(secret(7))
    version = world.backup(noise_blocks("proof", 3)).version
    assert not computes_id(world, version)
    world.drop(secret(7))
    world.rotate()
    assert computes_id(world, version)


def computes_id(world: KeyWorld, version: Version) -> bool:
    """Say whether the id of a block is computed when it is read for a version."""
    with world.open() as repository:
        object_id, fingerprint = repository.tree(version).entry(1)
        before = repository.stages.seconds()["hash"]
        assert len(repository.read_block(object_id, fingerprint)) == BLOCK
        return repository.stages.seconds()["hash"] > before
