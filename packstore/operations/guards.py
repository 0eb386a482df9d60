"""What keeps versions from being removed by mistake, or by somebody who forges dates.

A guard protects people, not the protocol: no rule of safety relies on a clock. A version's own date is its
writer's claim; when its commit was published is the storage's. Age counts from the later of the two, so a
date in the past does not help, and one in the future can always be forced.
Before: repository.repository. After: operations.removal, operations.prune.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from packstore.errors import FormatError, NameNotFound, StorageError, VersionProtected, VersionTooYoung
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.format.version import EventType, Version
from packstore.ids import PackId
from packstore.operations.marks import name_of
from packstore.packs.names import pack_name
from packstore.packs.reader import read_seal
from packstore.repository.history import VersionState, standing
from packstore.repository.repository import Repository

DEFAULT_MIN_AGE: Final = timedelta(days=6)
_NAMED: Final = 4


@dataclass(frozen=True)
class AgeGuard:
    """Says which versions are too young to be removed."""

    repository: Repository
    min_age: timedelta = DEFAULT_MIN_AGE

    def is_too_young(self, version: Version) -> bool:
        """Say whether a version is younger than the minimum age, by its own date or by its commit."""
        if not self.min_age:
            return False
        limit = self.repository.runtime.now_ms() - self.min_age // timedelta(milliseconds=1)
        return version.date_ms > limit or (committed_ms(self.repository, version) or 0) > limit


def committed_ms(repository: Repository, version: Version) -> int | None:
    """Return when a version was committed, in milliseconds since 1970 UTC, by the storage's clock.

    That is when the pack was published in which the version record is the last one: only a commit writes such a pack
    for sure, and of several the first is the commit. None where that pack is gone (a collector has copied the record
    into another), or the storage cannot tell.
    """
    times = []
    for meta_id, plain in repository.index.holders(Kind.VERSION, version.uid):
        try:
            if _is_commit(repository, meta_id, plain):
                times.append(repository.storage.modified_ms(pack_name(PackType.META, meta_id)))
        except NameNotFound:
            continue  # collected since
    return min((time for time in times if time is not None), default=None)


def _is_commit(repository: Repository, meta_id: PackId, plain: bytes) -> bool:
    """Say whether a pack ends with a version; a damaged pack counts, for damage must not make a version older."""
    try:
        last = read_seal(repository.storage, PackType.META, meta_id, repository.owner).entries[-1]
    except NameNotFound:
        return False
    except (FormatError, StorageError):
        return True
    return (last.kind, last.object_id) == (Kind.VERSION, repository.keyring.object_id(plain))


def refuse_protected(repository: Repository, states: Sequence[VersionState]) -> None:
    """Refuse to remove what is protected.

    Raises:
        VersionProtected: at least one version is; the message says why, if that was given.
    """
    protected = [state for state in states if state.protected]
    if not protected:
        return
    events = repository.events()
    reasons = [event.value for event in standing(events, protected[0].version.uid, EventType.PROTECT) if event.value]
    why = f": {reasons[-1]}" if reasons and len(protected) == 1 else ""
    spec = protected[0].version.uid.hex()[:8]
    raise VersionProtected(f"{_names(protected, 'protected')}{why}", advice=f"`packstore unprotect {spec}` comes first")


def refuse_young(guard: AgeGuard, states: Sequence[VersionState]) -> None:
    """Refuse to remove what is younger than the minimum age.

    Raises:
        VersionTooYoung: at least one version is.
    """
    young = [state for state in states if guard.is_too_young(state.version)]
    if young:
        days = guard.min_age / timedelta(days=1)
        what = _names(young, f"younger than {days:g} days")
        raise VersionTooYoung(what, advice="--force removes it all the same; [guards] min_age is in the configuration")


def _names(states: Sequence[VersionState], what: str) -> str:
    if len(states) == 1:
        return f"{name_of(states[0])} is {what}"
    more = ", …" if len(states) > _NAMED else ""
    return f"{len(states)} versions are {what}: {', '.join(name_of(state) for state in states[:_NAMED])}{more}"
