"""From what a person writes as SOURCE or TARGET to the thing itself."""

import os
import sys
from pathlib import Path

from packstore.errors import SourceError, TargetError, UsageError
from packstore.sources.base import ResumableTarget, Source, Target
from packstore.sources.file import FileSource
from packstore.sources.null import SCHEME, NullDevice, NullSource, NullTarget
from packstore.sources.stream import StreamSource, StreamTarget
from packstore.sources.target import FileTarget


def open_source(name: str, *, immutable: bool = False) -> Source:
    """Open a source: a path, `-` for standard input, or `null://SIZE`, which is synthetic.

    `immutable`: somebody says that it does not change.

    Raises:
        SourceError: it cannot be opened.
        UsageError: a stream is never the same twice; there is no such synthetic device.
    """
    if name.startswith(SCHEME):
        return NullSource(NullDevice.parse(name))
    if name == "-":
        if immutable:
            raise UsageError("standard input cannot be --immutable: nobody can read it a second time")
        if sys.stdin is None or not sys.stdin.readable():
            raise SourceError("standard input is closed", advice="pipe the device's content in")
        if sys.stdin.isatty():
            raise SourceError("standard input is a terminal", advice="pipe the device's content in")
        os.set_blocking(sys.stdin.fileno(), True)  # else a pipe that is empty for a moment looks like its end
        return StreamSource(sys.stdin.buffer)
    return FileSource(Path(name), immutable=immutable)


def is_output(name: str) -> bool:
    """Say whether a target is nothing that could be gone on with: standard output, or what forgets everything."""
    return name in {"-", SCHEME}


def open_target(path: Path, *, force: bool, sparse: bool, state_directory: Path | None) -> ResumableTarget:
    """Return a file or a device as a target, untouched as yet.

    `state_directory` is where is remembered how far a restore to a device has come.
    """
    return FileTarget(path, force=force, sparse=sparse, state_directory=state_directory)


def open_output(name: str) -> Target:
    """Return standard output as a target, or `null://`, which forgets everything.

    Raises:
        TargetError: standard output is a terminal.
    """
    if name == SCHEME:
        return NullTarget()
    if sys.stdout is None:
        raise TargetError("standard output is closed", advice="redirect it to a file or a pipe")
    if sys.stdout.isatty():
        raise TargetError("standard output is a terminal", advice="redirect it to a file or a pipe")
    return StreamTarget(sys.stdout.buffer)
