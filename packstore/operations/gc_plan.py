"""Which packs are worth deleting, copying from, or merging. Pure.

After: operations.gc.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from packstore.format.pack import PackType
from packstore.ids import PackId
from packstore.limits import META_PACK_BYTES

DEFAULT_THRESHOLD: Final = 30
"""Percent of a pack that must be garbage before the rest of it is copied."""
MERGE_BLOCK_PACKS: Final = 16
"""So many small packs of blocks are merged; fewer are left until there are more."""
MERGE_META_PACKS: Final = 256
"""Every session writes a small meta pack, and every program lists all of them: they are merged by count."""


@dataclass(frozen=True, slots=True)
class PackUse:
    """A pack and how much of it is needed, in bytes; `is_outdated`: all of that is to be written anew."""

    pack_type: PackType
    pack_id: PackId
    size: int
    needed: int
    is_dead: bool = False
    is_outdated: bool = False


@dataclass
class GcPlan:
    """The packs that a list would name, by what for."""

    delete: list[PackUse] = field(default_factory=list)
    repack: list[PackUse] = field(default_factory=list)
    merge: list[PackUse] = field(default_factory=list)

    def packs(self) -> list[PackId]:
        """Return all of them."""
        return sorted(use.pack_id for use in [*self.delete, *self.repack, *self.merge])

    @property
    def bytes_freed(self) -> int:
        """Bytes that carrying it out gives back."""
        return sum(use.size - use.needed for use in [*self.delete, *self.repack])

    @property
    def bytes_copied(self) -> int:
        """Bytes that carrying it out copies."""
        return sum(use.needed for use in [*self.repack, *self.merge])


def plan_collection(
    uses: Iterable[PackUse],
    pack_size: int,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    only_dead: bool = False,
    merge_blocks: int | None = None,
    merge_metas: int | None = None,
) -> GcPlan:
    """Choose packs; `threshold` in percent. With `only_dead` nothing that would have to be copied from.

    Small packs are merged when there are as many as `merge_blocks` and `merge_metas` say.
    """
    plan = GcPlan()
    small: dict[PackType, list[PackUse]] = {PackType.BLOCKS: [], PackType.META: []}
    target = {PackType.BLOCKS: pack_size, PackType.META: META_PACK_BYTES}
    for use in uses:
        if use.is_dead:
            plan.delete.append(use)
        elif only_dead:
            continue
        elif use.is_outdated or (100 * (use.size - use.needed) >= threshold * use.size and use.size > use.needed):
            plan.repack.append(use)
        elif use.size < target[use.pack_type] // 2:
            small[use.pack_type].append(use)
    if len(small[PackType.BLOCKS]) >= (merge_blocks or MERGE_BLOCK_PACKS):
        plan.merge += small[PackType.BLOCKS]
    if len(small[PackType.META]) >= (merge_metas or MERGE_META_PACKS):
        plan.merge += small[PackType.META]
    return plan
