"""What people and programs read: text or one JSON document on stdout, everything else on stderr.

The only module that prints.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

SCHEMA: Final = 1
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Output:
    """Writes results; knows whether the reader is a person or a program."""

    def __init__(self, *, as_json: bool, verbosity: int, stdout_is_data: bool = False) -> None:
        self.as_json = as_json
        self.verbosity = verbosity
        self._stream = sys.stderr if stdout_is_data else sys.stdout

    def result(self, document: dict[str, Any], text: Iterable[str]) -> None:
        """Print the result: `document` for a program, the lines of `text` for a person."""
        if self.as_json:
            print(json.dumps({"schema": SCHEMA} | document, indent=2), file=self._stream)
        elif self.verbosity >= 0:
            for line in text:
                print(line, file=self._stream)

    def warn(self, message: str) -> None:
        """Print a warning."""
        print(f"packstore: warning: {message}", file=sys.stderr)

    def note(self, message: str) -> None:
        """Print something for those who asked to know more."""
        if self.verbosity > 0:
            print(f"packstore: {message}", file=sys.stderr)

    def error(self, name: str, code: int, message: str, advice: str) -> None:
        """Print why the command failed, and what to do next."""
        print(f"packstore: {message}", file=sys.stderr)
        if advice:
            print(f"packstore: {advice}", file=sys.stderr)
        if self.as_json:
            fault = {"name": name, "exit_code": code, "message": message, "advice": advice}
            print(json.dumps({"schema": SCHEMA, "error": fault}, indent=2), file=self._stream)


def size(count: float) -> str:
    """Return a number of bytes as people write it: 1.50 GiB."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004
        count /= 1024
        unit += 1
    return f"{count:.0f} B" if unit == 0 else f"{count:.2f} {_UNITS[unit]}"


def rate(count: float, seconds: float) -> str:
    """Return bytes a second as people write it."""
    return f"{size(count / seconds)}/s" if seconds > 0 else "-"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Return the lines of a table; the columns whose numbers are in `right` are aligned right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
