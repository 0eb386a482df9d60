"""What somebody who holds the storage, and no key, can make of the files in it."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from packstore.format.document import DIGEST_BYTES, DOCUMENT_HEADER, DocumentType, encode_document
from packstore.format.pack import (
    PACK_HEADER,
    PACK_TRAILER,
    PackHeader,
    decode_pack_header,
    decode_trailer,
    encode_directory,
    encode_pack_header,
    encode_trailer,
    entry_of,
)
from packstore.format.record import RecordHeader, decode_record, encode_header

Records = list[tuple[RecordHeader, bytes]]
Edit = Callable[[Records], Records]


def no_mac(_: bytes) -> bytes:
    """The MAC of somebody who has no key."""
    return bytes(DIGEST_BYTES)


def forged_document(document_type: DocumentType, body: bytes) -> bytes:
    """A document whose checksum is right, and whose MAC is not."""
    return encode_document(document_type, body, no_mac)


def edited_document(data: bytes, at: int, bit: int = 1) -> bytes:
    """A document with one bit of its body changed, its checksum made right and its MAC as it was."""
    changed = bytearray(data[:-DIGEST_BYTES])
    changed[DOCUMENT_HEADER.size + at] ^= bit
    return bytes(changed) + hashlib.sha512(changed).digest()[:DIGEST_BYTES]


def records_of(pack: bytes) -> Records:
    """The records of a pack, from its first to its last."""
    end = decode_trailer(pack[-PACK_TRAILER.size :]).directory_offset
    found, at = [], PACK_HEADER.size
    while at < end:
        header, payload = decode_record(pack[at:])
        found.append((header, bytes(payload)))
        at += header.record_size
    return found


def patched(pack: bytes, edit: Edit) -> bytes:
    """A pack whose records are changed in place, with right checksums; directory and trailer are as they were."""
    header, trailer = pack[: PACK_HEADER.size], decode_trailer(pack[-PACK_TRAILER.size :])
    return header + _joined(edit(records_of(pack))) + pack[trailer.directory_offset :]


def resealed(pack: bytes, edit: Edit, *, header: PackHeader | None = None) -> bytes:
    """A pack of changed records with a directory that says so, every checksum right, and no MAC."""
    header = header or decode_pack_header(pack[: PACK_HEADER.size])
    records = edit(records_of(pack))
    entries, at = [], PACK_HEADER.size
    for record, _ in records:
        entries.append(entry_of(record, at))
        at += record.record_size
    directory = encode_directory(header.pack_id, entries)
    body = encode_pack_header(header) + _joined(records)
    return body + directory + encode_trailer(header, directory, len(body), len(records), no_mac)


def _joined(records: Records) -> bytes:
    return b"".join(encode_header(header, payload) + payload for header, payload in records)


def relabel(**fields: object) -> Edit:
    """Change fields of every record header."""
    return lambda records: [(replace(header, **fields), payload) for header, payload in records]  # type: ignore[arg-type]


def swap_payloads(records: Records) -> Records:
    """Give each record's header the payload of the next one."""
    payloads = [payload for _, payload in records]
    turned = payloads[1:] + payloads[:1]
    return [(replace(header, payload_size=len(new)), new) for (header, _), new in zip(records, turned, strict=True)]


def swap_ids(records: Records) -> Records:
    """Give each record the id of the next one."""
    ids = [header.object_id for header, _ in records]
    turned = ids[1:] + ids[:1]
    return [(replace(header, object_id=new), payload) for (header, payload), new in zip(records, turned, strict=True)]


def cut(length: int) -> Edit:
    """Leave so many bytes of every payload."""
    return lambda records: [(replace(header, payload_size=length), payload[:length]) for header, payload in records]
