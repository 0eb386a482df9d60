"""Let many real processes work on one repository, kill some, and see that every promise is kept: `make soak`.

    python -m tools.soak [--minutes 30] [--seed N] [--dir DIRECTORY]

Four volumes are edited and backed up, one process checks, one restores, one removes and collects; what
that proves stands in CONTRIBUTING.md. The seed repeats the decisions, not the moments at which they fall.
Exits with 1, and keeps the directory, if anything is not as promised.
"""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tools.programs import ToolError
from tools.soak.engine import SoakOptions, soak
from tools.soak.story import SoakFailureError


def main(arguments: list[str]) -> int:
    """Soak, and print the numbers."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the processes work (default 30)")
    parser.add_argument("--seed", type=int, help="decide as a soak that printed this seed (default: at random)")
    parser.add_argument("--dir", type=Path, help="work here, in an empty directory, and keep it")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    work = options.dir or Path(tempfile.mkdtemp(prefix="packstore-soak-"))
    work.mkdir(parents=True, exist_ok=True)
    print(f"seed {seed}; {options.minutes:g} minutes; in {work}", flush=True)
    try:
        numbers = soak(work.resolve(), SoakOptions(60 * options.minutes, seed))
    except (SoakFailureError, ToolError) as error:
        print(f"\n{error}\n\nseed {seed}; everything is kept in {work}", file=sys.stderr)
        return 1
    for name, number in numbers.items():
        print(f"  {name.replace('_', ' '):<24} {number:>16,}")
    print(f"seed {seed}: everything was as promised")
    if options.dir is None:
        shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
