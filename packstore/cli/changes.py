"""What became of versions, as the commands that say something about them report it."""

from collections.abc import Callable, Sequence
from typing import Any

from packstore.cli.opening import open_repository
from packstore.cli.options import Settings
from packstore.cli.output import Output, counted
from packstore.cli.versions import summary
from packstore.operations.marks import Change, name_of
from packstore.operations.removal import Removal
from packstore.repository.repository import Repository


def report_change(
    settings: Settings,
    work: Callable[[Repository], Change],
    text: Callable[[Change], str],
    note: Callable[[Change], str] = lambda _: "",
) -> None:
    """Do `work` and report it; `text` ends the sentence that begins with the version's name, `note` is a warning."""
    output = settings.output()
    with open_repository(settings, output) as repository:
        change = work(repository)
        document: dict[str, Any] = {
            "version": summary(repository, change.after),
            "changed": bool(change.events),
            "events": [event.id.hex() for event in change.events],
        }
    if warning := note(change):
        output.warn(warning)
    output.result(document, [f"{name_of(change.before)} {text(change)}"])


def report_tags(
    settings: Settings,
    work: Callable[[Repository, str, Sequence[str]], Change],
    version: str,
    tags: Sequence[str],
    words: tuple[str, str],
) -> None:
    """Do `work` and report it in the first of `words`, with the tags it changed; in the second if it changed none."""

    def text(change: Change) -> str:
        changed = [event.value or "" for event in change.events]
        return words[not changed].format(", ".join(changed or tags))

    report_change(settings, lambda repository: work(repository, version, tags), text)


def warn_kept(output: Output, removal: Removal) -> None:
    """Say which versions are still there because somebody protected them meanwhile."""
    for state in removal.kept:
        output.warn(f"{name_of(state)} was protected at the same moment, and stays")


def after_removal(removal: Removal, *, dry_run: bool) -> list[str]:
    """Return what a person should know who has removed something."""
    if dry_run or not removal.versions:
        return []
    what = counted(len(removal.versions), "version")
    return [f"{what} removed; `packstore gc` frees the space, until then `packstore undelete` brings them back"]
