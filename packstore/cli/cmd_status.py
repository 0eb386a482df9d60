"""`packstore status`."""

from typing import Any

import click

from packstore.cli.opening import open_keys, open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import Output, counted, table
from packstore.cli.versions import iso_date, local_time
from packstore.operations.hold import declare_dead, describe
from packstore.repository.coordination import INTENT_PREFIX
from packstore.repository.history import moment_of
from packstore.repository.notices import Notice, Survey, survey
from packstore.repository.runtime import Runtime


@click.command()
@click.option("--declare-dead", "dead", metavar="ID", help="Take the process that announced itself as ID for dead.")
@click.option(
    "--accept-missing", is_flag=True, help="What this host has seen in the repository and is gone is meant to be gone."
)
@common_options
@pass_settings
def command(settings: Settings, dead: str | None, accept_missing: bool) -> None:
    """Show who is writing, holding or collecting garbage, and what is condemned.

    A process that was killed is noticed by itself where that can be proven: on a local disk, or on the same machine.
    Any other is taken for dead only by --declare-dead. If it was alive it notices, and starts over: work is lost, and
    no data.

    When versions or epochs are missing that this host has seen, and that nobody has removed, every command says so (26)
    and nothing is collected, until they are back, or --accept-missing says that they need not come back.

    \b
    Examples:
      packstore -r REPO status
      packstore -r REPO status --declare-dead 3fa94c01
      packstore -r REPO status --accept-missing
    """  # noqa: D301
    output = settings.output()
    if accept_missing:
        _accept(settings, output)
        return
    storage, keyring = open_keys(settings)
    runtime = Runtime()
    if dead is not None:
        gone = declare_dead(storage, keyring, runtime, dead)
        output.result({"declared_dead": _document(gone)}, [f"{describe(gone)} is taken for dead"])
        return
    found = survey(storage, keyring, runtime.process)
    ripe = found.ripe()
    document = {
        "notices": [_document(notice) for notice in found.notices],
        "lists": [
            {
                "id": list_id.hex(),
                "packs": len(condemned.packs),
                "versions": len(condemned.versions),
                "ripe": list_id in ripe,
            }
            for list_id, condemned in found.lists.items()
        ],
    }
    output.result(document, _text(found))


def _accept(settings: Settings, output: Output) -> None:
    with open_repository(settings, output) as repository:
        missing = repository.missing
        repository.accept_missing()
    settings.rolled_back = None
    versions, epochs = sorted(uid.hex() for uid in missing.versions), sorted(missing.epochs.values())
    what = f"{counted(len(versions), 'version')} and {counted(len(epochs), 'epoch')} are not missed any more"
    if not missing.anything_missing:
        what = "nothing is missing: there is nothing to accept"
    output.result({"accepted_versions": versions, "accepted_epochs": epochs}, [what])


def _document(notice: Notice) -> dict[str, Any]:
    intent = notice.intent
    return {
        "id": notice.name.removeprefix(INTENT_PREFIX),
        "role": intent.role.name.lower() if intent else None,
        "purpose": intent.purpose if intent else None,
        "host": intent.host if intent else None,
        "pid": intent.pid if intent else None,
        "since": iso_date(moment_of(intent.date_ms)) if intent else None,
        "dead": notice.dead,
        "holds_all": notice.holds_all,
    }


def _text(found: Survey) -> list[str]:
    lines = ["nobody is writing, holding or collecting garbage"]
    if found.notices:
        rows = [
            (
                notice.name.removeprefix(INTENT_PREFIX)[:8],
                local_time(moment_of(notice.intent.date_ms)) if notice.intent else "?",
                "dead" if notice.dead else "running",
                describe(notice),
            )
            for notice in found.notices
        ]
        lines = table(("ID", "SINCE", "STATE", "WHAT"), rows)
    ripe = found.ripe()
    for list_id, condemned in found.lists.items():
        what = "the next `packstore gc` deletes them" if list_id in ripe else "waiting for those above to end"
        lines.append(
            f"condemned: {counted(len(condemned.packs), 'pack')} and what only "
            f"{counted(len(condemned.versions), 'removed version')} needed; {what}"
        )
    return lines
