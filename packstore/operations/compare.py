"""Hold a version against its source, block by block, and tell damage here from change there.

Every stored block is read and verified, whatever the source says; only what is good here can be said to differ.
Before: operations.reading, repository.tree. After: the command line.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum, auto

from packstore.blocks import Extent, Geometry, is_zero, merge_extents, zeros
from packstore.errors import DamageError, UsageError
from packstore.format.page import Page
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import HOLE, ObjectId
from packstore.limits import PAGE_ENTRIES
from packstore.operations.pipeline import ordered_map, window_items
from packstore.operations.reading import HoleRun, read_blocks
from packstore.progress import Progress, StopRequest
from packstore.repository.repository import Repository
from packstore.sources.base import Source


@dataclass
class Comparison:
    """What of a version is damaged here, differs from the source, or cannot be compared; sizes in bytes."""

    bytes_total: int
    bytes_equal: int = 0
    damaged: list[Extent] = field(default_factory=list)
    mendable: list[Extent] = field(default_factory=list)
    changed: list[Extent] = field(default_factory=list)
    unreadable: list[Extent] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


class _Verdict(Enum):
    EQUAL = auto()
    CHANGED = auto()
    DAMAGED = auto()
    MENDABLE = auto()
    UNREADABLE = auto()


@dataclass(frozen=True, slots=True)
class _Item:
    """A block of the version, and what the source has there: None if it ends before, or cannot be read."""

    extent: Extent
    object_id: ObjectId
    data: bytes | None
    unreadable: bool = False
    fault: str = ""
    verdict: _Verdict = _Verdict.EQUAL


_MAX_REASONS = 100


def compare_source(
    repository: Repository, version: Version, source: Source, stop: StopRequest, progress: Progress, *, threads: int
) -> Comparison:
    """Compare a version with a source that it may have been made from.

    Ranges that could not be read when the version was made, or cannot be read now, are `unreadable`. Damage that the
    source could mend, for it still has what was stored, is in `mendable` as well as in `damaged`.

    Raises:
        SourceError: the source is gone.
        StorageGone: the repository is out of reach.
        Interrupted: between two blocks.
    """
    if source.size is None:
        raise UsageError("a version is compared with a file or a device, not with a stream")
    total = max(version.size, source.size)
    result = Comparison(total, unreadable=[Extent(*pair) for pair in version.unreadable])
    progress.start(f"comparing {version.volume}", total)
    items = _Items(repository, version, source, stop)
    window = window_items(threads, version.block_size)
    with closing(
        ordered_map(lambda item: _judge(repository, item), items.all(), threads=threads, window=window)
    ) as done:
        for item in done:
            _count(item, result)
            progress.advance(item.extent.length)
    if source.size > version.size:
        result.changed.append(Extent(version.size, source.size - version.size))
    progress.finish()
    for name in ("damaged", "mendable", "changed", "unreadable"):
        setattr(result, name, merge_extents(getattr(result, name)))
    return result


class _Items:
    """Pairs what the version says of each block with what the source has there."""

    def __init__(self, repository: Repository, version: Version, source: Source, stop: StopRequest) -> None:
        self._tree = repository.tree(version)
        self._geometry = Geometry(version.size, version.block_size)
        self._source = source
        self._source_geometry = Geometry(source.size or 0, version.block_size)
        self._stop = stop
        self._unreadable = {
            index for offset, length in version.unreadable for index in self._geometry.blocks_of(Extent(offset, length))
        }
        self._leaf: tuple[int, Page | None, str] = (-1, None, "")

    def all(self) -> Iterator[_Item]:
        """Yield every block of the version, in order."""
        done = 0
        for found in read_blocks(self._source, self._source_geometry, self._stop):
            if isinstance(found, HoleRun):
                blocks = range(found.blocks.start, min(found.blocks.stop, self._geometry.count))
                yield from (self._item(index, zeros(self._geometry.length(index))) for index in blocks)
                done = max(done, blocks.stop)
            elif found.index < self._geometry.count:
                # The last block of the source may be longer than the version's; what is behind is counted apart.
                data = bytes(found.data[: self._geometry.length(found.index)])
                yield self._item(found.index, data, unreadable=bool(found.unreadable))
                done = found.index + 1
        for index in range(done, self._geometry.count):
            self._stop.check()
            yield self._item(index, None)

    def _item(self, index: int, data: bytes | None, *, unreadable: bool = False) -> _Item:
        number = index // PAGE_ENTRIES
        if self._leaf[0] != number:
            try:
                self._leaf = number, self._tree.leaf(number), ""
            except DamageError as error:
                self._leaf = number, None, error.message
        _, leaf, fault = self._leaf
        object_id = HOLE if leaf is None else leaf.id_at(index % PAGE_ENTRIES)
        unknown = unreadable or index in self._unreadable
        return _Item(self._geometry.extent(index), object_id, data, unknown, fault)


def _judge(repository: Repository, item: _Item) -> _Item:
    """Read the stored block and compare; runs in the workers."""
    verdict, fault = _Verdict.EQUAL, item.fault
    if fault:
        verdict = _Verdict.DAMAGED
    elif item.object_id == HOLE:
        same = item.data is not None and len(item.data) == item.extent.length and is_zero(item.data)
        verdict = _Verdict.EQUAL if same else _Verdict.CHANGED
    else:
        try:
            same = repository.read_object(Kind.BLOCK, item.object_id) == item.data
            verdict = _Verdict.EQUAL if same else _Verdict.CHANGED
        except DamageError as error:
            fault = error.message
            mends = item.data is not None and repository.keyring.object_id(item.data) == item.object_id
            verdict = _Verdict.MENDABLE if mends else _Verdict.DAMAGED
    if verdict is _Verdict.CHANGED and item.unreadable:
        verdict = _Verdict.UNREADABLE
    return _Item(item.extent, item.object_id, None, item.unreadable, fault, verdict)


def _count(item: _Item, result: Comparison) -> None:
    if item.fault and len(result.reasons) < _MAX_REASONS:
        result.reasons.append(item.fault)
    if item.verdict in {_Verdict.DAMAGED, _Verdict.MENDABLE}:
        result.damaged.append(item.extent)
        if item.verdict is _Verdict.MENDABLE:
            result.mendable.append(item.extent)
    elif item.verdict is _Verdict.CHANGED:
        result.changed.append(item.extent)
    elif item.verdict is _Verdict.UNREADABLE:
        result.unreadable.append(item.extent)
    else:
        result.bytes_equal += item.extent.length
