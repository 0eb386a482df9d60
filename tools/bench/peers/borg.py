"""BorgBackup from PyPI, or Debian's where that cannot be built: with fixed chunks, and with its default chunker."""

import sys
from pathlib import Path
from typing import ClassVar

from tools.bench.peer import PASSPHRASE, Peer
from tools.bench.provide import Provider
from tools.measure import Command
from tools.programs import ToolError

_BUILD_PACKAGES = (
    "pkg-config",
    "libssl-dev",
    "libacl1-dev",
    "liblz4-dev",
    "libxxhash-dev",
    "libzstd-dev",
    "python3-dev",
)
_ALWAYS = (
    "HMAC-SHA-256 ids, zstd level 3, AES-256-CTR with HMAC-SHA-256; one thread; hashes every chunk of every backup "
    "(`--files-cache=disabled`); does not read back what it stored"
)


class Borg(Peer):
    """https://www.borgbackup.org, with the chunker that its manual advises for disk images."""

    name = "borg fixed"
    chunker: ClassVar[tuple[str, ...]] = ("--chunker-params", "fixed,4194304", "--sparse")
    differs = f"fixed chunks of 4 MiB, skips holes (`--sparse`); {_ALWAYS}"
    verifies = "every chunk of the repository (`check --verify-data`), and its archives"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._archives = 0

    @classmethod
    def prepare(cls, provider: Provider) -> None:
        """Build the newest one; fall back on Debian's."""
        try:
            cls.program = provider.from_pypi("borg", "borgbackup", build_packages=_BUILD_PACKAGES)
        except ToolError as error:
            print(f"\n*** PyPI's borg cannot be built, Debian's has to do: {error} ***\n", file=sys.stderr, flush=True)
            cls.program = provider.from_debian("borg", "borgbackup")

    def init(self) -> Command:
        """Make an encrypted repository."""
        return self._command("init", "--encryption", "repokey")

    def backup(self, image: Path) -> Command:
        """Make the next archive."""
        self._archives += 1
        options = ("--compression", "zstd,3", *self.chunker, "--files-cache=disabled")
        return self._command("create", *options, f"::{self._archives}", image.name, cwd=image.parent)

    def restore(self, image: Path, target: Path) -> Command:  # noqa: ARG002 (the only file there is)
        """Extract the newest archive."""
        return self._command("extract", "--sparse", f"::{self._archives}", cwd=target)

    def restored(self, image: Path, target: Path) -> Path:
        """Return the file under the name by which it was backed up."""
        return target / image.name

    def verify(self) -> Command:
        """Read everything."""
        return self._command("check", "--verify-data")

    def _command(self, *arguments: str, cwd: Path | None = None) -> Command:
        environment = {
            "BORG_REPO": str(self.repository),
            "BORG_PASSPHRASE": PASSPHRASE,
            "BORG_BASE_DIR": str(self.directory / "base"),
        }
        return Command((self.program, *arguments), environment, cwd)


class BorgBuzhash(Borg):
    """The same program, cutting by contents."""

    name = "borg buzhash"
    chunker = ("--chunker-params", "buzhash,19,23,21,4095")
    differs = f"content-defined chunks of about 2 MiB; reads holes as zeros; {_ALWAYS}"
