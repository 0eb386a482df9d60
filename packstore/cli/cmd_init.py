"""`packstore init`."""

import os
import sys
from typing import Final

import click

from packstore.cli.keys import UNSEEN, kdf_option
from packstore.cli.opening import find_credentials, find_storage, state_directory
from packstore.cli.options import Settings, common_options, parse_size, pass_settings
from packstore.cli.output import Output, size
from packstore.codec.key import Key
from packstore.codec.secret import SECRET_BYTES, format_secret, parse_secret
from packstore.codec.slots import Credential
from packstore.errors import KeyFileUnusable, UsageError
from packstore.format.document import SlotKind
from packstore.format.record import Encryption
from packstore.ids import Uid
from packstore.repository.creation import (
    CreateOptions,
    check_sizes,
    create_repository,
    fastest_encryption,
    require_empty,
)
from packstore.repository.runtime import Runtime
from packstore.repository.sightings import forget_place

_KEEP: Final = "It opens the repository without passphrase or key file. Keep it on paper, away from the repository."


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
@kdf_option
@click.option("--no-recovery-key", is_flag=True, help="Make no recovery key.")
@click.option("--reserve", callback=parse_size, hidden=True, help="Bytes to set aside for a full disk.")
@common_options
@pass_settings
def command(
    settings: Settings,
    block_size: int,
    pack_size: int,
    no_encryption: bool,
    encryption_version: int | None,
    kdf: str,
    no_recovery_key: bool,
    reserve: int | None,
) -> None:
    """Make a repository in an empty directory.

    With --key-file F the repository is opened by that file instead of a passphrase; F is made if it does not
    exist. Keep the passphrase or the key file somewhere else than the repository: without it nothing can be read.

    A recovery key, to be kept on paper, opens the repository as well, wherever a passphrase is taken. It is shown
    once. At a terminal it has to be typed back; otherwise it is part of the output.

    \b
    Examples:
      packstore -r /mnt/usb/backup init
      packstore -r /mnt/usb/backup init --key-file /root/backup.key
      packstore -r /mnt/usb/backup --json init --key-file /root/backup.key > recovery-key.json
      packstore -r ./scratch init --no-encryption --block-size 256KiB
    """  # noqa: D301
    output = settings.output()
    storage = find_storage(settings)
    if no_encryption:
        _require_no_key(settings, encryption_version)
    # Refused before a passphrase is asked for or a key file made.
    check_sizes(block_size, pack_size, reserve)
    require_empty(storage)
    recovery_key = None if no_encryption or no_recovery_key else Key(os.urandom(SECRET_BYTES))
    confirmed = recovery_key is not None and _has_terminal(settings)
    if recovery_key and settings.quiet and not (settings.json or confirmed):
        raise UsageError(UNSEEN, advice="leave it out, or say --json, or --no-recovery-key")
    if no_encryption:
        options = CreateOptions(block_size, pack_size, reserve_bytes=reserve)
    else:
        options = CreateOptions(
            block_size,
            pack_size,
            credentials=_credentials(settings, output, recovery_key, confirm=confirmed),
            encryption=Encryption(encryption_version) if encryption_version else fastest_encryption(),
            kdf=kdf,
            reserve_bytes=reserve,
        )
    repository_id = create_repository(storage, options, Runtime())
    forget_place(state_directory(), storage)
    _report(output, storage.location, repository_id, options, None if confirmed else recovery_key)


def _report(output: Output, location: str, repository_id: Uid, options: CreateOptions, secret: Key | None) -> None:
    """Say what was made; `secret` is a recovery key that nobody has seen yet."""
    shown = None if secret is None else format_secret(secret)
    document = {
        "repository": repository_id.hex(),
        "location": location,
        "block_size": options.block_size,
        "pack_size": options.pack_size,
        "encryption_version": int(options.encryption),
        "recovery_key": shown,
    }
    how = f"encrypted (version {int(options.encryption)})" if options.credentials else "not encrypted"
    text = [
        f"made repository {repository_id.hex()[:8]} at {location}",
        f"blocks of {size(options.block_size)}, packs of {size(options.pack_size)}, {how}",
    ]
    output.result(document, text if shown is None else [*text, f"recovery key: {shown}", _KEEP])


def _require_no_key(settings: Settings, encryption_version: int | None) -> None:
    if encryption_version or settings.key_file:
        raise UsageError("--no-encryption needs no key and no encryption version")
    if find_credentials(settings).given:
        advice = "unset it: whoever has a key refuses a repository that claims to need none"
        raise UsageError("--no-encryption, and a passphrase or key file is set in the environment", advice=advice)


def _has_terminal(settings: Settings) -> bool:
    """Say whether there is somebody to type the recovery key back; None stands for a closed stream."""
    streams = (sys.stdin, sys.stderr)
    return not settings.json and all(stream is not None and stream.isatty() for stream in streams)


def _credentials(
    settings: Settings, output: Output, recovery_key: Key | None, *, confirm: bool
) -> tuple[Credential, ...]:
    secrets = find_credentials(settings)
    # Whoever leaves while the recovery key is typed must find no new key file afterwards: that is made last.
    own = None if secrets.key_file_is_new else secrets.for_new_repository()
    if recovery_key is not None and confirm:
        _have_it_typed(output, recovery_key)
    own = own or secrets.for_new_repository()
    return (own,) if recovery_key is None else (own, Credential.from_secret(recovery_key, SlotKind.RECOVERY))


def _have_it_typed(output: Output, secret: Key) -> None:
    """Show the recovery key, and wait until it was typed correctly: only then has somebody written it down."""
    output.tell("", f"recovery key: {format_secret(secret)}", _KEEP, "Write it down, then type it from what you wrote.")
    while True:
        typed = click.prompt("Recovery key (Ctrl-C makes no repository)", err=True)
        try:
            if parse_secret(typed) == secret:
                return
            output.tell("this is another recovery key; type the one above")
        except KeyFileUnusable as error:
            output.tell(f"{error.message}; type it again")
