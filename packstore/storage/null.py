"""A repository that keeps everything but the blocks: for measurements of what no disk here could hold.

It is a directory in which the packs of blocks are sparse files of their true size: their first bytes and their
directory are there, and nothing in between. So backups, `ls`, `diff`, `rm` and the index work as anywhere. What would
have to read a block is refused. Metadata are kept whole.
Before: storage.file. After: storage.open.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packstore.checksum import Buffer
from packstore.errors import UsageError
from packstore.fileops import FileOps
from packstore.format.pack import PACK_HEADER, PACK_TRAILER, decode_trailer
from packstore.storage.file import FileStorage

_BLOCKS: Final = "packs/"
_INSIDE: Final = "without-blocks"


class NullStorage(FileStorage):
    """A directory without the bytes of blocks."""

    def __init__(self, root: Path) -> None:
        # A directory of its own inside, so that neither kind of repository is ever taken for the other.
        inside = root / _INSIDE
        super().__init__(inside, _SparsePacks(inside / _BLOCKS))
        self._outside = root
        self.location = f"null://{root}"

    def prepare(self, directories: Sequence[str]) -> None:
        """Make the directory, and what is in it."""
        self._outside.mkdir(exist_ok=True)
        super().prepare(directories)

    @property
    def identity(self) -> str:
        """Not that of the same directory as an ordinary repository."""
        return f"null:{super().identity}"

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return what is there.

        Raises:
            UsageError: what was asked for is a block. No error of a storage: those are taken for damage.
        """
        if name.startswith(_BLOCKS) and not (length is not None and offset + length <= PACK_HEADER.size):
            end = self.size(name)
            trailer = decode_trailer(super().read(name, end - PACK_TRAILER.size, PACK_TRAILER.size))
            if offset < trailer.directory_offset:
                message = (
                    f"{self.location} keeps no blocks: it is for measurements, and nothing can be restored from it"
                )
                raise UsageError(message, advice="make a repository in a directory")
        return super().read(name, offset, length)


class _SparsePacks(FileOps):
    """Leaves out of each pack all that is written to it, but for the first and the last of it."""

    def __init__(self, packs: Path) -> None:
        self._packs = packs
        self._last: dict[int, Sequence[Buffer]] = {}

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        if path.is_relative_to(self._packs):
            self._last[descriptor] = ()
        return descriptor

    def write(self, descriptor: int, parts: Sequence[Buffer]) -> None:
        if descriptor not in self._last or not os.lseek(descriptor, 0, os.SEEK_CUR):
            super().write(descriptor, parts)
            return
        os.lseek(descriptor, sum(len(part) for part in parts), os.SEEK_CUR)
        self._last[descriptor] = parts

    def fsync(self, descriptor: int) -> None:
        if parts := self._last.pop(descriptor, ()):
            os.lseek(descriptor, -sum(len(part) for part in parts), os.SEEK_CUR)
            super().write(descriptor, parts)
        super().fsync(descriptor)

    def close(self, descriptor: int) -> None:
        self._last.pop(descriptor, None)
        super().close(descriptor)
