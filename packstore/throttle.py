"""Let so many bytes a second pass, and no more.

Before: progress. After: storage.limited, sources.limited.
"""

import threading
import time
from typing import Final

from packstore.progress import StopRequest

_NAP: Final = 0.1
"""Seconds after which a sleeper looks whether it is to stop."""


class TokenBucket:
    """A rate that all threads share. What passes is paid for afterwards, so a single piece may be of any size."""

    def __init__(self, rate: float, stop: StopRequest) -> None:
        """Let `rate` bytes a second pass; whoever waits goes on at once when `stop` is requested."""
        self._rate = rate
        self._stop = stop
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count: int) -> None:
        """Return when `count` bytes, which have just passed, are paid for."""
        with self._lock:
            # A pause saves up nothing: after it the rate is the same.
            self._free_at = max(self._free_at, time.monotonic()) + count / self._rate
            due = self._free_at
        while not self._stop.requested and (wait := due - time.monotonic()) > 0:
            time.sleep(min(wait, _NAP))
