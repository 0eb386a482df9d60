"""`packstore key`: its subcommands are in `key_*.py`."""

from typing import Final

import click

from packstore.cli.lazy import LazyGroup
from packstore.cli.options import common_options

SUBCOMMANDS: Final = {
    "add": "Let another passphrase, key file or recovery key open the repository.",
    "change": "Replace a passphrase, key file or recovery key by a new one.",
    "export": "Write all slots and epochs into one file, or onto paper.",
    "import": "Bring slots and epochs back from an export.",
    "ls": "List what opens the repository, and its epochs.",
    "migrate": "Write what is stored under older epochs anew.",
    "retire": "Refuse the records of an older epoch from now on.",
    "rm": "Take a passphrase, key file or recovery key away.",
    "rotate": "Start an epoch: what is written from now on has new keys.",
    "test": "Prove that a passphrase or key file opens everything.",
}


@click.group(cls=LazyGroup, summaries=SUBCOMMANDS, prefix="key", no_args_is_help=False)
@common_options
def command() -> None:
    """Look after the keys: passphrases, key files, recovery keys, and the epochs they open.

    A slot is what a passphrase, a key file or a recovery key opens. An epoch has the keys that records are written
    with; each slot opens every epoch. None of these commands touches a backup but `migrate`, and all of them run beside
    backups.

    \b
    Examples:
      packstore -r REPO key ls
      packstore -r REPO key add --key-file /root/second.key
      packstore -r REPO key change 3fa94c01
      packstore -r REPO key rotate
    """  # noqa: D301
