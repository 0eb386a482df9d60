"""A storage whose process dies at the n-th change: nothing after that happens, not even in a `finally`."""

from collections.abc import Callable
from typing import Any

from packstore.checksum import Buffer
from packstore.storage.base import Hold, NewFile
from packstore.storage.memory import MemoryStorage


class Killed(BaseException):
    """The process is gone; nothing may catch this and go on."""


class DyingStorage(MemoryStorage):
    """Dies at change number `at`, before it happens or right after; shares its files with other storages."""

    def __init__(self, shared: MemoryStorage, at: int | None = None, *, after: bool = False) -> None:
        super().__init__(shared.location)
        self.files = shared.files
        self.held = shared.held
        self.changes = 0
        self.dead = False
        self._at = at
        self._after = after
        self._own: set[str] = set()

    @property
    def identity(self) -> str:
        """The place, whichever object."""
        return f"memory:{self.location}"

    def change(self, work: Callable[[], Any]) -> Any:
        """Do one change, or die."""
        self.live()
        self.changes += 1
        if self.changes == self._at and not self._after:
            self.die()
        result = work()
        if self.changes == self._at:
            self.die()
        return result

    def live(self) -> None:
        """A dead process does nothing."""
        if self.dead:
            raise Killed

    def die(self) -> None:
        """End the process: its locks are free."""
        self.dead = True
        self.held -= self._own
        raise Killed

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read, if alive."""
        self.live()
        return super().read(name, offset, length)

    def create(self, name: str) -> NewFile:
        """Begin a new file; publishing it is the change."""
        self.live()
        return _Dying(self, super().create(name))

    def hold(self, name: str, data: bytes) -> Hold:
        """Publish and hold."""
        self._own.add(name)
        return super().hold(name, data)

    def delete(self, name: str) -> None:
        """Remove a file."""
        self.change(lambda: super(DyingStorage, self).delete(name))


class _Dying:
    def __init__(self, storage: DyingStorage, file: NewFile) -> None:
        self._storage = storage
        self._file = file

    @property
    def size(self) -> int:
        return self._file.size

    def write(self, *parts: Buffer) -> None:
        self._storage.live()
        self._file.write(*parts)

    def publish(self) -> None:
        self._storage.change(self._file.publish)

    def discard(self) -> None:
        self._file.discard()
