"""Look at a repository with the eyes of its schedules.

Before: operations.schedules. After: the command line.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from packstore.errors import UsageError
from packstore.operations.schedules import Breach, Dated, Due, Schedule, find_breaches, find_due, volumes_of
from packstore.repository.history import moment_of
from packstore.repository.repository import Repository


def look_for_due(repository: Repository, schedules: Sequence[Schedule], volume: str | None) -> list[Due]:
    """Return what is due, of one volume or of all.

    Raises:
        UsageError: no schedule is for this volume.
    """
    now = moment_of(repository.runtime.now_ms())
    versions = _valid_versions(repository)
    volumes = _volumes(schedules, volume, versions)
    return [due for name in volumes for due in find_due(name, schedules, versions[name], now)]


def look_for_breaches(repository: Repository, schedules: Sequence[Schedule], volume: str | None) -> list[Breach]:
    """Return what is not as promised, of one volume or of all.

    Raises:
        UsageError: no schedule is for this volume.
    """
    now = moment_of(repository.runtime.now_ms())
    versions = _valid_versions(repository)
    first: dict[str, datetime] = {}
    for state in repository.states():
        name = state.version.volume
        first[name] = min(state.date, first.get(name, state.date))
    volumes = _volumes(schedules, volume, versions)
    return [
        breach for name in volumes for breach in find_breaches(name, schedules, versions[name], first.get(name), now)
    ]


def tags_due(repository: Repository, schedules: Sequence[Schedule], volumes: Iterable[str]) -> dict[str, list[str]]:
    """Return those of `volumes` that are due, each with the tags of the schedules that wait for it.

    A volume that no schedule is for is always due: whoever starts the backups has decided.
    """
    now = moment_of(repository.runtime.now_ms())
    versions = _valid_versions(repository)
    found: dict[str, list[str]] = {}
    for name in volumes:
        due = find_due(name, schedules, versions[name], now)
        if due or not any(schedule.applies_to(name) for schedule in schedules):
            found[name] = [one.schedule.tag for one in due]
    return found


def _volumes(schedules: Sequence[Schedule], volume: str | None, known: dict[str, list[Dated]]) -> list[str]:
    if volume is None:
        return volumes_of(schedules, known)
    if not any(schedule.applies_to(volume) for schedule in schedules):
        raise UsageError(f"no schedule is for {volume}", advice="`volumes` of a schedule says which volumes it is for")
    return [volume]


def _valid_versions(repository: Repository) -> defaultdict[str, list[Dated]]:
    """Return the versions that are there, by volume; one that is incomplete or damaged keeps no promise."""
    found: defaultdict[str, list[Dated]] = defaultdict(list)
    for state in repository.states():
        if not state.removed:
            of_volume = found[state.version.volume]  # a volume with nothing but invalid versions is one all the same
            if repository.is_readable(state):
                of_volume.append(Dated(state.version.uid.hex(), state.date, frozenset(state.tags)))
    return found
