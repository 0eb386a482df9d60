"""How much space versions take: all that one refers to, and what nothing else refers to.

The versions are taken one after another, and of each only what differs from the one before is looked at. A
counter for every record, by its number in the index, says how often the version at hand refers to it; a record that
comes and goes again within one version, and is never there before or after, is that version's own.
Before: repository.tree, index.objectindex. After: the command line.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from packstore.errors import DamageError
from packstore.format.page import decode_page, differing
from packstore.format.record import Kind
from packstore.format.version import Version, encode_version
from packstore.ids import HOLE, ObjectId
from packstore.limits import OBJECT_ID_BYTES, PAGE_ENTRIES
from packstore.progress import StopRequest
from packstore.repository.repository import Repository
from packstore.repository.tree import check_shape, tree_levels
from packstore.repository.treediff import Root

_MANY: Final = 255
"""A counter of one byte that stands for more; those few are counted in a dictionary."""
_KEPT_PAGES: Final = 4096
"""About 80 MB."""
_MAX_REASONS: Final = 100


@dataclass(frozen=True)
class VersionUsage:
    """A version in bytes of stored records: what no other version refers to, and what others refer to as well."""

    version: Version
    own: int
    shared: int
    record: int

    @property
    def freed(self) -> int:
        """What gc can free once the version is removed."""
        return self.own + self.record


@dataclass
class UsageReport:
    """One row for each version, the oldest of each volume first; `reasons` say what could not be counted."""

    rows: list[VersionUsage] = field(default_factory=list)
    stored: int = 0
    reasons: list[str] = field(default_factory=list)


def usage(repository: Repository, stop: StopRequest) -> UsageReport:
    """Count what each version that is not removed takes. What unfinished backups keep counts as shared.

    Needs three bytes of memory for each record of the repository.

    Raises:
        StorageGone: the repository is out of reach.
        Interrupted: it was asked to stop.
    """
    states = [state for state in repository.states() if not state.removed]
    versions = sorted((state.version for state in states), key=lambda found: (found.volume, found.counter, found.uid))
    roots = [_root(found.root, found.size, found.block_size) for found in versions]
    roots += [_root(found.root, found.covered, found.block_size) for found in repository.checkpoints()]
    counter = _Counter(repository, len(roots), stop)
    for root in [*roots, Root(HOLE, 0)]:
        counter.next(root)
    report = UsageReport(stored=sum(counter.own) + counter.shared, reasons=counter.reasons)
    for number, version in enumerate(versions):
        own = counter.own[number]
        record = _record_bytes(repository, version)
        report.rows.append(VersionUsage(version, own, counter.referred[number] - own, record))
        report.stored += record
    return report


def _root(page_id: ObjectId, size: int, block_size: int) -> Root:
    return Root(page_id, -(-size // block_size))


def _record_bytes(repository: Repository, version: Version) -> int:
    object_id = repository.keyring.object_id(encode_version(version))
    found = repository.index.locate(Kind.VERSION, object_id)
    return found[0].record_size if found else 0


class _Counter:
    """What the trees seen so far refer to."""

    def __init__(self, repository: Repository, trees: int, stop: StopRequest) -> None:
        self._repository = repository
        self._stop = stop
        records = repository.index.record_numbers()
        self._counts = bytearray(records)
        self._many: dict[int, int] = {}
        # The tree in which a record came, from 1; and a number above all for what more than one has referred to.
        self._shared_mark = trees + 1
        self._came = array("H" if self._shared_mark < 1 << 16 else "I")
        self._came.frombytes(bytes(records * self._came.itemsize))
        self._at = 0
        self._bytes = 0
        self._last = Root(HOLE, 0)
        self._unreadable: set[ObjectId] = set()
        # What came with one tree often goes with the next.
        self._page = lru_cache(_KEPT_PAGES)(lambda page_id: decode_page(repository.read_object(Kind.PAGE, page_id)))
        self.own = [0] * trees
        self.referred = [0] * trees
        self.shared = 0
        self.reasons: list[str] = []

    def next(self, root: Root) -> None:
        """Take the next tree."""
        last, self._last = self._last, root
        self._at += 1
        levels = max(tree_levels(last.block_count), tree_levels(root.block_count))
        self._walk(levels - 1, 0, (last, root), (last.page_id, root.page_id))
        if self._at <= len(self.referred):
            self.referred[self._at - 1] = self._bytes

    def _walk(self, level: int, number: int, roots: tuple[Root, Root], ids: tuple[ObjectId, ObjectId]) -> None:
        """Count what differs below page `number` of `level`; `ids` are that page's in the two trees."""
        if ids[0] == ids[1]:
            return
        self._stop.check()
        pages = [self._entries(root, level, number, page_id) for root, page_id in zip(roots, ids, strict=True)]
        # First what comes: what only moves to another place does not go.
        for count, page_id, root in ((self._come, ids[1], roots[1]), (self._go, ids[0], roots[0])):
            if page_id != HOLE and level < tree_levels(root.block_count):
                count(Kind.PAGE, [page_id])
        entries = differing(*pages)
        spans = [slice(at * OBJECT_ID_BYTES, (at + 1) * OBJECT_ID_BYTES) for at in entries]
        gone, come = ([ObjectId(page[span]) for span in spans] for page in pages)
        if level == 0:
            self._come(Kind.BLOCK, come)
            self._go(Kind.BLOCK, gone)
            return
        for at, old, new in zip(entries, gone, come, strict=True):
            self._walk(level - 1, number * PAGE_ENTRIES + at, roots, (old, new))

    def _entries(self, root: Root, level: int, number: int, page_id: ObjectId) -> bytes:
        if page_id == HOLE or page_id in self._unreadable:
            return HOLE * PAGE_ENTRIES
        if level >= tree_levels(root.block_count):
            return root.page_id + HOLE * (PAGE_ENTRIES - 1)
        try:
            page = self._page(page_id)
            check_shape(page, level, number, root.block_count)
        except DamageError as error:
            self._unreadable.add(page_id)  # for good: what was not counted must not be taken off later
            self._note(error.message)
            return HOLE * PAGE_ENTRIES
        return page.ids + HOLE * (PAGE_ENTRIES - len(page))

    def _note(self, reason: str) -> None:
        if len(self.reasons) < _MAX_REASONS:
            self.reasons.append(reason)

    def _come(self, kind: Kind, object_ids: Iterable[ObjectId]) -> None:
        """Count one more reference to each object."""
        for object_id, number, size in self._numbers(kind, object_ids):
            if not number:
                self._note(f"{kind.name.lower()} {object_id.hex()[:16]}… is in no pack")
            elif self._add(number) == 1:
                self._bytes += size
                self._appear(number, size)

    def _appear(self, number: int, size: int) -> None:
        came = self._came[number]
        if came == 0:
            self._came[number] = self._at
        elif came not in (self._shared_mark, self._at):
            self._came[number] = self._shared_mark  # it was an earlier version's own, and gone
            self.own[came - 1] -= size
            self.shared += size

    def _go(self, kind: Kind, object_ids: Iterable[ObjectId]) -> None:
        """Count one reference less to each object: the tree before had it, this one has it not."""
        for _, number, size in self._numbers(kind, object_ids):
            if number and self._counts[number] and self._drop(number) == 0:
                self._bytes -= size
                self._vanish(number, size)

    def _numbers(self, kind: Kind, object_ids: Iterable[ObjectId]) -> Iterator[tuple[ObjectId, int, int]]:
        """Yield for each object that is no hole the number and the size in bytes of its first record; 0 for none.

        The same one each time, for as long as the index does not change; what came to it meanwhile counts as not there.
        """
        wanted = (object_id for object_id in object_ids if object_id != HOLE)
        for object_id, places in self._repository.index.locate_many(kind, wanted):
            known = [(place.number, place.record_size) for place in places if place.number < len(self._counts)]
            yield object_id, *(min(known) if known else (0, 0))

    def _vanish(self, number: int, size: int) -> None:
        came = self._came[number]
        if came == self._at - 1:
            self.own[came - 1] += size
        elif came < self._at:
            self._came[number] = self._shared_mark
            self.shared += size

    def _add(self, number: int) -> int:
        if self._counts[number] < _MANY - 1:
            self._counts[number] += 1
            return self._counts[number]
        self._counts[number] = _MANY
        self._many[number] = self._many.get(number, _MANY - 1) + 1
        return self._many[number]

    def _drop(self, number: int) -> int:
        if self._counts[number] < _MANY:
            self._counts[number] -= 1
            return self._counts[number]
        self._many[number] -= 1
        if self._many[number] < _MANY:
            self._counts[number] = self._many.pop(number)
            return self._counts[number]
        return self._many[number]
