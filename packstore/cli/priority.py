"""How much of the machine this process takes where others want it too: processor and disk."""

import os
import subprocess
from typing import Final

from packstore.errors import ConfigError

IO_PRIORITIES: Final = {
    "idle": ["-c", "3"],
    "low": ["-c", "2", "-n", "7"],
    "normal": ["-c", "2", "-n", "4"],
    "high": ["-c", "2", "-n", "0"],
}
"""Names, and what `ionice` calls them. `idle` waits for everybody else; the others share, in proportion."""


def lower_priority(nice: int, io_priority: str) -> None:
    """Take this process back, and the threads and programs that it starts from now on.

    `nice` is the niceness to have at least. A process cannot give itself more of the processor again.

    Raises:
        ConfigError: the I/O priority cannot be set here.
    """
    os.nice(max(nice - os.nice(0), 0))
    if not io_priority:
        return
    command = ["ionice", *IO_PRIORITIES[io_priority], "-p", str(os.getpid())]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603  nothing of it was typed
    except OSError as error:
        message = f"limits.io_priority cannot be set: ionice cannot be run: {error.strerror}"
        raise ConfigError(message, advice="install util-linux, or leave it out") from None
    if done.returncode:
        raise ConfigError(f"limits.io_priority cannot be set: {done.stderr.strip()}", advice="leave it out")
