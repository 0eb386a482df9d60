"""CPU time by stage: where a backup spends it."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Adds up the CPU seconds that all threads spend in each named stage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Count the CPU time of this thread inside the block towards `stage`."""
        begin = time.thread_time()
        try:
            yield
        finally:
            spent = time.thread_time() - begin
            with self._lock:
                self._seconds[stage] += spent

    def seconds(self) -> dict[str, float]:
        """Return the CPU seconds of each stage so far."""
        with self._lock:
            return dict(self._seconds)
