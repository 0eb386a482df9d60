"""Which file system a path lies on: a free lock proves something only on a local one."""

from pathlib import Path
from typing import Final

_LOCAL: Final = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "exfat", "vfat", "msdos"}
    | {"tmpfs", "ramfs", "overlay", "jfs", "reiserfs", "ntfs3", "udf"}
)


def file_system_type(path: Path) -> str:
    """Return the type of the file system that `path` lies on; empty where nothing says."""
    resolved = path.resolve()
    best, kind = -1, ""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        mount_point = Path(fields.split()[4].encode().decode("unicode_escape"))
        if resolved.is_relative_to(mount_point) and len(mount_point.parts) >= best:
            best, kind = len(mount_point.parts), rest.split()[0]
    return kind


def is_local(path: Path) -> bool:
    """Say whether locks on `path` are seen by everybody who can see its files."""
    return file_system_type(path) in _LOCAL
