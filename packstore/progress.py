"""Progress as data: operations report, the command line shows.

Operations take a `Progress` as their last argument and never print.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from packstore.errors import Interrupted


class Progress(Protocol):
    """Receives how far an operation has come. Called from one thread."""

    def start(self, phase: str, total_bytes: int | None) -> None:
        """Begin a phase; `total_bytes` is None when nobody knows (standard input)."""

    def advance(self, done_bytes: int) -> None:
        """Report that `done_bytes` more bytes of the phase are done."""

    def warn(self, message: str) -> None:
        """Report something the user should know that does not stop the operation."""

    def finish(self) -> None:
        """End the phase."""


class NullProgress:
    """A `Progress` that keeps the warnings and forgets the rest."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def start(self, phase: str, total_bytes: int | None) -> None:
        """Ignore it."""

    def advance(self, done_bytes: int) -> None:
        """Ignore it."""

    def warn(self, message: str) -> None:
        """Keep it for whoever asks."""
        self.warnings.append(message)

    def finish(self) -> None:
        """Ignore it."""


class StopRequest:
    """Ctrl-C or SIGTERM, noticed where it is safe to stop: between two blocks, never inside a write."""

    def __init__(self) -> None:
        self.requested = False
        self.advice = ""
        self._blocking = False

    def request(self) -> None:
        """Ask to stop; called by the signal handler, in the main thread."""
        self.requested = True
        if self._blocking:
            self.check()

    def check(self) -> None:
        """Stop here, if asked to.

        Raises:
            Interrupted: it was.
        """
        if self.requested:
            raise Interrupted("interrupted", advice=self.advice)

    @contextmanager
    def blocking(self) -> Iterator[None]:
        """Let a request take effect at once: around something that may wait for ever, and writes nothing."""
        try:
            self._blocking = True  # first: a request between the two lines must not wait for the read
            self.check()
            yield
        finally:
            self._blocking = False
