"""`packstore repos`."""

from pathlib import Path
from typing import Any

import click

from packstore.cli.config import read_config
from packstore.cli.config_model import RepositoryEntry
from packstore.cli.opening import index_root
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import table
from packstore.cli.places import configured_paths
from packstore.cli.versions import iso_date, local_time
from packstore.repository.discovery import FoundRepository, find_repositories, last_backup_ms
from packstore.repository.history import moment_of


@click.command()
@common_options
@pass_settings
def command(settings: Settings) -> None:
    """List the repositories on mounted file systems, and those of the configuration; needs no key.

    Looked at are the top two levels of directories of each mounted file system. Each repository has an id, which is
    made with it and which its copies share: `--repo-id ID` opens it wherever it is mounted. The last backup is what
    this host's index knows of: there is none where nobody here has opened the repository yet.

    \b
    Examples:
      packstore repos
      packstore repos --json
      packstore ls --repo-id 3fa94c01
    """  # noqa: D301
    output = settings.output()
    config = read_config(settings.environment)
    found = find_repositories(configured_paths(config))
    root = index_root(settings)
    entries = list(config.repositories.values())
    last = [last_backup_ms(root, one) for one in found]
    documents = [_document(one, entries, date) for one, date in zip(found, last, strict=True)]
    rows = [_row(document, date) for document, date in zip(documents, last, strict=True)]
    missing = [entry for entry in entries if not any(entry.name in document["names"] for document in documents)]
    rows += [(entry.id[:8], entry.path, entry.name, "", "not there") for entry in missing]
    lines = table(("ID", "PATH", "NAME", "LAST BACKUP", "WRITABLE"), rows) if rows else ["no repository is mounted"]
    output.result({"repositories": documents, "not_there": [entry.name for entry in missing]}, lines)


def _document(found: FoundRepository, entries: list[RepositoryEntry], last: int | None) -> dict[str, Any]:
    return {
        "id": found.file.id.hex(),
        "path": str(found.path),
        "names": [entry.name for entry in entries if _is(entry, found)],
        "last_backup": None if last is None else iso_date(moment_of(last)),
        "writable": found.writable,
        "encrypted": found.file.root is None,
    }


def _row(document: dict[str, Any], last: int | None) -> tuple[str, ...]:
    date = "" if last is None else local_time(moment_of(last))
    writable = "yes" if document["writable"] else "no"
    return document["id"][:8], document["path"], ", ".join(document["names"]), date, writable


def _is(entry: RepositoryEntry, found: FoundRepository) -> bool:
    """Say whether a name of the configuration means this repository."""
    if entry.id:
        return entry.id == found.file.id.hex()
    return bool(entry.path) and found.path.resolve() == Path(entry.path.removeprefix("file://")).resolve()
