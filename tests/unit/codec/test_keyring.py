"""The keys of a repository: packstore.codec.keyring."""

import copy
import hashlib
import os
import pickle
import traceback

import pytest

from packstore.codec.key import Key
from packstore.codec.keyring import Keyring
from packstore.codec.slots import Credential, OpenSlot, make_epoch
from packstore.errors import FormatError, KeysUnreadable
from packstore.format.document import SlotKind
from packstore.format.record import NO_KEY, Encryption, Kind
from packstore.ids import Uid
from tools.vectors.material import AEGIS, CLEAR, REPOSITORY_ID, ROOT, ROTATED, STRANGER, Keys, epoch_secret


def test_keys_are_not_pickled_or_copied() -> None:
    """A keyring would travel into another process, a cache or a file."""
    ring = AEGIS.keyring()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(ring, protocol)
    for copier in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copier(ring)


def test_nothing_secret_is_shown() -> None:
    """A traceback, a log line or a bug report would carry the keys of a repository."""
    ring = AEGIS.keyring()
    keys = ring.epochs[0]
    shown = (
        ring,
        keys,
        keys.data,
        [keys.meta],
        Credential(SlotKind.PASSPHRASE, Key(ROOT)),
        OpenSlot(Uid(bytes(16)), Key(ROOT), keys.data.key),
        make_epoch(1, Encryption.AEGIS_256, [], date_ms=1, random=os.urandom),
    )
    hidden = (keys.data.key, keys.meta.key, ring._id_key, ring._pack_key, ring._keys_key)
    secrets = [ROOT, AEGIS.epochs[0].secret, *(key.secret for key in hidden)]
    for text in (form(value) for value in shown for form in (repr, str, ascii)):
        for secret in secrets:
            assert secret.hex() not in text
            assert repr(secret)[2:-1] not in text


def test_nothing_secret_in_a_traceback() -> None:
    """A failure while keys are at work would print them with the local variables' values."""
    ring = AEGIS.keyring()
    try:
        ring.reading_key(Kind.BLOCK, NO_KEY, Encryption.NONE)
    except FormatError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "Keyring(" in text
    assert repr(ROOT)[2:-1] not in text


def test_ids_are_keyed_in_an_encrypted_repository_only() -> None:
    """Whoever holds the storage could confirm a guess about the content of a block."""
    plain = b"a guess"
    ids = [keys.keyring().object_id(plain) for keys in (AEGIS, STRANGER)]
    assert len(set(ids)) == 2
    assert hashlib.sha512(plain).digest() not in ids
    assert CLEAR.keyring().object_id(plain) == hashlib.sha512(plain).digest()
    assert AEGIS.keyring().object_id(memoryview(plain)) == ids[0]


def test_fingerprints_are_seeded() -> None:
    """Whoever chooses a device's content could build two blocks with one fingerprint."""
    block = bytes(100_000)
    prints = {keys.keyring().fingerprint(block) for keys in (AEGIS, STRANGER)}
    assert len(prints) == 2
    assert all(len(found) == 16 for found in prints)


def test_rotation_changes_neither_ids_nor_macs() -> None:
    """A new epoch would make every version, and every block stored before it, another one."""
    before, after = AEGIS.keyring(), ROTATED.keyring()
    assert before.object_id(b"x") == after.object_id(b"x")
    assert before.fingerprint(b"x") == after.fingerprint(b"x")
    assert before.pack_mac(b"x") == after.pack_mac(b"x")
    assert before.keys_mac(b"x") == after.keys_mac(b"x") != before.pack_mac(b"x")
    assert before.domain == after.domain


def test_the_newest_epoch_writes_whatever_the_order() -> None:
    """After a rotation a client would go on under the old keys, depending on how a directory is listed."""
    for epochs in (ROTATED.epochs, ROTATED.epochs[::-1]):
        ring = Keys(REPOSITORY_ID, ROOT, True, epochs).keyring()
        assert ring.writing_key(Kind.BLOCK).encryption is Encryption.AEGIS_256
        assert [epoch.number for epoch in ring.epochs] == [1, 2]


def test_two_epochs_of_one_number() -> None:
    """After two copies of a repository were merged, what one of them wrote could not be read."""
    twins = (epoch_secret(1, Encryption.XCHACHA20_POLY1305), epoch_secret(1, Encryption.AEGIS_256))
    for epochs in (twins, twins[::-1]):
        ring = Keys(REPOSITORY_ID, ROOT, True, epochs).keyring()
        assert ring.epochs[-1].data.id == max(epoch.data.id for epoch in ring.epochs)
        for epoch in ring.epochs:
            for kind in Kind:
                key = epoch.of_kind(kind)
                assert ring.reading_key(kind, key.id, key.encryption) is key


def test_blocks_and_metadata_have_keys_of_their_own() -> None:
    """Whoever may read blocks could read pages, or the reverse."""
    ring = AEGIS.keyring()
    data, meta = ring.epochs[0].data, ring.epochs[0].meta
    assert len({data.key.secret, meta.key.secret, data.id, meta.id}) == 4
    for kind in Kind:
        own, other = (data, meta) if kind is Kind.BLOCK else (meta, data)
        assert ring.writing_key(kind) is own
        assert ring.reading_key(kind, own.id, own.encryption) is own
        with pytest.raises(FormatError) as caught:
            ring.reading_key(kind, other.id, other.encryption)
        assert caught.value.failure == "unknown-key"


def test_encrypted_and_clear_do_not_mix() -> None:
    """Whoever holds the storage could slip clear records into an encrypted repository."""
    data = AEGIS.keyring().epochs[0].data
    for keys, key_id, encryption in ((AEGIS, NO_KEY, Encryption.NONE), (CLEAR, data.id, data.encryption)):
        with pytest.raises(FormatError) as caught:
            keys.keyring().reading_key(Kind.BLOCK, key_id, encryption)
        assert caught.value.failure == "unencrypted"
    clear = CLEAR.keyring()
    assert clear.writing_key(Kind.BLOCK) is clear.reading_key(Kind.BLOCK, NO_KEY, Encryption.NONE)
    assert clear.writing_key(Kind.BLOCK).encryption is Encryption.NONE


def test_without_an_epoch_nothing_is_written() -> None:
    """A client that can open no epoch would write in the clear."""
    with pytest.raises(KeysUnreadable):
        Keyring(REPOSITORY_ID, Key(ROOT), encrypted=True).writing_key(Kind.BLOCK)
