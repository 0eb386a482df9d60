"""What is mounted where: a free lock proves something only on a local file system, and disks come and go."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOCAL: Final = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "exfat", "vfat", "msdos"}
    | {"tmpfs", "ramfs", "overlay", "jfs", "reiserfs", "ntfs3", "udf"}
)
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mounted file system: where, of which type, and what it is mounted from."""

    point: Path
    kind: str
    source: str


def mounts() -> list[Mount]:
    """Return what is mounted, the latest last; nothing where nobody says."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields, _, rest = line.partition(" - ")
        kind, source = rest.split()[:2]
        found.append(Mount(Path(_unescaped(fields.split()[4])), kind, _unescaped(source)))
    return found


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def file_system_type(path: Path) -> str:
    """Return the type of the file system that `path` lies on; empty where nothing says."""
    resolved = path.resolve()
    best, kind = -1, ""
    for mount in mounts():
        if resolved.is_relative_to(mount.point) and len(mount.point.parts) >= best:
            best, kind = len(mount.point.parts), mount.kind
    return kind


def is_local(path: Path) -> bool:
    """Say whether locks on `path` are seen by everybody who can see its files."""
    return file_system_type(path) in _LOCAL
