"""benji, a fork of backy2, from PyPI or from its source."""

import json
from pathlib import Path

from tools.bench.peer import PASSPHRASE, Peer
from tools.bench.provide import Provider
from tools.measure import Command, run

VOLUME = "disk"
_REQUIREMENTS = (
    *(
        "setuptools<81",
        "wheel",
        "SQLAlchemy>=1.4,<2",
        "alembic<2",
        "ruamel.yaml<0.18",
        "PrettyTable<1",
        "setproctitle<2",
    ),
    *("python-dateutil<3", "argcomplete<2", "sparsebitfield<1", "cerberus<2", "pycryptodome<4", "pyparsing<3"),
    *("semantic-version<3", "dateparser<2", "structlog", "colorama<1", "diskcache", "attrs<22", "psycopg2-binary<3"),
    "zstandard",
)
"""Its own, but for ruamel.yaml, whose version it names does not build with a Python of today."""


class Benji(Peer):
    """https://benji-backup.me, with a file storage."""

    name = "benji"
    default = False
    differs = (
        "fixed blocks of 4 MiB, one file each, BLAKE2b-256 ids, zstd level 3, AES-256-GCM; SQLite beside the blocks; "
        "reads holes as zeros; hashes every block of every backup; does not read back what it stored"
    )
    verifies = "the blocks of the newest version only (`deep-scrub`)"

    @classmethod
    def prepare(cls, provider: Provider) -> None:
        """Install it."""
        cls.program = provider.from_pypi("benji", "benji", _REQUIREMENTS)

    @classmethod
    def version(cls) -> str:
        """Ask pip, as the program does not say."""
        python = str(Path(cls.program).with_name("python"))
        code = "from importlib.metadata import version; print('benji', version('benji'))"
        return run(Command((python, "-c", code))).stdout.strip()

    def init(self) -> Command:
        """Write the configuration and make the database."""
        (self.repository / "data").mkdir(parents=True)
        self._configuration.write_text(f"""\
configurationVersion: '1'
databaseEngine: sqlite:///{self.repository}/benji.sqlite
defaultStorage: files
storages:
  - name: files
    storageId: 1
    module: file
    configuration: {{path: {self.repository}/data, activeTransforms: [compress, encrypt]}}
transforms:
  - {{name: compress, module: zstd, configuration: {{level: 3}}}}
  - name: encrypt
    module: aes_256_gcm
    configuration: {{kdfSalt: c2FsdHNhbHRzYWx0c2FsdA==, kdfIterations: 20000, password: {PASSPHRASE}}}
ios:
  - {{name: file, module: file}}
""")
        return self._command("database-init")

    def backup(self, image: Path) -> Command:
        """Make the next version."""
        return self._command("backup", f"file:{image}", VOLUME)

    def restore(self, image: Path, target: Path) -> Command:
        """Restore the newest version."""
        return self._command("restore", "--sparse", self._newest(), f"file:{self.restored(image, target)}")

    def restored(self, image: Path, target: Path) -> Path:
        """Return the file we asked for."""
        return target / image.name

    def verify(self) -> Command:
        """Read all blocks of the newest version."""
        return self._command("deep-scrub", self._newest())

    @property
    def _configuration(self) -> Path:
        return self.directory / "benji.yaml"

    def _newest(self) -> str:
        versions = json.loads(run(self._command("--machine-output", "ls")).stdout)["versions"]
        return str(max(versions, key=lambda version: str(version["date"]))["uid"])

    def _command(self, *arguments: str) -> Command:
        return Command((self.program, "--config-file", str(self._configuration), "--log-level", "ERROR", *arguments))
