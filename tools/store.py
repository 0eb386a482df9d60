"""A throw-away packstore repository, driven by the command line like any user's."""

import json
import os
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.measure import Command, Measured, tree_bytes


@dataclass(frozen=True)
class Store:
    """An encrypted repository with its index and what this host notes of it, all in one directory."""

    directory: Path
    passphrase: str = field(default_factory=secrets.token_urlsafe, repr=False)
    with_key_file: bool = False
    """Whether a key file opens it, instead of the passphrase; `init` makes it."""

    @property
    def repository(self) -> Path:
        """Where the repository lies."""
        return self.directory / "repository"

    @property
    def reserve_bytes(self) -> int:
        """What `init` put aside for the day when the disk is full."""
        return tree_bytes(self.repository / "reserve")

    @property
    def stored_bytes(self) -> int:
        """All that backups have put into the repository."""
        return tree_bytes(self.repository) - self.reserve_bytes

    def command(self, *arguments: str) -> Command:
        """Return the packstore command with these arguments, for this repository and with JSON output."""
        environment = {
            "PACKSTORE_INDEX_DIR": str(self.directory / "index"),
            "XDG_STATE_HOME": str(self.directory / "state"),
        }
        if self.with_key_file:
            environment["PACKSTORE_KEY_FILE"] = str(self.directory / "key")
        else:
            environment["PACKSTORE_PASSPHRASE"] = self.passphrase
        return Command(
            (sys.executable, "-m", "packstore", "-r", str(self.repository), "--json", *arguments), environment
        )


def document(measured: Measured) -> dict[str, Any]:
    """Return the JSON document that a packstore command printed."""
    loaded: dict[str, Any] = json.loads(measured.stdout)
    return loaded


def forget_user_settings() -> None:
    """Drop what would point packstore at its user's own repository, keys or index."""
    for name in [name for name in os.environ if name.startswith("PACKSTORE_")]:
        del os.environ[name]
