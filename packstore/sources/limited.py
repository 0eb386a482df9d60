"""A source of which only so many bytes a second are read.

Before: throttle, sources.base. After: operations.run.
"""

from typing import cast

from packstore.sources.base import Source
from packstore.throttle import TokenBucket


def limited_source(source: Source, incoming: TokenBucket | None) -> Source:
    """Return `source` with a limit for what is read from it; None: no limit."""
    return source if incoming is None else cast("Source", _Limited(source, incoming))


class _Limited:
    """All that is not here is as the source has it."""

    def __init__(self, source: Source, incoming: TokenBucket) -> None:
        self._source = source
        self._incoming = incoming

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer`; return its length."""
        length = self._source.read_into(offset, buffer)
        self._incoming.take(length)
        return length
