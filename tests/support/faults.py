"""File operations that fail: with an errno at the n-th call, on a bad sector, or by loss of power."""

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from packstore.checksum import Buffer
from packstore.fileops import FileOps

WRITING = frozenset(
    {"create", "write", "fsync", "close", "lock", "rename", "fsync_directory", "make_directory", "unlink"}
)
READING = frozenset({"read", "size", "modified_ms", "list_directory", "is_locked"})


class FaultyFileOps(FileOps):
    """Fails the n-th call of the chosen operations, counted from 1; `sticky`: and every one after it."""

    def __init__(
        self, errno: int, at: int = 0, names: frozenset[str] = WRITING | READING, *, sticky: bool = False
    ) -> None:
        self.errno = errno
        self.at = at
        self.names = names
        self.sticky = sticky
        self.calls = 0
        self.fired = ""
        self.applies: Callable[..., bool] = lambda *_: True
        self._lock = threading.Lock()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in WRITING | READING:
            return found

        def call(*args: Any) -> Any:
            self._count(name, args)
            return found(*args)

        return call

    def _count(self, name: str, args: tuple[Any, ...]) -> None:
        if name not in self.names or not self.applies(name, *args):
            return
        with self._lock:
            self.calls += 1
            due = self.calls == self.at or (self.sticky and self.at and self.calls > self.at)
        if due:
            self.fired = self.fired or name
            if name == "close":
                os.close(args[0])  # Linux lets go of the descriptor, whatever it returns
            raise OSError(self.errno, f"injected: {os.strerror(self.errno)}")


class BadSectorFileOps(FileOps):
    """Reading certain files gives EIO, as a disk with bad sectors does."""

    def __init__(self, bad: set[str]) -> None:
        self.bad = bad

    def read(self, path: Path, offset: int, length: int) -> bytes:
        """Read, unless the file's name is a bad one."""
        if path.name in self.bad:
            raise OSError(5, "Input/output error")
        return super().read(path, offset, length)


class PowerLost(BaseException):
    """The machine is off: no handler runs, nothing more reaches the disk."""


class _Inode:
    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = b""


class CrashFileOps(FileOps):
    """Works on a real directory, and remembers what of it would survive a loss of power at any moment.

    A file's content is durable up to its last fsync, a name once its directory was synced. Losing power at
    the n-th writing call (counted from 1, and before it has any effect) makes every later call fail.
    """

    def __init__(self, root: Path, at: int = 0) -> None:
        self.root = root
        self.at = at
        self.calls = 0
        self.lost = False
        self._lock = threading.RLock()
        self._open: dict[int, _Inode] = {}
        self._files: dict[Path, _Inode] = {}
        self._durable: dict[Path, _Inode] = {}
        self._directories: set[Path] = set()
        self._pending: list[tuple[Path, str, Path, Any]] = []
        for path in sorted(root.rglob("*")) if root.exists() else []:
            if path.is_dir():
                self._directories.add(path)
            else:
                inode = _Inode()
                inode.data = bytearray(path.read_bytes())
                inode.durable = bytes(inode.data)
                self._files[path] = self._durable[path] = inode
        if root.exists():
            self._directories.add(root)

    def _step(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            self.lost = True
            for descriptor in self._open:
                os.close(descriptor)  # locks vanish with the machine
            self._open.clear()
        if self.lost:
            raise PowerLost

    def create(self, path: Path) -> int:
        """Create a file whose name is not durable yet."""
        with self._lock:
            self._step()
            descriptor = super().create(path)
            self._open[descriptor] = self._files[path] = _Inode()
            self._pending.append((path.parent, "link", path, self._files[path]))
            return descriptor

    def write(self, descriptor: int, parts: Sequence[Buffer]) -> None:
        """Write what is not durable yet."""
        with self._lock:
            self._step()
            super().write(descriptor, parts)
            for part in parts:
                self._open[descriptor].data += part

    def fsync(self, descriptor: int) -> None:
        """Make a file's content durable."""
        with self._lock:
            self._step()
            self._open[descriptor].durable = bytes(self._open[descriptor].data)

    def close(self, descriptor: int) -> None:
        """Close it; that makes nothing durable."""
        with self._lock:
            if self.lost:
                raise PowerLost
            self._open.pop(descriptor)
            super().close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Rename; durable once the directory is synced."""
        with self._lock:
            self._step()
            super().rename(old, new)
            inode = self._files.pop(old)
            self._files[new] = inode
            self._pending.append((new.parent, "rename", old, (new, inode)))

    def fsync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        with self._lock:
            self._step()
            for entry in [entry for entry in self._pending if entry[0] == path]:
                self._apply(entry, self._durable, self._directories)
                self._pending.remove(entry)

    def make_directory(self, path: Path) -> None:
        """Make a directory; durable once its parent is synced."""
        with self._lock:
            self._step()
            super().make_directory(path)
            self._pending.append((path.parent, "mkdir", path, None))

    def unlink(self, path: Path) -> None:
        """Remove a name; durable once the directory is synced."""
        with self._lock:
            self._step()
            super().unlink(path)
            self._files.pop(path, None)
            self._pending.append((path.parent, "unlink", path, None))

    @staticmethod
    def _apply(entry: tuple[Path, str, Path, Any], names: dict[Path, _Inode], directories: set[Path]) -> None:
        _, what, path, more = entry
        if what == "mkdir":
            directories.add(path)
        elif what == "link":
            names[path] = more
        elif what == "unlink":
            names.pop(path, None)
        else:
            names.pop(path, None)
            names[more[0]] = more[1]

    def survive(self, variant: str) -> None:
        """Leave in the directory what survived.

        `worst`: nothing that was not synced. `names`: all names, and of unsynced content the first half.
        `all`: everything, as after kill -9. `zeros`: all names, unsynced content of the right length in zeros.
        """
        names, directories = dict(self._durable), set(self._directories)
        if variant != "worst":
            for entry in self._pending:
                self._apply(entry, names, directories)
        shutil.rmtree(self.root, ignore_errors=True)
        for path in sorted(directories):
            if all(parent in directories or not parent.is_relative_to(self.root) for parent in path.parents):
                path.mkdir(parents=True, exist_ok=True)
        for path, inode in names.items():
            if path.parent.is_dir():
                path.write_bytes(_content(inode, variant))


def _content(inode: _Inode, variant: str) -> bytes:
    if variant == "worst" or len(inode.data) == len(inode.durable):
        return inode.durable
    if variant == "names":
        return bytes(inode.data[: (len(inode.durable) + len(inode.data)) // 2])
    if variant == "zeros":
        return inode.durable + bytes(len(inode.data) - len(inode.durable))
    return bytes(inode.data)
