"""`packstore key retire`."""

import click

from packstore.cli.keys import epoch_document
from packstore.cli.live import LiveProgress
from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.operations.key_retire import retire_epoch


@click.command()
@click.argument("epoch", metavar="EPOCH")
@common_options
@pass_settings
def command(settings: Settings, epoch: str) -> None:
    """Refuse the records of an older epoch from now on.

    EPOCH is a number of `key ls`. It is refused (64) while any record of it is needed: run `key migrate` first. Whoever
    still has the keys of a retired epoch, and can write to the storage, can add nothing with them. A copy of the
    repository that was not migrated cannot be merged any more; `packstore sync` copies out of it.

    \b
    Examples:
      packstore -r REPO key retire 1
      packstore -r REPO key retire 2 --json
    """  # noqa: D301
    output = settings.output()
    progress = LiveProgress(output)
    with open_repository(settings, output) as repository, settings.stoppable("run it again") as stop:
        try:
            done = retire_epoch(repository, epoch, stop, progress)
        finally:
            progress.finish()
    document = epoch_document(done.epoch) | {"already": done.collected is None}
    word = "was retired before" if done.collected is None else "is retired: its records are refused from now on"
    output.result(document, [f"epoch {done.epoch.number} {word}"])
