"""Bring a version back: read every block, verified, and write it where it belongs.

Damage does not stop it: the range becomes zeros and is listed. Blocks are read in the order in which they
lie in the packs, a leaf page at a time, unless the target is a stream. What could not be had is explained and recorded.
Before: repository.tree, operations.findings. After: sources.target.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

from packstore.blocks import Extent, Geometry, merge_extents
from packstore.codec.stages import WRITE
from packstore.errors import DamageError, FormatError, Interrupted, ObjectMissing, StorageError, VersionNotFound
from packstore.format.page import NO_FINGERPRINT, Page
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import HOLE, ObjectId
from packstore.limits import MIB, PAGE_ENTRIES
from packstore.operations.check_walk import DamagedVersion
from packstore.operations.findings import is_collected, record_met
from packstore.operations.journal import Finished, RestoreJournal
from packstore.operations.pipeline import ordered_map, window_items
from packstore.progress import Progress, StopRequest
from packstore.repository.repository import Repository
from packstore.repository.tree import leaf_spans
from packstore.sources.base import Target


@dataclass
class RestoreResult:
    """What was written and what could not be; sizes in bytes. `bytes_skipped` were written by an earlier attempt.

    Of the `damaged` ranges, `corrupt` are those of which a copy was seen that is not whole. What `explain` says: `hit`
    is why they are damaged, `missing` are packs that have not arrived, `unrecorded` is why the repository was not told.
    """

    bytes_total: int
    bytes_data: int = 0
    bytes_hole: int = 0
    bytes_skipped: int = 0
    damaged: list[Extent] = field(default_factory=list)
    unreadable: list[Extent] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    corrupt: list[Extent] = field(default_factory=list)
    hit: DamagedVersion | None = None
    missing: list[str] = field(default_factory=list)
    unrecorded: str = ""

    @property
    def bad_ranges(self) -> list[Extent]:
        """Ranges whose bytes are not the device's: damaged here, or never readable at the source."""
        return merge_extents(self.damaged + self.unreadable)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A range to write: one block, or zeros; `fault` says why it is zeros and should not be.

    `absent`: it was nowhere, and nothing of it was damaged. `written`: a worker has written it already.
    """

    extent: Extent
    object_id: ObjectId = HOLE
    fingerprint: bytes = NO_FINGERPRINT
    data: bytes = b""
    written: bool = False
    fault: str = ""
    absent: bool = False


_MAX_REASONS = 100
_BATCH_BYTES = 4 * MIB
"""So much is read and written by one worker before it reports."""


def restore(
    repository: Repository,
    version: Version,
    target: Target,
    stop: StopRequest,
    progress: Progress,
    *,
    threads: int,
    journal: RestoreJournal | None = None,
    resume: bool = False,
) -> RestoreResult:
    """Write a version to a target; return what is wrong with it, if anything.

    With a `journal` an interrupted restore can go on later: with `resume`, which needs one. Why ranges are damaged is
    for `explain` to say.

    Raises:
        VersionNotFound: it was removed and collected meanwhile.
        TargetError: the target cannot be used, and was not touched, or failed while it was written.
        StorageGone: the repository is out of reach.
        Interrupted: the target is incomplete.
    """
    finished = _begin(version, target, journal, resume=resume)
    result = RestoreResult(version.size, unreadable=[Extent(*pair) for pair in version.unreadable])
    result.damaged, result.reasons = list(finished.damaged), list(finished.reasons)
    result.bytes_skipped = finished.length
    result.corrupt = list(finished.damaged)  # the earlier attempt has not noted why
    progress.start(f"restoring {version.volume}", version.size)
    progress.advance(finished.length)
    pieces = _pieces(repository, version, finished.extents, in_order=target.in_order)
    work = partial(_fetch, repository, target)
    window = window_items(threads, max(version.block_size, _BATCH_BYTES))
    try:
        with closing(ordered_map(work, _batches(pieces), threads=threads, window=window)) as batches:
            for piece in chain.from_iterable(batches):
                stop.check()
                if piece.fault and not result.damaged:
                    _require_wanted(repository, version)
                with repository.stages.time(WRITE):
                    _write(target, piece, result)
                progress.advance(piece.extent.length)
                if journal:
                    journal.done(piece.extent, result.damaged, result.reasons)
    except (Interrupted, StorageError):
        if journal:
            journal.note(result.damaged, result.reasons)
        raise
    result.damaged = merge_extents(result.damaged)
    target.finish()
    progress.finish()
    return result


def explain(
    repository: Repository, version: Version, result: RestoreResult, stop: StopRequest, *, publish: bool = True
) -> None:
    """Say in the result why ranges could not be had, and record damage so that nothing new relies on it.

    It is noted on this machine, and with `publish` also in the repository, if that is possible.

    Raises:
        VersionNotFound: the version was removed and collected meanwhile.
        KeysUnreadable: the key does not open every epoch, and what it cannot open cannot be told from damage.
    """
    if result.damaged:
        repository.require_every_epoch()
        _require_wanted(repository, version)
        hit, result.missing, result.unrecorded = record_met(repository, version, stop, publish=publish)
        unexplained = merge_extents(hit.ranges + result.corrupt) != hit.ranges
        result.hit = replace(hit, ranges=result.damaged, unexplained=unexplained)


def _require_wanted(repository: Repository, version: Version) -> None:
    if is_collected(repository, version):
        name = f"version {version.uid.hex()[:8]} of {version.volume}"
        advice = "what was written so far is incomplete; `packstore ls` shows what can be restored instead"
        raise VersionNotFound(f"{name} was removed and collected while it was read", advice=advice)


def _begin(version: Version, target: Target, journal: RestoreJournal | None, *, resume: bool) -> Finished:
    if journal is not None and resume:
        return journal.go_on()
    target.begin(version.size)
    return Finished()


def _pieces(repository: Repository, version: Version, finished: list[Extent], *, in_order: bool) -> Iterator[_Piece]:
    geometry = Geometry(version.size, version.block_size)
    tree = repository.tree(version)
    skip = _Skip(finished)
    for number, every in leaf_spans(geometry.count):
        for blocks in skip.rest(every, geometry):
            whole = geometry.span(blocks)
            try:
                leaf = tree.leaf(number)
            except DamageError as error:
                yield _Piece(whole, fault=error.message, absent=isinstance(error, ObjectMissing))
                continue
            if leaf is None:
                yield _Piece(whole)
                continue
            pieces = _leaf_pieces(leaf, blocks, geometry)
            yield from pieces if in_order else _by_place(repository, pieces)


class _Skip:
    """Leaves out what is finished; asked in ascending order."""

    def __init__(self, finished: list[Extent]) -> None:
        self._finished = deque(merge_extents(finished))

    def rest(self, blocks: range, geometry: Geometry) -> Iterator[range]:
        """Yield the runs of `blocks` that are not wholly finished."""
        start = blocks.start
        for index in blocks:
            if self._covers(geometry.extent(index)):
                if start < index:
                    yield range(start, index)
                start = index + 1
        if start < blocks.stop:
            yield range(start, blocks.stop)

    def _covers(self, extent: Extent) -> bool:
        while self._finished and self._finished[0].end <= extent.offset:
            self._finished.popleft()
        return bool(self._finished) and (
            self._finished[0].offset <= extent.offset and extent.end <= self._finished[0].end
        )


def _leaf_pieces(leaf: Page, blocks: range, geometry: Geometry) -> list[_Piece]:
    pieces: list[_Piece] = []
    for index in blocks:
        at, extent = index % PAGE_ENTRIES, geometry.extent(index)
        object_id = leaf.id_at(at)
        if object_id == HOLE and pieces and pieces[-1].object_id == HOLE:
            extent = Extent(pieces[-1].extent.offset, pieces.pop().extent.length + extent.length)
        pieces.append(_Piece(extent, object_id, leaf.fingerprint_at(at)))
    return pieces


def _by_place(repository: Repository, pieces: list[_Piece]) -> list[_Piece]:
    """Return pieces in the order in which their blocks lie in the packs, holes first."""
    located = repository.index.locate_many(Kind.BLOCK, {piece.object_id for piece in pieces} - {HOLE})
    places = {object_id: (found[0].pack_id, found[0].offset) for object_id, found in located if found}
    return sorted(pieces, key=lambda piece: places.get(piece.object_id, (b"", piece.extent.offset)))


def _batches(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    """Put small blocks together: handing one over to a worker has its price."""
    batch: list[_Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += 0 if piece.object_id == HOLE else piece.extent.length
        if size >= _BATCH_BYTES or len(batch) == PAGE_ENTRIES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _fetch(repository: Repository, target: Target, pieces: list[_Piece]) -> list[_Piece]:
    """Read blocks, and write them where their order is nobody's business; runs in the workers."""
    return [piece if piece.object_id == HOLE else _fetch_one(repository, target, piece) for piece in pieces]


def _fetch_one(repository: Repository, target: Target, piece: _Piece) -> _Piece:
    try:
        data = repository.read_block(piece.object_id, piece.fingerprint)
        if len(data) != piece.extent.length:
            raise FormatError("block", f"{len(data)} bytes where {piece.extent.length} are due")
    except DamageError as error:
        return _Piece(piece.extent, piece.object_id, fault=error.message, absent=isinstance(error, ObjectMissing))
    if target.in_order:
        return _Piece(piece.extent, piece.object_id, data=data)
    with repository.stages.time(WRITE):
        target.write(piece.extent.offset, data)
    return _Piece(piece.extent, piece.object_id, written=True)


def _write(target: Target, piece: _Piece, result: RestoreResult) -> None:
    if piece.fault:
        result.damaged.append(piece.extent)
        result.corrupt += [] if piece.absent else [piece.extent]
        if len(result.reasons) < _MAX_REASONS:
            result.reasons.append(piece.fault)
    if piece.data or piece.written:
        if not piece.written:
            target.write(piece.extent.offset, piece.data)
        result.bytes_data += piece.extent.length
    else:
        target.zero(piece.extent.offset, piece.extent.length)
        result.bytes_hole += 0 if piece.fault else piece.extent.length
