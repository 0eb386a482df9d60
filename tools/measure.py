"""Run a program and measure it: wall clock, CPU, memory."""

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.programs import ToolError

MIB = 1024 * 1024
_SHOWN_ERROR_BYTES = 4000
"""So much of what a failed program said is repeated: enough for a traceback."""


@dataclass(frozen=True)
class Command:
    """A program with its arguments, what to add to its environment, and where to run it."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True)
class Measured:
    """What a finished program cost, its children included, and what it printed."""

    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    stdout: str


def run(command: Command) -> Measured:
    """Run `command` without a terminal; raise ToolError, with what it said, unless it exits with 0."""
    # Files rather than pipes: nobody has to read along, so the program is never held up by us.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        try:
            process = subprocess.Popen(
                command.argv,
                env={**os.environ, **command.env},
                cwd=command.cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        except OSError as error:
            raise ToolError(f"cannot start {command}: {error}") from error
        with process:
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:  # nobody is left to whom it could matter
                process.kill()
                raise
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begin
        if process.returncode != 0:
            err.seek(max(0, err.tell() - _SHOWN_ERROR_BYTES))
            said = err.read().decode(errors="replace").strip()
            raise ToolError(f"{command}\nended with exit code {process.returncode}:\n{said}")
        out.seek(0)
        printed = out.read().decode(errors="replace")
    # Linux counts ru_maxrss in KiB.
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, printed)


def tree_bytes(directory: Path) -> int:
    """Return the sum of the sizes of all files under `directory`."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())
