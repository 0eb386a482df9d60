"""BorgBackup, from Debian."""

from pathlib import Path

from tools.bench.peer import PASSPHRASE, Peer
from tools.measure import Command


class Borg(Peer):
    """https://www.borgbackup.org, with the chunker that its manual advises for disk images."""

    name = "borg"
    programs = (("borg", "borgbackup"),)
    version_command = ("borg", "--version")
    differs = (
        "fixed chunks of 4 MiB, HMAC-SHA-256 ids, zstd level 3, AES-256-CTR with HMAC-SHA-256; one thread; hashes "
        "every chunk of every backup (`--files-cache=disabled`); does not read back what it stored"
    )

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._archives = 0

    def init(self) -> Command:
        """Make an encrypted repository."""
        return self._command("init", "--encryption", "repokey")

    def backup(self, image: Path) -> Command:
        """Make the next archive."""
        self._archives += 1
        chunker = ("--chunker-params", "fixed,4194304", "--files-cache=disabled")
        archive = f"::{self._archives}"
        return self._command("create", "--compression", "zstd,3", *chunker, archive, image.name, cwd=image.parent)

    def restore(self, image: Path, target: Path) -> Command:  # noqa: ARG002 (the only file there is)
        """Extract the newest archive."""
        return self._command("extract", "--sparse", f"::{self._archives}", cwd=target)

    def restored(self, image: Path, target: Path) -> Path:
        """Return the file under the name by which it was backed up."""
        return target / image.name

    def _command(self, *arguments: str, cwd: Path | None = None) -> Command:
        environment = {
            "BORG_REPO": str(self.repository),
            "BORG_PASSPHRASE": PASSPHRASE,
            "BORG_BASE_DIR": str(self.directory / "base"),
        }
        return Command(("borg", *arguments), environment, cwd)
