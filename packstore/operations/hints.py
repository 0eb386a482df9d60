"""What somebody says has changed on a device since a version of it was made. Pure.

Whoever knows, `rbd diff` or a thin pool, produces the same value, `Hints`. It is a claim: it is validated here, and
compared with the device by operations.incremental.
Before: blocks. After: operations.incremental.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple

from packstore.blocks import Extent, Geometry, merge_runs
from packstore.errors import UsageError
from packstore.limits import MAX_DEVICE_BYTES, MIB

MAX_HINTS_BYTES: Final = 64 * MIB
"""A list of changed ranges, as text: a million of them, which take half a GiB while they are decoded."""
_BOOLEANS: Final = {True: True, False: False, "true": True, "false": False}
"""`rbd diff` writes strings."""


class Change(NamedTuple):
    """A range of a device, in bytes, that was written, or, if nothing exists there any more, was discarded."""

    extent: Extent
    exists: bool


@dataclass(frozen=True)
class Hints:
    """All changes since the version that is the base, ascending and not overlapping.

    With a `fault` they are of no use: it says why, and everything is read.
    """

    changes: tuple[Change, ...] = ()
    fault: str = ""


class BlockRuns(NamedTuple):
    """What hints mean for blocks: those to be read and those said to be holes now. Ascending, not touching."""

    read: list[range]
    holes: list[range]


def parse_hints(data: bytes) -> tuple[Change, ...]:
    """Decode what `rbd diff --format json` writes: a list of objects with `offset`, `length` and `exists`.

    Raises:
        UsageError: it is something else, is out of order, or overlaps.
    """
    if len(data) > MAX_HINTS_BYTES:
        raise UsageError(f"hints of more than {MAX_HINTS_BYTES} bytes")
    try:
        rows = json.loads(data, object_hook=_row)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the hints are not JSON: {error}") from None
    if not isinstance(rows, list):
        raise UsageError("the hints are not a list")
    changes = []
    end = 0
    for number, row in enumerate(rows, 1):
        change = row if isinstance(row, Change) else None
        if change is None:
            raise UsageError(f"hint {number} is not an object with offset, length and exists: {_shown(row)}")
        if change.extent.offset < end:
            raise UsageError(f"hint {number}, at {change.extent.offset}, overlaps the one before or is out of order")
        end = change.extent.end
        changes.append(change)
    return tuple(changes)


def _row(found: dict[str, Any]) -> object:
    """Turn each object into a Change while they are parsed: a million dictionaries are some hundred megabytes."""
    offset, length, exists = found.get("offset"), found.get("length"), found.get("exists")
    if type(offset) is not int or type(length) is not int or type(exists) not in {bool, str}:
        return found
    fits = offset >= 0 and length > 0 and offset + length <= MAX_DEVICE_BYTES
    return Change(Extent(offset, length), _BOOLEANS[exists]) if fits and exists in _BOOLEANS else found


def _shown(row: object) -> str:
    return repr(row)[:80]


def block_runs_of(changes: Iterable[Change], geometry: Geometry, before: int) -> BlockRuns:
    """Return what changes of a device, which had `before` bytes, mean for its blocks.

    Only a block of which nothing exists any more is a hole; one that is discarded in part is read. On any change of
    size all from the smaller size's last block on is read.

    Raises:
        UsageError: a change lies outside of the device.
    """
    written: list[range] = []
    discarded: list[range] = []
    for change in _joined(changes):
        if change.extent.end > (geometry.size if change.exists else max(geometry.size, before)):
            message = f"the hints name {change.extent.offset}+{change.extent.length}, beyond the device's end"
            raise UsageError(f"{message} at {geometry.size}")
        touched = geometry.blocks_of(change.extent)
        if change.exists or not touched:
            written.append(touched)
            continue
        whole = range(-(-change.extent.offset // geometry.block_size), change.extent.end // geometry.block_size)
        if change.extent.end >= geometry.size:
            whole = range(whole.start, geometry.count)
        if whole:
            discarded.append(whole)
            written += [range(touched.start, whole.start), range(whole.stop, touched.stop)]
        else:
            written.append(touched)
    if geometry.size != before:
        smaller = min(geometry.size, before)
        written.append(range(max(0, smaller - 1) // geometry.block_size, geometry.count))
    return BlockRuns(merge_runs(sorted(filter(None, written), key=_start)), discarded)


def _joined(changes: Iterable[Change]) -> Iterator[Change]:
    """Yield the changes, with discarded ranges that touch made one: a block may lie in two of them."""
    pending: Change | None = None
    for change in changes:
        if pending is not None and not change.exists and change.extent.offset == pending.extent.end:
            pending = Change(Extent(pending.extent.offset, change.extent.end - pending.extent.offset), exists=False)
            continue
        if pending is not None:
            yield pending
        pending = None if change.exists else change
        if change.exists:
            yield change
    if pending is not None:
        yield pending


def also_read(runs: BlockRuns, more: Iterable[range]) -> BlockRuns:
    """Return the runs with some more blocks that are to be read, whatever was said of them."""
    return BlockRuns(merge_runs(sorted(chain(runs.read, more), key=_start)), runs.holes)


def _start(run: range) -> int:
    return run.start
