"""Documents: the frame and the repository file (sections 8 and 8.1), intents and lists (section 8.5)."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from packstore.format.document import DIGEST_BYTES, DocumentType, RepositoryFile, encode_document, encode_repository
from packstore.format.intent import CondemnedList, Intent, IntentRole, encode_intent, encode_list
from packstore.format.strictmsgpack import encode
from packstore.ids import PackId, Uid
from packstore.limits import MIB
from tools.vectors.case import Case, Group
from tools.vectors.material import AEGIS, CLEAR, DATE_MS, REPOSITORY_ID, ROOT, STRANGER, fixed, flip, patch

_RING: Final = AEGIS.keyring()
_ENCRYPTED: Final = Group("document/repository", "repository", AEGIS.inputs())
_CLEAR: Final = Group("document/repository", "repository", CLEAR.inputs())
_INTENT: Final = Group("document/intent", "intent", AEGIS.inputs())
_LIST: Final = Group("document/list", "list", AEGIS.inputs())

_NO_FEATURES: Final[dict[str, list[Any]]] = {"read": [], "write": [], "delete": []}
_FILE: Final = RepositoryFile(
    format=1,
    id=REPOSITORY_ID,
    date_ms=DATE_MS,
    block_size=MIB,
    pack_size=128 * MIB,
    features=_NO_FEATURES,
    root=None,
    program="packstore vectors",
)


def rechecked(document: bytes) -> bytes:
    """Return a document with the checksum that its other bytes demand."""
    return document[:-DIGEST_BYTES] + hashlib.sha512(document[:-DIGEST_BYTES]).digest()[:DIGEST_BYTES]


def frame(document_type: DocumentType, value: object) -> bytes:
    """Return a document of any map, with the MAC and the checksum that it should have."""
    mac = _RING.pack_mac if document_type is DocumentType.LIST else _RING.keys_mac
    return encode_document(document_type, encode(value), mac)


def cases() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _repository_accepted()
    yield from _framing()
    yield from _repository_refused()
    yield from _repository_forged()
    yield from _intents()
    yield from _lists()


def _fields(**changed: Any) -> dict[str, Any]:  # noqa: ANN401  whatever a file may wrongly hold
    fields = {name: getattr(_FILE, name) for name in RepositoryFile.__dataclass_fields__}
    return fields | changed


def _repository(**changed: Any) -> bytes:  # noqa: ANN401
    return frame(DocumentType.REPOSITORY, _fields(**changed))


def _repository_accepted() -> Iterator[Case]:
    data = encode_document(DocumentType.REPOSITORY, encode_repository(_FILE), _RING.keys_mac)
    yield _ENCRYPTED.ok("encrypted", "8.1", "Of an encrypted repository.", data, _FILE)
    comment = "Of an unencrypted repository: the root secret stands in it."
    yield _CLEAR.ok("clear", "8.1", comment, _repository(root=ROOT), _fields(root=ROOT))
    comment = "Unknown features that a reader need not know: it must read, and neither write nor delete."
    features = {"read": [], "write": ["fixed packs"], "delete": ["fixed packs"]}
    data = _repository(features=features)
    yield _ENCRYPTED.ok("features_of_writers", "8.1", comment, data, _fields(features=features))
    comment = "The smallest block size and pack size."
    data = _repository(block_size=64 << 10, pack_size=MIB)
    yield _ENCRYPTED.ok("smallest_sizes", "8.1", comment, data, _fields(block_size=64 << 10, pack_size=MIB))
    comment = "A key that this version of the format does not know is ignored."
    data = _repository(colour="green")
    yield _ENCRYPTED.ok("unknown_key", "8.1", comment, data, _FILE, reencode=False)


def _framing() -> Iterator[Case]:
    data = _repository()
    body_size = len(data) - 80
    program = data.index(_FILE.program.encode())
    for name, expect, comment, changed in (
        ("empty", "truncated", "No bytes.", b""),
        ("cut_in_header", "truncated", "The header is not whole.", data[:15]),
        ("header_only", "truncated", "Nothing but the header.", data[:16]),
        ("cut", "truncated", "The last byte is missing.", data[:-1]),
        ("trailing_byte", "truncated", "A byte follows: the size does not fit.", data + b"\x00"),
        ("magic", "bad-magic", "One byte of the magic changed.", flip(data, 3)),
        ("version_2", "unsupported", "A document of a later version.", rechecked(patch(data, 7, b"\x02"))),
        ("body_over_16_kib", "oversize", "A body of 16 KiB and a byte.", patch(data, 12, b"\x01\x40\x00\x00")),
        ("body_4_gib", "oversize", "A body of 2^32 - 1 bytes.", patch(data, 12, b"\xff" * 4)),
        ("body_size_less", "truncated", "A body one byte shorter.", patch(data, 12, bytes([(body_size - 1) & 255]))),
        ("body_bit", "bad-checksum", "One bit of the body changed.", flip(data, 40)),
        ("mac_bit", "bad-checksum", "One bit of the MAC changed.", flip(data, -64)),
        ("checksum_bit", "bad-checksum", "One bit of the checksum changed.", flip(data, -1)),
        ("reserved1_nonzero", "unsupported", "reserved1 is not zero.", rechecked(patch(data, 9, b"\x01"))),
        ("reserved2_nonzero", "unsupported", "reserved2 is not zero.", rechecked(patch(data, 11, b"\x01"))),
        ("type_epoch", "malformed", "An epoch by its type.", rechecked(patch(data, 8, b"\x03"))),
        ("type_9", "malformed", "There is no document type 9.", rechecked(patch(data, 8, b"\x09"))),
        ("mac", "bad-mac", "One bit of the MAC changed, the checksum right.", rechecked(flip(data, -64))),
        ("program_changed", "bad-mac", "The body changed, the checksum right.", rechecked(flip(data, program))),
    ):
        yield _ENCRYPTED.bad(name, expect, "8", comment, changed)


def _repository_refused() -> Iterator[Case]:
    missing = _fields()
    del missing["pack_size"]
    numbered = _NO_FEATURES | {"read": [1]}
    short: dict[str, list[str]] = {"read": [], "write": []}
    for name, expect, comment, data in (
        ("format_2", "unsupported", "A later version of the format.", _repository(format=2)),
        ("format_2_alone", "unsupported", "A later version may have any keys.", frame(_TYPE, {"format": 2})),
        ("format_0", "unsupported", "There is no format version 0.", _repository(format=0)),
        ("key_missing", "malformed", "pack_size is missing.", frame(_TYPE, missing)),
        ("not_a_map", "malformed", "The body is an array.", frame(_TYPE, [1])),
        ("id_short", "malformed", "An id of 15 bytes.", _repository(id=bytes(15))),
        ("id_text", "malformed", "An id that is text.", _repository(id="0123456789abcdef")),
        ("root_short", "malformed", "A root of 31 bytes.", _repository(root=bytes(31))),
        ("block_size_odd", "malformed", "A block size that is no power of two.", _repository(block_size=3 << 19)),
        ("block_size_small", "oversize", "A block size of 32 KiB.", _repository(block_size=32 << 10)),
        ("block_size_large", "oversize", "A block size of 32 MiB.", _repository(block_size=32 << 20)),
        ("pack_size_small", "oversize", "A pack size below 1 MiB.", _repository(pack_size=MIB - 1)),
        ("pack_size_large", "oversize", "A pack size above 1 GiB.", _repository(pack_size=(1 << 30) + 1)),
        ("date_text", "malformed", "A date that is text.", _repository(date_ms="today")),
        ("feature_number", "malformed", "A feature that is a number.", _repository(features=numbered)),
        ("features_short", "malformed", "The features for delete are missing.", _repository(features=short)),
    ):
        yield _ENCRYPTED.bad(name, expect, "8.1", comment, data)


_TYPE: Final = DocumentType.REPOSITORY


def _repository_forged() -> Iterator[Case]:
    comment = "Claims to be unencrypted, to somebody who holds a key: the MAC is right, and it is refused all the same."
    yield _ENCRYPTED.bad("claims_clear", "unencrypted", "8.1", comment, _repository(root=ROOT))
    comment = "Claims to be unencrypted under a root of the forger's own, by which its MAC is right."
    root = fixed("a forger's root", 32)
    forged = type(CLEAR)(REPOSITORY_ID, root, encrypted=False).keyring()
    data = encode_document(_TYPE, encode(_fields(root=root)), forged.keys_mac)
    yield _ENCRYPTED.bad("claims_clear_forged", "unencrypted", "8.1", comment, data)
    comment = "Of another repository with the same root secret: the MAC depends on the id."
    data = encode_document(_TYPE, encode(_fields()), STRANGER.keyring().keys_mac)
    yield _ENCRYPTED.bad("mac_of_stranger", "bad-mac", "8.1", comment, data)
    comment = "The MAC computed under the pack key."
    data = encode_document(_TYPE, encode(_fields()), _RING.pack_mac)
    yield _ENCRYPTED.bad("mac_under_pack_key", "bad-mac", "8.1", comment, data)


_NOTICE: Final = Intent(
    id=Uid(fixed("intent", 16)),
    honours=[Uid(fixed("list", 16)), Uid(fixed("another list", 16))],
    versions=[Uid(fixed("version", 16))],
    host="backup.example",
    boot="00000000-0000-4000-8000-000000000000",
    pid_namespace="4026531836",
    pid=4711,
    process_start=123_456_789,
    role=IntentRole.WRITER,
    purpose="backup",
    date_ms=DATE_MS,
)


def _intents() -> Iterator[Case]:
    data = encode_document(DocumentType.INTENT, encode_intent(_NOTICE), _RING.keys_mac)
    yield _INTENT.ok("writer", "8.5", "A writer that honours two lists and reads one version.", data, _NOTICE)
    fields = {name: getattr(_NOTICE, name) for name in Intent.__dataclass_fields__}
    for role, comment in ((IntentRole.HOLD, "A hold: honours nothing."), (IntentRole.COLLECTOR, "A collector.")):
        other = fields | {"honours": [], "versions": [], "role": role}
        yield _INTENT.ok(role.name.lower(), "8.5", comment, frame(DocumentType.INTENT, other), other)
    for number in (0, 4):
        data = frame(DocumentType.INTENT, fields | {"role": number})
        yield _INTENT.bad(f"role_{number}", "unsupported", "8.5", f"There is no role {number}.", data)
    for name, comment, changed in (
        ("honours_short", "The id of a list has 15 bytes.", {"honours": [bytes(15)]}),
        ("honours_number", "The id of a list is a number.", {"honours": [7]}),
        ("versions_map", "The versions are a map.", {"versions": {}}),
        ("pid_large", "A process id of 2^32.", {"pid": 1 << 32}),
        ("host_nil", "No host.", {"host": None}),
        ("host_long", "A host name of 4097 bytes.", {"host": "h" * 4097}),
    ):
        yield _INTENT.bad(name, "malformed", "8.5", comment, frame(DocumentType.INTENT, fields | changed))
    comment = "A list under the name of an intent."
    empty = CondemnedList(Uid(fixed("list", 16)), [], [])
    data = encode_document(DocumentType.LIST, encode_list(empty), _RING.keys_mac)
    yield _INTENT.bad("is_a_list", "malformed", "8", comment, data)
    comment = "The MAC changed, the checksum right."
    changed_mac = rechecked(flip(frame(DocumentType.INTENT, fields), -64))
    yield _INTENT.bad("mac", "bad-mac", "8.5", comment, changed_mac)


def _lists() -> Iterator[Case]:
    condemned = CondemnedList(
        Uid(fixed("list", 16)), [PackId(fixed(f"pack {n}", 16)) for n in range(3)], [Uid(fixed("version", 16))]
    )
    data = encode_document(DocumentType.LIST, encode_list(condemned), _RING.pack_mac)
    yield _LIST.ok("packs", "8.5", "Three packs and a version.", data, condemned)
    empty = CondemnedList(condemned.id, [], [])
    data = frame(DocumentType.LIST, {"id": empty.id, "packs": [], "versions": []})
    yield _LIST.ok("empty", "8.5", "A list of nothing.", data, empty)
    fields = {"id": condemned.id, "packs": condemned.packs, "versions": condemned.versions}
    for name, comment, changed in (
        ("pack_short", "The id of a pack has 15 bytes.", {"packs": [bytes(15)]}),
        ("version_text", "The uid of a version is text.", {"versions": ["0123456789abcdef"]}),
        ("packs_nil", "No packs.", {"packs": None}),
        ("id_long", "An id of 17 bytes.", {"id": bytes(17)}),
    ):
        yield _LIST.bad(name, "malformed", "8.5", comment, frame(DocumentType.LIST, fields | changed))
    data = encode_document(DocumentType.LIST, encode_list(condemned), _RING.keys_mac)
    yield _LIST.bad("mac_under_keys_key", "bad-mac", "8.5", "The MAC computed under the keys key.", data)
    data = frame(DocumentType.INTENT, {name: getattr(_NOTICE, name) for name in Intent.__dataclass_fields__})
    yield _LIST.bad("is_an_intent", "malformed", "8", "An intent renamed to a list stays an intent.", data)
    huge = patch(frame(DocumentType.LIST, fields), 12, ((256 << 20) + 1).to_bytes(4, "little"))
    yield _LIST.bad("body_over_256_mib", "oversize", "8", "A body of 256 MiB and a byte.", huge)
