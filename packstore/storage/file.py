"""A repository in a directory: a disk, a USB stick, NFS. FORMAT.md section 11.

Publishing is: temporary name, fsync, rename, fsync of the directory. The first error is believed and is
final for its file: after a failed fsync the kernel forgets what it could not write.
Before: fileops. After: repository.layout.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from packstore.checksum import Buffer
from packstore.errors import NameExists, NameNotFound, StorageDenied, StorageError, StorageFull, StorageGone
from packstore.fileops import FileOps
from packstore.storage.base import TEMPORARY_SUFFIX, Hold, Listed, NewFile, check_name
from packstore.storage.mounts import is_local

_CLASSES: Final[dict[int, type[StorageError]]] = {
    errno.ENOENT: NameNotFound,
    errno.ESTALE: NameNotFound,
    errno.ENOTDIR: NameNotFound,
    errno.EEXIST: NameExists,
    errno.ENOSPC: StorageFull,
    errno.EDQUOT: StorageFull,
    errno.EACCES: StorageDenied,
    errno.EPERM: StorageDenied,
    errno.EROFS: StorageDenied,
    errno.EIO: StorageGone,
    errno.ENODEV: StorageGone,
    errno.ENXIO: StorageGone,
    errno.ETIMEDOUT: StorageGone,
    errno.EHOSTDOWN: StorageGone,
}
_ADVICE: Final[dict[type[StorageError], str]] = {
    StorageFull: "free some space there; what was committed is safe",
    StorageDenied: "check permissions, and whether the file system is mounted read-only",
    StorageGone: "check that the disk is still connected; what was committed is safe",
}


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = _CLASSES.get(error.errno or 0, StorageError)
        raise kind(f"{what}: {error.strerror or error}", advice=_ADVICE.get(kind, "")) from error


class FileStorage:
    """Named immutable files below one directory."""

    def __init__(self, root: Path, ops: FileOps | None = None) -> None:
        self._root = root
        self._ops = ops or FileOps()
        self.location = str(root)

    @property
    def identity(self) -> str:
        """The path and the file system's id: two disks that take turns at one mount point differ."""
        path = self._root.resolve()
        try:
            return f"file:{os.statvfs(path).f_fsid:x}:{path}"
        except OSError:
            return f"file:?:{path}"

    def _path(self, name: str) -> Path:
        return self._root / check_name(name)

    def exists(self, name: str) -> bool:
        """Say whether a file is published under `name`."""
        try:
            self.size(name)
        except NameNotFound:
            return False
        return True

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        with _translated(f"cannot look at {name}"):
            return self._ops.size(self._path(name))

    def modified_ms(self, name: str) -> int | None:
        """Return when a file was last written, in milliseconds since 1970 UTC."""
        with _translated(f"cannot look at {name}"):
            return self._ops.modified_ms(self._path(name))

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `offset`, to the end if None."""
        path = self._path(name)
        with _translated(f"cannot read {name}"):
            wanted = self._ops.size(path) - offset if length is None else length
            return self._ops.read(path, offset, max(wanted, 0))

    def list_files(self, prefix: str) -> list[Listed]:
        """Return the published files below the directory `prefix`."""
        with _translated(f"cannot list {prefix}"):
            if not is_local(self._root):
                self._revalidate(self._path(prefix))
            return sorted(self._walk(prefix))

    def _revalidate(self, directory: Path) -> None:
        # NFS caches listings for up to a minute; a change of our own makes the client look again.
        probe = directory / f"probe-{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
        try:
            self._ops.close(self._ops.create(probe))
            self._ops.unlink(probe)
        except OSError:
            return  # read-only: then nobody here writes, and a late listing costs a reader nothing

    def _walk(self, prefix: str, *, unfinished: bool = False) -> Iterator[Listed]:
        try:
            names = self._ops.list_directory(self._path(prefix))
        except FileNotFoundError:
            return
        for name, is_directory in names:
            path = f"{prefix}/{name}"
            if is_directory:
                yield from self._walk(path, unfinished=unfinished)
                continue
            if name.endswith(TEMPORARY_SUFFIX) != unfinished:
                continue
            try:
                yield Listed(path, self._ops.size(self._root / path))
            except FileNotFoundError:
                continue  # removed since the directory was read

    def create(self, name: str) -> NewFile:
        """Begin a new file."""
        return _NewFile(self._ops, self._path(name), name)

    def put(self, name: str, data: bytes) -> None:
        """Publish a small file whole."""
        new = self.create(name)
        try:
            new.write(data)
            new.publish()
        finally:
            new.discard()

    def hold(self, name: str, data: bytes) -> Hold:
        """Publish a small file whole, locked from before it is visible."""
        new = _NewFile(self._ops, self._path(name), name)
        try:
            new.write(data)
            return new.publish_locked()
        finally:
            new.discard()

    def is_held(self, name: str) -> bool | None:
        """Say whether the writer of a held file is alive: only a local file system's lock proves that it is not."""
        with _translated(f"cannot look at {name}"):
            if self._ops.is_locked(self._path(name)):
                return True
        return False if is_local(self._root) else None

    def delete(self, name: str) -> None:
        """Remove a file."""
        path = self._path(name)
        with _translated(f"cannot delete {name}"):
            try:
                self._ops.unlink(path)
            except FileNotFoundError:
                return
            self._ops.fsync_directory(path.parent)

    def move(self, name: str, new_name: str) -> None:
        """Give a file another name; one that has bad sectors, too."""
        old, new = self._path(name), self._path(new_name)
        with _translated(f"cannot move {name} to {new_name}"):
            if self._ops.exists(new):
                raise NameExists(f"{new_name} exists already")
            self._ops.make_directory(new.parent)
            self._ops.rename(old, new)
            for directory in sorted({old.parent, new.parent, new.parent.parent}):
                self._ops.fsync_directory(directory)

    def unfinished(self, prefix: str) -> list[str]:
        """Return the temporary files of writers, alive or not."""
        with _translated(f"cannot list {prefix}"):
            return [listed.name for listed in self._walk(prefix, unfinished=True)]

    def is_empty(self) -> bool:
        """Say whether the directory is missing or empty, but for what mkfs puts into a new file system."""
        with _translated(f"cannot list {self._root}"):
            try:
                return not {name for name, _ in self._ops.list_directory(self._root)} - {"lost+found"}
            except FileNotFoundError:
                return True

    def prepare(self, directories: Sequence[str]) -> None:
        """Make the directory and those below it, durably."""
        with _translated(f"cannot make {self._root}"):
            paths = [self._root, *(self._root / check_name(name) for name in directories)]
            for path in paths:
                self._ops.make_directory(path)
            for path in sorted({path.parent for path in paths}):
                self._ops.fsync_directory(path)

    def covers(self, path: Path) -> bool:
        """Say whether a path lies inside this directory, through links too."""
        return path.resolve().is_relative_to(self._root.resolve())

    def capacity(self) -> int | None:
        """Return the size of the file system in bytes."""
        with _translated(f"cannot look at {self._root}"):
            status = os.statvfs(self._root)
        return status.f_blocks * status.f_frsize

    def available(self) -> int | None:
        """Return the bytes of the file system that are free for whoever asks."""
        with _translated(f"cannot look at {self._root}"):
            status = os.statvfs(self._root)
        return status.f_bavail * status.f_frsize


