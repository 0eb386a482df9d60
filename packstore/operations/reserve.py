"""Space set aside for a full disk: what frees space must not fail for want of it. FORMAT.md section 11.

`rm` and gc free the reserve file by file when the storage is full, and gc makes it whole again at its end.
Before: repository.documents. After: operations.events, operations.gc.
"""

from collections.abc import Callable
from typing import TypeVar

from packstore.errors import StorageFull
from packstore.repository.creation import RESERVE_FILES
from packstore.repository.documents import RESERVE_PREFIX
from packstore.repository.runtime import Runtime
from packstore.storage.base import Storage

Result = TypeVar("Result")


def with_reserve(storage: Storage, work: Callable[[], Result]) -> Result:
    """Run `work`; while the storage is full, free one file of the reserve and run it again.

    Raises:
        StorageFull: nothing of the reserve is left.
    """
    while True:
        try:
            return work()
        except StorageFull:
            if not release_one(storage):
                raise


def release_one(storage: Storage) -> bool:
    """Free one file of the reserve; say whether there was one."""
    files = storage.list_files(RESERVE_PREFIX)
    if len(files) <= 1:  # the last one stays: it says how large the others were
        return False
    storage.delete(files[-1].name)
    return True


def refill(storage: Storage, runtime: Runtime) -> None:
    """Make the reserve whole again, as far as there is space. A repository that was made without one stays so."""
    files = {listed.name: listed.size for listed in storage.list_files(RESERVE_PREFIX)}
    wanted = {f"{RESERVE_PREFIX}/{number}" for number in range(RESERVE_FILES)}
    if not files or wanted <= files.keys():
        return
    try:
        for name in sorted(wanted - files.keys()):
            storage.put(name, runtime.random(max(files.values())))
    except StorageFull:
        return  # the next collection tries again
