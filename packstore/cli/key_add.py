"""`packstore key add`."""

import os
from pathlib import Path

import click

from packstore.cli.credentials import make_key_file, read_key_file
from packstore.cli.keys import UNSEEN, changing, kdf_option, open_key_store, reach
from packstore.cli.opening import find_credentials
from packstore.cli.options import Settings, common_options_without, pass_settings
from packstore.cli.output import Output
from packstore.codec.key import Key
from packstore.codec.secret import SECRET_BYTES, format_secret
from packstore.codec.slots import KIND_WORDS, Credential
from packstore.errors import UsageError
from packstore.format.document import SlotKind
from packstore.operations.keys import add_slot


@click.command()
@click.option("--passphrase", is_flag=True, help="A passphrase; asked for, or from PACKSTORE_NEW_PASSPHRASE(_FILE).")
@click.option(
    "--key-file",
    "new_key_file",
    type=click.Path(path_type=Path),
    metavar="F",
    help="A key file: made if it does not exist, else read.",
)
@click.option("--recovery", is_flag=True, help="A recovery key, printed once, to be written down.")
@click.option("--label", metavar="TEXT", help="What to call it in `key ls`.")
@kdf_option
@common_options_without("--key-file")
@pass_settings
def command(
    settings: Settings, passphrase: bool, new_key_file: Path | None, recovery: bool, label: str | None, kdf: str
) -> None:
    """Let another passphrase, key file or recovery key open the repository.

    The repository is opened with what opens it today: a key file for that is named before `key`, or in
    PACKSTORE_KEY_FILE. Nothing that is stored is touched.

    \b
    Examples:
      packstore -r REPO key add --passphrase --label "the other admin"
      packstore -r REPO key add --key-file /root/second.key
      packstore -r REPO --key-file /root/first.key key add --recovery
    """  # noqa: D301
    output = settings.output()
    if [passphrase, new_key_file is not None, recovery].count(True) != 1:
        raise UsageError("one of --passphrase, --key-file F and --recovery is to be given")
    kind = SlotKind.PASSPHRASE if passphrase else SlotKind.RECOVERY if recovery else SlotKind.KEY_FILE
    store = open_key_store(settings)
    secret, credential = new_credential(settings, output, kind, new_key_file)
    with changing(store, "key add"):
        slot_id = add_slot(store, credential, label=label or KIND_WORDS[kind], kdf=kdf)
    document: dict[str, object] = {"slot": slot_id.hex(), "kind": kind.name.lower(), "label": label or KIND_WORDS[kind]}
    lines = [f"added slot {slot_id.hex()[:8]}, a {KIND_WORDS[kind]}; {reach(store)}"]
    output.result(*with_secret(document, lines, kind, secret))


def new_credential(
    settings: Settings, output: Output, kind: SlotKind, key_file: Path | None
) -> tuple[Key | None, Credential]:
    """Return a credential for a new slot, with the secret if it is one.

    Raises:
        KeyUnavailable: there is no passphrase to be had, or the key file is none.
        UsageError: no key file is named, or a recovery key would not be shown.
    """
    if kind is SlotKind.PASSPHRASE:
        return None, find_credentials(settings).new_passphrase()
    if kind is SlotKind.RECOVERY:
        if settings.quiet and not settings.json:
            raise UsageError(UNSEEN, advice="leave it out, or say --json")
        secret = Key(os.urandom(SECRET_BYTES))
    elif key_file is None:
        raise UsageError("which key file?", advice="name it with --key-file F")
    else:
        secret = read_key_file(key_file, output.warn) if os.path.lexists(key_file) else make_key_file(key_file)
    return secret, Credential.from_secret(secret, kind)


def with_secret(
    document: dict[str, object], lines: list[str], kind: SlotKind, secret: Key | None
) -> tuple[dict[str, object], list[str]]:
    """Add a new recovery key to what a command prints: it is shown this once."""
    if kind is not SlotKind.RECOVERY or secret is None:
        return document, lines
    text = format_secret(secret)
    told = ["the recovery key, to be written down and kept apart from the repository:", "", f"    {text}", ""]
    return document | {"recovery_key": text}, [*lines, *told]
