"""`packstore key ls`."""

from datetime import UTC, datetime
from typing import Any

import click

from packstore.cli.keys import day, epoch_document, open_key_store, short
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import table
from packstore.cli.versions import iso_date
from packstore.codec.slots import KIND_WORDS
from packstore.operations.keys import KeyReport, SlotState, report_keys


@click.command()
@common_options
@pass_settings
def command(settings: Settings) -> None:
    """List what opens the repository, and its epochs.

    The slot that opened it just now has a star. New records are written in the last epoch.

    \b
    Examples:
      packstore -r REPO key ls
      packstore -r REPO key ls --json
    """  # noqa: D301
    output = settings.output()
    report = report_keys(open_key_store(settings))
    output.result(_document(report), _text(report))
    for advice in shortcomings(report):
        output.warn(advice)


def shortcomings(report: KeyReport) -> list[str]:
    """Return what is not as it should be with the keys, and what to do about it."""
    advice = "bring one back: `packstore repair --from` or `packstore key import`"
    found = [f"{name} and its copy cannot be read: {advice}" for name in report.unreadable]
    if any(slot.lacks for slot in report.living):
        found.append("a slot does not open every epoch: `packstore key test` gives each slot what it lacks")
    if report.foreign:
        numbers = ", ".join(map(str, report.foreign))
        found.append(f"epoch {numbers} is not opened by this key: run `packstore key test` with another one")
    if report.exposed:
        found.append("a slot that was removed in a copy opens the newest epoch: `packstore key rotate`")
    if len(report.living) == 1:
        found.append("only one slot opens this repository: `packstore key add --recovery` makes a second one")
    return found


def _document(report: KeyReport) -> dict[str, Any]:
    return {
        "slots": [_slot_document(slot) for slot in report.slots],
        "epochs": [epoch_document(epoch) | {"retired": report.is_retired(epoch)} for epoch in report.epochs],
        "unreadable": report.unreadable,
        "epochs_not_opened": report.foreign,
    }


def _slot_document(slot: SlotState) -> dict[str, Any]:
    return {
        "id": slot.header.id.hex(),
        "kind": slot.header.kind.name.lower(),
        "label": slot.header.label,
        "date": iso_date(datetime.fromtimestamp(slot.header.date_ms / 1000, UTC)),
        "kdf_passes": slot.header.passes,
        "kdf_memory": slot.header.memory,
        "own": slot.own,
        "state": _state(slot) or "good",
        "lacks_epochs": [epoch.number for epoch in slot.lacks],
    }


def _state(slot: SlotState) -> str:
    if not slot.genuine:
        return "forged"
    if slot.removed:
        return "removed"
    return "lacks " + ", ".join(f"epoch {epoch.number}" for epoch in slot.lacks) if slot.lacks else ""


def _text(report: KeyReport) -> list[str]:
    slots = [
        (
            short(slot.header) + (" *" if slot.own else ""),
            KIND_WORDS[slot.header.kind],
            slot.header.label,
            day(slot.header.date_ms),
            _state(slot),
        )
        for slot in report.slots
    ]
    usable = [epoch for epoch in report.epochs if not report.is_retired(epoch)]
    epochs = [
        (
            str(epoch.number),
            epoch.data.id.hex(),
            epoch.encryption.name,
            day(epoch.date_ms),
            "retired" if report.is_retired(epoch) else "written in" if epoch in usable[-1:] else "",
        )
        for epoch in report.epochs
    ]
    return [
        *table(("SLOT", "OPENED BY", "LABEL", "MADE", "STATE"), slots),
        "",
        *table(("EPOCH", "ID", "ENCRYPTION", "MADE", "STATE"), epochs),
    ]
