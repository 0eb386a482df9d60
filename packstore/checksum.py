"""XXH3 checksums and fingerprints: the only module that imports xxhash.

A checksum finds accidents, never enemies (FORMAT.md section 2). A fingerprint is keyed by a secret seed
and only ever compared with the fingerprint of the same block in the version before.
"""

from collections.abc import Iterable

import xxhash

Buffer = bytes | bytearray | memoryview


def checksum64(parts: Iterable[Buffer]) -> int:
    """Return the XXH3-64 (seed 0) of the concatenation of `parts`."""
    state = xxhash.xxh3_64()
    for part in parts:
        state.update(part)
    return state.intdigest()


def fingerprint128(seed: int, data: Buffer) -> bytes:
    """Return the XXH3-128 of `data` under a 64-bit `seed`: 16 bytes, big-endian (xxHash's canonical form)."""
    return xxhash.xxh3_128_digest(data, seed)
