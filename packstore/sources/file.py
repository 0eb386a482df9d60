"""Regular files and block devices as sources.

Holes are found by SEEK_DATA where the file system can tell. Pages are dropped from the cache behind the
reader: a nightly backup must not push everybody else's out.
Before: blocks. After: operations.reading.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packstore.blocks import Extent
from packstore.errors import SourceChanged, SourceDenied, SourceError, SourceNotFound, SourceReadFailed
from packstore.limits import KIB, MIB
from packstore.sources.identity import state_name

_FIRST_STEP: Final = 64 * KIB
_LAST_STEP: Final = 16 * MIB
"""Behind a hole so much is taken for data, and then twice as much each time, as long as no hole is met."""


def readable_path(path: Path) -> str:
    """Return an absolute path as text; bytes of it that are not UTF-8 are shown escaped."""
    return os.fsencode(os.path.abspath(path)).decode("utf-8", "backslashreplace")  # noqa: PTH100  a/../b is b


class FileSource:
    """A regular file or block device, opened for reading."""

    def __init__(self, path: Path, *, immutable: bool = False) -> None:
        """Open it; `immutable`: somebody gives their word that it does not change."""
        self._path = path
        self._immutable = immutable
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise SourceNotFound(f"{path} does not exist") from None
        except PermissionError:
            raise SourceDenied(f"{path} may not be read", advice="run as a user who may read it") from None
        except OSError as error:
            raise SourceError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            self._before = os.fstat(self._descriptor)
            self._kind = self._kind_of(self._before.st_mode)
            self._size = os.lseek(self._descriptor, 0, os.SEEK_END)
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        except OSError as error:
            self.close()
            raise SourceError(f"{path} cannot be read as a device: {error.strerror}") from error
        except BaseException:
            self.close()
            raise
        self._state = state_name(self._descriptor, promised=immutable)

    def _kind_of(self, mode: int) -> str:
        if stat.S_ISREG(mode):
            return "file"
        if stat.S_ISBLK(mode):
            return "device"
        what = "a directory" if stat.S_ISDIR(mode) else "neither a file nor a block device"
        advice = "to back up a stream, pipe it in and name the source -"
        raise SourceError(f"{self._path} is {what}", advice="" if stat.S_ISDIR(mode) else advice)

    @property
    def size(self) -> int | None:
        """Bytes."""
        return self._size

    @property
    def description(self) -> dict[str, str | int]:
        """Type and path; of a file also size, times and inode."""
        where: dict[str, str | int] = {"type": self._kind, "path": readable_path(self._path)}
        if self._kind == "file":
            where |= {
                "size": self._size,
                "mtime_ns": max(self._before.st_mtime_ns, 0),
                "inode": self._before.st_ino,
                "device": self._before.st_dev,
            }
        return where

    @property
    def immutable_id(self) -> str:
        """What names the state of the file or device, as long as it is the one it had when it was opened."""
        same = bool(self._state) and state_name(self._descriptor, promised=self._immutable) == self._state
        return self._state if same else ""

    def extents(self) -> Iterator[Extent]:
        """Yield the ranges that are not holes; everything, where nobody can tell."""
        offset, step = 0, _FIRST_STEP
        while offset < self._size:
            try:
                begin = os.lseek(self._descriptor, offset, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    yield Extent(offset, self._size - offset)
                return  # ENXIO: a hole up to the end
            # To ask where data ends can take as long as to read it; so only what follows it is asked about.
            step = min(2 * step, _LAST_STEP) if begin == offset else _FIRST_STEP
            begin = max(begin, offset)
            end = min((begin // step + 1) * step, self._size)
            yield Extent(begin, end - begin)
            offset = end

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer`, and drop what it was read from out of the cache."""
        length, done = len(buffer), 0
        try:
            while done < length and (read := os.preadv(self._descriptor, [buffer[done:]], offset + done)):
                done += read
        except OSError as error:
            if error.errno in {errno.EIO, errno.ENODATA, errno.EILSEQ}:
                self._read_alone(offset, length)
                raise SourceReadFailed(f"{self._path} cannot be read at {offset}: {error.strerror}") from error
            raise SourceError(f"{self._path} cannot be read at {offset}: {error.strerror}") from error
        if done != length:
            raise SourceChanged(f"{self._path} ended at {offset + done} while it was being read")
        os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        return length

    def _read_alone(self, offset: int, length: int) -> None:
        """Have what is read next read without what follows it: a bad sector fails all that is read with it."""
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_DONTNEED)

    def finish(self) -> list[str]:
        """Compare size and time of change with what they were at the start."""
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        size = os.lseek(self._descriptor, 0, os.SEEK_END)
        if size != self._size:
            message = f"{self._path} had {self._size} bytes at the start and has {size} now; nothing was committed"
            raise SourceChanged(message, advice="back up a snapshot of it, or stop what writes to it")
        after = os.fstat(self._descriptor)
        if self._kind == "file" and after.st_mtime_ns != self._before.st_mtime_ns:
            return [f"{self._path} was written to while it was being read: the version may mix old and new"]
        return []

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
