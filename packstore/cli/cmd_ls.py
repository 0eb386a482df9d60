"""`packstore ls`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import size, table
from packstore.cli.times import parse_begin
from packstore.cli.versions import FIELDS, condition, expiry, local_date, snapshot_of, summary
from packstore.errors import UsageError
from packstore.repository.history import VersionState


@dataclass(frozen=True)
class _Filter:
    """Which versions are asked for."""

    volume: str | None
    tags: tuple[str, ...]
    snapshot: str | None
    since: datetime | None
    expired: bool
    invalid: bool
    removed: bool

    def takes(self, state: VersionState, now: datetime) -> bool:
        """Say whether a version is asked for, as far as can be said without looking at its objects."""
        tests: list[Callable[[], bool]] = [
            lambda: state.removed == self.removed,
            lambda: self.volume in {None, state.version.volume},
            lambda: set(self.tags) <= state.tags,
            lambda: self.snapshot is None or snapshot_of(state) == self.snapshot,
            lambda: self.since is None or state.date >= self.since,
            lambda: not self.expired or (state.expires_at is not None and state.expires_at < now),
        ]
        return all(test() for test in tests)


@click.command()
@click.argument("volume", required=False)
@click.option("--tag", "tags", multiple=True, metavar="T", help="Only versions with this tag, or with all of several.")
@click.option("--snapshot-name", "snapshot", metavar="N", help="Only versions made from this snapshot of the source.")
@click.option("--since", metavar="DATE", help="Only versions made since 2026-12-24, or in the last 14d.")
@click.option("--expired", is_flag=True, help="Only versions whose expire date has passed.")
@click.option("--invalid", is_flag=True, help="Only versions that are incomplete or damaged.")
@click.option("--removed", is_flag=True, help="Removed versions instead of the others.")
@click.option("--fields", metavar="A,B", help=f"Only these fields: {', '.join(FIELDS)}.")
@common_options
@pass_settings
def command(
    settings: Settings,
    volume: str | None,
    tags: tuple[str, ...],
    snapshot: str | None,
    since: str | None,
    expired: bool,
    invalid: bool,
    removed: bool,
    fields: str | None,
) -> None:
    """List the versions of VOLUME, or of all volumes, the oldest first.

    A removed version can be brought back by `undelete` until it is shown as collected.

    \b
    Examples:
      packstore -r REPO ls
      packstore -r REPO ls root --tag b_weekly --since 30d
      packstore -r REPO ls --removed
      packstore -r REPO ls --fields uid,date,tags
      packstore -r REPO --json ls root
    """  # noqa: D301
    output = settings.output()
    columns = _columns(fields)
    now = datetime.now(UTC)
    begin = None if since is None else parse_begin(since, now)
    wanted = _Filter(volume, tags, snapshot, begin, expired, invalid, removed)
    with open_repository(settings, output) as repository:
        states = [state for state in repository.states() if wanted.takes(state, now)]
        judge = repository.judge(states)
        found = [(state, summary(judge, state)) for state in states]
    if invalid:
        found = [(state, document) for state, document in found if not document["valid"]]
    lines = _table(found, columns) if found else [_nothing(wanted)]
    documents = [document for _, document in found]
    if columns:
        documents = [{name: document[name] for name in columns} for document in documents]
    output.result({"versions": documents}, lines)


def _columns(fields: str | None) -> list[str]:
    columns = [name.strip() for name in fields.split(",")] if fields is not None else []
    for name in columns:
        if name not in FIELDS:
            raise UsageError(f"there is no field {name!r}", advice=f"fields are {', '.join(FIELDS)}")
    return columns


def _table(found: list[tuple[VersionState, dict[str, Any]]], columns: list[str]) -> list[str]:
    if columns:
        rows = [tuple(FIELDS[name](state, document) for name in columns) for state, document in found]
        right = frozenset(number for number, name in enumerate(columns) if name == "size")
        return table([name.upper() for name in columns], rows, right)
    header = ("VERSION", "DATE", "VOLUME", "SIZE", "STATE", "EXPIRES", "TAGS")
    default = [
        (
            document["uid"][:8],
            local_date(state),
            document["volume"],
            size(document["size"]),
            condition(document),
            expiry(state),
            ", ".join(document["tags"]),
        )
        for state, document in found
    ]
    return table(header, default, frozenset({3}))


def _nothing(wanted: _Filter) -> str:
    kind = "removed versions" if wanted.removed else "versions"
    if wanted.tags or wanted.snapshot or wanted.since or wanted.expired or wanted.invalid:
        return f"no such {kind}"
    if wanted.volume:
        return f"no {kind} of {wanted.volume}"
    return f"no {kind}" if wanted.removed else "no versions yet"
