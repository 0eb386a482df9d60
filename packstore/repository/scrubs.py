"""What all checks together have read: scrub records, folded. FORMAT.md section 10.1. Pure but for two ends.

A pack ranks by the last run that has read it; one that none has read, by the run before the first that met
it. Local notes and the records of every host fold into the same memory, in any order.
Before: format.ledger. After: operations.scrub; collectors use `inherit_ranks` and `fold_scrubs`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from packstore.format.ledger import SCRUB_RANK, SCRUB_RUN, Scrub, ScrubRun, encode_scrub
from packstore.format.record import Kind
from packstore.ids import PackId, Uid
from packstore.index.notes import LocalNotes
from packstore.limits import KIB, MAX_LEDGER_BYTES
from packstore.repository.repository import Repository
from packstore.repository.session import Session

_ROWS_BYTES = MAX_LEDGER_BYTES - 64 * KIB
"""What rows may take of a record; the rest is for its other keys."""
METHOD = "d"
"""How the local notes call a check that decrypts; "k" is one by checksums only."""


@dataclass
class ScrubMemory:
    """Runs, the run that last read each pack, and since when packs are known that none has read."""

    runs: dict[int, ScrubRun] = field(default_factory=dict)
    ranks: dict[PackId, int] = field(default_factory=dict)
    seen: dict[PackId, int] = field(default_factory=dict)

    @property
    def last_run(self) -> int:
        """The highest number of a run that is known of; 0 if there is none."""
        return max([0, *self.runs, *self.ranks.values(), *self.seen.values()])

    def rank(self, pack_id: PackId) -> int | None:
        """Return a pack's rank, None for one that is new."""
        return self.ranks.get(pack_id, self.seen.get(pack_id))

    def add(self, scrub: "Scrub | ScrubMemory") -> None:
        """Fold something in; the order does not matter."""
        for number, run in scrub.runs.items():
            self.runs[number] = max(run, self.runs.get(number, run), key=lambda each: (each.round, each.total, each))
        for pack_id, rank in scrub.ranks.items():
            self.ranks[pack_id] = max(rank, self.ranks.get(pack_id, rank))
        for pack_id, rank in scrub.seen.items():
            self.seen[pack_id] = min(rank, self.seen.get(pack_id, rank))


def scrub_memory(repository: Repository) -> ScrubMemory:
    """Return what is known of all checks with keys: from the repository, and from this machine's notes."""
    memory = notes_memory(repository.index.notes, METHOD)
    for scrub in repository.scrubs():
        memory.add(scrub)
    return memory


def notes_memory(notes: LocalNotes, method: str) -> ScrubMemory:
    """Return what this machine's notes say of its own checks."""
    return ScrubMemory(notes.scrub_runs(method), notes.scrub_ranks(method), notes.scrub_seen(method))


def fold_scrubs(scrubs: Iterable[Scrub], present: Iterable[PackId] | None = None) -> Scrub:
    """Return one record that says what all of these say, of the packs in `present` if that is given.

    Whoever folds the same records gets the same one. It may have to be split before it is stored (`put_scrub`).
    """
    given = sorted(scrubs, key=lambda scrub: scrub.id)
    memory = ScrubMemory()
    for scrub in given:
        memory.add(scrub)
    kept = None if present is None else set(present)
    latest = max(given, key=lambda scrub: (scrub.date_ms, scrub.id))
    return replace(
        latest,
        id=_derived(b"fold", *(scrub.id for scrub in given)),
        runs=memory.runs,
        ranks={pack_id: run for pack_id, run in memory.ranks.items() if kept is None or pack_id in kept},
        seen={
            pack_id: run
            for pack_id, run in memory.seen.items()
            if pack_id not in memory.ranks and (kept is None or pack_id in kept)
        },
    )


def inherit_ranks(repository: Repository, sources: Mapping[PackId, Iterable[PackId]]) -> Scrub:
    """Return a record that gives each new pack the lowest rank of the packs that it was copied from.

    A source that no check has met does not count: it would rank behind all that are there. Not published yet.
    """
    memory = scrub_memory(repository)
    ranks: dict[PackId, int] = {}
    seen: dict[PackId, int] = {}
    for new, old in sources.items():
        known = [(rank, pack_id not in memory.ranks) for pack_id in old if (rank := memory.rank(pack_id)) is not None]
        if known:
            (seen if any(unread for _, unread in known) else ranks)[new] = min(rank for rank, _ in known)
    return new_scrub(repository, ScrubMemory(ranks=ranks, seen=seen))


def new_scrub(repository: Repository, memory: ScrubMemory) -> Scrub:
    """Make a record of a memory; it is not published."""
    runtime = repository.runtime
    return Scrub(
        id=runtime.new_uid(),
        date_ms=runtime.now_ms(),
        runs=memory.runs,
        ranks=memory.ranks,
        seen=memory.seen,
        program=runtime.program,
        host=runtime.hostname,
    )


def put_scrub(session: Session, scrub: Scrub) -> None:
    """Append a record, as several if it is too large for one. Nothing is durable yet."""
    for part in split_scrub(scrub):
        session.put_record(Kind.SCRUB, encode_scrub(part))


def split_scrub(scrub: Scrub, limit_bytes: int = _ROWS_BYTES) -> list[Scrub]:
    """Return records that together say the same, none with more than `limit_bytes` of rows."""
    if len(scrub.runs) * SCRUB_RUN.size + (len(scrub.ranks) + len(scrub.seen)) * SCRUB_RANK.size <= limit_bytes:
        return [scrub]
    rows_each = limit_bytes // SCRUB_RUN.size
    runs, ranks, seen = sorted(scrub.runs.items()), sorted(scrub.ranks.items()), sorted(scrub.seen.items())
    pieces = [
        *({"runs": dict(runs[at : at + rows_each])} for at in range(0, len(runs), rows_each)),
        *({"ranks": dict(ranks[at : at + rows_each])} for at in range(0, len(ranks), rows_each)),
        *({"seen": dict(seen[at : at + rows_each])} for at in range(0, len(seen), rows_each)),
    ]
    empty = replace(scrub, runs={}, ranks={}, seen={})
    return [
        replace(empty, id=_derived(b"part", scrub.id, number.to_bytes(4, "big")), **piece)  # type: ignore[arg-type]
        for number, piece in enumerate(pieces)
    ]


def _derived(*parts: bytes) -> Uid:
    return Uid(hashlib.sha512(b"".join(parts)).digest()[:16])
