"""What people and programs read: text or one JSON document on stdout, everything else on stderr.

The only module that prints. A JSON document is printed once, when the command is over, so that what went
wrong stands in the same document as what was found before.
"""

import io
import json
import os
import select
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, TextIO

from packstore.errors import PackstoreError, TargetWriteFailed

SCHEMA: Final = 1
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SHOW_CURSOR: Final = "\x1b[?25h"


class Output:
    """Writes results; knows whether the reader is a person or a program."""

    def __init__(self, *, as_json: bool, verbosity: int, stdout_is_data: bool = False) -> None:
        self.as_json = as_json
        self.verbosity = verbosity
        self._stream: TextIO | None = sys.stderr if stdout_is_data else sys.stdout
        self._document: dict[str, Any] | None = None
        self._stdout_failed = False
        self._closing = False
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # what a terminal cannot show must not stop a command

    def result(self, document: dict[str, Any], text: Iterable[str]) -> None:
        """Take the result: `document` for a program, printed by `close`; the lines of `text` for a person."""
        if self.as_json:
            self._document = {"schema": SCHEMA} | document
        elif self.verbosity >= 0:
            for line in text:
                self._print(line)

    def tell(self, *lines: str) -> None:
        """Print what a person at the terminal needs to know before going on."""
        for line in lines:
            _complain(line)

    def warn(self, message: str) -> None:
        """Print a warning."""
        _complain(f"packstore: warning: {message}")

    def fail(self, error: PackstoreError) -> None:
        """Print why the command failed, and what to do next."""
        _complain(f"packstore: {error.message}")
        if error.advice:
            _complain(f"packstore: {error.advice}")
        self.note_error(error)

    def note_error(self, error: PackstoreError) -> None:
        """Put an error that a person has been told of into the document."""
        if self.as_json:
            self._document = self._with_error(error)

    def _with_error(self, error: PackstoreError) -> dict[str, Any]:
        fault = {
            "name": type(error).__name__,
            "exit_code": error.exit_code,
            "message": error.message,
            "advice": error.advice,
        }
        return (self._document or {"schema": SCHEMA}) | {"error": fault}

    def close(self) -> None:
        """Print the document, if one is due, and hand over what is buffered.

        Raises:
            TargetWriteFailed: standard output takes nothing more, and not because its reader has seen enough.
        """
        self._closing = True
        document, self._document = self._document, None
        if document is not None:
            self._print(json.dumps(document, indent=2), escaped=False)
        self._write("")

    def stopping(self) -> None:
        """Say that a request to stop was heard. Safe inside a signal handler, where nothing may be buffered."""
        if self.verbosity >= 0:
            _write_raw(2, "\npackstore: stopping when it is safe; Ctrl-C once more stops at once\n")

    def abandon(self, error: PackstoreError) -> bool:
        """Say that the process ends here and now. Safe inside a signal handler.

        Returns False while the document is being printed to somebody who reads it: the process is over in a moment,
        and one document must not be followed by a second one.
        """
        if self._closing and select.select([], [1], [], 0)[1]:
            return False
        _write_raw(2, (_SHOW_CURSOR if os.isatty(2) else "") + f"\npackstore: {error.message}\n")
        if self.as_json and self._stream is sys.stdout:
            _write_raw(1, json.dumps(self._with_error(error)) + "\n")
        return True

    def _print(self, line: str, *, escaped: bool = True) -> None:
        self._write((_printable(line) if escaped else line) + "\n")

    def _write(self, text: str) -> None:
        if self._stream is None or self._stdout_failed:
            return
        try:
            self._stream.write(text)
            if not text:
                self._stream.flush()
        except OSError as error:
            self._stdout_failed = True
            _discard_stdout()
            if not isinstance(error, BrokenPipeError):
                raise TargetWriteFailed(f"standard output cannot be written: {error.strerror}") from error


def _complain(line: str) -> None:
    """Print to stderr. Nobody being there to read it must not end a backup."""
    try:
        print(_printable(line), file=sys.stderr, flush=True)
    except OSError:
        return


def _printable(line: str) -> str:
    """Escape what a terminal would obey instead of showing: names come from devices, and from other writers."""
    if line.isprintable():
        return line
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in line
    )


def _discard_stdout() -> None:
    """Point stdout at nothing: Python must not fail again when it flushes at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _write_raw(descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, text.encode())
    except OSError:
        return


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


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 version, 2 versions."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


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
