"""What a backup asks of a source, and a restore of a target.

After: sources.file, sources.stream.
"""

from collections.abc import Iterator
from typing import Protocol

from packstore.blocks import Extent


class Source(Protocol):
    """A device being read."""

    @property
    def size(self) -> int | None:
        """Bytes; None for a stream, whose end is seen only when it is reached."""

    @property
    def description(self) -> dict[str, str | int]:
        """Where it comes from, as the version records it."""

    @property
    def immutable_id(self) -> str:
        """What names the state that everything read so far comes from, if it cannot change any more; else empty.

        Asked anew each time: it is empty too once the state is another than when the source was opened.
        """

    def extents(self) -> Iterator[Extent]:
        """Yield, in ascending order, the ranges that may hold anything but zeros. For a stream: nothing."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` with what is at `offset`; return its length.

        A source of known size may be read by many threads at once, and fills it. A stream is read in order, and fills
        less only at its end.

        Raises:
            SourceReadFailed: the range cannot be read.
            SourceChanged: the source ended before the range did.
        """

    def finish(self) -> list[str]:
        """Return warnings about what happened to the source meanwhile.

        Raises:
            SourceChanged: its size is another now.
        """

    def close(self) -> None:
        """Let go of it."""


class Target(Protocol):
    """A device being written. Nothing is touched before `begin`."""

    in_order: bool
    """Whether writes must come one after another from offset 0 on."""

    def begin(self, size: int) -> None:
        """Prepare for `size` bytes.

        Raises:
            TargetError: it exists, is busy, is too small, cannot be written; nothing was changed.
        """

    def write(self, offset: int, data: bytes) -> None:
        """Write `data`; many threads may, unless `in_order`. Raises TargetWriteFailed."""

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros, whatever was there. Raises TargetWriteFailed."""

    def finish(self) -> None:
        """Make everything durable. Raises TargetWriteFailed."""

    def close(self) -> None:
        """Let go of it."""


class ResumableTarget(Target, Protocol):
    """A target that remembers, beside itself, how far a restore has come."""

    @property
    def name(self) -> str:
        """What tells it from every other target, once it is open; empty if nothing does."""

    def recall(self) -> bytes | None:
        """Return what was noted last, before `begin` or `go_on`; None if nothing was.

        Raises:
            TargetError: it cannot be read.
        """

    def go_on(self, size: int) -> None:
        """Open the target as it is, instead of `begin`.

        Raises:
            TargetError: it is gone, busy, has another size, cannot be written.
        """

    def note(self, content: bytes) -> None:
        """Make all that was written durable, and after that remember `content`; `begin` and `finish` forget it.

        Raises:
            TargetWriteFailed: what was written may be lost.
            TargetError: only the note failed; what was noted before still holds.
        """
