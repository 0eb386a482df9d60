"""The only threads of an operation: a bounded window of work, results in order.

The caller's thread reads and appends, workers do what costs time in between; all of that releases the GIL.
Memory is bounded by the window, never by the device.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from packstore.limits import MIB

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_THREADS: Final = 64
_WINDOW_BYTES: Final = 64 * MIB


def default_threads() -> int:
    """Return the number of processors this process may use."""
    return min(len(os.sched_getaffinity(0)), _MAX_THREADS)


def window_items(threads: int, item_bytes: int) -> int:
    """Return how many items may be under way: enough to keep the threads busy, within a bound of memory."""
    return max(threads + 1, min(8 * threads, _WINDOW_BYTES // item_bytes))


def ordered_map(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, window: int
) -> Generator[Result, None, None]:
    """Yield `work(item)` for each item, in order, with at most `window` items under way.

    An exception of `work` comes out where its result would have. Items are taken from `items` in the
    caller's thread. Closing the generator waits for what is under way and drops it.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "worker") as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) >= window:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
