"""Copy versions into a repository with other keys: each block is read, verified, named anew and stored if unknown.

Works between any two storages, and between block sizes and epochs: nothing is taken over as bytes. Copying a whole
repository with its keys is rsync's work (docs/COPIES.md).
Before: operations.transcribe, operations.findings. After: the command line.
"""

import time
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from packstore.errors import DamageError, FormatError, Interrupted, UsageError
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.format.version import Version, encode_event
from packstore.ids import HOLE, Uid
from packstore.operations.findings import is_collected, record_met
from packstore.operations.restate import MAX_COUNTER, state_events
from packstore.operations.transcribe import Base, Pair, Transcriber
from packstore.packs.names import list_packs
from packstore.progress import Progress, StopRequest
from packstore.repository.history import VersionState, find_version, forgotten_versions
from packstore.repository.repository import Repository
from packstore.repository.session import Session


class Refused(NamedTuple):
    """A version that was not copied, and why."""

    state: VersionState
    reason: str


@dataclass
class SyncReport:
    """What became of each version, the oldest first; sizes in bytes."""

    copied: list[VersionState] = field(default_factory=list)
    skipped: list[VersionState] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    bytes_read: int = 0
    bytes_new: int = 0
    bytes_stored: int = 0
    seconds: float = 0.0


def plan_sync(source: Repository, destination: Repository, specs: tuple[str, ...]) -> SyncReport:
    """Say which versions would be copied and which are there already; writes nothing.

    Raises:
        UsageError: both are one and the same repository at one place.
        VersionNotFound, AmbiguousVersion: what was asked for is not one version of the source.
    """
    if source.storage.identity == destination.storage.identity:
        raise UsageError("source and destination are the same place", advice="name another repository to copy to")
    states = source.states()
    chosen = {find_version(spec, states).version.uid for spec in specs}
    present = {state.version.uid for state in destination.states()}
    report = SyncReport()
    for state in states:
        if not state.removed and (not specs or state.version.uid in chosen):
            (report.skipped if state.version.uid in present else report.copied).append(state)
    return report


def sync(
    source: Repository,
    destination: Repository,
    specs: tuple[str, ...],
    stop: StopRequest,
    progress: Progress,
    *,
    threads: int,
) -> SyncReport:
    """Copy versions, the oldest first, each with its uid, date, counter, tags, protection and expiry.

    A version whose uid the destination has is passed over, also when it was removed there. One that cannot be
    read whole is refused, and the others are copied.

    Raises:
        StorageError: either storage failed; versions copied before stay.
        Interrupted: versions copied before stay; what was stored is found again.
        DeclaredDead: somebody took this process for dead; versions copied before the last one stay.
    """
    begin = time.monotonic()
    report = plan_sync(source, destination, specs)
    planned, report.copied = report.copied, []
    if planned:
        with Session(destination, "sync") as session:
            transcriber = Transcriber(source, destination, session, stop, progress, threads)
            bases = _Bases(source, destination, session)
            try:
                for state in planned:
                    _copy(transcriber, bases, state, report)
            except Interrupted:
                session.keep()
                raise
            report.bytes_stored = session.bytes_stored
            session.keep()
        report.bytes_read, report.bytes_new = transcriber.tally.read, transcriber.tally.new
    report.seconds = time.monotonic() - begin
    return report


def _copy(transcriber: Transcriber, bases: "_Bases", state: VersionState, report: SyncReport) -> None:
    """Copy one version."""
    version, session, destination = state.version, transcriber.session, transcriber.destination
    if version.uid in bases.present:  # copied by somebody else since it was planned
        report.skipped.append(state)
        return
    progress = transcriber.progress
    progress.start(f"copying {version.volume} {version.uid.hex()[:8]}", version.size)
    try:
        if version.counter > MAX_COUNTER:
            raise FormatError("version", f"counter {version.counter}", failure="oversize")
        root = transcriber.tree(version, bases.choose(version))
    except DamageError as error:
        if is_collected(transcriber.source, version):
            progress.warn(f"version {version.uid.hex()[:8]} of {version.volume} was removed and collected meanwhile")
            return
        record_met(transcriber.source, version, transcriber.stop)
        report.refused.append(Refused(state, error.message))
        progress.warn(f"version {version.uid.hex()[:8]} of {version.volume} is not copied: {error.message}")
        return
    finally:
        progress.finish()
    copy = replace(version, root=root)
    session.flush()
    for event in state_events(destination, copy, None, state):
        session.put_record(Kind.EVENT, encode_event(event))
    session.commit(copy, go_on=True)
    bases.add(copy)
    report.copied.append(state)


class _Bases:
    """Versions that both repositories have, to compare with. Made after the session's intent stands."""

    def __init__(self, source: Repository, destination: Repository, session: Session) -> None:
        self._repositories = (source, destination)
        self._sources = {state.version.uid: state.version for state in source.states() if not state.removed}
        states = destination.states()
        # What was removed and collected there is not brought back: an `undelete` or `import` there is a decision.
        self.present = {state.version.uid for state in states} | forgotten_versions(destination.events())
        condemned = session.intent.condemned_versions
        # What is known to be lost there must be stored again, and so everything be looked at.
        sound = _is_sound(destination)
        self._usable: dict[Uid, Version] = {
            state.version.uid: state.version
            for state in states
            if sound and not state.removed and state.version.uid not in condemned
        }

    def add(self, copy: Version) -> None:
        """Know of a version that was copied."""
        self.present.add(copy.uid)
        self._usable[copy.uid] = copy

    def choose(self, version: Version) -> Base | None:
        """Return the version of the same volume that is nearest in age, before it if there is one."""
        pairs = [
            (self._sources[uid], copy)
            for uid, copy in self._usable.items()
            if uid in self._sources and copy.volume == version.volume
        ]
        fitting = [
            (
                source.counter > version.counter,
                abs(source.counter - version.counter),
                Pair(source.root, copy.root),
                copy,
            )
            for source, copy in pairs
            if (source.size, source.block_size) == (copy.size, version.block_size)
            and copy.block_size == version.block_size
            and HOLE not in (source.root, copy.root)
        ]
        return Base(min(fitting)[2], min(fitting)[3].size) if fitting else None


def _is_sound(repository: Repository) -> bool:
    """Say whether nothing is known to be damaged, and no pack is missing."""
    if repository.index.notes.is_any_damaged() or repository.index.standing().places:
        return False
    return all(
        repository.index.pack_ids(pack_type) <= set(list_packs(repository.storage, pack_type)) for pack_type in PackType
    )
