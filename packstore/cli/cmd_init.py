"""`packstore init`."""

import click

from packstore.cli.opening import find_credentials, find_storage
from packstore.cli.options import Settings, common_options, parse_size, pass_settings
from packstore.cli.output import size
from packstore.errors import UsageError
from packstore.format.record import Encryption
from packstore.repository.creation import (
    CreateOptions,
    check_sizes,
    create_repository,
    fastest_encryption,
    require_empty,
)
from packstore.repository.runtime import Runtime


@click.command()
@click.option(
    "--block-size", metavar="SIZE", default="1MiB", show_default=True, callback=parse_size, help="64KiB to 16MiB."
)
@click.option(
    "--pack-size", metavar="SIZE", default="128MiB", show_default=True, callback=parse_size, help="1MiB to 1GiB."
)
@click.option("--no-encryption", is_flag=True, help="Store everything in the clear.")
@click.option(
    "--encryption-version",
    type=click.IntRange(1, 2),
    metavar="N",
    help="1 XChaCha20-Poly1305, 2 AEGIS-256 (default where the processor has AES).",
)
@click.option("--reserve", callback=parse_size, hidden=True, help="Bytes to set aside for a full disk.")
@common_options
@pass_settings
def command(
    settings: Settings,
    block_size: int,
    pack_size: int,
    no_encryption: bool,
    encryption_version: int | None,
    reserve: int | None,
) -> None:
    """Make a repository in an empty directory.

    With --key-file F the repository is opened by that file instead of a passphrase; F is made if it does not
    exist. Keep the passphrase or the key file somewhere else than the repository: without it nothing can be read.

    \b
    Examples:
      packstore -r /mnt/usb/backup init
      packstore -r /mnt/usb/backup init --key-file /root/backup.key
      packstore -r ./scratch init --no-encryption --block-size 256KiB
    """  # noqa: D301
    output = settings.output()
    storage = find_storage(settings)
    if no_encryption and (encryption_version or settings.key_file):
        raise UsageError("--no-encryption needs no key and no encryption version")
    if no_encryption and find_credentials(settings).given:
        advice = "unset it: whoever has a key refuses a repository that claims to need none"
        raise UsageError("--no-encryption, and a passphrase or key file is set in the environment", advice=advice)
    # Refused before a passphrase is asked for or a key file made.
    check_sizes(block_size, pack_size, reserve)
    require_empty(storage)
    if no_encryption:
        options = CreateOptions(block_size, pack_size, reserve_bytes=reserve)
    else:
        encryption = Encryption(encryption_version) if encryption_version else fastest_encryption()
        options = CreateOptions(
            block_size,
            pack_size,
            credentials=(find_credentials(settings).for_new_repository(),),
            encryption=encryption,
            reserve_bytes=reserve,
        )
    repository_id = create_repository(storage, options, Runtime())
    document = {
        "repository": repository_id.hex(),
        "location": storage.location,
        "block_size": block_size,
        "pack_size": pack_size,
        "encryption_version": int(options.encryption),
    }
    how = "not encrypted" if no_encryption else f"encrypted (version {int(options.encryption)})"
    output.result(
        document,
        [
            f"made repository {repository_id.hex()[:8]} at {storage.location}",
            f"blocks of {size(block_size)}, packs of {size(pack_size)}, {how}",
        ],
    )
