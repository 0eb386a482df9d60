"""`packstore key change`."""

from pathlib import Path

import click

from packstore.cli.key_add import new_credential, with_secret
from packstore.cli.keys import changing, kdf_option, open_key_store, short
from packstore.cli.options import Settings, common_options_without, pass_settings
from packstore.codec.slots import KIND_WORDS
from packstore.errors import UsageError
from packstore.format.document import SlotKind
from packstore.operations.keys import add_slot, find_slot, remove_slot


@click.command()
@click.argument("slot", metavar="SLOT")
@click.option(
    "--key-file",
    "new_key_file",
    type=click.Path(path_type=Path),
    metavar="F",
    help="The new key file, for a slot that takes one: made if it does not exist, else read.",
)
@kdf_option
@common_options_without("--key-file")
@pass_settings
def command(settings: Settings, slot: str, new_key_file: Path | None, kdf: str) -> None:
    """Replace a passphrase, key file or recovery key by a new one of its kind.

    The new one is added, proven to open everything, and then the old one is removed as by `key rm`. No pack is touched.
    A new passphrase is asked for, or comes from PACKSTORE_NEW_PASSPHRASE or PACKSTORE_NEW_PASSPHRASE_FILE.

    \b
    Examples:
      packstore -r REPO key change 3fa94c01
      packstore -r REPO key change "recovery key"
      packstore -r REPO key change 77b1 --key-file /root/new.key
    """  # noqa: D301
    output = settings.output()
    store = open_key_store(settings)
    old = find_slot(store, slot)
    kind, label = old.header.kind, old.header.label
    if new_key_file and kind is not SlotKind.KEY_FILE:
        message = (
            f"slot {short(old.header)} takes a {KIND_WORDS[kind]}, and --key-file is for slots that take a key file"
        )
        advice = "to have another kind, use `packstore key add --key-file` and then `packstore key rm`"
        raise UsageError(message, advice=advice)
    secret, credential = new_credential(settings, output, kind, new_key_file)
    with changing(store, "key change"):
        slot_id = add_slot(store, credential, label=label, kdf=kdf)
        made: dict[str, object] = {"slot": slot_id.hex(), "kind": kind.name.lower(), "label": label}
        # Before the old one goes: a recovery key that nobody has seen must not be the only one.
        document, lines = with_secret(made, [f"added slot {slot_id.hex()[:8]}, a {KIND_WORDS[kind]}"], kind, secret)
        output.result(document, lines)
        remove_slot(store, old)
    done = {"removed": old.header.id.hex(), "epoch": store.keyring.highest}
    output.result(document | done, [f"it takes the place of {short(old.header)}, which is removed"])
