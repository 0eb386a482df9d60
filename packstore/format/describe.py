"""A document or a pack as text that a person can check by hand. FORMAT.md section 19 is made with it.

One line a field: offset, bytes in hex (shortened when long), name, meaning. Names, sizes and order come from
the declarations that encoding and decoding use. It works on damaged bytes too: it says what is wrong and goes on
where it can. Nothing is decrypted or decompressed.
Before: format.document, format.pack. After: tools.dump.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import partial
from typing import Final, NamedTuple

from packstore.errors import FormatError
from packstore.format import checkpoint, document, export, intent, ledger, pack, page, version
from packstore.format.layout import Layout
from packstore.format.pack import Entry
from packstore.format.record import (
    HEADER_BYTES,
    RECORD_HEADER,
    Compression,
    Encryption,
    Kind,
    RecordHeader,
    decode_header,
    decode_record,
)
from packstore.format.strictmsgpack import MapSchema, Value, decode, encode
from packstore.limits import FINGERPRINT_BYTES, MAX_LIST_BYTES, OBJECT_ID_BYTES

_SHORT_HEX: Final = 8
"""Up to so many bytes are shown whole in the hex column; of more, the first six."""
_SHORT_MEANING: Final = 32
"""Up to so many bytes are shown whole as a meaning."""
_SHORT_LIST: Final = 8
"""Of a longer array, so many items are shown."""

_REGISTRIES: Final[Mapping[str, type[IntEnum]]] = {
    "document_type": document.DocumentType,
    "pack_type": pack.PackType,
    "kind": Kind,
    "compression": Compression,
    "encryption": Encryption,
}
_BODIES: Final = {
    document.DocumentType.REPOSITORY: document.REPOSITORY,
    document.DocumentType.SLOT: document.SLOT,
    document.DocumentType.EPOCH: document.EPOCH,
    document.DocumentType.INTENT: intent.INTENT,
    document.DocumentType.LIST: intent.LIST,
    document.DocumentType.EXPORT: export.EXPORT,
}
_PLAINTEXTS: Final = {
    Kind.PAGE: page.PAGE,
    Kind.VERSION: version.VERSION,
    Kind.EVENT: version.EVENT,
    Kind.DIRECTORY: pack.DIRECTORY,
    Kind.SCRUB: ledger.SCRUB,
    Kind.DAMAGE: ledger.DAMAGE,
    Kind.CHECKPOINT: checkpoint.CHECKPOINT,
}
_INNER_MAPS: Final = {("slot", "header"): document.SLOT_HEADER}
_SLICED: Final = {("page", "ids"): OBJECT_ID_BYTES, ("page", "fingerprints"): FINGERPRINT_BYTES}


class _Line(NamedTuple):
    """One field; or, without a name, a heading."""

    offset: int
    raw: bytes
    name: str
    meaning: str


def describe(name: str, data: bytes) -> str:
    """Return `data`, the file called `name`, annotated; whatever the bytes, it never raises."""
    if data[:7] == pack.PACK_MAGIC[:7]:
        lines = _pack(data)
    elif data[:7] == document.DOCUMENT_MAGIC[:7]:
        lines = _document(data)
    else:
        lines = iter([_Line(0, data, "", "neither a pack nor a document")])
    text = [f"{name}: {len(data)} bytes"]
    try:
        text.extend(_text(line) for line in lines)
    except FormatError as error:
        text.append(f"  !! {error}")
    return "\n".join(text) + "\n"


def _text(line: _Line) -> str:
    if not line.name:
        return f"\n  -- {line.meaning}"
    shown = line.raw if len(line.raw) <= _SHORT_HEX else line.raw[:6]
    hexadecimal = shown.hex(" ") + (f" … ({len(line.raw)})" if len(line.raw) > len(shown) else "")
    return f"{line.offset:>7}  {hexadecimal:<26} {line.name:<24} {line.meaning}".rstrip()


def _heading(meaning: str) -> _Line:
    return _Line(0, b"", "", meaning)


def _layout(layout: Layout, data: bytes, offset: int, meanings: Mapping[str, str]) -> Iterator[_Line]:
    values = layout.unpack(data[offset : offset + layout.size])
    at = offset
    for field, value in zip(layout.fields, values, strict=True):
        meaning = meanings.get(field.name, "") or _meaning(field.name, value)
        yield _Line(at, data[at : at + field.length], field.name, meaning)
        at += field.length


def _meaning(name: str, value: Value) -> str:
    if name == "magic":
        return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in value)  # noqa: PLR2004  printable ASCII
    registry = _REGISTRIES.get(name.rpartition(".")[2])
    if registry and isinstance(value, int):
        return registry(value).name if value in tuple(registry) else f"{value} (unknown)"
    if name.endswith("date_ms") and isinstance(value, int):
        return _date(value)
    if isinstance(value, bytes):
        return _short(value)
    if isinstance(value, dict | list):
        return f"{len(value)} {'keys' if isinstance(value, dict) else 'items'}"
    return "nil" if value is None else str(value)


def _short(value: bytes) -> str:
    if not any(value):
        return f"{len(value)} zeros" if value else "no bytes"
    return value.hex() if len(value) <= _SHORT_MEANING else f"{value[:12].hex()}…{value[-4:].hex()}"


def _date(milliseconds: int) -> str:
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).isoformat()
    except OverflowError:
        return str(milliseconds)


def _verdict(check: Callable[[], object]) -> str:
    try:
        check()
    except FormatError as error:
        return f"!! {error.failure}: {error.reason}"
    return "right"


def _document(data: bytes) -> Iterator[_Line]:
    layout = document.DOCUMENT_HEADER
    yield _heading("document_header (section 8)")
    yield from _layout(layout, data, 0, {})
    _, number, _, _, size = layout.unpack(data)
    if number not in tuple(document.DocumentType):
        raise FormatError("document", f"unknown type {number}", failure="unsupported")
    kind = document.DocumentType(number)
    end = layout.size + size
    yield _heading(f"body: {kind.name.lower()}")
    yield from _body(_BODIES[kind], data[layout.size : end], layout.size)
    yield _heading("end")
    after = end + document.DIGEST_BYTES
    yield _Line(end, data[end:after], "mac", "proven with a key only")
    yield _Line(after, data[after:], "checksum", _verdict(lambda: document.decode_document(data, kind)))


def _pack(data: bytes) -> Iterator[_Line]:
    yield _heading("pack_header (section 7.1)")
    yield from _layout(pack.PACK_HEADER, data, 0, {"checksum": _verdict(lambda: pack.decode_pack_header(data))})
    begin = max(len(data) - pack.PACK_TRAILER.size, 0)
    end = _directory_offset(data)
    yield from _records(data[:end])
    if end is None:
        yield _heading("!! no trailer: never sealed, or the end is lost")
        return
    directory, trailer = data[end:begin], data[begin:]
    yield _heading("directory (section 7.2)")
    yield from _body(pack.DIRECTORY, directory, end)
    yield _heading("pack_trailer (section 7.3)")
    seal = _verdict(
        lambda: pack.check_seal(pack.decode_pack_header(data), directory, pack.decode_trailer(trailer), trailer)
    )
    yield from _layout(pack.PACK_TRAILER, data, begin, {"mac": "proven with a key only", "checksum": seal})


def _directory_offset(data: bytes) -> int | None:
    begin = len(data) - pack.PACK_TRAILER.size
    try:
        trailer = pack.decode_trailer(data[max(begin, 0) :])
    except FormatError:
        return None
    return trailer.directory_offset if trailer.directory_offset + trailer.directory_size == begin else None


def _records(data: bytes) -> Iterator[_Line]:
    offset = pack.PACK_HEADER.size
    while offset < len(data):
        here = memoryview(data)[offset:]
        yield _heading(f"record at {offset} (section 6.1)")
        try:
            yield from _layout(RECORD_HEADER, data, offset, {"checksum": _verdict(partial(decode_record, here))})
            header, _ = decode_header(here)
        except FormatError as error:
            yield _heading(f"!! {error}")
            return
        yield from _payload(header, bytes(here[HEADER_BYTES : header.record_size]), offset + HEADER_BYTES)
        offset += header.record_size


def _payload(header: RecordHeader, payload: bytes, offset: int) -> Iterator[_Line]:
    clear = header.encryption is Encryption.NONE and header.compression is Compression.RAW
    schema = _PLAINTEXTS.get(header.kind) if clear else None
    what = "plaintext" if clear else f"{header.compression.name}, {header.encryption.name}"
    yield _Line(offset, payload, "payload", what)
    if schema:
        yield from _body(schema, payload, offset)


def _body(schema: MapSchema, data: bytes, offset: int) -> Iterator[_Line]:
    """Annotate a msgpack map that fills `data`; a fault ends this map and nothing else."""
    try:
        value = decode(data, MAX_LIST_BYTES)
        if isinstance(value, dict):
            yield from _map(schema.name, value, offset, "")
        schema.check(value)
    except FormatError as error:
        yield _heading(f"!! {error}")


def _map(schema: str, value: dict[str, Value], offset: int, prefix: str) -> Iterator[_Line]:
    at = offset + len(encode(value)) - sum(len(encode(key)) + len(encode(item)) for key, item in value.items())
    for key, item in value.items():
        at += len(encode(key))
        yield from _item(schema, prefix + key, item, at)
        at += len(encode(item))


def _item(schema: str, path: str, value: Value, at: int) -> Iterator[_Line]:
    raw = encode(value)
    yield _Line(at, raw, path, _meaning(path, value))
    if isinstance(value, dict):
        yield from _map(schema, value, at, path + ".")
    elif isinstance(value, list):
        yield from _list(schema, path, value, at)
    elif not isinstance(value, bytes):
        return
    elif (schema, path) in _INNER_MAPS:
        yield from _body(_INNER_MAPS[schema, path], value, at + len(raw) - len(value))
    elif (schema, path) in _SLICED:
        size = _SLICED[schema, path]
        at += len(raw) - len(value)
        for number in range(min(len(value) // size, _SHORT_LIST)):
            piece = value[number * size : (number + 1) * size]
            yield _Line(at + number * size, piece, f"{path}[{number}]", _short(piece))


def _list(schema: str, path: str, value: list[Value], at: int) -> Iterator[_Line]:
    names = Entry._fields if schema == "directory" and len(value) == len(Entry._fields) and "[" in path else None
    at += len(encode(value)) - sum(len(encode(item)) for item in value)
    for number, item in enumerate(value[:_SHORT_LIST]):
        yield from _item(schema, f"{path}.{names[number]}" if names else f"{path}[{number}]", item, at)
        at += len(encode(item))
    if len(value) > _SHORT_LIST:
        yield _heading(f"{path}: {len(value) - _SHORT_LIST} more")
