"""What a program has to offer to be measured. A new one is one file in peers/ and its line there."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tools.bench.provide import Provider
from tools.measure import Command, Measured, run, tree_bytes

PASSPHRASE = "for the benchmark only"  # noqa: S105 (it protects nothing)
"""The peers' repositories hold public files and live for minutes."""


class Peer(ABC):
    """One program with a repository of its own in a fresh directory; encrypted, and at zstd's level 3 or near it."""

    name: ClassVar[str]
    default: ClassVar[bool] = True
    """Whether it is measured when nobody names it; the others take much time and say little that is new."""
    counts: ClassVar[bool] = True
    """Whether targets compare with it: it compresses and encrypts."""
    program: ClassVar[str]
    """Where it was found; set by prepare()."""
    version_arguments: ClassVar[tuple[str, ...]] = ("--version",)
    differs: ClassVar[str]
    """What it does otherwise than the others, so that nobody reads more into the figures than they say."""
    verifies: ClassVar[str]
    """What verify() reads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def repository(self) -> Path:
        """Where the repository lies; its size is measured here, without caches and indexes beside it."""
        return self.directory / "repository"

    def repository_bytes(self) -> int:
        """Return the size of all that backups have put into the repository."""
        return tree_bytes(self.repository)

    @classmethod
    @abstractmethod
    def prepare(cls, provider: Provider) -> None:
        """Find or install the program and set `program`; raise ToolError where it cannot be had."""

    @classmethod
    def version(cls) -> str:
        """Return the program's own words about its version."""
        return run(Command((cls.program, *cls.version_arguments))).stdout.strip().splitlines()[0]

    @abstractmethod
    def init(self) -> Command:
        """Make the repository."""

    @abstractmethod
    def backup(self, image: Path) -> Command:
        """Back up `image`, reading all of it: what a block device without change tracking demands."""

    @abstractmethod
    def restore(self, image: Path, target: Path) -> Command:
        """Restore the newest backup, which is of `image`, into the empty directory `target`, as restored() expects."""

    @abstractmethod
    def restored(self, image: Path, target: Path) -> Path:
        """Return the file that restore() makes."""

    @abstractmethod
    def verify(self) -> Command:
        """Read, decrypt and verify what `verifies` says."""

    def extras(self) -> Mapping[str, Command]:
        """Return what only this program is measured with, on the repository as it is after both days."""
        return {}

    def stages(self, measured: Measured) -> Mapping[str, float]:  # noqa: ARG002 (for those who know)
        """Return the CPU seconds that a backup spent on each kind of work, if the program says so."""
        return {}
