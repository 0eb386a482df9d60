"""Progress in a terminal: phase, bar, rate, time left; nothing where stderr is none."""

import sys
from typing import TYPE_CHECKING

from packstore.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class LiveProgress:
    """Shows progress on stderr. Imports rich only when there is a terminal to show it on."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._shown = output.verbosity >= 0 and sys.stderr.isatty()
        self._bars: Bars | None = None
        self._task: TaskID | None = None

    def start(self, phase: str, total_bytes: int | None) -> None:
        """Show a new bar."""
        self.finish()
        if not self._shown:
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bars.add_task(phase, total=total_bytes)
        self._bars.start()

    def advance(self, done_bytes: int) -> None:
        """Move the bar."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, advance=done_bytes)

    def warn(self, message: str) -> None:
        """Print a warning above the bar."""
        if self._bars is not None:
            self._bars.stop()
            self._output.warn(message)
            self._bars.start()
        else:
            self._output.warn(message)

    def finish(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
