"""Find repositories in directories of mounted file systems: by what they are, wherever their disk is mounted today.

Before: repository.opening, storage.mounts. After: the command line.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from packstore.errors import PackstoreError
from packstore.format.document import RepositoryFile
from packstore.format.record import Kind
from packstore.format.version import decode_version
from packstore.index.objectindex import ObjectIndex
from packstore.repository.documents import REPOSITORY_NAME
from packstore.repository.opening import read_repository_file
from packstore.repository.repository import index_directory
from packstore.storage.file import FileStorage
from packstore.storage.mounts import mounts

_WITHOUT_FILES: Final = frozenset(
    {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs"}
    | {"fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs", "sysfs", "tracefs"}
)
_LEVELS: Final = 2
_MAX_ENTRIES: Final = 10_000
"""Of one directory: where there are more, as below /var/mail, nobody keeps a repository."""


@dataclass(frozen=True)
class FoundRepository:
    """A repository, its place, and whether this process may write there."""

    path: Path
    file: RepositoryFile
    writable: bool


def find_repositories(more: Iterable[Path] = ()) -> list[FoundRepository]:
    """Return the repositories at `more`, and in the top two levels of directories of what is mounted; each once.

    What cannot be read, and what is no repository that this program understands, is passed over.
    """
    found: dict[tuple[int, int], FoundRepository] = {}
    for path in [*more, *_directories()]:
        try:
            status = (path / REPOSITORY_NAME).stat()
        except (OSError, ValueError):
            continue
        # One that is mounted twice is found once.
        if (status.st_dev, status.st_ino) in found:
            continue
        try:
            file = read_repository_file(FileStorage(path)).file
        except PackstoreError:
            continue
        found[status.st_dev, status.st_ino] = FoundRepository(path, file, os.access(path, os.W_OK))
    return sorted(found.values(), key=lambda one: one.path)


def _directories() -> Iterator[Path]:
    for point in sorted({mount.point for mount in mounts() if mount.kind not in _WITHOUT_FILES}):
        yield from _below(point, _LEVELS)


def _below(directory: Path, levels: int) -> Iterator[Path]:
    yield directory
    if not levels:
        return
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in islice(entries, _MAX_ENTRIES) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for name in sorted(names):
        yield from _below(directory / name, levels - 1)


def last_backup_ms(index_root: Path, found: FoundRepository) -> int | None:
    """Return the date of the latest version that this host knows of there; None: it has no index that says so.

    Needs no key: the index has what was read with one.
    """
    directory = index_directory(index_root, found.file, FileStorage(found.path))
    if not directory.is_dir():
        return None
    try:
        index = ObjectIndex(directory, found.file.id)
    except PackstoreError:
        return None
    try:
        return max((decode_version(plain).date_ms for plain in index.records(Kind.VERSION)), default=None)
    except PackstoreError:
        return None
    finally:
        index.close()
