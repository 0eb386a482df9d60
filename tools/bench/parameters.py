"""Block size, zstd level and pack size compared on the images of both days, in memory.

    python -m tools.bench.parameters [--dir bench-out] [--quick] [--rounds 1]

Prints a Markdown table. One parameter at a time differs from packstore's default. How many entries a page has cannot be
compared in this way: the format says 256 (FORMAT.md section 9.3), readers compute from it where an entry is, and so a
repository with another number would be one of another format.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tools.bench import places
from tools.bench.data import prepare
from tools.bench.places import Place
from tools.measure import Measured, run, tree_bytes
from tools.programs import ToolError
from tools.store import Store, forget_user_settings
from tools.table import mib, table

_VOLUME = "disk"


@dataclass(frozen=True)
class Parameters:
    """What is compared; these are the defaults."""

    block_size: str = "1MiB"
    level: int = 3
    pack_size: str = "128MiB"


_DEFAULT = Parameters()
_COMPARED = (
    *(replace(_DEFAULT, block_size=size) for size in ("64KiB", "256KiB", "512KiB", "1MiB", "4MiB")),
    *(replace(_DEFAULT, level=level) for level in (1, 6, 9)),
    *(replace(_DEFAULT, pack_size=size) for size in ("16MiB", "64MiB", "256MiB", "1GiB")),
)


@dataclass(frozen=True)
class Outcome:
    """What a repository with some parameters costs."""

    first: Measured
    day2: Measured
    restore: Measured
    first_bytes: int
    both_bytes: int
    meta_bytes: int
    packs: int
    index_bytes: int


def _try(place: Place, parameters: Parameters, day1: Path, day2: Path) -> Outcome:
    """Back up both days into a fresh repository, and restore the second."""
    with place.fresh() as directory:
        store = Store(directory, with_key_file=True)
        sizes = ("--block-size", parameters.block_size, "--pack-size", parameters.pack_size)
        run(store.command("init", *sizes))
        level = ("--compression", f"zstd:{parameters.level}")
        first = run(store.command("backup", *level, str(day1), _VOLUME))
        first_bytes = store.stored_bytes
        second = run(store.command("backup", *level, str(day2), _VOLUME))
        restore = run(store.command("restore", _VOLUME, str(directory / "restored")))
        return Outcome(
            first=first,
            day2=second,
            restore=restore,
            first_bytes=first_bytes,
            both_bytes=store.stored_bytes,
            meta_bytes=tree_bytes(store.repository / "meta"),
            packs=sum(1 for path in (store.repository / "packs").rglob("*") if path.is_file()),
            # The file of the index may have holes.
            index_bytes=sum(path.stat().st_blocks * 512 for path in (directory / "index").rglob("*") if path.is_file()),
        )


def _rows(outcomes: dict[Parameters, list[Outcome]]) -> Iterator[tuple[str, ...]]:
    for parameters, tries in outcomes.items():
        last = tries[-1]
        yield (
            f"{parameters.block_size}, zstd {parameters.level}, {parameters.pack_size}",
            mib(last.first_bytes),
            mib(last.both_bytes - last.first_bytes),
            mib(last.meta_bytes),
            str(last.packs),
            mib(last.index_bytes),
            *(
                f"{median(getattr(each, name).seconds for each in tries):.2f} "
                f"({median(getattr(each, name).cpu_seconds for each in tries):.2f})"
                for name in ("first", "day2", "restore")
            ),
        )


def compare(directory: Path, rounds: int, *, quick: bool) -> str:
    """Return the table; the rounds go through all parameters in turn."""
    data = prepare(directory, quick=quick)
    used = sum(image.stat().st_blocks * 512 for image in (data.day1, data.day2))
    outcomes: dict[Parameters, list[Outcome]] = {parameters: [] for parameters in _COMPARED}
    with places.memory(directory, used) as place, place.staged(data.day1, data.day2) as (day1, day2):
        for _ in range(rounds):
            for parameters, tries in outcomes.items():
                print(f"  {parameters}", file=sys.stderr, flush=True)
                tries.append(_try(place, parameters, day1, day2))
    header = (
        *("blocks, compression, packs", "day 1, MiB", "day 2 more, MiB", "metadata, MiB", "packs", "index, MiB"),
        *("first backup, s (CPU)", "day 2, s (CPU)", "restore, s (CPU)"),
    )
    return table(header, list(_rows(outcomes)))


def main() -> int:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description="Compare block sizes, zstd levels and pack sizes.")
    parser.add_argument("--dir", type=Path, default=Path("bench-out"), help="where the images are (default: bench-out)")
    parser.add_argument("--quick", action="store_true", help="small images, for which nobody needs to be root")
    parser.add_argument("--rounds", type=int, default=1, help="how often to measure everything (default: 1)")
    options = parser.parse_args()
    forget_user_settings()
    try:
        print(compare(options.dir / "quick" if options.quick else options.dir, options.rounds, quick=options.quick))
    except (ToolError, OSError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
