"""`packstore key rotate`."""

import click

from packstore.cli.keys import changing, epoch_document, open_key_store
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import counted
from packstore.format.record import Encryption
from packstore.operations.keys import report_keys, rotate


@click.command()
@click.option(
    "--encryption-version",
    type=click.IntRange(1, 2),
    metavar="N",
    help="1 XChaCha20-Poly1305, 2 AEGIS-256 (default: as before).",
)
@common_options
@pass_settings
def command(settings: Settings, encryption_version: int | None) -> None:
    """Start an epoch: what is written from now on has new keys.

    Every slot opens it, without anybody else's passphrase. What is stored stays as it is and readable; `key migrate`
    writes it anew. Ids, versions and deduplication do not change.

    \b
    Examples:
      packstore -r REPO key rotate
      packstore -r REPO key rotate --encryption-version 1
    """  # noqa: D301
    store = open_key_store(settings)
    with changing(store, "key rotate"):
        epoch = rotate(store, Encryption(encryption_version) if encryption_version else None)
    slots = len(report_keys(store).living)
    settings.output().result(
        epoch_document(epoch) | {"slots": slots},
        [
            f"epoch {epoch.number} ({epoch.encryption.name}) is what is written in from now on; opened by "
            f"{counted(slots, 'slot')}",
            "what was stored before stays under its keys: `packstore key migrate` writes it anew",
        ],
    )
