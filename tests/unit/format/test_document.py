"""Documents: packstore.format.document. Most malformed bodies are vectors."""

import hashlib
import hmac
from dataclasses import replace

import pytest

from packstore.errors import FormatError
from packstore.format import document
from packstore.format.document import (
    DocumentType,
    Epoch,
    RepositoryFile,
    Slot,
    SlotHeader,
    SlotKind,
    check_document_mac,
    decode_document,
    decode_epoch,
    decode_repository,
    decode_slot,
    encode_document,
    encode_epoch,
    encode_repository,
    encode_slot,
    encode_slot_header,
)
from packstore.format.intent import CondemnedList, decode_list, encode_list
from packstore.format.record import Encryption
from packstore.ids import PackId, Uid
from packstore.limits import GIB, KIB, MAX_DOCUMENT_BYTES, MAX_SLOTS, MIB

BODY = b"a body of any kind"


def mac(message: bytes) -> bytes:
    """Return a MAC of 32 bytes."""
    return hmac.digest(b"key", message, hashlib.sha256)


DOCUMENT = encode_document(DocumentType.SLOT, BODY, mac)
REPOSITORY = RepositoryFile(
    format=1,
    id=Uid(b"\x01" * 16),
    date_ms=1,
    block_size=MIB,
    pack_size=MIB,
    features={"read": [], "write": [], "delete": []},
    root=None,
    program="",
)
SLOT_HEADER = SlotHeader(
    id=Uid(b"\x01" * 16),
    kind=SlotKind.PASSPHRASE,
    salt=bytes(16),
    passes=3,
    memory=256 * MIB,
    public_key=bytes(32),
    date_ms=1,
    label="",
)


def slot_body(header: SlotHeader) -> bytes:
    """Return the body of a slot with that header."""
    return encode_slot(Slot(header, encode_slot_header(header), bytes(32), bytes(24), bytes(80)))


def test_round_trip() -> None:
    """A document could not be read again."""
    found = decode_document(DOCUMENT, DocumentType.SLOT)
    assert found.body == BODY
    assert check_document_mac(found, mac)
    assert not check_document_mac(found, lambda message: mac(message + b"."))


def test_every_flipped_bit_is_found() -> None:
    """A damaged slot or repository file would be believed, and its good copy never looked at."""
    for place in range(8 * len(DOCUMENT)):
        damaged = bytearray(DOCUMENT)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FormatError):
            decode_document(bytes(damaged), DocumentType.SLOT)


def test_every_wrong_length_is_found() -> None:
    """A torn document, or one with something behind it, would be taken for a whole one."""
    for length in range(len(DOCUMENT)):
        with pytest.raises(FormatError):
            decode_document(DOCUMENT[:length], DocumentType.SLOT)
    for more in (b"\x00", DOCUMENT):
        with pytest.raises(FormatError):
            decode_document(DOCUMENT + more, DocumentType.SLOT)


def test_mac_covers_type_and_body() -> None:
    """An intent could be turned into a list of packs to delete by whoever holds the storage."""
    for document_type in DocumentType:
        forged = encode_document(document_type, BODY, lambda _: DOCUMENT[-64:-32])
        found = decode_document(forged, document_type)
        assert check_document_mac(found, mac) == (document_type is DocumentType.SLOT)
    changed = encode_document(DocumentType.SLOT, BODY + b".", lambda _: DOCUMENT[-64:-32])
    assert not check_document_mac(decode_document(changed, DocumentType.SLOT), mac)


@pytest.mark.parametrize("written", list(DocumentType))
@pytest.mark.parametrize("expected", list(DocumentType))
def test_type_is_inside(written: DocumentType, expected: DocumentType) -> None:
    """A file that was renamed would be taken for what its name says."""
    data = encode_document(written, BODY, mac)
    if written is expected:
        assert decode_document(data, expected).type is expected
    else:
        with pytest.raises(FormatError):
            decode_document(data, expected)


def test_only_lists_and_exports_may_be_long() -> None:
    """A slot of gigabytes would be read whole, or a long list of packs refused."""
    for document_type in DocumentType:
        exact = encode_document(document_type, bytes(MAX_DOCUMENT_BYTES), mac)
        assert len(decode_document(exact, document_type).body) == MAX_DOCUMENT_BYTES
        if document_type in {DocumentType.LIST, DocumentType.EXPORT}:
            longer = encode_document(document_type, bytes(MAX_DOCUMENT_BYTES + 1), mac)
            assert decode_document(longer, document_type).body
            continue
        claimed = exact[:12] + (MAX_DOCUMENT_BYTES + 1).to_bytes(4, "little") + exact[16:]
        for attempt in (
            lambda kind=document_type: encode_document(kind, bytes(MAX_DOCUMENT_BYTES + 1), mac),
            lambda kind=document_type, data=claimed: decode_document(data, kind),
        ):
            with pytest.raises(FormatError) as caught:
                attempt()
            assert caught.value.failure == "oversize"


