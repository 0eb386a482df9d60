"""Print files of a repository, annotated field by field.

    python -m tools.dump FILE…

Documents (`packstore`, `keys/*`, `gc/*`) and packs. Nothing is decrypted. FORMAT.md section 19 shows examples.
"""

import sys
from pathlib import Path

from packstore.format.describe import describe


def main(arguments: list[str]) -> int:
    """Describe each file named on the command line."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for argument in arguments:
        path = Path(argument)
        try:
            data = path.read_bytes()
        except OSError as error:
            print(f"{argument}: {error.strerror}", file=sys.stderr)
            return 1
        print(describe(argument, data))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
