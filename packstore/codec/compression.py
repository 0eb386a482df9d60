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


class Compressor:
    """Compresses and decompresses; keeps one zstd state per thread, since a state is not thread-safe."""

    def __init__(self, spec: CompressionSpec) -> None:
        self._spec = spec
        self._states = threading.local()

    def compress(self, plain: Buffer) -> bytes | None:
        """Return one zstd frame, or None where storing `plain` raw is no longer."""
        if self._spec.level is None:
            return None
        if not hasattr(self._states, "compressor"):
            self._states.compressor = zstandard.ZstdCompressor(
                level=self._spec.level, write_content_size=True, write_checksum=False
            )
        frame: bytes = self._states.compressor.compress(plain)
        return frame if len(frame) < len(plain) else None

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
