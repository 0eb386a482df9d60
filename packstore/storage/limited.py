"""A storage through which only so many bytes a second pass.

Before: throttle, storage.base. After: the command line.
"""

from typing import cast

from packstore.checksum import Buffer
from packstore.storage.base import Hold, NewFile, Storage
from packstore.throttle import TokenBucket


def limited_storage(storage: Storage, incoming: TokenBucket | None, outgoing: TokenBucket | None) -> Storage:
    """Return `storage` with limits for what is read from it and what is written to it; None: no limit."""
    return storage if incoming is outgoing is None else cast("Storage", _Limited(storage, incoming, outgoing))


class _Limited:
    """All that is not here is as the storage has it."""

    def __init__(self, storage: Storage, incoming: TokenBucket | None, outgoing: TokenBucket | None) -> None:
        self._storage = storage
        self._incoming = incoming
        self._outgoing = outgoing

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `offset`."""
        data = self._storage.read(name, offset, length)
        _pay(self._incoming, len(data))
        return data

    def create(self, name: str) -> NewFile:
        """Begin a new file."""
        return cast("NewFile", _LimitedFile(self._storage.create(name), self._outgoing))

    def put(self, name: str, data: bytes) -> None:
        """Publish a small file whole."""
        self._storage.put(name, data)
        _pay(self._outgoing, len(data))

    def hold(self, name: str, data: bytes) -> Hold:
        """Publish a small file whole, and be seen as alive."""
        held = self._storage.hold(name, data)
        _pay(self._outgoing, len(data))
        return held


class _LimitedFile:
    """A file being written."""

    def __init__(self, file: NewFile, outgoing: TokenBucket | None) -> None:
        self._file = file
        self._outgoing = outgoing

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, *parts: Buffer) -> None:
        """Append `parts`."""
        self._file.write(*parts)
        _pay(self._outgoing, sum(len(part) for part in parts))


def _pay(bucket: TokenBucket | None, count: int) -> None:
    if bucket is not None:
        bucket.take(count)
