"""`packstore key export`."""

import os
from pathlib import Path

import click

from packstore.cli.keys import open_key_store
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import counted
from packstore.cli.paper import paper
from packstore.errors import TargetExists, TargetWriteFailed
from packstore.format.export import to_lines
from packstore.operations.key_export import export_keys
from packstore.operations.keys import find_slot


@click.command()
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it.")
@click.option("--paper", "on_paper", is_flag=True, help="A page to be printed (HTML), with QR codes beside the text.")
@click.option("--slot", metavar="SLOT", help="Of the slots only this one: a shorter page.")
@common_options
@pass_settings
def command(settings: Settings, target: Path | None, on_paper: bool, slot: str | None) -> None:
    """Write all slots and epochs into one file, or onto paper.

    For when the files in `keys/` are lost with all their copies: `key import` brings them back. What is written is as
    well wrapped as in the repository: useless without a passphrase, key file or recovery key, and enough with one. It
    is out of date after `key add`, `key rm`, `key change` and `key rotate`.

    \b
    Examples:
      packstore -r REPO key export -o /mnt/safe/backup-keys.txt
      packstore -r REPO key export --paper -o keys.html
      packstore -r REPO key export --paper --slot "recovery key" -o keys.html
    """  # noqa: D301
    output = settings.output()
    store = open_key_store(settings)
    exported = export_keys(store, find_slot(store, slot) if slot else None)
    lines = list(to_lines(exported.data))
    repository = store.keyring.repository_id.hex()
    if on_paper:
        text = paper(repository, store.storage.location, [each.header for each in exported.slots], lines)
    else:
        title = f"# slots and epochs of packstore repository {repository}: `packstore key import`"
        text = "\n".join([title, *lines, ""])
    if target is None:
        output.result({"text": text}, text.splitlines())
        return
    _write(target, text.encode())
    document = {"file": str(target), "slots": len(exported.slots), "epochs": exported.epochs, "lines": len(lines)}
    what = f"{counted(len(exported.slots), 'slot')} and {counted(exported.epochs, 'epoch file')}"
    output.result(document, [f"wrote {what} to {target}"])


def _write(target: Path, data: bytes) -> None:
    """Write a new file, durably. What was exported before may be all that somebody has: it is not written over."""
    try:
        with target.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise TargetExists(f"{target} exists already", advice="name another file, or delete it first") from None
    except OSError as error:
        raise TargetWriteFailed(f"{target} cannot be written: {error.strerror}") from error
