"""`packstore index rebuild` and `packstore index status`."""

import click

from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import size
from packstore.index.environment import destroy
from packstore.index.sync import SyncResult
from packstore.repository.opening import read_repository_file
from packstore.repository.repository import index_directory


@click.group()
def command() -> None:
    """Look at the index, a local cache, or make it anew.

    Nothing in it is needed: it is made again from the repository whenever it is missing.

    \b
    Examples:
      packstore -r REPO index status
      packstore -r REPO index rebuild
      packstore -r REPO --json index status
    """  # noqa: D301


@command.command()
@common_options
@pass_settings
def rebuild(settings: Settings) -> None:
    """Throw the index away and make it anew from the repository."""
    output = settings.output()
    storage = settings.storage()
    file = read_repository_file(storage).file
    directory = index_directory(settings.index_root(), file, storage)
    # Opened with a key before anything is thrown away: a wrong passphrase must cost nothing.
    with settings.repository(output):
        pass
    destroy(directory)
    with settings.repository(output) as repository:
        result = SyncResult()
        repository.sync.adopt_orphans(result)
        found = repository.index.statistics()
    output.result(
        {"rebuilt": True, "orphans": result.orphans, "damage": result.damage} | found,
        [f"index rebuilt: {found['objects']} objects in {found['packs']} packs, {size(found['bytes'])}"],
    )


@command.command()
@common_options
@pass_settings
def status(settings: Settings) -> None:
    """Say where the index lies and what is in it."""
    output = settings.output()
    with settings.repository(output) as repository:
        found = repository.index.statistics()
        directory = repository.index.directory
    output.result(
        {"directory": str(directory)} | found,
        [
            f"index at {directory}: {size(found['bytes'])}",
            f"{found['objects']} objects, {found['packs']} packs, {found['metas']} meta packs, "
            f"{found['records']} versions and events",
        ],
    )
