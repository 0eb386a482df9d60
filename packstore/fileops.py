"""The seam: every touch of a repository's files by the file storage goes through here.

One class, a dozen operations, no policy. Tests replace it by one that fails, crashes or vanishes at the
n-th call. Errors stay `OSError`; storage.file translates them.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from packstore.checksum import Buffer


class FileOps:
    """The operations on files that the file storage is made of."""

    def create(self, path: Path) -> int:
        """Create a new file for writing; return its descriptor. Fails if it exists."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def write(self, descriptor: int, parts: Sequence[Buffer]) -> None:
        """Write all of `parts` at the end."""
        views = [memoryview(part) for part in parts if len(part)]
        while views:
            written = os.writev(descriptor, views)
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if written:
                views[0] = views[0][written:]

    def fsync(self, descriptor: int) -> None:
        """Make a file's content durable. An error is final for the file."""
        os.fsync(descriptor)

    def drop_cache(self, descriptor: int) -> None:
        """Tell the kernel that the file's pages will not be needed again."""
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def lock(self, descriptor: int) -> None:
        """Take the exclusive lock of a file, held until the descriptor is closed."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_locked(self, path: Path) -> bool:
        """Say whether some process holds the lock of a file."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def rename(self, old: Path, new: Path) -> None:
        """Give a file its final name."""
        os.rename(old, new)  # noqa: PTH104  one style for the whole seam

    def fsync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_directory(self, path: Path) -> None:
        """Make one directory, whose parent exists; fine if it is there."""
        path.mkdir(exist_ok=True)

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        path.unlink()

    def read(self, path: Path, offset: int, length: int) -> bytes:
        """Read up to `length` bytes from `offset`; fewer only at the end of the file."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            while length > 0 and (part := os.pread(descriptor, length, offset)):
                parts.append(part)
                offset += len(part)
                length -= len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            os.close(descriptor)

    def size(self, path: Path) -> int:
        """Return a file's size in bytes."""
        return path.stat().st_size

    def modified_ms(self, path: Path) -> int:
        """Return when a file was last written, in milliseconds since 1970 UTC."""
        return path.stat().st_mtime_ns // 1_000_000

    def exists(self, path: Path) -> bool:
        """Say whether a name is taken."""
        return path.exists()

    def list_directory(self, path: Path) -> list[tuple[str, bool]]:
        """Return the names in a directory, each with whether it is a directory itself."""
        with os.scandir(path) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
