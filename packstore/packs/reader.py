"""Out of a sealed pack: its directory, or one record by location. FORMAT.md section 7.

Nothing an index says is believed: the record's own header must name the object that was asked for.
Before: storage.base. After: repository.objects, packs.scanner.
"""

from dataclasses import dataclass

from packstore.errors import FormatError
from packstore.format.pack import (
    PACK_HEADER,
    PACK_TRAILER,
    Entry,
    Mac,
    PackHeader,
    PackType,
    Trailer,
    check_mac,
    check_seal,
    decode_directory,
    decode_pack_header,
    decode_trailer,
)
from packstore.format.record import Kind, RecordHeader, decode_record
from packstore.ids import ObjectId, PackId, Uid
from packstore.packs.names import pack_name
from packstore.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Seal:
    """What a sealed pack says of itself: header, directory (as bytes and entries) and trailer."""

    header: PackHeader
    directory: bytes
    entries: list[Entry]
    trailer: Trailer


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose packs are accepted: repository and domain, and how to verify a MAC (None: without keys)."""

    repository_id: Uid
    domain: bytes | None
    mac: Mac | None


def read_seal(storage: Storage, pack_type: PackType, pack_id: PackId, owner: Owner, size: int | None = None) -> Seal:
    """Read and verify a pack's header, directory and trailer, but none of its records.

    Raises:
        FormatError: they are damaged, forged, or of another pack or repository.
        StorageError: the pack cannot be read.
    """
    name = pack_name(pack_type, pack_id)
    size = storage.size(name) if size is None else size
    if size < PACK_HEADER.size + PACK_TRAILER.size:
        raise FormatError("pack", f"{size} bytes are too few", failure="truncated")
    header = decode_pack_header(storage.read(name, 0, PACK_HEADER.size))
    trailer_bytes = storage.read(name, size - PACK_TRAILER.size, PACK_TRAILER.size)
    trailer = decode_trailer(trailer_bytes)
    end = size - PACK_TRAILER.size
    if trailer.directory_offset + trailer.directory_size != end:
        raise FormatError("pack trailer", "the directory does not end where the trailer begins")
    directory = storage.read(name, trailer.directory_offset, trailer.directory_size)
    check_seal(header, directory, trailer, trailer_bytes)
    _check_owner(header, pack_type, pack_id, owner)
    if owner.mac and not check_mac(header, directory, trailer, trailer_bytes, owner.mac):
        raise FormatError("pack trailer", "its MAC is wrong: this pack is forged", failure="bad-mac")
    return Seal(header, directory, _check_entries(directory, header, trailer), trailer)


def is_strange(storage: Storage, pack_type: PackType, pack_id: PackId, owner: Owner) -> bool:
    """Say whether a pack is, by a whole header, of another repository: then none of its records count.

    A pack of ours under another name is damage, and what it holds is ours.
    """
    try:
        header = decode_pack_header(storage.read(pack_name(pack_type, pack_id), 0, PACK_HEADER.size))
    except FormatError:
        return False
    return not _is_of(header, owner)


def _is_of(header: PackHeader, owner: Owner) -> bool:
    return header.repository_id == owner.repository_id and owner.domain in {None, header.domain}


def _check_owner(header: PackHeader, pack_type: PackType, pack_id: PackId, owner: Owner) -> None:
    if header.pack_id != pack_id or header.pack_type != pack_type:
        raise FormatError("pack header", "is that of another pack: the file was renamed or swapped")
    if not _is_of(header, owner):
        raise FormatError("pack header", "belongs to another repository")


def _check_entries(directory: bytes, header: PackHeader, trailer: Trailer) -> list[Entry]:
    pack_id, entries = decode_directory(directory)
    end = entries[-1].offset + entries[-1].record_size if entries else PACK_HEADER.size
    if pack_id != header.pack_id or len(entries) != trailer.record_count or end != trailer.directory_offset:
        raise FormatError("pack", "directory and trailer contradict each other")
    for entry in entries:
        check_place(entry.kind, header.pack_type)
    return entries


def check_place(kind: int, pack_type: PackType) -> None:
    """Refuse a record in a pack of the wrong type.

    Raises:
        FormatError: a block in a meta pack, or anything else in a block pack.
    """
    if (kind == Kind.BLOCK) != (pack_type is PackType.BLOCKS):
        raise FormatError("record", f"of kind {kind} in a pack of type {pack_type.name.lower()}")


def read_record(
    storage: Storage, name: str, offset: int, record_size: int, wanted: tuple[int, ObjectId]
) -> tuple[RecordHeader, memoryview]:
    """Read the record of one object; its checksum, kind and id are compared, its payload not opened.

    Raises:
        FormatError: there is no whole, undamaged record of that object.
        StorageError: the pack cannot be read.
    """
    header, payload = decode_record(storage.read(name, offset, record_size))
    if (header.kind, header.object_id) != wanted:
        raise FormatError("record", "is that of another object", failure="wrong-id", offset=offset)
    return header, payload
