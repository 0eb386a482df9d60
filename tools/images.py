"""Disk images with a real ext4 file system full of real files, and their second day.

Nothing here needs root: mkfs.ext4 fills the file system itself (-d), and debugfs writes into it. Only
files under /usr that everybody may read are copied. A machine with few files gets generated ones too.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from tools.measure import MIB, Command, run
from tools.programs import ToolError, find

IMAGE_BYTES = 1536 * MIB
CONTENT_BYTES = 900 * MIB
SCRATCH_BYTES = 5 * 1024 * MIB
"""Free space that building, backing up twice and restoring an image takes at the most."""

_QUOTAS = (("/usr/bin", 200 * MIB), ("/usr/share", 250 * MIB), ("/usr/lib", 450 * MIB))
"""Programs, many small texts, libraries: about the mixture of a system disk."""
_MAX_FILES_EACH = 4000
"""Of each of these directories: small files by the ten thousand take long to copy and show nothing more."""
_INODES = 60_000
"""Enough for the files, their directories and the symbolic links between them."""
_GENERATED_FILE_BYTES = 4 * MIB
_REMOVED_ONE_IN = 40
"""Files that lie together, as when a package is removed."""
_WRITTEN_FILES = 24


@dataclass
class Contents:
    """What was put into an image. `paths` are the files, as named inside the image."""

    size: int = 0
    generated: int = 0
    paths: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Changes:
    """What the second day did to an image."""

    files_written: int
    bytes_written: int
    files_removed: int


def require_space(directory: Path) -> None:
    """Raise ToolError unless the disk of `directory` has room for a whole run."""
    free = shutil.disk_usage(directory).free
    if free < SCRATCH_BYTES:
        raise ToolError(f"{directory} has {free // MIB} MiB free, {SCRATCH_BYTES // MIB} MiB are needed")


def build(image: Path) -> Contents:
    """Make an image of the first day at `image`; uses as much space again beside it while it works."""
    mkfs = find("mkfs.ext4", "e2fsprogs")
    staging = image.with_name(image.name + ".files")
    staging.mkdir()
    contents = Contents()
    left = 0
    for directory, quota in _QUOTAS:
        left = _copy_some(Path(directory), staging, left + quota, contents)
    if contents.size < CONTENT_BYTES - _GENERATED_FILE_BYTES:
        _generate(staging / "generated", CONTENT_BYTES - contents.size, contents)
    with image.open("xb") as file:
        file.truncate(IMAGE_BYTES)
    run(Command((mkfs, "-q", "-F", "-m", "0", "-N", str(_INODES), "-d", str(staging), str(image))))
    shutil.rmtree(staging)
    return contents


def change(image: Path, contents: Contents) -> Changes:
    """Turn `image` into its second day: new logs and archives, and some files gone."""
    debugfs, e2fsck = find("debugfs", "e2fsprogs"), find("e2fsck", "e2fsprogs")
    fresh = image.with_name(image.name + ".fresh")
    fresh.mkdir()
    written = Contents()
    _generate(fresh, _WRITTEN_FILES * _GENERATED_FILE_BYTES // 4, written, size=_GENERATED_FILE_BYTES // 4)
    gone = contents.paths[len(contents.paths) // 2 :][: len(contents.paths) // _REMOVED_ONE_IN]
    requests = fresh / "requests"
    requests.write_text(
        "\n".join(
            chain(
                (f'rm "{path}"' for path in gone),
                ["mkdir /day-2", "cd /day-2"],
                (f'write "{fresh / Path(path).name}" {Path(path).name}' for path in written.paths),
                [""],
            )
        )
    )
    run(Command((debugfs, "-w", "-f", str(requests), str(image))))
    # debugfs exits with 0 whatever happened, so a second program has to say that the result is sound.
    run(Command((e2fsck, "-f", "-n", str(image))))
    shutil.rmtree(fresh)
    return Changes(len(written.paths), written.size, len(gone))


def first_difference(one: Path, other: Path) -> int | None:
    """Return the offset of the first differing MiB of two files, or None where they are equal."""
    # The same two buffers every time: new ones would cost several times as much as the comparison.
    mine, theirs = bytearray(MIB), bytearray(MIB)
    with one.open("rb") as left, other.open("rb") as right:
        offset = 0
        while True:
            length = left.readinto(mine)
            if right.readinto(theirs) != length or mine != theirs:
                return offset
            if not length:
                return None
            offset += length


def copy_sparse(source: Path, target: Path) -> None:
    """Copy an image, leaving holes where it has only zeros."""
    run(Command(("cp", "--sparse=always", "--reflink=auto", str(source), str(target))))


def _copy_some(directory: Path, staging: Path, quota: int, contents: Contents) -> int:
    """Copy public regular files and symbolic links of a directory; return how much of its quota is left."""
    files = 0
    for path, size in _public_files(directory):
        if files == _MAX_FILES_EACH:
            break
        if size > quota:
            continue
        target = staging / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, target, follow_symlinks=False)
        except OSError:  # gone or changed meanwhile: any other file will do as well
            continue
        files += 1
        if not target.is_symlink():
            quota -= size
            contents.size += size
            contents.paths.append(str(path))
    return quota


def _public_files(directory: Path) -> Iterator[tuple[Path, int]]:
    """Yield path and size of files that everybody may read, and of links, in an order that stays the same."""
    for parent, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            status = path.lstat()
            public = stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH
            # debugfs takes names in double quotes and has no way to escape one.
            if (public or stat.S_ISLNK(status.st_mode)) and name.isprintable() and '"' not in name:
                yield path, status.st_size


def _generate(directory: Path, total: int, contents: Contents, *, size: int = _GENERATED_FILE_BYTES) -> None:
    """Write files of pseudo-random bytes and, in turn, of their hex digits, which compress to a half."""
    directory.mkdir(exist_ok=True)
    for number in range(total // size):
        stream = hashlib.shake_128(f"file {number} of {total}".encode())
        data = stream.digest(size) if number % 2 else stream.hexdigest(size // 2).encode()
        (directory / f"{number:04}.dat").write_bytes(data)
        contents.paths.append(f"/{directory.name}/{number:04}.dat")
        contents.size += size
        contents.generated += size
