"""`packstore key test`."""

import click

from packstore.cli.key_ls import shortcomings
from packstore.cli.keys import epoch_document, short
from packstore.cli.live import LiveProgress
from packstore.cli.opening import find_credentials, open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import table
from packstore.codec.keyring import EpochKeys
from packstore.codec.slots import KIND_WORDS
from packstore.errors import KeysUnreadable
from packstore.operations.key_test import KeyTest, try_keys


@click.command()
@click.option("--ask", is_flag=True, help="Ask at the terminal for what is to be tested, whatever else is set.")
@common_options
@pass_settings
def command(settings: Settings, ask: bool) -> None:
    """Prove that a passphrase, key file or recovery key opens everything.

    It opens a slot, and reads a block and a record of metadata of every epoch. A recovery key is typed at --ask. Slots
    that lack an epoch, as after two copies were merged, are given it.

    \b
    Examples:
      packstore -r REPO key test
      packstore -r REPO key test --ask
      packstore -r REPO key test --key-file /mnt/safe/backup.key
    """  # noqa: D301
    output = settings.output()
    progress = LiveProgress(output)
    credentials = find_credentials(settings).asking() if ask else find_credentials(settings)
    with open_repository(settings, output, credentials=credentials) as repository, settings.stoppable() as stop:
        try:
            found = try_keys(repository, stop, progress)
        finally:
            progress.finish()
    own = next((slot for slot in found.report.slots if slot.own), None)
    epochs = [epoch for epoch in found.report.epochs if not found.report.is_retired(epoch)]
    document = {
        "slot": own.header.id.hex() if own else None,
        "kind": own.header.kind.name.lower() if own else None,
        "label": own.header.label if own else None,
        "epochs": [epoch_document(epoch) | _proven(epoch, found) for epoch in epochs],
        "epochs_not_opened": found.report.foreign,
        "granted": [slot.hex() for slot in found.granted],
    }
    lines = [f"opened by slot {short(own.header)}, a {KIND_WORDS[own.header.kind]}"] if own else []
    rows = [(str(epoch.number), *(_word(done) for done in _proven(epoch, found).values())) for epoch in epochs]
    lines += table(("EPOCH", "BLOCKS", "METADATA"), rows)
    lines += [f"slot {slot.hex()[:8]} was given the epochs it lacked" for slot in found.granted]
    output.result(document, lines)
    for advice in [*shortcomings(found.report), *filter(None, [found.fault])]:
        output.warn(advice)
    if found.report.foreign:
        numbers = ", ".join(map(str, found.report.foreign))
        advice = "use another key, which gives this slot what it lacks; `packstore key ls` lists them"
        raise KeysUnreadable(f"this key does not open epoch {numbers}", advice=advice)


def _proven(epoch: EpochKeys, found: KeyTest) -> dict[str, bool]:
    return {"read_block": epoch.data.id in found.read, "read_metadata": epoch.meta.id in found.read}


def _word(done: bool) -> str:
    return "read" if done else "none there"
