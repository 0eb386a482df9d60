"""A backup that looks only at what it was told has changed since its base.

The claim is compared with the device first: some blocks that it does not name, always the first and the last. What
nobody said has changed is taken over from the base, whole pages at a time: it was proven when the base was committed
and cannot be collected while this writer's intent stands. What is known to be lost of it counts as changed
(decision 0020).
Before: operations.hints, repository.treewalk. After: operations.backup.
"""

from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from typing import Final

from packstore.blocks import Geometry, is_zero, merge_runs
from packstore.errors import DamageError, UsageError
from packstore.format.page import NO_FINGERPRINT
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import HOLE
from packstore.operations.base import changed_by_damage
from packstore.operations.hints import BlockRuns, Hints, also_read, block_runs_of
from packstore.operations.reading import DataRun, HoleRun, ReadBlock, RunReader, data_runs
from packstore.operations.resume import StartingPoint
from packstore.progress import Progress, StopRequest
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.repository.tree import Kept
from packstore.repository.treewalk import KeptHoles, unchanged_parts
from packstore.sources.base import Source

_SAMPLES: Final = 16
"""Blocks at random: a list that misses a quarter of the device passes in one run of a hundred, and not in the next."""


def incremental(
    repository: Repository, source: Source, start: StartingPoint, hints: Hints, *, volume: str | None, run_bytes: int
) -> "Incremental":
    """Return what hints say is to be done; nobody has named the base if it was chosen for its `volume`.

    `run_bytes` are read at once.

    Raises:
        UsageError: they are of no use; everything is to be read.
        SourceError: the source is gone.
    """
    if hints.fault:
        raise UsageError(hints.fault)
    if start.base is None:
        raise UsageError("there is no version that they could be relative to")
    if not start.trusts_base:
        raise UsageError("this backup hashes everything")
    if volume is not None:
        _require_latest(repository, start.base, volume)
    return Incremental(repository, source, start.base, hints, run_bytes)


def _require_latest(repository: Repository, base: Version, volume: str) -> None:
    """Refuse hints that may be relative to a version that was removed since, or that cannot be read."""
    counters = [state.version.counter for state in repository.states() if state.version.volume == volume]
    if max(counters) > base.counter:
        message = f"the latest version of {volume} is removed or cannot be read, and they may be relative to it"
        raise UsageError(f"{message}; --hints-from names the version that they are relative to")


class Incremental:
    """What is to be done with each block of a device, by its base and by hints."""

    def __init__(self, repository: Repository, source: Source, base: Version, hints: Hints, run_bytes: int) -> None:
        """Find out what the hints mean, and compare them with the device.

        Raises:
            UsageError: they are of no use; everything is to be read.
            SourceError: the source is gone.
        """
        self._repository = repository
        self._source = source
        self._base = base
        self._run_bytes = run_bytes
        self._geometry = Geometry(source.size or 0, repository.file.block_size)
        said = block_runs_of(hints.changes, self._geometry, base.size)
        self._runs = also_read(said, self._suspect())
        self.compared = 0
        """Bytes read of what was not said to have changed."""
        self._compare()

    def _suspect(self) -> list[range]:
        """Return the blocks that count as changed, whatever anybody says."""
        count = self._geometry.count
        found = changed_by_damage(self._repository, self._base)
        return [range(run.start, min(run.stop, count)) for run in found if run.start < count]

    def _compare(self) -> None:
        tree = self._repository.tree(self._base)
        reader = RunReader(self._source, self._geometry)
        for index in sorted(self._samples()):
            (block,) = reader.read(range(index, index + 1))
            self.compared += len(block.data)
            try:
                object_id, fingerprint = (HOLE, b"") if _lies_in(index, self._runs.holes) else tree.entry(index)
            except DamageError:
                continue  # it is read like all that the base tells nothing of
            where = index * self._geometry.block_size
            if block.unreadable:
                raise UsageError(f"the device cannot be read at {where}, and so they cannot be compared with it")
            if not self._is_same(block, object_id, fingerprint):
                raise UsageError(f"the device differs at {where} from what they say; they cannot be relied on")

    def _samples(self) -> set[int]:
        """Return which blocks to compare, of those that are not read anyway."""
        count = self._geometry.count
        chosen = {0, count - 1} if count else set()
        for _ in range(_SAMPLES if count else 0):
            chosen.add(int.from_bytes(self._repository.runtime.random(8), "big") % count)
        return {index for index in chosen if not _lies_in(index, self._runs.read)}

    def _is_same(self, block: ReadBlock, object_id: bytes, fingerprint: bytes) -> bool:
        keyring = self._repository.keyring
        if object_id == HOLE:
            return is_zero(block.data)
        if fingerprint != NO_FINGERPRINT:
            return keyring.fingerprint(block.data) == fingerprint
        return keyring.object_id(block.data) == object_id

    def pieces(self, session: Session, stop: StopRequest, progress: Progress) -> Iterator[Kept | HoleRun | DataRun]:
        """Yield in order what is taken over, what is a hole, and what is to be read."""
        tree = self._repository.tree(self._base)
        changed = merge_runs(sorted((*self._runs.read, *self._runs.holes), key=lambda run: run.start))

        present = partial(session.present, Kind.PAGE)
        for piece in unchanged_parts(tree, present, changed, self._geometry.count):
            stop.check()
            if isinstance(piece, Kept):
                yield piece
            elif isinstance(piece, KeptHoles):
                yield HoleRun(piece.blocks)
            elif piece.fault:
                progress.warn(f"part of the previous version cannot be read, and is stored again: {piece.fault}")
                yield from data_runs(piece.blocks, self._geometry, self._run_bytes)
            else:
                yield from self._changed(piece.blocks)

    def _changed(self, blocks: range) -> Iterator[HoleRun | DataRun]:
        done = blocks.start
        for run in _within(self._runs, blocks):
            yield from data_runs(range(done, run.start), self._geometry, self._run_bytes)
            yield HoleRun(run)
            done = run.stop
        yield from data_runs(range(done, blocks.stop), self._geometry, self._run_bytes)


def _within(runs: BlockRuns, blocks: range) -> Iterator[range]:
    """Yield the holes within these blocks, without what is to be read of them."""
    for hole in _overlapping(runs.holes, blocks):
        done = hole.start
        for read in _overlapping(runs.read, hole):
            if read.start > done:
                yield range(done, read.start)
            done = read.stop
        if done < hole.stop:
            yield range(done, hole.stop)


def _overlapping(runs: list[range], blocks: range) -> Iterator[range]:
    at = max(0, bisect_right(runs, blocks.start, key=lambda run: run.start) - 1)
    while at < len(runs) and runs[at].start < blocks.stop:
        run = range(max(runs[at].start, blocks.start), min(runs[at].stop, blocks.stop))
        if run:
            yield run
        at += 1


def _lies_in(index: int, runs: list[range]) -> bool:
    return any(_overlapping(runs, range(index, index + 1)))
