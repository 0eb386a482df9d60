"""From what a person writes as SOURCE or TARGET to the thing itself."""

import sys
from pathlib import Path

from packstore.errors import SourceError, TargetError
from packstore.sources.base import Source, Target
from packstore.sources.file import FileSource
from packstore.sources.stream import StreamSource, StreamTarget
from packstore.sources.target import FileTarget


def open_source(name: str) -> Source:
    """Open a source: a path, or `-` for standard input.

    Raises:
        SourceError: it cannot be opened.
    """
    if name == "-":
        if sys.stdin.isatty():
            raise SourceError("standard input is a terminal", advice="pipe the device's content in")
        return StreamSource(sys.stdin.buffer)
    return FileSource(Path(name))


def open_target(name: str, *, force: bool, sparse: bool) -> Target:
    """Return a target, untouched as yet: a path, or `-` for standard output.

    Raises:
        TargetError: standard output is a terminal.
    """
    if name == "-":
        if sys.stdout.isatty():
            raise TargetError("standard output is a terminal", advice="redirect it to a file or a pipe")
        return StreamTarget(sys.stdout.buffer)
    return FileTarget(Path(name), force=force, sparse=sparse)
