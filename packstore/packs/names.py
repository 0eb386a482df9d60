"""Where packs lie in a storage. FORMAT.md section 11."""

import re
from typing import Final

from packstore.format.pack import PackType
from packstore.ids import PackId
from packstore.storage.base import Listed, Storage

BLOCKS_PREFIX: Final = "packs"
META_PREFIX: Final = "meta"
FAN_OUT: Final = [f"{BLOCKS_PREFIX}/{number:02x}" for number in range(256)]
"""The directories of block packs: by the last two hex digits, which are random."""

_BLOCKS: Final = re.compile(r"packs/([0-9a-f]{2})/([0-9a-f]{30}\1)")
_META: Final = re.compile(r"meta/([0-9a-f]{32})")


def pack_name(pack_type: PackType, pack_id: PackId) -> str:
    """Return a pack's name in the storage."""
    text = pack_id.hex()
    return f"{META_PREFIX}/{text}" if pack_type is PackType.META else f"{BLOCKS_PREFIX}/{text[-2:]}/{text}"


def parse_pack_name(name: str) -> tuple[PackType, PackId] | None:
    """Return type and id of the pack called `name`, None if that is no name of a pack."""
    if match := _META.fullmatch(name):
        return PackType.META, PackId(bytes.fromhex(match[1]))
    if match := _BLOCKS.fullmatch(name):
        return PackType.BLOCKS, PackId(bytes.fromhex(match[2]))
    return None


def list_packs(storage: Storage, pack_type: PackType) -> dict[PackId, Listed]:
    """Return the packs of one type that exist. Files with other names are not ours and are passed over."""
    prefix = META_PREFIX if pack_type is PackType.META else BLOCKS_PREFIX
    found: dict[PackId, Listed] = {}
    for listed in storage.list_files(prefix):
        parsed = parse_pack_name(listed.name)
        if parsed:
            found[parsed[1]] = listed
    return found
