"""Space set aside for a full disk: what frees space must not fail for want of it. FORMAT.md section 11.

Removals and gc free the reserve file by file when the storage is full, and gc makes it whole again at its end.
Before: repository.documents. After: repository.creation, operations.events, operations.gc.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from packstore.errors import StorageFull
from packstore.limits import MIB
from packstore.repository.documents import RESERVE_PREFIX
from packstore.repository.runtime import Runtime
from packstore.storage.base import Storage

Result = TypeVar("Result")

RESERVE_FILES: Final = 8
_MAX_BYTES: Final = 64 * MIB
_SHARE: Final = 100
"""The reserve is at most one part in so many of the file system."""


def make_reserve(storage: Storage, runtime: Runtime, size: int | None) -> None:
    """Set `size` bytes aside, as many as the rule says if None. A reserve of 0 bytes stays one: an empty file says so.

    Raises:
        StorageFull: there is no space for it.
    """
    each = _usual_bytes(storage) if size is None else size // RESERVE_FILES
    if each:
        for number in range(RESERVE_FILES):
            _put(storage, runtime, number, each)
    elif size is not None:
        _put(storage, runtime, 0, 0)


def with_reserve(storage: Storage, work: Callable[[], Result]) -> Result:
    """Run `work`; while the storage is full, free one file of the reserve and run it again.

    Raises:
        StorageFull: nothing of the reserve is left.
    """
    while True:
        try:
            return work()
        except StorageFull:
            if not _release_one(storage):
                raise


def refill(storage: Storage, runtime: Runtime, spare: int | None) -> None:
    """Make the reserve whole again, or a first one where there is none; of the size that its files have, or the rule's.

    Half of it in any case, as far as there is space; the rest only of the `spare` bytes that were free before space was
    freed, all of it if None: whoever has just freed space wants to store as much again.
    """
    sizes = {listed.name: listed.size for listed in storage.list_files(RESERVE_PREFIX)}
    each = max(sizes.values()) if sizes else _usual_bytes(storage)
    if not each:
        return
    missing = [number for number in range(RESERVE_FILES) if _name(number) not in sizes]
    affordable = len(missing) if spare is None else spare // each
    due = max(affordable, RESERVE_FILES // 2 - len(sizes), 0)
    try:
        storage.prepare([RESERVE_PREFIX])  # a copy may have been made without it
        for number in missing[:due]:
            _put(storage, runtime, number, each)
    except StorageFull:
        return  # the next collection tries again


def _release_one(storage: Storage) -> bool:
    """Free one file of the reserve; say whether there was one."""
    files = [listed.name for listed in storage.list_files(RESERVE_PREFIX) if listed.size]
    if not files:
        return False
    storage.delete(files[-1])
    return True


def _usual_bytes(storage: Storage) -> int:
    """Return the size of one file of a reserve that nobody has asked for otherwise."""
    capacity = storage.capacity()
    return 0 if capacity is None else min(_MAX_BYTES, capacity // _SHARE) // RESERVE_FILES


def _put(storage: Storage, runtime: Runtime, number: int, size: int) -> None:
    storage.put(_name(number), runtime.random(size))  # random, so that nothing below can deduplicate or compress it


def _name(number: int) -> str:
    return f"{RESERVE_PREFIX}/{number}"
