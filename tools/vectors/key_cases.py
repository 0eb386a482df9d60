"""What leads to the keys: slots, epochs and secrets. Sections 8.2 to 8.4."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from nacl.bindings import crypto_box, crypto_scalarmult_base

from packstore.codec.derivation import prf
from packstore.codec.key import Key
from packstore.codec.keyring import derive_epoch
from packstore.codec.secret import format_secret
from packstore.codec.slots import Credential, make_slot
from packstore.codec.sodium import argon2id, seal
from packstore.format.document import (
    DocumentType,
    Slot,
    SlotHeader,
    SlotKind,
    encode_document,
    encode_slot,
    encode_slot_header,
)
from packstore.format.record import Encryption
from packstore.limits import GIB, MIB
from tools.vectors.case import Case, Group
from tools.vectors.document_cases import frame, rechecked
from tools.vectors.material import AEGIS, DATE_MS, REPOSITORY_ID, ROOT, fixed, flip, stream

_KEYS: Final = {"repository_id": REPOSITORY_ID.hex()}
_SLOT: Final = Group("document/slot", "slot", _KEYS)
_SECRET_TEXT: Final = Group("secret", "secret")
_PASSPHRASE: Final = "Zür Söhe, 2 Stufen"  # noqa: S105  protects nothing
_DECOMPOSED: Final = "Zu\u0308r So\u0308he, 2 Stufen"
_SECRET: Final = fixed("secret", 20)
_COSTS: Final = (1, 8 * MIB)


def cases() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _slots_accepted()
    yield from _slots_not_opened()
    yield from _slot_headers()
    yield from _slot_bodies()
    yield from _epochs_accepted()
    yield from _epochs_refused()
    yield from _secrets_accepted()
    yield from _secrets_refused()


def _make(credential: Credential) -> Slot:
    name = f"slot {credential.kind}"
    random = stream(name)
    return make_slot(credential, REPOSITORY_ID, Key(ROOT), costs=_COSTS, label=name, date_ms=DATE_MS, random=random)


_BY_PASSPHRASE: Final = _make(Credential.from_passphrase(_PASSPHRASE))


def _document(slot: Slot) -> bytes:
    return encode_document(DocumentType.SLOT, encode_slot(slot), AEGIS.keyring().keys_mac)


def _slot_value(slot: Slot) -> dict[str, object]:
    names = SlotHeader.__dataclass_fields__
    box_secret = stream(f"slot {slot.header.kind}")(32)
    return {name: getattr(slot.header, name) for name in names} | {"root": ROOT, "box_secret": box_secret}


def _opened_by(text: str) -> dict[str, str]:
    return {"passphrase": text.encode().hex()}


def _slots_accepted() -> Iterator[Case]:
    data, value = _document(_BY_PASSPHRASE), _slot_value(_BY_PASSPHRASE)
    yield _SLOT.given(_opened_by(_PASSPHRASE)).ok("passphrase", "8.2", "Opened by its passphrase.", data, value)
    comment = "The same passphrase typed on another keyboard: decomposed letters, a line end."
    yield _SLOT.given(_opened_by(_DECOMPOSED + "\r\n")).ok("passphrase_nfd", "8.2", comment, data, value)
    for kind in (SlotKind.KEY_FILE, SlotKind.RECOVERY):
        slot = _make(Credential.from_secret(Key(_SECRET), kind))
        name = kind.name.lower()
        comment = f"A slot of kind {name}, opened by its secret."
        value = _slot_value(slot)
        yield _SLOT.given({"secret": format_secret(Key(_SECRET))}).ok(name, "8.2", comment, _document(slot), value)


def _slots_not_opened() -> Iterator[Case]:
    good = _document(_BY_PASSPHRASE)
    comment = "Another passphrase: the commitment differs."
    yield _SLOT.given(_opened_by("correct horse")).bad("wrong_passphrase", "unknown-key", "8.2", comment, good)
    comment = "Only one final line end is taken off a passphrase."
    yield _SLOT.given(_opened_by(_PASSPHRASE + "\n\n")).bad("two_line_ends", "unknown-key", "8.2", comment, good)
    comment = "A space more: passphrases are not trimmed."
    yield _SLOT.given(_opened_by(_PASSPHRASE + " ")).bad("trailing_space", "unknown-key", "8.2", comment, good)
    comment = "A secret for a slot that takes a passphrase."
    yield _SLOT.given({"secret": format_secret(Key(_SECRET))}).bad(
        "secret_for_passphrase", "unknown-key", "8.2", comment, good
    )
    by_secret = _document(_make(Credential.from_secret(Key(_SECRET))))
    comment = "A passphrase for a slot that takes a secret."
    yield _SLOT.given(_opened_by(_PASSPHRASE)).bad("passphrase_for_secret", "unknown-key", "8.2", comment, by_secret)
    comment = "Another secret."
    other = format_secret(Key(fixed("another secret", 20)))
    yield _SLOT.given({"secret": other}).bad("wrong_secret", "unknown-key", "8.2", comment, by_secret)
    comment = "The slot of another repository with the same passphrase and salt: the id is in every derivation."
    lines = _opened_by(_PASSPHRASE) | {"repository_id": fixed("another repository id", 16).hex()}
    yield _SLOT.given(lines).bad("of_another_repository", "unknown-key", "8.2", comment, good)
    sealed = _document(replace(_BY_PASSPHRASE, sealed=flip(_BY_PASSPHRASE.sealed, 0)))
    nonce = _document(replace(_BY_PASSPHRASE, nonce=flip(_BY_PASSPHRASE.nonce, 23)))
    for name, section, expect, comment, data in (
        ("sealed_bit", "8.2", "decrypt-failed", "What it wraps is damaged, the passphrase right.", sealed),
        ("nonce_bit", "8.2", "decrypt-failed", "The nonce is damaged, the passphrase right.", nonce),
        ("mac", "8.2", "bad-mac", "It opens, and its MAC is wrong.", rechecked(flip(good, -40))),
        ("checksum", "8", "bad-checksum", "One bit of the body changed.", flip(good, 60)),
        ("cut", "8", "truncated", "The last byte is missing.", good[:-1]),
    ):
        yield _SLOT.given(_opened_by(_PASSPHRASE)).bad(name, expect, section, comment, data)


def _with_header(**changed: Any) -> bytes:  # noqa: ANN401  whatever a file may wrongly hold
    """Return a slot whose header was changed after it was made; the document around it is correct."""
    header = encode_slot_header(replace(_BY_PASSPHRASE.header, **changed))
    return _document(replace(_BY_PASSPHRASE, header_bytes=header))


def _slot_headers() -> Iterator[Case]:
    by_secret = _make(Credential.from_secret(Key(_SECRET))).header
    costly = _document(replace(_BY_PASSPHRASE, header_bytes=encode_slot_header(replace(by_secret, passes=1))))
    for name, expect, comment, data in (
        ("salt_changed", "unknown-key", "Another salt leads to another key.", _with_header(salt=bytes(16))),
        ("label_changed", "unknown-key", "The whole header is part of the derivation.", _with_header(label="x")),
        ("kind_0", "unsupported", "There is no kind 0.", _with_header(kind=0)),
        ("kind_4", "unsupported", "There is no kind 4.", _with_header(kind=4)),
        ("passes_0", "oversize", "No pass.", _with_header(passes=0)),
        ("passes_21", "oversize", "More than 20 passes.", _with_header(passes=21)),
        ("memory_small", "oversize", "Less than 8 MiB.", _with_header(memory=8 * MIB - 1)),
        ("memory_large", "oversize", "More than 2 GiB.", _with_header(memory=2 * GIB + 1)),
        ("memory_4_tib", "oversize", "4 TiB, which libsodium would try to get.", _with_header(memory=4096 * GIB)),
        ("memory_2_64", "oversize", "2^64 - 1 bytes.", _with_header(memory=(1 << 64) - 1)),
        ("secret_with_costs", "malformed", "A secret needs no pass of argon2id.", costly),
    ):
        yield _SLOT.given(_opened_by(_PASSPHRASE)).bad(name, expect, "8.2", comment, data)


def _slot_bodies() -> Iterator[Case]:
    slot = _BY_PASSPHRASE
    body: dict[str, Any] = {name: getattr(slot, name) for name in ("commitment", "nonce", "sealed")}
    body["header"] = slot.header_bytes
    headless = {name: value for name, value in body.items() if name != "header"}
    unsorted = b"\x81\xa1a\xcc\x05"
    for name, comment, fields in (
        ("sealed_short", "79 bytes sealed.", body | {"sealed": slot.sealed[:-1]}),
        ("commitment_long", "A commitment of 33 bytes.", body | {"commitment": bytes(33)}),
        ("header_map", "The header is a map, not the bytes of one.", body | {"header": {}}),
        ("header_missing", "There is no header.", headless),
        ("header_not_canonical", "The header is msgpack, and not canonical.", body | {"header": unsorted}),
        ("header_empty", "The header is an empty map.", body | {"header": b"\x80"}),
    ):
        data = frame(DocumentType.SLOT, fields)
        yield _SLOT.given(_opened_by(_PASSPHRASE)).bad(name, "malformed", "8.2", comment, data)
    forged = _forged_public_key()
    comment = "Made with the right passphrase, and with the public key of somebody else."
    yield _SLOT.given(_opened_by(_PASSPHRASE)).bad("public_key", "malformed", "8.2", comment, forged)


def _forged_public_key() -> bytes:
    header = replace(_BY_PASSPHRASE.header, public_key=crypto_scalarmult_base(fixed("somebody else", 32)))
    header_bytes = encode_slot_header(header)
    password = Credential.from_passphrase(_PASSPHRASE).material
    derived = prf(argon2id(password, header.salt, *_COSTS), "slot", REPOSITORY_ID, header_bytes)
    box_secret = fixed("box secret", 32)
    sealed = seal(
        Encryption.XCHACHA20_POLY1305, Key(derived[:32]), _BY_PASSPHRASE.nonce, ROOT + box_secret, header_bytes
    )
    return _document(Slot(header, header_bytes, derived[32:], _BY_PASSPHRASE.nonce, sealed[24:]))


_X: Final = fixed("epoch x", 32)
_BOX_SECRETS: Final = {fixed(f"slot id {n}", 16): fixed(f"box secret {n}", 32) for n in range(3)}
_SLOT_IDS: Final = sorted(_BOX_SECRETS)
_IDS: Final = sorted(fixed(f"removed slot {n}", 16) for n in range(2))
_RETIRED: Final = sorted(fixed(f"retired key {n}", 8) for n in range(2))
_OPENED_WITH: Final = {"slot_id": _SLOT_IDS[0].hex(), "box_secret": _BOX_SECRETS[_SLOT_IDS[0]].hex()}

_EPOCH: Final = Group("document/epoch", "epoch", _KEYS | {"root": ROOT.hex()} | _OPENED_WITH)


def _box(slot_id: bytes) -> bytes:
    """Return a sealed box as crypto_box_seal makes it, but with a fixed ephemeral key."""
    ephemeral = fixed(f"ephemeral {slot_id.hex()}", 32)
    public, receiver = crypto_scalarmult_base(ephemeral), crypto_scalarmult_base(_BOX_SECRETS[slot_id])
    nonce = hashlib.blake2b(public + receiver, digest_size=24).digest()
    return bytes(public + crypto_box(_X, nonce, receiver, ephemeral))


def _epoch(**changed: Any) -> dict[str, Any]:  # noqa: ANN401
    sealed = [[slot_id, _box(slot_id)] for slot_id in _SLOT_IDS]
    fields = {"id": fixed("epoch id", 16), "number": 1, "encryption": 2, "date_ms": DATE_MS, "sealed": sealed}
    return fields | changed


def _epoch_value(fields: dict[str, Any]) -> dict[str, Any]:
    encryption = Encryption(fields["encryption"])
    data, meta = derive_epoch(Key(ROOT), REPOSITORY_ID, fields["number"], Key(_X), encryption)
    opened = {"sealed": dict(fields["sealed"]), "secret": _X, "data_key_id": data.id, "meta_key_id": meta.id}
    return {"removed": [], "retired": [], "key_ids": []} | fields | opened


def _epochs_accepted() -> Iterator[Case]:
    for name, comment, fields in (
        ("three_slots", "Sealed to three slots, opened with the first.", _epoch()),
        ("one_slot", "Sealed to one slot, encryption version 1.", _epoch(encryption=1, sealed=_epoch()["sealed"][:1])),
        ("number_large", "The largest number.", _epoch(number=(1 << 32) - 1)),
        ("removed", "It takes two slots away, which need not be known.", _epoch(removed=[_IDS[0], _IDS[1]])),
        ("retired", "It retires an epoch, by the ids of its keys.", _epoch(number=2, retired=_RETIRED)),
        ("key_ids", "It says which epoch it is.", _epoch(key_ids=_RETIRED)),
        ("removed_and_retired", "Both.", _epoch(removed=_IDS[:1], retired=_RETIRED)),
    ):
        data = frame(DocumentType.EPOCH, fields)
        yield _EPOCH.ok(name, "8.3", comment, data, _epoch_value(fields))


def _epochs_refused() -> Iterator[Case]:
    first, second, third = _epoch()["sealed"]
    many = [[bytes([n]) * 16, bytes(80)] for n in range(65)]
    for name, expect, comment, fields in (
        ("not_for_this_slot", "unknown-key", "Not sealed to the slot.", _epoch(sealed=[second, third])),
        ("box_bit", "decrypt-failed", "The box is damaged.", _epoch(sealed=[[first[0], flip(first[1], 79)]])),
        ("box_of_another", "decrypt-failed", "The box of another slot.", _epoch(sealed=[[first[0], second[1]]])),
        ("number_0", "unsupported", "Epochs count from 1.", _epoch(number=0)),
        ("encryption_0", "unsupported", "An epoch without encryption.", _epoch(encryption=0)),
        ("encryption_3", "unsupported", "There is no encryption version 3.", _epoch(encryption=3)),
        ("slots_65", "oversize", "Sealed to 65 slots.", _epoch(sealed=many)),
        ("box_short", "malformed", "A box of 79 bytes.", _epoch(sealed=[[first[0], first[1][:-1]]])),
        ("slot_id_short", "malformed", "A slot id of 15 bytes.", _epoch(sealed=[[bytes(15), first[1]]])),
        ("pair_of_three", "malformed", "A number between slot id and box.", _epoch(sealed=[[first[0], 0, first[1]]])),
        ("pair_of_one", "malformed", "A slot id without a box.", _epoch(sealed=[[first[0]]])),
        ("pair_a_map", "malformed", "A map where a pair is due.", _epoch(sealed=[{"slot": first[0]}])),
        ("unsorted", "malformed", "The slot ids do not ascend.", _epoch(sealed=[second, first])),
        ("slot_twice", "malformed", "Two boxes for one slot.", _epoch(sealed=[first, first])),
        ("sealed_map", "malformed", "The boxes are a map.", _epoch(sealed={})),
        ("removed_empty", "malformed", "A list that takes nothing away is left out.", _epoch(removed=[])),
        ("removed_short", "malformed", "A slot id of 15 bytes.", _epoch(removed=[bytes(15)])),
        ("removed_unsorted", "malformed", "Slot ids that do not ascend.", _epoch(removed=_IDS[::-1])),
        ("removed_twice", "malformed", "One slot removed twice.", _epoch(removed=[_IDS[0], _IDS[0]])),
        ("retired_text", "malformed", "A key id that is text.", _epoch(retired=["12345678"])),
        ("key_ids_one", "malformed", "The id of one key only.", _epoch(key_ids=_RETIRED[:1])),
        ("key_ids_long", "malformed", "A key id of 9 bytes.", _epoch(key_ids=[_RETIRED[0], bytes(9)])),
        ("key_ids_text", "malformed", "A key id that is text.", _epoch(key_ids=[_RETIRED[0], "12345678"])),
        ("retired_long", "malformed", "A key id of 9 bytes.", _epoch(retired=[bytes(9)])),
    ):
        yield _EPOCH.bad(name, expect, "8.3", comment, frame(DocumentType.EPOCH, fields))
    good = frame(DocumentType.EPOCH, _epoch())
    comment = "The MAC changed, the checksum right."
    yield _EPOCH.bad("mac", "bad-mac", "8.3", comment, rechecked(flip(good, -40)))
    yield _EPOCH.bad("cut", "truncated", "8", "The last byte is missing.", good[:-1])
    yield _EPOCH.bad("bit", "bad-checksum", "8", "One bit of a box changed.", flip(good, 150))


_EXAMPLE: Final = format_secret(Key(bytes(range(20))))


def _secrets_accepted() -> Iterator[Case]:
    value = {"secret": bytes(range(20))}
    for name, comment, text, found in (
        ("canonical", "As packstore writes it.", _EXAMPLE, value),
        ("zeros", "A secret of zeros.", format_secret(Key(bytes(20))), {"secret": bytes(20)}),
        ("ones", "A secret of ones.", format_secret(Key(b"\xff" * 20)), {"secret": b"\xff" * 20}),
    ):
        yield _SECRET_TEXT.ok(name, "8.4", comment, text.encode(), found)
    for name, comment, text in (
        ("lower_case", "In lower case.", _EXAMPLE.lower()),
        ("no_hyphens", "Without hyphens.", _EXAMPLE.replace("-", "")),
        ("spaces", "With spaces, a tab and a line end.", " " + _EXAMPLE.replace("-", " \t") + "\r\n"),
        ("o_for_0", "The letter O for each zero.", _EXAMPLE.replace("0", "O")),
        ("small_o_for_0", "The letter o for each zero.", _EXAMPLE.replace("0", "o")),
        ("i_for_1", "The letter I for each one.", _EXAMPLE.replace("1", "I")),
        ("l_for_1", "The letter l for each one.", _EXAMPLE.replace("1", "l")),
    ):
        yield _SECRET_TEXT.ok(name, "8.4", comment, text.encode(), value, reencode=False)


def _secrets_refused() -> Iterator[Case]:
    for name, comment, text in (
        ("wrong_first", "The first character is wrong.", "1" + _EXAMPLE[1:]),
        ("wrong_last", "The last character is wrong.", _EXAMPLE[:-1] + "Q"),
        ("wrong_in_check", "A check character is wrong.", _EXAMPLE[:-4] + "Z" + _EXAMPLE[-3:]),
        ("neighbours", "Two neighbours exchanged.", _EXAMPLE.replace("R4", "4R")),
        ("groups", "Two groups exchanged.", _EXAMPLE.replace("0M30-E209", "E209-0M30")),
        ("one_missing", "A character is missing.", _EXAMPLE[:8] + _EXAMPLE[9:]),
        ("one_too_many", "A character too many.", _EXAMPLE + "0"),
        ("group_missing", "A group is missing.", _EXAMPLE[:-5]),
        ("letter_u", "U is not in the alphabet.", "U" + _EXAMPLE[1:]),
        ("punctuation", "A full stop for a hyphen.", _EXAMPLE.replace("-", ".", 1)),
        ("not_ascii", "A letter outside the alphabet.", "ä" + _EXAMPLE[1:]),
        ("sharp_s", "A letter that becomes two in capitals.", "ß" + _EXAMPLE[2:]),
        ("empty", "Nothing.", ""),
        ("another_file", "A key file of something else.", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
    ):
        yield _SECRET_TEXT.bad(name, "malformed", "8.4", comment, text.encode())
