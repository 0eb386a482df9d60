"""A small file that says how far something has come, replaced as a whole. For targets of a restore.

What it says is believed only if its checksum is right: a flipped bit must not make a range look finished.
Before: fileops. After: sources.target.
"""

import errno
from pathlib import Path
from typing import Final

from packstore.checksum import checksum64
from packstore.errors import TargetError
from packstore.fileops import FileOps
from packstore.limits import MIB

_SUFFIX: Final = ".tmp"
_MAX_BYTES: Final = 64 * MIB
_ABSENT: Final = {errno.ENOENT, errno.ENAMETOOLONG}
_DIGEST_BYTES: Final = 8


class Memo:
    """One such file; it and its name are durable when `write` has returned."""

    def __init__(self, path: Path, ops: FileOps | None = None, *, suffix: str = _SUFFIX) -> None:
        """Name the file; `suffix` is that of its temporary one: where several processes write, each has its own."""
        self.path = path
        self._ops = ops or FileOps()
        self._temporary = path.with_name(path.name + suffix)

    def exists(self) -> bool:
        """Say whether there is one."""
        try:
            return self._ops.exists(self.path)
        except OSError:
            return False

    def read(self) -> bytes | None:
        """Return what was written last; None if there is nothing.

        Raises:
            TargetError: it cannot be read, or is not what was written.
        """
        try:
            data = self._ops.read(self.path, 0, _MAX_BYTES)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise self._failed("read", error) from error
        content = data[_DIGEST_BYTES:]
        if data[:_DIGEST_BYTES] != _digest(content):
            raise TargetError(f"{self.path} is damaged", advice="begin the restore anew, with --force")
        return content

    def write(self, content: bytes) -> None:
        """Replace what is there. Raises TargetError: it may be the old or the new one, and never half of one."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._unlink(self._temporary)
            descriptor = self._ops.create(self._temporary)
            try:
                self._ops.write(descriptor, [_digest(content), content])
                self._ops.fsync(descriptor)
            finally:
                self._ops.close(descriptor)
            self._ops.rename(self._temporary, self.path)
            self._ops.fsync_directory(self.path.parent)
        except OSError as error:
            raise self._failed("written", error) from error

    def remove(self) -> None:
        """Forget it, durably. Raises TargetError."""
        try:
            found = [self._unlink(path) for path in (self._temporary, self.path)]
            if any(found):
                self._ops.fsync_directory(self.path.parent)
        except OSError as error:
            raise self._failed("removed", error) from error

    def _unlink(self, path: Path) -> bool:
        """Remove a name; say whether it was there."""
        try:
            self._ops.unlink(path)
        except OSError as error:
            if error.errno in _ABSENT:
                return False
            raise
        return True

    def _failed(self, what: str, error: OSError) -> TargetError:
        return TargetError(f"{self.path} cannot be {what}: {error.strerror}")


def _digest(content: bytes) -> bytes:
    return checksum64([content]).to_bytes(_DIGEST_BYTES, "big")
