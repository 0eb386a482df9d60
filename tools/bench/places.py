"""Where data and repositories lie while they are measured: in memory, or on a disk of which nothing is cached."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.results import DISK, MEMORY
from tools.images import copy_sparse
from tools.measure import MIB, Command, run
from tools.programs import ToolError

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (a directory of our own is made in it)
_SPACE_FACTOR = 2.2
"""Both days of an image, a repository and a restored image, in parts of both days' bytes; with some room."""


@dataclass(frozen=True)
class Place:
    """A directory for repositories, and how images come to it."""

    name: str
    directory: Path

    @contextmanager
    def staged(self, *images: Path) -> Iterator[list[Path]]:
        """Have images where they are measured: on the disk they are, into memory they are copied."""
        if self.name == DISK:
            yield [image.resolve() for image in images]
            return
        copies = [self.directory / image.name for image in images]
        try:
            for image, copy in zip(images, copies, strict=True):
                copy_sparse(image, copy)
            yield copies
        finally:
            for copy in copies:
                copy.unlink(missing_ok=True)

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """Have an empty directory, and remove it with all that comes into it."""
        directory = self.directory / "work"
        directory.mkdir()
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def settle(self) -> None:
        """On a disk, have everything written and nothing cached, neither of the data nor of the programs."""
        if self.name == DISK:
            os.sync()
            Path("/proc/sys/vm/drop_caches").write_text("3\n")


@contextmanager
def disk(directory: Path) -> Iterator[Place]:
    """Work in a fresh directory on the disk where the images are. Raises ToolError if caches cannot be dropped."""
    if os.geteuid() != 0:
        raise ToolError("only root can drop the page cache, and without that the disk is not what is measured")
    with tempfile.TemporaryDirectory(prefix="run-", dir=directory.resolve()) as work:
        yield Place(DISK, Path(work))


@contextmanager
def memory(directory: Path, used: int) -> Iterator[Place]:
    """Work on a tmpfs: below `directory` on one of our own if we are root, else in the shared memory.

    `used` is how many bytes of the images are no holes. Raises ToolError if there is too little memory.
    """
    needed = int(used * _SPACE_FACTOR)
    if os.geteuid() != 0:
        _require(needed, shutil.disk_usage(_SHARED_MEMORY).free, str(_SHARED_MEMORY))
        with tempfile.TemporaryDirectory(prefix="packstore-bench-", dir=_SHARED_MEMORY) as work:
            yield Place(MEMORY, Path(work))
        return
    _require(needed, _available_memory(), "memory")
    point = directory.resolve() / "memory"
    point.mkdir(exist_ok=True)
    if point.is_mount():  # a run that was killed
        run(Command(("umount", str(point))))
    run(Command(("mount", "-t", "tmpfs", "-o", f"size={needed + 1024 * MIB},mode=700", "packstore-bench", str(point))))
    try:
        yield Place(MEMORY, point)
    finally:
        run(Command(("umount", "--lazy", str(point))))
        point.rmdir()


def _require(needed: int, free: int, what: str) -> None:
    if free < needed:
        raise ToolError(f"{free // MIB} MiB are free in {what}, {needed // MIB} MiB are needed; or try bench-quick")


def _available_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
