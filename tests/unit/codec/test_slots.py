"""Slots and epochs: packstore.codec.slots."""

import time
import unicodedata
from dataclasses import replace

import pytest

from packstore.codec import slots
from packstore.codec.key import Key
from packstore.codec.slots import KDF_COSTS, Credential, OpenSlot, make_epoch, make_slot, open_epoch, open_slot
from packstore.errors import FormatError, UsageError
from packstore.format.document import (
    Slot,
    SlotKind,
    decode_epoch,
    decode_slot,
    encode_epoch,
    encode_slot,
    encode_slot_header,
)
from packstore.format.record import Encryption
from packstore.ids import Uid
from packstore.limits import (
    GIB,
    MAX_KDF_MEMORY_BYTES,
    MAX_KDF_PASSES,
    MIB,
    MIN_KDF_MEMORY_BYTES,
    MIN_KDF_PASSES,
)
from tools.vectors.material import stream

REPOSITORY = Uid(b"\x01" * 16)
ROOT = Key(b"\x02" * 32)
COSTS = (MIN_KDF_PASSES, MIN_KDF_MEMORY_BYTES)
PASSPHRASE = "Prüfstände: Ångström ½"
SECRET = Key(bytes(range(20)))


def make(credential: Credential, name: str = "slot") -> Slot:
    """Return a slot that wraps ROOT."""
    return make_slot(credential, REPOSITORY, ROOT, costs=COSTS, label="a label", date_ms=1, random=stream(name))


SLOT = make(Credential.from_passphrase(PASSPHRASE))
SECRET_SLOT = make(Credential.from_secret(SECRET))


def opened(slot: Slot, passphrase: str = PASSPHRASE) -> OpenSlot | None:
    """Open a slot with a passphrase."""
    return open_slot(slot, Credential.from_passphrase(passphrase), REPOSITORY)


def test_round_trip() -> None:
    """A passphrase would not open the slot that was made with it."""
    found = opened(decode_slot(encode_slot(SLOT)))
    assert found is not None
    assert (found.id, found.root) == (SLOT.header.id, ROOT)
    by_secret = open_slot(SECRET_SLOT, Credential.from_secret(SECRET), REPOSITORY)
    assert by_secret is not None
    assert by_secret.root == ROOT


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_same_passphrase_from_another_keyboard(form: str, ending: str) -> None:
    """A passphrase made on a Mac, or read from a file, would not open the repository on Linux."""
    typed = unicodedata.normalize(form, PASSPHRASE) + ending
    assert opened(SLOT, typed) is not None


@pytest.mark.parametrize("typed", [PASSPHRASE + " ", " " + PASSPHRASE, PASSPHRASE.upper(), PASSPHRASE + "\n\n", "x"])
def test_wrong_passphrase(typed: str) -> None:
    """A wrong passphrase would be reported as damage, or two passphrases be one."""
    assert opened(SLOT, typed) is None


def test_compatibility_forms_stay_different() -> None:
    """A normalization that folds more than NFC would take strength from passphrases: 1/2 is not the sign for a half."""
    assert opened(SLOT, unicodedata.normalize("NFKC", PASSPHRASE)) is None


@pytest.mark.parametrize("passphrase", ["", "\n", "\r\n"])
def test_empty_passphrase(passphrase: str) -> None:
    """A variable that is set to nothing would make a repository that anybody can read."""
    with pytest.raises(UsageError):
        Credential.from_passphrase(passphrase)


def test_passphrase_that_is_no_text() -> None:
    """Bytes that are not UTF-8 would end in a traceback that shows the passphrase."""
    with pytest.raises(UsageError) as caught:
        Credential.from_passphrase("geheim\udc80")
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("length", [0, 19, 21, 32])
def test_length_of_a_secret(length: int) -> None:
    """Something else than a secret would be used as one."""
    with pytest.raises(UsageError):
        Credential.from_secret(Key(bytes(length)))


def test_which_credential_fits() -> None:
    """A recovery key would not open a key file's slot, or a passphrase be tried as a key."""
    passphrase, secret = Credential.from_passphrase("x"), Credential.from_secret(SECRET)
    recovery = Credential.from_secret(SECRET, SlotKind.RECOVERY)
    assert [passphrase.can_open(kind) for kind in SlotKind] == [True, False, False]
    assert [secret.can_open(kind) for kind in SlotKind] == [False, True, True]
    assert open_slot(SECRET_SLOT, recovery, REPOSITORY) is not None
    assert open_slot(SECRET_SLOT, passphrase, REPOSITORY) is None
    assert open_slot(SLOT, secret, REPOSITORY) is None
    assert open_slot(SECRET_SLOT, Credential.from_secret(Key(bytes(20))), REPOSITORY) is None


