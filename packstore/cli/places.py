"""From what a person calls a repository to where it is: a name of the configuration, an id, a path or URL."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packstore.cli.credentials import PASSPHRASE_SOURCES
from packstore.cli.options import Settings
from packstore.errors import RepositoryError, RepositoryNotFound, UsageError
from packstore.repository.discovery import FoundRepository, find_repositories
from packstore.repository.opening import read_repository_file
from packstore.storage.base import Storage
from packstore.storage.open import open_storage

if TYPE_CHECKING:
    from packstore.cli.config_model import Config, RepositoryEntry

KEY_FILE: Final = "PACKSTORE_KEY_FILE"
_MIN_ID: Final = 8


@dataclass(frozen=True)
class Place:
    """Where a repository is, and what the configuration says of it, if it has a name there."""

    location: str
    entry: "RepositoryEntry | None" = None

    @property
    def min_free(self) -> int:
        """Bytes of the file system that a backup is to leave free."""
        return self.entry.min_free if self.entry else 0

    def open(self) -> Storage:
        """Return the storage; whether anything is there is not asked."""
        return open_storage(self.location)

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the variables with what the configuration says of this repository instead of what is said of all."""
        secrets = self.entry.secrets if self.entry else {}
        dropped = {*PASSPHRASE_SOURCES, KEY_FILE} if secrets else set()
        return {name: value for name, value in environment.items() if name not in dropped} | secrets


def find_place(settings: Settings) -> Place:
    """Return the place that -r, --repo-id or PACKSTORE_REPO names.

    Raises:
        UsageError: none of them does, or two of them.
        RepositoryNotFound: it is named by its id, and is not mounted.
        ConfigError: the configuration, which may know the name, makes no sense.
    """
    if settings.repo_id:
        if settings.repo:
            raise UsageError("-r or --repo-id, not both")
        return Place(str(_find(settings.repo_id).path))
    name = settings.repo or os.environ.get("PACKSTORE_REPO", "")
    if not name:
        raise UsageError(
            "which repository?", advice="name it with -r, --repo-id or PACKSTORE_REPO; `packstore repos` shows some"
        )
    return named_place(name)


def named_place(name: str) -> Place:
    """Return the place that a person calls `name`: a name of the configuration if it has that, else a path or URL.

    Raises like `find_place`.
    """
    entry = None if "/" in name else _configuration().repositories.get(name)
    return Place(name) if entry is None else place_of_entry(entry)


def place_of_entry(entry: "RepositoryEntry") -> Place:
    """Return where a configured repository is: at its path, or, if its id is given too, wherever that id is.

    Raises:
        RepositoryNotFound: it has an id, and is not mounted.
    """
    if entry.path and (not entry.id or _is_there(entry)):
        return Place(entry.path, entry)
    return Place(str(_find(entry.id).path), entry)


def _is_there(entry: "RepositoryEntry") -> bool:
    try:
        return read_repository_file(open_storage(entry.path)).file.id.hex() == entry.id
    except RepositoryError:
        return False


def _find(beginning: str) -> FoundRepository:
    wanted = beginning.lower()
    if len(wanted) < _MIN_ID:
        raise UsageError(
            f"the id of a repository needs at least {_MIN_ID} digits", advice="`packstore repos` shows ids"
        )
    found = [one for one in find_repositories(configured_paths()) if one.file.id.hex().startswith(wanted)]
    if not found:
        message = f"no repository with the id {wanted} is mounted"
        raise RepositoryNotFound(message, advice="is its disk mounted? `packstore repos` shows what is there")
    if len(found) > 1:
        names = ", ".join(str(one.path) for one in found)
        raise UsageError(f"several places have the id {wanted}: {names}", advice="name one of them with -r")
    return found[0]


def configured_paths(config: "Config | None" = None) -> list[Path]:
    """Return the directories in which the configuration says that repositories are."""
    entries = (config or _configuration()).repositories.values()
    return [Path(entry.path.removeprefix("file://")) for entry in entries if entry.path]


def _configuration() -> "Config":
    from packstore.cli.config import read_config

    return read_config()
