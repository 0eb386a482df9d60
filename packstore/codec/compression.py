"""zstd, one frame an object, no dictionaries: the only module that imports zstandard.

FORMAT.md section 6.4. Dictionaries trained across blocks would tell, by sizes, what one block has in
common with another.
"""

import threading
from dataclasses import dataclass
from typing import Final

import zstandard

from packstore.checksum import Buffer
from packstore.errors import FormatError, UsageError

MIN_LEVEL: Final = 1
MAX_LEVEL: Final = 22
DEFAULT_COMPRESSION: Final = "zstd:3"
_CACHED_LOG: Final = 15
"""log2 of the entries, of four bytes, of each of two tables."""
_TOO_LONG: Final = 4
"""No level has so many digits."""


@dataclass(frozen=True)
class CompressionSpec:
    """How to compress new objects: a zstd level, or None to store them raw."""

    level: int | None

    @classmethod
    def parse(cls, text: str) -> "CompressionSpec":
        """Parse `none`, `zstd` or `zstd:LEVEL`.

        Raises:
            UsageError: `text` is anything else.
        """
        if text == "none":
            return cls(None)
        name, _, level = text.partition(":")
        if name != "zstd" or not ((level.isdecimal() and len(level) < _TOO_LONG) or text == "zstd"):
            raise UsageError(f"compression is none or zstd:LEVEL, not {text!r}")
        number = int(level or DEFAULT_COMPRESSION.partition(":")[2])
        if not MIN_LEVEL <= number <= MAX_LEVEL:
            raise UsageError(f"zstd has levels {MIN_LEVEL} to {MAX_LEVEL}, not {number}")
        return cls(number)


def _parameters(level: int, size: int) -> zstandard.ZstdCompressionParameters:
    """Return zstd's parameters of a level for objects of up to `size` bytes, with tables that fit a processor's cache.

    Above 128 KiB the levels with two hash tables (3 and 4) take 0.4 to 0.8 MB of them, more than many processors have
    for themselves. Tables of 256 KiB make blocks 0.5 % larger and save a fifth of the time.
    """
    usual = zstandard.ZstdCompressionParameters.from_level(level, source_size=size)
    smaller: dict[str, int] = {}
    if usual.strategy == zstandard.STRATEGY_DFAST:
        smaller = {"hash_log": min(usual.hash_log, _CACHED_LOG), "chain_log": min(usual.chain_log, _CACHED_LOG)}
    return zstandard.ZstdCompressionParameters.from_level(
        level, source_size=size, write_content_size=True, write_checksum=False, **smaller
    )


class Compressor:
    """Compresses and decompresses; keeps one zstd state per thread, since a state is not thread-safe."""

    def __init__(self, spec: CompressionSpec) -> None:
        self._spec = spec
        self._states = threading.local()

    def compress(self, plain: Buffer) -> bytes | None:
        """Return one zstd frame, or None where storing `plain` raw is no longer."""
        if self._spec.level is None:
            return None
        frame: bytes = self._compressor(self._spec.level, len(plain)).compress(plain)
        return frame if len(frame) < len(plain) else None

    def _compressor(self, level: int, size: int) -> zstandard.ZstdCompressor:
        """Return this thread's state for objects of about this size: zstd has parameters for each."""
        if not hasattr(self._states, "compressors"):
            self._states.compressors = {}
        about = max(size - 1, 1).bit_length()
        if about not in self._states.compressors:
            self._states.compressors[about] = zstandard.ZstdCompressor(
                compression_params=_parameters(level, 1 << about)
            )
        found: zstandard.ZstdCompressor = self._states.compressors[about]
        return found

    def decompress(self, frame: Buffer, plain_size: int) -> bytes:
        """Return the `plain_size` bytes of a frame; never allocates more than that.

        Raises:
            FormatError: not one whole frame of that size ("decompress-failed").
        """
        try:
            declared = zstandard.frame_content_size(frame)
            if declared != plain_size:
                reason = f"a frame of {declared} bytes where {plain_size} are due"
                raise FormatError("payload", reason, failure="decompress-failed")
            if not hasattr(self._states, "decompressor"):
                self._states.decompressor = zstandard.ZstdDecompressor()
            plain: bytes = self._states.decompressor.decompress(
                frame, max_output_size=plain_size, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise FormatError("payload", f"cannot be decompressed: {error}", failure="decompress-failed") from None
        return plain
