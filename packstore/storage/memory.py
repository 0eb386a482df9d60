"""A repository in memory: the reference of the storage contract, and for tests."""

import time
from collections.abc import Sequence
from pathlib import Path

from packstore.checksum import Buffer
from packstore.errors import NameExists, NameNotFound
from packstore.storage.base import Hold, Listed, NewFile, check_name


class MemoryStorage:
    """Named immutable files in a dictionary."""

    def __init__(self, location: str = "memory") -> None:
        self.location = location
        self.files: dict[str, bytes] = {}
        self.modified: dict[str, int] = {}
        self.held: set[str] = set()
        self.prepared = False

    @property
    def identity(self) -> str:
        """This object, and no other."""
        return f"memory:{id(self):x}"

    def exists(self, name: str) -> bool:
        """Say whether a file is published under `name`."""
        return check_name(name) in self.files

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        return len(self._file(name))

    def modified_ms(self, name: str) -> int | None:
        """Return when a file was published, in milliseconds since 1970 UTC; None if it was put here otherwise."""
        self._file(name)
        return self.modified.get(name)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `offset`, to the end if None."""
        data = self._file(name)
        return data[offset:] if length is None else data[offset : offset + length]

    def _file(self, name: str) -> bytes:
        try:
            return self.files[check_name(name)]
        except KeyError:
            raise NameNotFound(f"cannot read {name}: no such file") from None

    def list_files(self, prefix: str) -> list[Listed]:
        """Return the published files below the directory `prefix`."""
        below = check_name(prefix) + "/"
        return sorted(Listed(name, len(data)) for name, data in list(self.files.items()) if name.startswith(below))

    def create(self, name: str) -> NewFile:
        """Begin a new file."""
        if check_name(name) in self.files:
            raise NameExists(f"{name} exists already")
        return _NewFile(self, name)

    def put(self, name: str, data: bytes) -> None:
        """Publish a small file whole."""
        new = self.create(name)
        new.write(data)
        new.publish()

    def hold(self, name: str, data: bytes) -> Hold:
        """Publish a small file whole and keep it held."""
        self.put(name, data)
        self.held.add(name)
        return _Hold(self, name)

    def is_held(self, name: str) -> bool | None:
        """Say whether a file is held."""
        return name in self.held

    def delete(self, name: str) -> None:
        """Remove a file."""
        self.files.pop(check_name(name), None)
        self.modified.pop(name, None)

    def move(self, name: str, new_name: str) -> None:
        """Give a file another name."""
        if check_name(new_name) in self.files:
            raise NameExists(f"{new_name} exists already")
        self.files[new_name] = self._file(name)
        del self.files[name]

    def unfinished(self, prefix: str) -> list[str]:
        """Return nothing: unfinished files are nowhere."""
        check_name(prefix)
        return []

    def is_empty(self) -> bool:
        """Say whether there is nothing at all here."""
        return not self.files

    def prepare(self, directories: Sequence[str]) -> None:
        """Do nothing: there are no directories."""
        self.prepared = bool(directories)

    def covers(self, path: Path) -> bool:
        """Say no: this place has no path."""
        return path.name in self.files and path.is_relative_to(self.location)

    def capacity(self) -> int | None:
        """Return None: there is no end."""
        return None

    def available(self) -> int | None:
        """Return None: there is no end."""
        return None


class _NewFile:
    def __init__(self, storage: MemoryStorage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._data = bytearray()
        self.size = 0

    def write(self, *parts: Buffer) -> None:
        for part in parts:
            self._data += part
            self.size += len(part)

    def publish(self) -> None:
        self._storage.files[self._name] = bytes(self._data)
        self._storage.modified[self._name] = time.time_ns() // 1_000_000

    def discard(self) -> None:
        self._data.clear()


class _Hold:
    def __init__(self, storage: MemoryStorage, name: str) -> None:
        self._storage = storage
        self._name = name

    def share(self) -> None:
        """Do nothing: there are no other processes here."""

    def release(self) -> None:
        self._storage.held.discard(self._name)
