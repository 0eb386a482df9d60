"""The worked example of FORMAT.md section 19, and the dump that shows it."""

import hashlib
import os
import runpy
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packstore.format.describe import describe
from packstore.format.document import (
    DOCUMENT_MAGIC,
    DocumentType,
    Epoch,
    Slot,
    SlotHeader,
    SlotKind,
    encode_document,
    encode_epoch,
    encode_slot,
    encode_slot_header,
)
from packstore.format.intent import CondemnedList, Intent, IntentRole, encode_intent, encode_list
from packstore.format.pack import PACK_MAGIC
from packstore.format.record import Encryption
from packstore.format.strictmsgpack import encode
from packstore.ids import PackId, Uid

ROOT = Path(__file__).resolve().parent.parent.parent
SPEC = (ROOT / "spec" / "FORMAT.md").read_text(encoding="utf-8")
TOOL = runpy.run_path(str(ROOT / "tools" / "make_example.py"))
FILES: dict[str, bytes] = TOOL["files"]()
NAMES = list(FILES)


def test_example_regenerates_unchanged() -> None:
    """Otherwise the code writes other bytes than the specification shows: the format has changed unnoticed."""
    rewrite: Callable[[str], str] = TOOL["rewrite"]
    assert rewrite(SPEC) == SPEC


def test_example_can_be_restored_by_hand() -> None:
    """Otherwise the walk at the end of section 19 does not lead to the byte that it promises."""
    _, blocks, meta = FILES.values()
    directory_offset, directory_size = struct.unpack_from("<QI", meta, len(meta) - 80)
    assert directory_offset + directory_size + 88 == len(meta)
    version = meta[577 + 104 : directory_offset]
    page = meta[284 + 104 : 577]
    assert version.index(b"\xa4root\xc4\x40" + hashlib.sha512(page).digest()) > 0
    block_id = page[page.index(b"\xa3ids\xc4\x80") + 6 :][64:128]
    assert hashlib.sha512(blocks[168:181]).digest() == block_id
    device: bytes = TOOL["device"]()
    assert blocks[172:173] == device[65_540:65_541] == b"o"


@pytest.mark.parametrize("name", NAMES)
def test_dump_finds_nothing_wrong_with_good_files(name: str) -> None:
    """Otherwise the dump reports damage where there is none."""
    assert "!!" not in describe(name, FILES[name])


@pytest.mark.parametrize("name", NAMES)
def test_dump_shows_every_damage(name: str) -> None:
    """Otherwise somebody who looks at a damaged file with the dump is told that all is well."""
    data = FILES[name]
    for at in range(0, len(data), 7):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        text = describe(name, damaged)
        assert "!!" in text or "neither a pack nor a document" in text, at


@pytest.mark.parametrize("name", NAMES)
def test_dump_of_every_prefix_ends_in_a_complaint(name: str) -> None:
    """Otherwise the dump cannot be used on the torn files that it is for."""
    data = FILES[name]
    for size in range(8, len(data), 5):
        assert "!!" in describe(name, data[:size]), size


@settings(deadline=None)
@given(st.sampled_from([PACK_MAGIC, DOCUMENT_MAGIC, b""]), st.binary(max_size=300))
def test_dump_takes_any_bytes(magic: bytes, rest: bytes) -> None:
    """Otherwise the dump fails on the very file that somebody wants to understand."""
    assert describe("file", magic + rest)


def documents() -> dict[str, bytes]:
    """Return a document of each type that the example does not have."""
    slot_id, other = Uid(bytes([1]) * 16), Uid(bytes([2]) * 16)
    header = SlotHeader(slot_id, SlotKind.PASSPHRASE, bytes(16), 3, 1 << 28, bytes(32), 0, "label")
    header_bytes = encode_slot_header(header)
    slot = Slot(header, header_bytes, bytes(32), bytes(24), bytes(80))
    epoch = Epoch(other, 1, Encryption.AEGIS_256, 0, {slot_id: bytes(80)})
    intent = Intent(slot_id, [other], [], "host", "boot", "namespace", 1, 2, IntentRole.WRITER, "backup", 3)
    condemned = CondemnedList(slot_id, [PackId(bytes([5]) * 16)] * 9, [other])
    bodies = {
        DocumentType.SLOT: encode_slot(slot),
        DocumentType.EPOCH: encode_epoch(epoch),
        DocumentType.INTENT: encode_intent(intent),
        DocumentType.LIST: encode_list(condemned),
    }
    return {kind.name: encode_document(kind, body, lambda _: bytes(32)) for kind, body in bodies.items()}


def test_dump_of_the_other_documents() -> None:
    """Otherwise a type of document is dumped without its fields."""
    text = {name: describe(name, data) for name, data in documents().items()}
    assert not [name for name in text if "!!" in text[name]]
    assert "passes" in text["SLOT"]
    assert "sealed[0][1]" in text["EPOCH"]
    assert "AEGIS_256" in text["EPOCH"]
    assert "namespace" in text["INTENT"]
    assert "packs: 1 more" in text["LIST"]
    assert "unknown type 9" in describe("file", encode_document(9, encode({}), lambda _: bytes(32)))  # type: ignore[arg-type]


def test_dump_tool(tmp_path: Path) -> None:
    """Otherwise the command that the specification names does not work."""
    path = tmp_path / "packstore"
    path.write_bytes(FILES["packstore"])
    command = [sys.executable, str(ROOT / "tools" / "dump.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    good = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True, env=environment)
    assert "document_header" in good.stdout
    bad = subprocess.run(
        [*command, str(tmp_path / "none")], check=False, capture_output=True, text=True, env=environment
    )
    assert (bad.returncode, bad.stdout) == (1, "")
