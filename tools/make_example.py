"""Make the worked example of FORMAT.md section 19 anew, between its two markers.

    python -m tools.make_example            rewrites spec/FORMAT.md
    python -m tools.make_example DIRECTORY  writes the files of the example there instead

The repository is unencrypted, uncompressed and made of fixed numbers, so that the result is always the same.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packstore.codec.compression import CompressionSpec, Compressor
from packstore.codec.key import Key
from packstore.codec.keyring import Keyring
from packstore.codec.objectcodec import ObjectCodec
from packstore.codec.stages import Stages
from packstore.format.describe import describe
from packstore.format.document import DocumentType, RepositoryFile, encode_document, encode_repository
from packstore.format.pack import (
    PackHeader,
    PackType,
    encode_directory,
    encode_pack_header,
    encode_trailer,
    entry_of,
)
from packstore.format.page import NO_FINGERPRINT, Page, encode_page
from packstore.format.record import Kind
from packstore.format.version import Version, encode_version
from packstore.ids import HOLE, ObjectId, PackId, Uid, make_pack_id
from packstore.limits import FORMAT_VERSION, KIB, MIB

SPEC: Final = Path(__file__).resolve().parent.parent / "spec" / "FORMAT.md"
BEGIN: Final = "<!-- dump:begin -->\n"
END: Final = "<!-- dump:end -->\n"

ROOT: Final = bytes(range(32))
REPOSITORY_ID: Final = Uid(bytes(range(0x10, 0x20)))
VERSION_UID: Final = Uid(bytes(range(0xC0, 0xD0)))
DATE_MS: Final = 1_795_305_600_000
BLOCK_BYTES: Final = 64 * KIB
LAST_BLOCK: Final = b"Hello, block\n"
"""The device is a block of zeros and this."""
DEVICE_BYTES: Final = BLOCK_BYTES + len(LAST_BLOCK)
PROGRAM: Final = "example"
_HEX_COLUMNS: Final = 32


def device() -> bytes:
    """Return the bytes of the device that was backed up."""
    return bytes(BLOCK_BYTES) + LAST_BLOCK


def files() -> dict[str, bytes]:
    """Return the files of the example by name, in the order in which they were written."""
    keyring = Keyring(REPOSITORY_ID, Key(ROOT), encrypted=False)
    codec = ObjectCodec(keyring, Compressor(CompressionSpec(None)), Stages())
    block_pack = make_pack_id(DATE_MS, bytes.fromhex("b10cb10cb10cb10cb10c"))
    meta_pack = make_pack_id(DATE_MS, bytes.fromhex("3e7a3e7a3e7a3e7a3e7a"))
    block_id = keyring.object_id(LAST_BLOCK)
    blocks, directory = _pack(keyring, codec, PackType.BLOCKS, block_pack, [(Kind.BLOCK, LAST_BLOCK)])
    page = encode_page(Page(0, HOLE + block_id, NO_FINGERPRINT + keyring.fingerprint(LAST_BLOCK)))
    version = encode_version(_version(keyring.object_id(page)))
    objects = [(Kind.DIRECTORY, directory), (Kind.PAGE, page), (Kind.VERSION, version)]
    meta, _ = _pack(keyring, codec, PackType.META, meta_pack, objects)
    repository = encode_document(DocumentType.REPOSITORY, encode_repository(_repository()), keyring.keys_mac)
    return {
        "packstore": repository,
        f"packs/{block_pack.hex()[-2:]}/{block_pack.hex()}": blocks,
        f"meta/{meta_pack.hex()}": meta,
    }


def _repository() -> RepositoryFile:
    return RepositoryFile(
        format=FORMAT_VERSION,
        id=REPOSITORY_ID,
        date_ms=DATE_MS,
        block_size=BLOCK_BYTES,
        pack_size=MIB,
        features={"read": [], "write": [], "delete": []},
        root=ROOT,
        program=PROGRAM,
    )


def _version(root: ObjectId) -> Version:
    return Version(
        uid=VERSION_UID,
        volume="tiny",
        date_ms=DATE_MS,
        counter=1,
        size=DEVICE_BYTES,
        block_size=BLOCK_BYTES,
        root=root,
        source={"type": "stream", "path": "-"},
        unreadable=[],
        trusted_runs=0,
        statistics={"bytes_total": DEVICE_BYTES, "bytes_hole": BLOCK_BYTES, "bytes_new": len(LAST_BLOCK)},
        tags=["first"],
        base=None,
        program=PROGRAM,
        host="host",
    )


def _pack(
    keyring: Keyring, codec: ObjectCodec, pack_type: PackType, pack_id: PackId, objects: Sequence[tuple[Kind, bytes]]
) -> tuple[bytes, bytes]:
    """Return a sealed pack of `objects`, and its directory."""
    header = PackHeader(pack_type, pack_id, REPOSITORY_ID, keyring.domain)
    body = encode_pack_header(header)
    entries = []
    for kind, plain in objects:
        encoded = codec.encode(kind, keyring.object_id(plain), plain)
        entries.append(entry_of(encoded.header, len(body)))
        body += encoded.header_bytes + encoded.payload
    directory = encode_directory(pack_id, entries)
    trailer = encode_trailer(header, directory, len(body), len(entries), keyring.pack_mac)
    return body + directory + trailer, directory


def section() -> str:
    """Return what stands between the markers."""
    parts = []
    for name, data in files().items():
        rows = (data[at : at + _HEX_COLUMNS].hex() for at in range(0, len(data), _HEX_COLUMNS))
        whole = "\n".join(rows)
        parts.append(f"\n```text\n{describe(name, data)}```\n\n`{name}` whole, {_HEX_COLUMNS} bytes a line:\n")
        parts.append(f"\n```text\n{whole}\n```\n")
    return "".join(parts) + "\n"


def rewrite(text: str) -> str:
    """Return the text of FORMAT.md with the section made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{section()}{END}{after}"


def main(arguments: list[str]) -> int:
    """Rewrite the section, or write the files of the example below a directory."""
    if not arguments:
        SPEC.write_text(rewrite(SPEC.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    for name, data in files().items():
        path = Path(arguments[0]) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
