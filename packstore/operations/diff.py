"""Compare two versions: which byte ranges differ. Reads pages and no blocks.

Two blocks are the same where their ids are; a changed byte shows as its whole block.
Before: repository.treediff. After: the command line.
"""

from dataclasses import dataclass, field

from packstore.blocks import Extent, Geometry, merge_extents
from packstore.errors import UsageError
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.progress import StopRequest
from packstore.repository.repository import Repository
from packstore.repository.treediff import Root, tree_differences

_MAX_REASONS = 100


@dataclass
class DiffResult:
    """Ranges in bytes, ascending: those that differ, and those where damage hides whether they do."""

    changed: list[Extent] = field(default_factory=list)
    unknown: list[Extent] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def bytes_changed(self) -> int:
        """How much differs, in whole blocks."""
        return sum(extent.length for extent in self.changed)


def diff(repository: Repository, first: Version, second: Version, stop: StopRequest) -> DiffResult:
    """Return where two versions differ; what only the longer one has differs, too.

    Raises:
        UsageError: their block sizes differ, so that no block of one is a block of the other.
        StorageGone: the repository is out of reach.
        Interrupted: it was asked to stop.
    """
    if first.block_size != second.block_size:
        message = f"they have blocks of {first.block_size} and of {second.block_size} bytes, which cannot be compared"
        raise UsageError(message, advice="restore both and compare the files: cmp -l A B")
    geometry = Geometry(max(first.size, second.size), first.block_size)
    roots = [Root(version.root, -(-version.size // version.block_size)) for version in (first, second)]
    found = DiffResult()
    for difference in tree_differences(lambda page_id: repository.read_object(Kind.PAGE, page_id), *roots):
        stop.check()
        extent = geometry.span(difference.blocks)
        if difference.fault:
            found.unknown.append(extent)
            found.reasons = [*found.reasons, difference.fault][:_MAX_REASONS]
        else:
            _append(found.changed, extent)
    end = min(first.size, second.size)
    found.changed = merge_extents([*found.changed, Extent(end, geometry.size - end)])
    return found


def _append(extents: list[Extent], extent: Extent) -> None:
    """Add a range that follows all others, so that a rewritten device is one range and not a million."""
    if extents and extents[-1].end == extent.offset:
        extent = Extent(extents[-1].offset, extents.pop().length + extent.length)
    extents.append(extent)
