"""What a repository asks of the place where it lies. FORMAT.md section 11.

Names are relative, lower-case ASCII, with `/` between their parts. A file is published whole or not at
all and never changes afterwards. A finished write is seen by every later listing.
After: storage.file, storage.memory.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from packstore.checksum import Buffer
from packstore.errors import StorageError

TEMPORARY_SUFFIX: Final = ".tmp"
_NAME: Final = re.compile(r"[a-z0-9.-]+(/[a-z0-9.-]+)*")


class Listed(NamedTuple):
    """A published file: its name and its size in bytes."""

    name: str
    size: int


class NewFile(Protocol):
    """A file being written; it does not exist for anybody until it is published."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    def write(self, *parts: Buffer) -> None:
        """Append `parts`. After an error the file can only be discarded."""

    def publish(self) -> None:
        """Make it durable, then visible under its name, then make the name durable.

        Raises:
            StorageError: it may or may not be visible; it is final either way.
        """

    def discard(self) -> None:
        """Forget it. May be called at any time, also twice, also after an error."""


class Hold(Protocol):
    """A published file whose writer can be seen to be alive for as long as this is not released."""

    def release(self) -> None:
        """Stop being seen as alive; the file stays."""

    def share(self) -> None:
        """Let processes that are started from now on keep it held too, where that is possible."""


class Storage(Protocol):
    """A place for named immutable files. Methods raise StorageError and its subclasses only."""

    location: str
    """Where it is, as a person would write it."""

    @property
    def identity(self) -> str:
        """Differs between places, also between two disks mounted at the same path at different times."""

    def exists(self, name: str) -> bool:
        """Say whether a file is published under `name`."""

    def size(self, name: str) -> int:
        """Return a file's size in bytes. Raises NameNotFound."""

    def modified_ms(self, name: str) -> int | None:
        """Return when a file was published, in milliseconds since 1970 UTC, by the storage's own clock.

        None where it cannot tell. A copy may say when it was copied. Raises NameNotFound.
        """

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `offset` (to the end if None); fewer only at the end. Raises NameNotFound."""

    def list_files(self, prefix: str) -> list[Listed]:
        """Return the published files below the directory `prefix`, at any depth; none if it does not exist."""

    def create(self, name: str) -> NewFile:
        """Begin a new file. Raises NameExists when it is published."""

    def put(self, name: str, data: bytes) -> None:
        """Publish a small file whole."""

    def hold(self, name: str, data: bytes) -> Hold:
        """Publish a small file whole, and be seen as alive until it is released or this process ends."""

    def is_held(self, name: str) -> bool | None:
        """Say whether the writer of a held file is alive; None where nobody can tell."""

    def delete(self, name: str) -> None:
        """Remove a file; fine if it is gone."""

    def move(self, name: str, new_name: str) -> None:
        """Give a file another name, without reading it. Raises NameNotFound, NameExists."""

    def unfinished(self, prefix: str) -> list[str]:
        """Return the names under which writers, alive or not, have something half-written below `prefix`."""

    def is_empty(self) -> bool:
        """Say whether there is nothing at all here (also true if the place does not exist yet)."""

    def prepare(self, directories: Sequence[str]) -> None:
        """Make the place and its directories, where a storage has such things."""

    def covers(self, path: Path) -> bool:
        """Say whether a path of this machine lies inside this place."""

    def capacity(self) -> int | None:
        """Return the size of the whole file system in bytes, None if it has no end."""

    def available(self) -> int | None:
        """Return how many bytes more can be stored, None if there is no end."""


def check_name(name: str) -> str:
    """Return `name` if it is one that a storage accepts.

    Raises:
        StorageError: it could leave the storage, or collide where case does not matter.
    """
    if not _NAME.fullmatch(name) or any(part in {".", ".."} for part in name.split("/")):
        raise StorageError(f"not a name for a storage: {name!r}")
    return name
