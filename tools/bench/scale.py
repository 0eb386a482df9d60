"""How packstore behaves at sizes that no disk here holds: `make bench-scale`, which writes docs/SCALE.md.

    python -m tools.bench.scale DIR [--write docs/SCALE.md] [--objects 10000000 --objects 50000000]

DIR should be on a tmpfs or a fast disk with 10 GiB to spare; what is in it already is used again.
"""

import argparse
import os
import platform
import shutil
import sys
from pathlib import Path

from tools.bench import scale_index, scale_versions, scale_volumes
from tools.programs import ToolError

_OBJECTS = (10_000_000, 50_000_000)
_TEXT = """# Scale

Made by `make bench-scale` (`tools/bench/scale.py`) at low priority on a machine with other work to do:
{machine}. So the clock says little, and processor time more than on an idle machine.
What the figures are to each other is what to look at.

## Backups of which somebody knows what has changed

`packstore backup --hints` of 100 changed blocks of 1 MiB, read from a synthetic device (`null://`) into an encrypted
repository. The version before it was not read from a device, which would take days: its device has 257 different
blocks, which come again and again. These were stored by an ordinary backup, and all pages over them like any others;
so the index is that of a small repository. The content of the smallest volume was compared with its device.

{volumes}

The cost is that of the changes: each is a block, and the pages above it, of which there are one, three or four levels.
The blocks of a synthetic device compress to almost nothing, so what is stored is the metadata.

## Making the index anew

The first command after the index was deleted, by the number of objects in the repository: all of `meta/` is read,
decrypted and verified. The directories are those of packs with 150 blocks each. Ten million objects are taken in at a
time, which is what bounds the memory.

{index}

## Ten thousand versions

Each in a meta pack of its own, as backups leave them before the first `gc`; opened with a key file. The least of five
runs.

{versions}
"""


def _machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{len(names)} processors, {names[0] if names else platform.machine()}, Python {platform.python_version()}"


def measure(directory: Path, objects: list[int]) -> str:
    """Return the document."""
    costs = []
    for size in scale_volumes.SIZES:
        shutil.rmtree(directory / f"volume-{size}", ignore_errors=True)
        costs.append(scale_volumes.measure(directory / f"volume-{size}", size))
    _note(scale_volumes.report(costs))
    scale_versions.build(directory / "versions")
    taken = scale_versions.measure(directory / "versions")
    _note(scale_versions.report(taken))
    rebuilt = []
    for count in objects:
        scale_index.build(directory / f"index-{count}", count)
        rebuilt.append(scale_index.measure(directory / f"index-{count}", count))
        _note(scale_index.report(rebuilt))
    return _TEXT.format(
        machine=_machine(),
        volumes=scale_volumes.report(costs),
        index=scale_index.report(rebuilt),
        versions=scale_versions.report(taken),
    )


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description="Measure packstore at sizes that no disk here holds.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="where to work; indexes there are used again")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the document here, not to standard output")
    parser.add_argument("--objects", type=int, action="append", metavar="N", help="in the index, several times")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("PACKSTORE_")]:
        del os.environ[name]
    try:
        text = measure(options.directory.resolve(), options.objects or list(_OBJECTS))
    except ToolError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
