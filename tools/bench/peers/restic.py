"""restic, from Debian."""

from pathlib import Path

from tools.bench.peer import PASSPHRASE, Peer
from tools.measure import Command


class Restic(Peer):
    """https://restic.net, repository format 2."""

    name = "restic"
    programs = (("restic", "restic"),)
    version_command = ("restic", "version")
    differs = (
        "content-defined chunks of about 1 MiB, SHA-256 ids, zstd as its library sees fit (`auto`), AES-256-CTR with "
        "Poly1305; hashes every chunk of every backup (`--force`); does not read back what it stored; restores holes "
        "as zeros before version 0.15"
    )

    def init(self) -> Command:
        """Make a repository that compresses."""
        return self._command("init", "--repository-version", "2")

    def backup(self, image: Path) -> Command:
        """Back up without believing the file's time, as there is none on a device."""
        return self._command("backup", "--force", str(image))

    def restore(self, image: Path, target: Path) -> Command:  # noqa: ARG002 (the only file there is)
        """Restore the latest snapshot; several workers, while `restic dump` has one."""
        return self._command("restore", "latest", "--target", str(target))

    def restored(self, image: Path, target: Path) -> Path:
        """Return the file at its whole old path below the target."""
        return target / image.relative_to("/")

    def _command(self, *arguments: str) -> Command:
        environment = {
            "RESTIC_REPOSITORY": str(self.repository),
            "RESTIC_PASSWORD": PASSPHRASE,
            "RESTIC_CACHE_DIR": str(self.directory / "cache"),
        }
        return Command(("restic", "--quiet", *arguments), environment)
