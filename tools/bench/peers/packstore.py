"""packstore, by its command line, with its defaults."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tools.bench.peer import Peer
from tools.measure import Command, Measured, run
from tools.store import Store, document


class Packstore(Peer):
    """This program."""

    name = "packstore"
    version_command = (sys.executable, "-m", "packstore", "--version")
    differs = (
        "fixed blocks of 1 MiB, HMAC-SHA-512 ids, zstd level 3, AEGIS-256 (or XChaCha20-Poly1305); decrypts, "
        "decompresses and compares each block before it is stored; on an unchanged block it compares a keyed 128-bit "
        "fingerprint only, and hashes everything in every 30th version; argon2id takes 256 MiB and most of a second "
        "at each start; syncs what it writes and drops it and the source from the page cache; its size here is "
        "without the reserve (at most 64 MiB) that `init` puts aside for a full disk"
    )

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._store = Store(directory)

    def init(self) -> Command:
        """Make the repository."""
        return self._store.command("init")

    def backup(self, image: Path) -> Command:
        """Back up the image as a volume of its name."""
        return self._store.command("backup", str(image), image.stem)

    def restore(self, image: Path, target: Path) -> Command:
        """Restore the volume's latest version."""
        return self._store.command("restore", image.stem, str(self.restored(image, target)))

    def restored(self, image: Path, target: Path) -> Path:
        """Return the file we asked for."""
        return target / image.name

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
