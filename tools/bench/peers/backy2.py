"""backy2, from its source if that is given, else from PyPI, whose one is old and does neither compress nor encrypt."""

import re
from pathlib import Path

from tools.bench.peer import Peer
from tools.bench.provide import Provider
from tools.measure import Command, run

VOLUME = "disk"
_REQUIREMENTS = (
    *("setuptools<81", "wheel", "SQLAlchemy<2", "alembic", "PrettyTable", "psutil", "shortuuid", "setproctitle"),
    *("python-dateutil", "pycryptodome", "zstandard", "fusepy", "dateparser", "redo"),
)
"""Those of PyPI's version and of the last, with the last SQLAlchemy that it works with."""
_KEY = "decafbad" * 8
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


class Backy2(Peer):
    """https://backy2.com, with a file storage."""

    name = "backy2"
    default = False
    differs = (
        "fixed blocks of 4 MiB, one file each, SHA-512 ids; zstd level 1 (built in) and AES-256-GCM in its newest "
        "source, **neither of both in PyPI's 2.9**, with which no target compares therefore; SQLite beside the blocks; "
        "reads holes as zeros; hashes every block of every backup; does not read back what it stored"
    )
    verifies = "the blocks of the newest version only (`scrub`)"

    @classmethod
    def prepare(cls, provider: Provider) -> None:
        """Install it; only the source compresses and encrypts."""
        cls.counts = "backy2" in provider.sources
        cls.program = provider.from_pypi("backy2", "backy2", _REQUIREMENTS)

    def init(self) -> Command:
        """Write the configuration and make the database."""
        (self.repository / "data").mkdir(parents=True)
        self._configuration.write_text(f"""\
[DEFAULTS]
logfile: {self.directory}/backy2.log
block_size: 4194304
hash_function: sha512
lock_dir: {self.directory}
cachedir: {self.directory}
process_name: backy2
disallow_rm_when_younger_than_days: 0
deduplication: 1
encryption_key: {_KEY}
encryption_version: 1
[MetaBackend]
type: backy2.meta_backends.sql
engine: sqlite:///{self.repository}/backy2.sqlite
[DataBackend]
type: backy2.data_backends.file
path: {self.repository}/data
simultaneous_writes: 5
simultaneous_reads: 5
[NBD]
cachedir: {self.directory}
[io_file]
simultaneous_reads: 5
simultaneous_writes: 5
""")
        return self._command("initdb")

    def backup(self, image: Path) -> Command:
        """Make the next version."""
        return self._command("backup", f"file://{image}", VOLUME)

    def restore(self, image: Path, target: Path) -> Command:
        """Restore the newest version, leaving holes."""
        return self._command("restore", "-s", self._newest(), f"file://{self.restored(image, target)}")

    def restored(self, image: Path, target: Path) -> Path:
        """Return the file we asked for."""
        return target / image.name

    def verify(self) -> Command:
        """Read all blocks of the newest version."""
        return self._command("scrub", self._newest())

    @property
    def _configuration(self) -> Path:
        return self.directory / "backy2.cfg"

    def _newest(self) -> str:
        """Return the version that is listed last: the list goes by date."""
        found: list[str] = _UID.findall(run(self._command("-m", "ls", VOLUME)).stdout)
        return found[-1]

    def _command(self, *arguments: str) -> Command:
        return Command((self.program, "-c", str(self._configuration), *arguments))
