"""`packstore index rebuild` and `packstore index status`."""

import click

from packstore.cli.live import LiveProgress
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import counted, size


@click.group(no_args_is_help=False)
@common_options
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
    with open_repository(settings, output) as repository:
        progress = LiveProgress(output)
        try:
            result = repository.rebuild_index(progress)
        finally:
            progress.finish()
        found = repository.index.statistics()
    output.result(
        {"rebuilt": True, "orphans": result.orphans, "damage": result.damage} | found,
        [
            f"index rebuilt: {counted(found['objects'], 'object')} in {counted(found['packs'], 'pack')}, "
            f"{size(found['bytes'])}"
        ],
    )


@command.command()
@common_options
@pass_settings
def status(settings: Settings) -> None:
    """Say where the index lies and what is in it."""
    output = settings.output()
    with open_repository(settings, output) as repository:
        found = repository.index.statistics()
        directory = repository.index.directory
    output.result(
        {"directory": str(directory)} | found,
        [
            f"index at {directory}: {size(found['bytes'])}",
            f"{counted(found['objects'], 'object')}, {counted(found['packs'], 'pack')}, "
            f"{counted(found['metas'], 'meta pack')}, {found['records']} versions and events",
        ],
    )
