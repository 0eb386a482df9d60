"""Devices that are byte arrays: sources to back up, targets to restore into, content to fill them with."""

import random
from collections.abc import Iterator

from packstore.blocks import Extent
from packstore.errors import SourceChanged, SourceReadFailed

BLOCK = 64 * 1024


def noise(seed: object, length: int) -> bytes:
    """Return bytes that do not compress, the same for the same seed."""
    return random.Random(repr(seed)).randbytes(length)


def noise_blocks(seed: object, count: int, block: int = BLOCK) -> bytes:
    """Return `count` different blocks that do not compress."""
    return b"".join(noise((seed, index), block) for index in range(count))


class BytesSource:
    """A source in memory; `bad` ranges cannot be read, and long runs of zeros may be declared holes."""

    def __init__(
        self, data: bytes, *, bad: tuple[Extent, ...] = (), sparse: bool = False, immutable_id: str = ""
    ) -> None:
        self.data = data
        self.immutable_id = immutable_id
        self.bad = bad
        self.sparse = sparse
        self.reads = 0
        self.offsets: list[int] = []
        self.on_read = lambda _: None

    @property
    def size(self) -> int | None:
        """Bytes."""
        return len(self.data)

    @property
    def description(self) -> dict[str, str | int]:
        """As a device would be recorded."""
        return {"type": "device", "path": "/dev/none"}

    def extents(self) -> Iterator[Extent]:
        """Yield everything, or the pages that are not zeros."""
        if not self.sparse:
            if self.data:
                yield Extent(0, len(self.data))
            return
        for offset in range(0, len(self.data), 4096):
            piece = self.data[offset : offset + 4096]
            if any(piece):
                yield Extent(offset, len(piece))

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Return the range, or fail where it touches a bad one."""
        length = len(buffer)
        self.reads += 1
        self.offsets.append(offset)
        self.on_read(self.reads)
        if any(bad.offset < offset + length and offset < bad.end for bad in self.bad):
            raise SourceReadFailed(f"bad sector near {offset}")
        piece = self.data[offset : offset + length]
        if len(piece) != length:
            raise SourceChanged("it ended early")
        buffer[:] = piece
        return length

    def finish(self) -> list[str]:
        """Nothing happened meanwhile."""
        return []

    def close(self) -> None:
        """Nothing to close."""


class BytesTarget:
    """A target in memory, full of rubbish before it is written."""

    def __init__(self, *, in_order: bool = False) -> None:
        self.in_order = in_order
        self.data = bytearray()
        self.finished = False
        self._end = 0

    def begin(self, size: int) -> None:
        """Be a used device of this size."""
        self.data = bytearray(b"\xa5" * size)

    def write(self, offset: int, data: bytes) -> None:
        """Write inside the device, in order if that was asked for."""
        assert offset + len(data) <= len(self.data)
        assert not self.in_order or offset == self._end
        self._end = offset + len(data)
        self.data[offset : offset + len(data)] = data

    def zero(self, offset: int, length: int) -> None:
        """Write zeros."""
        self.write(offset, bytes(length))

    def finish(self) -> None:
        """Remember that it came to this."""
        self.finished = True

    def close(self) -> None:
        """Nothing to close."""
