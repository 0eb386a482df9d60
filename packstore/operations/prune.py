"""Remove the versions that no rule keeps: retention, volume by volume.

It publishes events and nothing else; the space comes back when garbage is collected.
Before: operations.retention, operations.removal. After: the command line.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from packstore.errors import VersionNotFound
from packstore.operations.events import publish_events
from packstore.operations.guards import AgeGuard
from packstore.operations.marks import Events
from packstore.operations.removal import Removal, removal_events, removed_now
from packstore.operations.retention import Candidate, Decision, PruneOptions, plan_prune
from packstore.repository.coordination import WriterIntent
from packstore.repository.history import VersionState, moment_of
from packstore.repository.repository import Repository


@dataclass(frozen=True)
class Decided:
    """A version, and what becomes of it."""

    state: VersionState
    decision: Decision


@dataclass(frozen=True)
class PruneResult:
    """What was decided, the oldest first within each volume, and what was removed; nothing in a dry run."""

    decided: list[Decided]
    removal: Removal


def prune(
    repository: Repository, volume: str | None, options: PruneOptions, guard: AgeGuard, *, dry_run: bool = False
) -> PruneResult:
    """Remove what no rule keeps, of one volume or of each.

    Raises:
        VersionNotFound: there is no such volume.
    """
    decided: list[Decided] = []

    def goes() -> list[VersionState]:
        return [one.state for one in decided if not one.decision.keep]

    def plan(_: WriterIntent) -> Events:
        decided[:] = _decide(repository, volume, options, guard)
        return removal_events(repository, [state.version.uid for state in goes()])

    if dry_run:
        return PruneResult(_decide(repository, volume, options, guard), Removal([], []))
    publish_events(repository, "prune", plan, frees=True)
    return PruneResult(decided, removed_now(repository, goes()))


def _decide(repository: Repository, volume: str | None, options: PruneOptions, guard: AgeGuard) -> list[Decided]:
    by_volume: defaultdict[str, list[VersionState]] = defaultdict(list)
    for state in repository.states():
        if not state.removed and volume in {None, state.version.volume}:
            by_volume[state.version.volume].append(state)
    if volume is not None and not by_volume:
        raise VersionNotFound(f"there is no version of {volume}", advice="`packstore ls` shows what there is")
    now = moment_of(repository.runtime.now_ms())
    return [
        one for name in sorted(by_volume) for one in _decide_volume(repository, by_volume[name], options, guard, now)
    ]


def _decide_volume(
    repository: Repository, states: list[VersionState], options: PruneOptions, guard: AgeGuard, now: datetime
) -> list[Decided]:
    by_uid = {state.version.uid: state for state in states}
    candidates = [_candidate(repository, state) for state in states]
    decisions = plan_prune(
        candidates, options, now, lambda candidate: guard.is_too_young(by_uid[candidate.uid].version)
    )
    return [Decided(state, decision) for state, decision in zip(states, decisions, strict=True)]


def _candidate(repository: Repository, state: VersionState) -> Candidate:
    return Candidate(
        uid=state.version.uid,
        date=state.date.astimezone(),  # people think in their own days and weeks
        tags=frozenset(state.tags),
        valid=repository.is_readable(state),
        protected=state.protected,
        expires=state.expires_at,
    )
