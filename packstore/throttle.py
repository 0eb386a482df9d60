"""Let so many bytes a second pass, and no more.

Before: progress. After: storage.limited, sources.limited.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from packstore.progress import StopRequest

_NAP: Final = 0.1
"""Seconds after which a sleeper looks whether it is to stop."""


class TokenBucket:
    """A rate that all threads share. What passes is paid for afterwards, so a single piece may be of any size."""

    def __init__(
        self,
        rate: float,
        stop: StopRequest,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Let `rate` bytes a second pass; whoever waits goes on at once when `stop` is requested."""
        self._rate = rate
        self._stop = stop
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, count: int) -> None:
        """Return when `count` bytes, which have just passed, are paid for."""
        with self._lock:
            # A pause saves up nothing: after it the rate is the same.
            self._free_at = max(self._free_at, self._clock()) + count / self._rate
            due = self._free_at
        while not self._stop.requested and (wait := due - self._clock()) > 0:
            self._sleep(min(wait, _NAP))