def test_long_list() -> None:
    """A collector's list of more packs than fit into another document could not be read."""
    packs = [PackId(number.to_bytes(16, "big")) for number in range(10_000)]
    assert decode_list(encode_list(CondemnedList(Uid(bytes(16)), packs, []))).packs == packs


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("block_size", [64 * KIB, MIB, 16 * MIB], [0, 32 * KIB, 32 * MIB, MIB - 1, 3 * MIB, 96 * KIB]),
        ("pack_size", [MIB, 100 * MIB + 1, GIB], [0, MIB - 1, GIB + 1]),
        ("format", [1], [0, 2, 65_535]),
    ],
)
def test_repository_sizes(name: str, accepted: list[int], refused: list[int]) -> None:
    """A repository file could demand blocks or packs that nothing else here is made for."""
    for value in accepted:
        file = replace(REPOSITORY, **{name: value})
        assert decode_repository(encode_repository(file)) == file
    for value in refused:
        with pytest.raises(FormatError):
            decode_repository(encode_repository(replace(REPOSITORY, **{name: value})))


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("passes", [1, 20], [0, 21, (1 << 32) - 1]),
        ("memory", [8 * MIB, 2 * GIB], [0, 8 * MIB - 1, 2 * GIB + 1, 4096 * GIB, (1 << 64) - 1]),
    ],
)
def test_costs_of_a_slot(name: str, accepted: list[int], refused: list[int]) -> None:
    """A hostile slot would take the machine's memory, or a weak one give the passphrase away."""
    for value in accepted:
        header = replace(SLOT_HEADER, **{name: value})
        assert decode_slot(slot_body(header)).header == header
    for value in refused:
        with pytest.raises(FormatError) as caught:
            decode_slot(slot_body(replace(SLOT_HEADER, **{name: value})))
        assert caught.value.failure == "oversize"


@pytest.mark.parametrize("kind", [SlotKind.KEY_FILE, SlotKind.RECOVERY])
def test_secrets_cost_nothing(kind: SlotKind) -> None:
    """A slot that takes a secret could carry costs, which nobody would check against the limits."""
    header = replace(SLOT_HEADER, kind=kind, passes=0, memory=0)
    assert decode_slot(slot_body(header)).header == header
    for passes, memory in ((1, 0), (0, 8 * MIB)):
        with pytest.raises(FormatError):
            decode_slot(slot_body(replace(header, passes=passes, memory=memory)))


def test_slot_keeps_the_authenticated_bytes() -> None:
    """A header with a key that is not known here would be authenticated without it, and no passphrase would open it."""
    header = encode_slot_header(SLOT_HEADER)
    longer = bytes([header[0] + 1]) + header[1:] + b"\xa4zzzz\xc0"
    slot = decode_slot(encode_slot(Slot(SLOT_HEADER, longer, bytes(32), bytes(24), bytes(80))))
    assert slot.header_bytes == longer
    assert slot.header == SLOT_HEADER


def test_epoch_for_as_many_slots_as_there_can_be() -> None:
    """An epoch for all slots that a repository may have would not fit, or be refused."""
    sealed = {Uid(bytes([number]) * 16): bytes(80) for number in range(MAX_SLOTS)}
    epoch = Epoch(Uid(bytes(16)), 1, Encryption.AEGIS_256, 1, sealed)
    body = encode_epoch(epoch)
    assert len(body) <= MAX_DOCUMENT_BYTES
    assert decode_epoch(body) == epoch
    with pytest.raises(FormatError) as caught:
        decode_epoch(encode_epoch(replace(epoch, sealed=sealed | {Uid(b"\xff" * 16): bytes(80)})))
    assert caught.value.failure == "oversize"


def test_boxes_are_written_in_order() -> None:
    """The bytes of an epoch would depend on the order in which its slots were given."""
    boxes = [(Uid(bytes([number]) * 16), bytes(80)) for number in (3, 1, 2)]
    bodies = {
        encode_epoch(Epoch(Uid(bytes(16)), 1, Encryption.AEGIS_256, 1, dict(rows))) for rows in (boxes, boxes[::-1])
    }
    assert len(bodies) == 1


@pytest.mark.parametrize("row", [[], [1, 2], [[], b"", b""], [{}, bytes(80)], {"a": 1}, 5, [bytes(16), 5, bytes(80)]])
def test_boxes_of_another_shape(row: object) -> None:
    """A pair of something else would be a TypeError, or a number would be handed to the decryption."""
    body = {"id": bytes(16), "number": 1, "encryption": 2, "date_ms": 1, "sealed": [row]}
    with pytest.raises(FormatError):
        decode_epoch(document.encode(body))
