"""packstore, by its command line, with its defaults."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tools.bench.peer import PASSPHRASE, Peer
from tools.bench.provide import Provider
from tools.measure import Command, Measured, run
from tools.store import Store, document

VOLUME = "disk"
KEYLESS = "check without a key"
LS_KEY_FILE, LS_PASSPHRASE = "`ls`, opened by a key file", "`ls`, opened by a passphrase"


class Packstore(Peer):
    """This program."""

    name = "packstore"
    version_arguments = ("-m", "packstore", "--version")
    differs = (
        "fixed blocks of 1 MiB, skips holes, HMAC-SHA-512 ids, zstd level 3, AEGIS-256 (or XChaCha20-Poly1305); "
        "decrypts, decompresses and compares each block before it is stored; on an unchanged block it compares a keyed "
        "128-bit fingerprint only, and hashes everything in every 30th version; opened by a key file, as unattended "
        "backups are: what a passphrase adds is shown apart; syncs what it writes and drops it and the source from "
        "the page cache; its size here is without the reserve (at most 64 MiB) that `init` puts aside for a full disk"
    )
    verifies = "every record of the repository (`check`), and all that versions need"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._store = Store(directory, PASSPHRASE, with_key_file=True)

    @classmethod
    def prepare(cls, provider: Provider) -> None:  # noqa: ARG003 (it is here already)
        """Measure this working copy."""
        cls.program = sys.executable

    def init(self) -> Command:
        """Make the repository."""
        return self._store.command("init")

    def backup(self, image: Path) -> Command:
        """Back up the image as the next version of one volume."""
        return self._store.command("backup", str(image), VOLUME)

    def restore(self, image: Path, target: Path) -> Command:
        """Restore the volume's latest version."""
        return self._store.command("restore", VOLUME, str(self.restored(image, target)))

    def restored(self, image: Path, target: Path) -> Path:
        """Return the file we asked for."""
        return target / image.name

    def verify(self) -> Command:
        """Decrypt everything."""
        return self._store.command("check")

    def extras(self) -> Mapping[str, Command]:
        """Check without a key, and what it costs to open the repository in either way."""
        add = self._store.command("key", "add", "--passphrase")
        run(Command(add.argv, {**add.env, "PACKSTORE_NEW_PASSPHRASE": PASSPHRASE}))
        by_passphrase = Store(self.directory, PASSPHRASE)
        return {
            KEYLESS: self._store.command("check", "--keyless"),
            LS_KEY_FILE: self._store.command("ls"),
            LS_PASSPHRASE: by_passphrase.command("ls"),
        }

    def repository_bytes(self) -> int:
        """Leave out the reserve, which is the same whatever is backed up."""
        return self._store.stored_bytes

    def stages(self, measured: Measured) -> Mapping[str, float]:
        """Return the stages in the backup's JSON, and what no stage claims."""
        stages: dict[str, float] = dict(document(measured).get("stages", {}))
        if not stages:
            return {}
        total = stages.pop("cpu_total", measured.cpu_seconds)
        # A command that does next to nothing shows what starting Python and deriving the keys cost.
        stages["start and keys"] = run(self._store.command("ls")).cpu_seconds
        return {**stages, "Python, reading, other": max(0.0, total - sum(stages.values()))}
