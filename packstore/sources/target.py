"""Regular files and block devices as targets.

A block device is opened with O_EXCL, which the kernel refuses while it is mounted, a member of RAID or
LVM, or swap. Holes are made to read as zeros, whatever the device held before.
Before: operations.restore.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import struct
import threading
from pathlib import Path
from typing import Final

from packstore.blocks import zeros
from packstore.errors import TargetBusy, TargetError, TargetExists, TargetTooSmall, TargetWriteFailed
from packstore.limits import MIB
from packstore.sources.identity import device_name, target_name
from packstore.sources.memo import Memo

_BLKROGET: Final = 0x125E
_BLKZEROOUT: Final = 0x127F
_SECTOR: Final = 512
_FLUSH_BYTES: Final = 256 * MIB
"""Written back, and dropped from the cache, in steps of this size."""
_MEMO_SUFFIX: Final = ".packstore-resume"
_VANISHED: Final = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.EROFS}


class FileTarget:
    """A regular file, made anew or replaced, or a block device."""

    in_order = False

    def __init__(self, path: Path, *, force: bool, sparse: bool, state_directory: Path | None = None) -> None:
        """Touch nothing. `state_directory` is where is remembered how far a restore to a device has come."""
        self._path = path
        self._force = force
        self._state_directory = state_directory
        self._fresh = True
        self._sparse = sparse
        self._descriptor: int | None = None
        self._device = False
        self._unflushed = 0
        self._counting = threading.Lock()
        self._flushing = threading.Lock()
        self._lost: OSError | None = None

    def begin(self, size: int) -> None:
        """Open the target, refusing what must not be overwritten."""
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError:
            self._forget()
            self._open(os.O_CREAT | os.O_EXCL)
        except OSError as error:
            raise TargetError(f"{self._path} cannot be used: {error.strerror}") from error
        else:
            self._open_existing(mode, size)
        if not self._device:
            self._resize(size)

    def _open_existing(self, mode: int, size: int) -> None:
        self._require_usable(mode)
        if self._device:
            self._open(os.O_EXCL)
            self._require_writable()
            self._require_room(size)
        if not self._force:
            what = "is a block device, and what is on it would be overwritten" if self._device else "exists"
            raise TargetExists(f"{self._path} {what}", advice=self._advice())
        if not self._device:
            self._require_unused()
        # Durably, and before anything is overwritten: what is noted of the old content must not be believed of the new.
        self._forget()
        if not self._device:
            self._open(os.O_TRUNC)

    def _advice(self) -> str:
        memo = self._memo()
        if memo is not None and memo.exists():
            return "`restore --resume` goes on with the restore that was interrupted; --force begins anew"
        return "restore with --force if that is what you want"

    def go_on(self, size: int) -> None:
        """Open the target as an interrupted restore has left it."""
        try:
            status = self._path.stat()
        except OSError as error:
            raise TargetError(f"{self._path} cannot be used: {error.strerror}") from error
        self._fresh = False
        self._require_usable(status.st_mode)
        if self._device:
            self._open(os.O_EXCL)
            self._require_writable()
            self._require_room(size)
        else:
            self._require_unused()
            self._open(0)
            if status.st_size != size:
                raise TargetError(f"{self._path} has {status.st_size} bytes, not the {size} that were restored to")

    def _require_usable(self, mode: int) -> None:
        self._device = stat.S_ISBLK(mode)
        if not self._device and not stat.S_ISREG(mode):
            raise TargetError(f"{self._path} is neither a file nor a block device")

    def _require_room(self, size: int) -> None:
        have = os.lseek(self._fd, 0, os.SEEK_END)
        if have < size:
            raise TargetTooSmall(f"{self._path} has {have} bytes, the version has {size}")

    def _require_unused(self) -> None:
        if holder := _loop_device_of(self._path):
            raise TargetBusy(f"{self._path} is in use: it is what is behind {holder}", advice="detach it first")

    def _require_writable(self) -> None:
        """Refuse a read-only device before anything is read: the kernel opens it, and fails at the first write."""
        answer = fcntl.ioctl(self._fd, _BLKROGET, struct.pack("=i", 0))
        if struct.unpack("=i", answer) != (0,):
            raise TargetError(f"{self._path} is read-only", advice="`blockdev --setrw` changes that")

    def _open(self, flags: int) -> None:
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        except OSError as error:
            if error.errno == errno.EBUSY:
                where = _mounted_at(self._path)
                raise TargetBusy(f"{self._path} is in use{where}", advice="unmount it first") from error
            raise TargetError(f"{self._path} cannot be written: {error.strerror}") from error

    def _resize(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
        except OSError as error:
            raise self._failed(error, 0) from error

    @property
    def _fd(self) -> int:
        assert self._descriptor is not None, "used before begin or after close"
        return self._descriptor

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`."""
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._fd, view, offset)
                offset += written
                view = view[written:]
            if self._is_flush_due(len(data)):
                self._flush()
        except OSError as error:
            raise self._failed(error, offset) from error

    def _is_flush_due(self, written: int) -> bool:
        with self._counting:
            self._unflushed += written
            if self._unflushed < _FLUSH_BYTES:
                return False
            self._unflushed = 0
            return True

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros: nothing to do for holes of a file unless it is not to be sparse."""
        if not self._device and self._sparse and (self._fresh or self._is_hole(offset, length)):
            return
        if self._device and self._sparse:
            begin, end = -(-offset // _SECTOR) * _SECTOR, (offset + length) // _SECTOR * _SECTOR
            if begin < end and self._zero_sectors(begin, end - begin):
                self._write_zeros(offset, begin - offset)
                self._write_zeros(end, offset + length - end)
                return
        self._write_zeros(offset, length)

    def _is_hole(self, offset: int, length: int) -> bool:
        """Say whether a range of a file that was not begun just now was never written."""
        try:
            return os.lseek(self._fd, offset, os.SEEK_DATA) >= offset + length
        except OSError as error:
            return error.errno == errno.ENXIO

    def _zero_sectors(self, offset: int, length: int) -> bool:
        try:
            fcntl.ioctl(self._fd, _BLKZEROOUT, struct.pack("=QQ", offset, length))
        except OSError as error:
            if error.errno in _VANISHED:
                raise self._failed(error, offset) from error
            return False
        return True

    def _write_zeros(self, offset: int, length: int) -> None:
        while length > 0:
            step = min(length, MIB)
            self.write(offset, zeros(step))
            offset += step
            length -= step

    def finish(self) -> None:
        """Wait until everything is on the disk."""
        try:
            self._flush()
            os.fsync(self._fd)
        except OSError as error:
            raise self._failed(error, 0) from error
        with contextlib.suppress(TargetError):
            self._forget()  # what is left of it says that nothing is left to do, and is right

    @property
    def name(self) -> str:
        """What tells the open target from every other one."""
        return target_name(self._fd)

    def recall(self) -> bytes | None:
        """Return what was noted last."""
        memo = self._memo()
        return memo.read() if memo else None

    def note(self, content: bytes) -> None:
        """Wait until everything is on the disk, and only then remember that it is."""
        try:
            self._flush()
        except OSError as error:
            raise self._failed(error, 0) from error
        memo = self._memo()
        if memo is None:
            raise TargetError(f"nothing tells {self._path} from another device")
        memo.write(content)

    def _forget(self) -> None:
        memo = self._memo()
        if memo is not None:
            memo.remove()

    def _memo(self) -> Memo | None:
        """Return where is noted how far a restore has come: beside a file; by a device's own name."""
        try:
            status = self._path.stat()
        except OSError:
            status = None
        if status is None or not stat.S_ISBLK(status.st_mode):
            return Memo(self._path.with_name(self._path.name + _MEMO_SUFFIX))
        name = device_name(status.st_rdev)
        if not name or self._state_directory is None:
            return None
        return Memo(self._state_directory / f"restore-{hashlib.sha256(name.encode()).hexdigest()[:32]}")

    def _flush(self) -> None:
        """Write everything back. The kernel tells of each failure once; it is final, whichever thread is told."""
        with self._flushing:
            if self._lost is not None:
                raise self._lost
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                self._lost = error
                raise
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def _failed(self, error: OSError, offset: int) -> TargetWriteFailed:
        message = f"{self._path} cannot be written at {offset}: {error.strerror}; what is there is incomplete"
        return TargetWriteFailed(message)

    def close(self) -> None:
        """Close the target."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


def _loop_device_of(path: Path) -> str:
    """Return the loop device that shows a file as a disk; empty if none does."""
    real = str(path.resolve())
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if backing.read_text(encoding="utf-8", errors="replace").rstrip("\n") == real:
                return f"/dev/{backing.parts[-3]}"
    return ""


def _mounted_at(path: Path) -> str:
    """Say where a device is mounted, or by what it is held; empty if nothing tells."""
    number = path.stat().st_rdev
    name = f"{os.major(number)}:{os.minor(number)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        if fields[2] == name:
            return f": mounted at {fields[4]}"
    holders = Path(f"/sys/dev/block/{name}/holders")
    held_by = sorted(entry.name for entry in holders.iterdir()) if holders.is_dir() else []
    return f": held by {', '.join(held_by)}" if held_by else ""