class _NewFile:
    """A file under its temporary name."""

    def __init__(self, ops: FileOps, path: Path, name: str) -> None:
        self._ops = ops
        self._path = path
        self._name = name
        self._temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        self.size = 0
        self._descriptor: int | None = None
        self._unpublished = False
        with _translated(f"cannot create {name}"):
            if ops.exists(path):
                raise NameExists(f"{name} exists already")
            self._descriptor = self._create()
            self._unpublished = True

    def _create(self) -> int:
        """Create the file, and its directory if that alone is missing: a copy may have left out empty ones."""
        fan_out = self._path.parent
        try:
            return self._ops.create(self._temporary)
        except FileNotFoundError:
            # Only below a prefix: an empty mount point must not come to look like a repository.
            if self._name.count("/") < 2:  # noqa: PLR2004
                raise
            self._ops.make_directory(fan_out)
            self._ops.fsync_directory(fan_out.parent)
            return self._ops.create(self._temporary)

    def write(self, *parts: Buffer) -> None:
        """Append `parts`."""
        assert self._descriptor is not None, "written after publishing"
        with _translated(f"cannot write {self._name}"):
            self._ops.write(self._descriptor, parts)
        self.size += sum(len(part) for part in parts)

    def publish(self) -> None:
        """Make the file durable, then visible, then its name durable."""
        descriptor = self._sync()
        self._close(descriptor)
        self._rename()

    def publish_locked(self) -> Hold:
        """Publish, and keep the file's lock, taken before anybody can see it."""
        assert self._descriptor is not None, "published twice"
        with _translated(f"cannot lock {self._name}"):
            try:
                self._ops.lock(self._descriptor)
            except OSError as error:
                if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}:
                    raise  # a file system without locks: liveness then goes by the process
        hold = _Hold(self._ops, self._sync())
        self._descriptor = None
        try:
            self._rename()
        except BaseException:
            hold.release()  # whatever is there of it is a dead writer's
            raise
        return hold

    def _sync(self) -> int:
        assert self._descriptor is not None, "published twice"
        with _translated(f"cannot write {self._name}"):
            self._ops.fsync(self._descriptor)
            self._ops.drop_cache(self._descriptor)
        return self._descriptor

    def _close(self, descriptor: int) -> None:
        self._descriptor = None
        with _translated(f"cannot write {self._name}"):
            self._ops.close(descriptor)

    def _rename(self) -> None:
        with _translated(f"cannot publish {self._name}"):
            self._ops.rename(self._temporary, self._path)
            self._unpublished = False
            self._ops.fsync_directory(self._path.parent)

    def discard(self) -> None:
        """Close and remove what was not published."""
        try:
            if self._descriptor is not None:
                descriptor, self._descriptor = self._descriptor, None
                self._ops.close(descriptor)
            if self._unpublished:
                self._unpublished = False
                self._ops.unlink(self._temporary)
        except OSError:
            return  # whatever is left is swept by the next writer


class _Hold:
    """A descriptor that keeps a lock."""

    def __init__(self, ops: FileOps, descriptor: int) -> None:
        self._ops = ops
        self._descriptor: int | None = descriptor

    def share(self) -> None:
        """Let children inherit the lock."""
        if self._descriptor is not None:
            os.set_inheritable(self._descriptor, True)

    def release(self) -> None:
        """Give the lock up."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):  # nothing was written through it since it was synced
                self._ops.close(descriptor)
