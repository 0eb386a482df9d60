"""restic: the newest that Debian has, and the system's own."""

from pathlib import Path
from typing import ClassVar

from tools.bench.peer import PASSPHRASE, Peer
from tools.bench.provide import Provider
from tools.measure import Command

_ALWAYS = (
    "content-defined chunks of about 1 MiB, SHA-256 ids, zstd as its library sees fit (`auto`, near level 3), "
    "AES-256-CTR with Poly1305; hashes every chunk of every backup (`--force`); does not read back what it stored"
)


class Restic(Peer):
    """https://restic.net, repository format 2."""

    name = "restic"
    version_arguments = ("version",)
    differs = f"{_ALWAYS}; restores with `--sparse`"
    verifies = "every pack of the repository (`check --read-data`), and its structure"
    restore_options: ClassVar[tuple[str, ...]] = ("--sparse",)

    @classmethod
    def prepare(cls, provider: Provider) -> None:
        """Fetch the newest that Debian has: it is linked statically, and runs anywhere."""
        cls.program = provider.newest_from_debian("restic", "restic")

    def init(self) -> Command:
        """Make a repository that compresses."""
        return self._command("init", "--repository-version", "2")

    def backup(self, image: Path) -> Command:
        """Back up without believing the file's time, as there is none on a device."""
        return self._command("backup", "--force", str(image))

    def restore(self, image: Path, target: Path) -> Command:  # noqa: ARG002 (the only file there is)
        """Restore the latest snapshot; several workers, while `restic dump` has one."""
        return self._command("restore", "latest", *self.restore_options, "--target", str(target))

    def restored(self, image: Path, target: Path) -> Path:
        """Return the file at its whole old path below the target."""
        return target / image.relative_to("/")

    def verify(self) -> Command:
        """Read everything."""
        return self._command("check", "--read-data")

    def _command(self, *arguments: str) -> Command:
        environment = {
            "RESTIC_REPOSITORY": str(self.repository),
            "RESTIC_PASSWORD": PASSPHRASE,
            "RESTIC_CACHE_DIR": str(self.directory / "cache"),
        }
        return Command((self.program, "--quiet", *arguments), environment)


class ResticDebian(Restic):
    """The one of this Debian, which is what most have."""

    name = "restic (Debian's)"
    default = False
    differs = f"{_ALWAYS}; before version 0.15 it restores holes as zeros"
    restore_options = ()

    @classmethod
    def prepare(cls, provider: Provider) -> None:
        """Install the package."""
        cls.program = provider.from_debian("restic", "restic")
