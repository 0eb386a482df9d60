"""Every constant and maximum, with its unit and its reason.

A decoder checks these before it allocates anything: a size in a file is a claim, made by whoever last
wrote to the disk. FORMAT.md section 16 lists the same numbers; a test compares the two.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

FORMAT_VERSION: Final = 1
"""Version of the repository format this program writes and the newest that it reads."""

MIN_BLOCK_BYTES: Final = 64 * KIB
"""Below this the index outgrows what it saves."""
MAX_BLOCK_BYTES: Final = 16 * MIB
"""Above this one changed sector costs too much, and a window of blocks no longer fits into memory."""
DEFAULT_BLOCK_BYTES: Final = 1 * MIB

MIN_PACK_BYTES: Final = 1 * MIB
MAX_PACK_BYTES: Final = 1 * GIB
"""Keeps every offset and length in 32 bits, and a lost pack affordable."""
DEFAULT_PACK_BYTES: Final = 128 * MIB
META_PACK_BYTES: Final = 64 * MIB
"""A session's metadata is cut into packs of about this size, so that none is ever read whole by accident."""

MAX_PACK_RECORDS: Final = 65_536
"""A pack is sealed when it holds so many records; bounds the directory and what a reader keeps of it."""
MAX_DIRECTORY_BYTES: Final = 16 * MIB

PAGE_ENTRIES: Final = 256
"""Entries of a leaf page, children of an inner page (decision 0005)."""
MAX_PAGE_BYTES: Final = 32 * KIB
MAX_TREE_LEVELS: Final = 8
"""256 ** 8 blocks of 64 KiB are far beyond MAX_DEVICE_BYTES."""
MAX_DEVICE_BYTES: Final = 1 << 56
"""64 PiB; keeps every offset of a device in a signed 64-bit file offset with room to spare."""

MAX_VERSION_BYTES: Final = 16 * MIB
MAX_EVENT_BYTES: Final = 1 * MIB
MAX_LEDGER_BYTES: Final = 16 * MIB
"""A scrub or damage record: 24 bytes for each pack it names; what does not fit is another record."""
MAX_UNREADABLE_RANGES: Final = 65_536
"""A source with more unreadable ranges than this is beyond backing up block by block."""
MAX_VOLUME_NAME_BYTES: Final = 255
"""A volume becomes a directory name when versions are mounted."""
MAX_TAG_BYTES: Final = 255
MAX_TAGS: Final = 1024
MAX_TEXT_BYTES: Final = 4 * KIB
MAX_DOCUMENT_BYTES: Final = 16 * KIB
"""`packstore`, slots, epochs and intents: a few hundred bytes each; an epoch holds one box per slot."""
MAX_EXPORT_BYTES: Final = 64 * MIB
"""An export of keys: all slots and epochs that there can be, each at most MAX_DOCUMENT_BYTES and in fact far less."""
MAX_LIST_BYTES: Final = 256 * MIB
"""A list of gc names packs and versions by 16 bytes each."""
MAX_MSGPACK_DEPTH: Final = 8

MAX_SLOTS: Final = 64
"""A thousand slots would cost a thousand derivations at every wrong passphrase."""
MAX_EPOCHS: Final = 4096
MIN_KDF_MEMORY_BYTES: Final = 8 * MIB
MAX_KDF_MEMORY_BYTES: Final = 2 * GIB
"""libsodium would take 4 TiB: a hostile slot must not invite the OOM killer."""
MIN_KDF_PASSES: Final = 1
MAX_KDF_PASSES: Final = 20

OBJECT_ID_BYTES: Final = 64
PACK_ID_BYTES: Final = 16
UID_BYTES: Final = 16
FINGERPRINT_BYTES: Final = 16
DOMAIN_BYTES: Final = 8
KEY_ID_BYTES: Final = 8

PARANOID_EVERY: Final = 30
"""After so many versions that trusted fingerprints, the next one hashes everything."""
