"""Walk the trees of versions, each shared page once, and say what of them is lost.

An object is damaged if a copy of it is here and not whole, and not here if the pack that is said to hold it has not
come (yet): after an rsync that is still going on, say.
Before: repository.tree, operations.scrub. After: operations.check.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from packstore.blocks import Extent, Geometry, merge_extents
from packstore.errors import DamageError
from packstore.format.ledger import LostObject
from packstore.format.page import Page, decode_page
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import HOLE, ObjectId, PackId
from packstore.index.tables import Location
from packstore.operations.check_packs import PackReport
from packstore.operations.scrub import Packs, Reading
from packstore.progress import StopRequest
from packstore.repository.absence import Absence
from packstore.repository.repository import Repository
from packstore.repository.tree import check_shape, page_blocks, tree_levels


@dataclass(frozen=True)
class DamagedVersion:
    """A version, the byte ranges of it that cannot be restored, and why.

    `damaged` are objects with a copy that is not whole, `lacking` those whose packs are not here; `unexplained`:
    reading met more damage than these are the reason for.
    """

    version: Version
    ranges: list[Extent]
    damaged: list[LostObject] = field(default_factory=list)
    lacking: list[LostObject] = field(default_factory=list)
    unexplained: bool = False

    @property
    def is_damaged(self) -> bool:
        """Whether more is wrong than that files have not come."""
        return bool(self.damaged) or self.unexplained


class _Lost(NamedTuple):
    """Blocks that cannot be restored, counted from the first below some page, for want of an object."""

    blocks: range
    lost: LostObject


class Walker:
    """Says what is lost of versions, by what a check has read and by what else is known."""

    def __init__(
        self,
        repository: Repository,
        packs: Packs,
        reading: Reading | None,
        stop: StopRequest,
        *,
        any_damage: bool,
    ) -> None:
        """`any_damage`: objects that nothing speaks of may have been in packs that are damaged."""
        self._repository = repository
        self._reports: Mapping[PackId, PackReport] = reading.reports if reading else {}
        self._read: Container[PackId] = reading.bad if reading else ()
        self._stop = stop
        self._absence = Absence(repository, any_damage=any_damage, listed=packs)
        self._known: dict[tuple[ObjectId, int, int], list[_Lost]] = {}
        self.missing: dict[str, set[bytes]] = {}
        """Names of packs that are not here, each with the uids of the versions that need it."""

    def walk(self, version: Version) -> DamagedVersion:
        """Return what is lost of a version."""
        geometry = Geometry(version.size, version.block_size)
        found = self._below(version.root, tree_levels(geometry.count) - 1, geometry.count)
        ranges = merge_extents(geometry.span(each.blocks) for each in found)
        damaged: set[LostObject] = set()
        lacking: set[LostObject] = set()
        for each in found:
            (lacking if self._absence.is_lacking(each.lost) else damaged).add(each.lost)
        for lost in lacking:
            for name in self._absence.missing_packs(lost):
                self.missing.setdefault(name, set()).add(version.uid)
        return DamagedVersion(version, ranges, sorted(damaged), sorted(lacking))

    def _below(self, page_id: ObjectId, level: int, count: int) -> list[_Lost]:
        """Return what is lost of the `count` blocks below a page."""
        if page_id == HOLE:
            return []
        key = (page_id, level, count)
        if key not in self._known:
            self._stop.check()
            try:
                page = decode_page(self._repository.read_object(Kind.PAGE, page_id))
                check_shape(page, level, 0, count)
            except DamageError:
                return [_Lost(range(count), LostObject(Kind.PAGE, page_id))]
            self._known[key] = self._entries(page, level, count)
        return self._known[key]

    def _entries(self, page: Page, level: int, count: int) -> list[_Lost]:
        ids = [page.id_at(at) for at in range(len(page))]
        if level == 0:
            return [
                _Lost(range(at, at + 1), LostObject(Kind.BLOCK, found))
                for at, found in enumerate(ids)
                if found != HOLE and not self._is_good(found)
            ]
        step = page_blocks(level - 1)
        return [
            _Lost(range(at * step + lost.blocks.start, at * step + lost.blocks.stop), lost.lost)
            for at, page_id in enumerate(ids)
            for lost in self._below(page_id, level - 1, min(step, count - at * step))
        ]

    def _is_good(self, object_id: ObjectId) -> bool:
        places = self._repository.index.locate(Kind.BLOCK, object_id)
        return any(self._absence.is_here(place) and self._is_whole(place, object_id) for place in places)

    def _is_whole(self, place: Location, object_id: ObjectId) -> bool:
        report = self._reports.get(place.pack_id)
        if report is not None:
            found = report.good.get(place.offset)
            return found is not None and (found.kind, found.object_id) == (Kind.BLOCK, object_id)
        # What was said of a pack that was read just now is void.
        return place.pack_id in self._read or not self._repository.index.is_damaged(place)
