"""What is backed up: four images, made once and kept.

    python -m tools.bench.data DIR [--quick] [--mirror URL]

In DIR: debian.img and debian-day2.img (see debian.py), random.img and empty.img. With --quick, for which nobody needs
to be root, small ones, with the file systems that tools/images.py fills from this machine's own files.
"""

import argparse
import random
import sys
from dataclasses import dataclass
from pathlib import Path

from tools import images
from tools.bench import debian
from tools.measure import MIB
from tools.programs import ToolError

_SMALL = (
    "These are the small images of `make bench-quick`: debian.img is a file system with files of this machine that has "
    "never been in use, debian-day2.img the same one with some files written and some removed."
)


@dataclass(frozen=True)
class Data:
    """The four images of a directory."""

    directory: Path
    about: str = ""
    """What they are, in words."""

    @property
    def day1(self) -> Path:
        """A file system full of real files."""
        return self.directory / "debian.img"

    @property
    def day2(self) -> Path:
        """The same one a day later."""
        return self.directory / "debian-day2.img"

    @property
    def random(self) -> Path:
        """Bytes that nothing can compress."""
        return self.directory / "random.img"

    @property
    def empty(self) -> Path:
        """One large hole."""
        return self.directory / "empty.img"

    def all(self) -> tuple[Path, ...]:
        """Return all four."""
        return (self.day1, self.day2, self.random, self.empty)


def prepare(directory: Path, *, quick: bool, mirror: str | None = None) -> Data:
    """Return the images in `directory`, after making those that are missing."""
    data = Data(directory, _SMALL if quick else debian.ABOUT)
    data.directory.mkdir(parents=True, exist_ok=True)
    if not data.empty.exists():
        _make_empty(data.empty, (1024 if quick else 8192) * MIB)
    if not data.random.exists():
        _make_random(data.random, (256 if quick else 2048) * MIB)
    if not (data.day1.exists() and data.day2.exists()):
        print(f"  build {data.day1} and {data.day2} …", flush=True)
        if quick:
            _make_small(data.day1, data.day2)
        else:
            debian.build(data.day1, data.day2, mirror)
    return data


def _make_empty(path: Path, size: int) -> None:
    with path.open("xb") as file:
        file.truncate(size)


def _make_random(path: Path, size: int) -> None:
    chance = random.Random(3)  # noqa: S311 (the same bytes every time)
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        for _ in range(size // MIB):
            file.write(chance.randbytes(MIB))
    unfinished.rename(path)


def _make_small(day1: Path, day2: Path) -> None:
    for path in (day1, day2):
        path.unlink(missing_ok=True)
    images.require_space(day1.parent)
    unfinished = day2.with_suffix(".tmp")
    unfinished.unlink(missing_ok=True)
    contents = images.build(unfinished)
    images.copy_sparse(unfinished, day1)
    images.change(unfinished, contents)
    unfinished.rename(day2)


def main() -> int:
    """Make the images."""
    parser = argparse.ArgumentParser(description="Make the images that are measured.")
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="small ones, for which nobody needs to be root")
    parser.add_argument("--mirror", help="where debootstrap finds Debian's packages (default: its own default)")
    options = parser.parse_args()
    try:
        data = prepare(options.directory, quick=options.quick, mirror=options.mirror)
    except (ToolError, OSError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    for path in data.all():
        print(f"{path}: {path.stat().st_size // MIB} MiB, {path.stat().st_blocks * 512 // MIB} MiB of it no holes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
