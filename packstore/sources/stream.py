"""Standard input as a source, standard output as a target."""

import errno
from collections.abc import Iterator
from typing import BinaryIO

from packstore.blocks import Extent, zeros
from packstore.errors import SourceError, TargetWriteFailed
from packstore.limits import MIB


class StreamSource:
    """A stream, read once from its beginning to its end."""

    size = None
    immutable_id = ""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._empty = True

    @property
    def description(self) -> dict[str, str | int]:
        """That it was a stream, and nothing more."""
        return {"type": "stream", "path": "-"}

    def extents(self) -> Iterator[Extent]:
        """Yield nothing: a stream tells nothing ahead."""
        yield from ()

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` with what comes next, less at the end. Raises SourceError: nothing can be skipped."""
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            raise SourceError(f"standard input cannot be read at {offset}: {error.strerror}") from error
        buffer[: len(data)] = data
        self._empty = self._empty and not data
        return len(data)

    def finish(self) -> list[str]:
        """Warn about an empty stream: most often the command that feeds it has failed."""
        return ["standard input was empty: did the command before the pipe fail?"] if self._empty else []

    def close(self) -> None:
        """Leave the stream open; it is not ours."""


class StreamTarget:
    """A stream, written in order."""

    in_order = True

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def begin(self, size: int) -> None:
        """Do nothing: a stream has room for everything."""

    def write(self, offset: int, data: bytes) -> None:
        """Write `data` after what was written before."""
        try:
            self._stream.write(data)
        except OSError as error:
            raise self._failed(error, offset) from error

    def zero(self, offset: int, length: int) -> None:
        """Write zeros: a stream has no holes."""
        while length > 0:
            step = min(length, MIB)
            self.write(offset, zeros(step))
            offset += step
            length -= step

    def finish(self) -> None:
        """Flush what is buffered."""
        try:
            self._stream.flush()
        except OSError as error:
            raise self._failed(error, 0) from error

    def close(self) -> None:
        """Leave the stream open; it is not ours."""

    def _failed(self, error: OSError, offset: int) -> TargetWriteFailed:
        why = "the reader went away" if error.errno == errno.EPIPE else error.strerror
        return TargetWriteFailed(f"standard output cannot be written at {offset}: {why}")