def test_damaged_is_not_wrong() -> None:
    """Somebody with the right passphrase would be told that it is wrong, and never look at the copy of the slot."""
    for place in range(len(SLOT.sealed)):
        sealed = SLOT.sealed[:place] + bytes([SLOT.sealed[place] ^ 1]) + SLOT.sealed[place + 1 :]
        with pytest.raises(FormatError) as caught:
            open_slot(replace(SECRET_SLOT, sealed=sealed), Credential.from_secret(SECRET), REPOSITORY)
        assert caught.value.failure == "decrypt-failed"
    with pytest.raises(FormatError):
        opened(replace(SLOT, nonce=bytes(24)))


def test_the_whole_header_is_authenticated() -> None:
    """Whoever holds the storage could change a slot's public key to their own and receive every later epoch."""
    for name, value in (
        ("id", Uid(bytes(16))),
        ("kind", SlotKind.RECOVERY),
        ("salt", bytes(16)),
        ("public_key", b"\x09" + bytes(31)),
        ("date_ms", 2),
        ("label", "another label"),
    ):
        header = replace(SECRET_SLOT.header, **{name: value})
        changed = replace(SECRET_SLOT, header=header, header_bytes=encode_slot_header(header))
        assert open_slot(changed, Credential.from_secret(SECRET), REPOSITORY) is None
    assert open_slot(SECRET_SLOT, Credential.from_secret(SECRET), Uid(bytes(16))) is None


@pytest.mark.parametrize("memory", [4096 * GIB - 1024, 4096 * GIB, 20 * GIB, 2 * GIB + 1, (1 << 64) - 1])
def test_hostile_costs_are_refused_before_anything_is_allocated(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that asks for 4 TiB would have the machine killed by its own out-of-memory killer."""
    monkeypatch.setattr(slots, "argon2id", lambda *_: pytest.fail("argon2id was called"))
    header = encode_slot_header(replace(SLOT.header, memory=memory))
    begin = time.monotonic()
    with pytest.raises(FormatError) as caught:
        opened(decode_slot(encode_slot(replace(SLOT, header_bytes=header))))
    assert caught.value.failure == "oversize"
    assert time.monotonic() - begin < 1


def test_named_costs_are_within_the_limits() -> None:
    """`init` would make a slot that every reader refuses."""
    for passes, memory in KDF_COSTS.values():
        assert MIN_KDF_PASSES <= passes <= MAX_KDF_PASSES
        assert MIN_KDF_MEMORY_BYTES <= memory <= MAX_KDF_MEMORY_BYTES
    assert KDF_COSTS["moderate"] == (3, 256 * MIB)


def test_slots_share_nothing() -> None:
    """Two slots of one passphrase would show that they are."""
    one, other = (make(Credential.from_passphrase(PASSPHRASE), name) for name in ("one", "other"))
    for name in ("commitment", "nonce", "sealed"):
        assert getattr(one, name) != getattr(other, name)
    assert one.header.public_key != other.header.public_key


def _open_slots(count: int) -> tuple[list[Slot], list[OpenSlot]]:
    made = [make(Credential.from_secret(SECRET), f"slot {number}") for number in range(count)]
    found = [open_slot(slot, Credential.from_secret(SECRET), REPOSITORY) for slot in made]
    return made, [slot for slot in found if slot is not None]


def test_epoch_opens_with_each_of_its_slots() -> None:
    """After a rotation, all but the person who did it would be locked out."""
    made, ready = _open_slots(3)
    headers = [slot.header for slot in made]
    epoch, secret = make_epoch(2, Encryption.AEGIS_256, headers, date_ms=1, random=stream("epoch"))
    assert [open_epoch(epoch, slot) for slot in ready] == [secret] * 3
    assert secret.secret not in b"".join(epoch.sealed.values())
    assert len(secret.secret) == 32
    assert decode_epoch(encode_epoch(epoch)) == epoch


def test_epoch_without_a_slot_excludes_it() -> None:
    """A key that was removed would still read what is written after its removal."""
    made, ready = _open_slots(3)
    headers = [slot.header for slot in made[:2]]
    epoch, _ = make_epoch(2, Encryption.AEGIS_256, headers, date_ms=1, random=stream("epoch"))
    assert open_epoch(epoch, ready[2]) is None
    stolen = replace(epoch, sealed={ready[2].id: epoch.sealed[ready[0].id]})
    with pytest.raises(FormatError):
        open_epoch(stolen, ready[2])


def test_damaged_box() -> None:
    """A damaged box would give a wrong epoch secret, under which nothing could ever be read again."""
    made, ready = _open_slots(1)
    epoch, _ = make_epoch(1, Encryption.AEGIS_256, [made[0].header], date_ms=1, random=stream("epoch"))
    box = epoch.sealed[ready[0].id]
    with pytest.raises(FormatError) as caught:
        open_epoch(replace(epoch, sealed={ready[0].id: box[:-1] + bytes([box[-1] ^ 1])}), ready[0])
    assert caught.value.failure == "decrypt-failed"
