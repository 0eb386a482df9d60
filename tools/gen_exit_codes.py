"""Writes docs/EXIT_CODES.md from the exceptions of packstore.

python -m tools.gen_exit_codes           writes the page
python -m tools.gen_exit_codes --check   fails if the page is not what it would write
"""

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packstore import errors
from packstore.errors import PackstoreError

PAGE: Final = Path(__file__).parents[1] / "docs" / "EXIT_CODES.md"
_HEAD: Final = """\
# Exit codes

Every command ends with one of these. They are stable: a code keeps its meaning, new ones may be added within the
ranges 10 to 19 repository, 20 to 29 keys, 30 to 39 storage, 40 to 49 damage found, 50 to 59 source or target, 60 to 64
guards, 65 to 69 monitoring, 70 to 79 configuration, 80 to 89 gc, 90 to 99 `run`. With `--json` the document has
the same under `error`: `name`, `exit_code`, `message` and `advice`.

This page is made by `python -m tools.gen_exit_codes` from `packstore/errors.py`.

| Code | Name | Meaning |
|---:|---|---|
| 0 | | Done. |
"""


def exceptions() -> list[type[PackstoreError]]:
    """Return every exception of packstore, by exit code."""
    found = (value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, PackstoreError))
    return sorted(found, key=lambda kind: kind.exit_code)


def page() -> str:
    """Return the page as it should be."""
    return _HEAD + "".join(_rows())


def _rows() -> Iterator[str]:
    for kind in exceptions():
        name = "internal error" if kind is PackstoreError else f"`{kind.__name__}`"
        yield f"| {kind.exit_code} | {name} | {meaning(kind)} |\n"


def meaning(kind: type[PackstoreError]) -> str:
    """Return the first line of an exception's docstring."""
    return (kind.__doc__ or "").splitlines()[0].replace("|", "\\|")


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.name} is out of date: run `python -m tools.gen_exit_codes`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
