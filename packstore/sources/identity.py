"""What names a state of a source: two equal names mean equal bytes. FORMAT.md section 10.2.

A name is given only where it can be proven that the state cannot change, or where a person has said so; it is
empty otherwise. Proven means: as the kernel tells it. Whoever writes past the kernel's view (to the disk underneath
a read-only volume, to a snapshot's table) is not noticed.
Before: nothing. After: sources.file, sources.target.
"""

import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import Final

_GET_FLAGS: Final = 0x80086601
"""FS_IOC_GETFLAGS"""
_IMMUTABLE_FLAG: Final = 0x10
"""FS_IMMUTABLE_FL, what `chattr +i` sets"""
_BLKROGET: Final = 0x125E
_LOCAL: Final = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "squashfs", "erofs", "iso9660", "udf", "vfat", "exfat"}
)
"""File systems whose files nobody changes but this kernel: a server's may change under a read-only mount."""


def state_name(descriptor: int, *, promised: bool) -> str:
    """Return the name of the state that an open file or block device is in; empty if it may change.

    `promised`: somebody gives their word that it does not change.
    """
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return file_name(descriptor) if promised or _is_frozen_file(descriptor, status) else ""
        if stat.S_ISBLK(status.st_mode):
            return _device_state(descriptor, status.st_rdev, promised=promised)
    except (OSError, ValueError):
        return ""  # what cannot be asked is not proven
    return ""


def file_name(descriptor: int) -> str:
    """Return the name of a regular file's state: any write, and any change of its times, gives it another."""
    status = os.fstat(descriptor)
    fields = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return f"file {os.fstatvfs(descriptor).f_fsid:x} " + " ".join(str(field) for field in fields)


def _is_frozen_file(descriptor: int, status: os.stat_result) -> bool:
    return _has_immutable_flag(descriptor) or _lies_on_frozen_file_system(status.st_dev)


def _has_immutable_flag(descriptor: int) -> bool:
    try:
        answer = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    except OSError:
        return False  # the file system has no such flags
    return bool(struct.unpack_from("=I", answer)[0] & _IMMUTABLE_FLAG)


def _lies_on_frozen_file_system(device: int) -> bool:
    """Say whether a file system itself is read-only; a read-only mount of a writable one proves nothing."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        mount, _, file_system = line.partition(" - ")
        if mount.split()[2] == number:
            kind, _, options = file_system.rpartition(" ")
            return "ro" in options.split(",") and kind.split()[0] in _LOCAL
    return False


def _device_state(descriptor: int, number: int, *, promised: bool) -> str:
    read_only = struct.unpack("=i", fcntl.ioctl(descriptor, _BLKROGET, bytes(4))) != (0,)
    if not promised and not (read_only and _read(_sysfs(number) / "dm/uuid")):
        return ""
    # With the turn: a snapshot that was removed and made again must not have the name of the first.
    name = f"{_own_name(number)}{_turn(number)}"
    return f"device {name}{_part(number)} {os.lseek(descriptor, 0, os.SEEK_END)}" if name else ""


def device_name(number: int) -> str:
    """Return what a block device is called by itself, not where it happens to be; empty if nothing tells.

    A device with a name of its own keeps it when the machine is started anew. One without has a name for as long as it
    is set up, by how often the kernel has set devices up (since 5.15).
    """
    name = _own_name(number) or _turn(number)
    return f"device {name}{_part(number)}" if name else ""


def _own_name(number: int) -> str:
    disk = _disk(number)
    for name in ("dm/uuid", "device/wwid", "device/serial", "wwid", "serial"):
        if found := _read(disk / name):
            return " ".join(found.split())
    return ""


def _turn(number: int) -> str:
    count = _read(_disk(number) / "diskseq")
    boot = _read(Path("/proc/sys/kernel/random/boot_id"))
    return f" {count} since {boot}" if count and boot else ""


def _part(number: int) -> str:
    place = _sysfs(number)
    partition = _read(place / "partition")
    return f" part {partition} at {_read(place / 'start')}" if partition else ""


def _disk(number: int) -> Path:
    """Return where the kernel tells about a device, or about the disk that it is a part of."""
    place = _sysfs(number)
    return place.resolve().parent if _read(place / "partition") else place


def target_name(descriptor: int) -> str:
    """Return the name of an open file or block device, whatever it holds; empty if nothing tells it from another."""
    try:
        status = os.fstat(descriptor)
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if stat.S_ISBLK(status.st_mode):
            name = device_name(status.st_rdev)
            return f"{name} {size}" if name else ""
        # Not the number of the device, which may be another after the machine was started anew.
        return f"file {os.fstatvfs(descriptor).f_fsid or status.st_dev:x} {status.st_ino} {size}"
    except OSError:
        return ""


def _sysfs(number: int) -> Path:
    return Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
