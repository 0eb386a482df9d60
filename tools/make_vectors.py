"""Make the test vectors of spec/vectors anew, or prove that they are what this program makes.

    python -m tools.make_vectors [--check] [DIRECTORY]

Everything is deterministic: fixed keys and nonces, zstd frames written by hand. A vector that other programs have
been tested with should not change; `--check` names each that would, and exits with 1.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.vectors import (
    checkpoint_cases,
    derivations,
    document_cases,
    export_cases,
    key_cases,
    ledger_cases,
    msgpack_cases,
    pack_cases,
    record_cases,
    version_cases,
)

DIRECTORY: Final = Path(__file__).resolve().parent.parent / "spec" / "vectors"
SUFFIX: Final = ".txt"
_MODULES: Final = (
    msgpack_cases,
    derivations,
    record_cases,
    pack_cases,
    document_cases,
    key_cases,
    export_cases,
    version_cases,
    checkpoint_cases,
    ledger_cases,
)


def generate() -> dict[str, str]:
    """Return the text of each vector by the name of its file.

    Raises:
        ValueError: two vectors have one name.
    """
    texts: dict[str, str] = {}
    for module in _MODULES:
        for case in module.cases():
            name = case.name + SUFFIX
            if name in texts:
                raise ValueError(f"two vectors are called {name}")
            texts[name] = case.render()
    return texts


def differences(directory: Path, texts: dict[str, str]) -> list[str]:
    """Return what is not the same in `directory`, one line for each file."""
    there = {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob(f"*{SUFFIX}"))}
    lines = [f"{name}: missing" for name in texts if name not in there]
    lines += [f"{name}: differs" for name, text in there.items() if name in texts and texts[name] != text]
    lines += [f"{name}: nothing makes this file" for name in there if name not in texts]
    return lines


def write(directory: Path, texts: dict[str, str]) -> None:
    """Make the files of `directory` those of `texts`; other kinds of files stay."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.glob(f"*{SUFFIX}"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(description="Make the test vectors anew.")
    parser.add_argument("--check", action="store_true", help="compare only, and name what differs")
    parser.add_argument("directory", nargs="?", type=Path, default=DIRECTORY)
    options = parser.parse_args(arguments)
    texts = generate()
    found = differences(options.directory, texts)
    if not options.check:
        write(options.directory, texts)
    print("\n".join([*found, f"{len(texts)} vectors, {len(found)} differences"]))
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main())
