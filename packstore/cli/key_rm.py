"""`packstore key rm`."""

import click

from packstore.cli.keys import changing, open_key_store, short
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.codec.slots import KIND_WORDS
from packstore.operations.keys import find_slot, remove_slot


@click.command()
@click.argument("slot", metavar="SLOT")
@common_options
@pass_settings
def command(settings: Settings, slot: str) -> None:
    """Take a passphrase, key file or recovery key away.

    SLOT is an id or label of `key ls`. A new epoch is started, which the slot does not open: what is written from now
    on is closed to its holder. What was stored before is not: whoever had it may have kept a copy of the slot and of
    the keys it opens. `key migrate` and `key retire` shut older keys out of the repository, but not out of copies of
    it; if the key has leaked, copy everything into a new repository (`packstore sync`).

    \b
    Examples:
      packstore -r REPO key rm 3fa94c01
      packstore -r REPO key rm "the other admin"
    """  # noqa: D301
    store = open_key_store(settings)
    with changing(store, "key rm"):
        found = find_slot(store, slot)
        remove_slot(store, found)
    header, highest, own = found.header, store.keyring.highest, store.keyring.slot
    before = "epoch 1" if highest <= 2 else f"epochs 1 to {highest - 1}"  # noqa: PLR2004
    lines = [
        f"removed slot {short(header)}, a {KIND_WORDS[header.kind]}; from now on everything is in epoch {highest}",
        f"its holder may still read what was stored before, with a copy of the slot: {before}",
    ]
    if own and own.id == header.id:
        lines.append("it is what opened the repository just now: the next command needs another one")
    settings.output().result(
        {"removed": header.id.hex(), "kind": header.kind.name.lower(), "label": header.label, "epoch": highest}, lines
    )
