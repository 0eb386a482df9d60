"""What happened in a soak, in the order in which it ended: a file for later, and the last lines for a failure."""

import threading
import time
from collections import Counter, deque
from pathlib import Path
from typing import Final

_REMEMBERED: Final = 120
"""Lines that a failure shows; the file has all."""


class SoakFailureError(Exception):
    """Something happened that must not; the message is the whole story."""


class Story:
    """Takes lines and numbers from all threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.numbers: Counter[str] = Counter()
        self._begin = time.monotonic()
        self._last: deque[str] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()
        path.write_text("", encoding="utf-8")

    def seconds(self) -> float:
        """Return the time since the beginning, as the lines show it."""
        return time.monotonic() - self._begin

    def tell(self, who: str, what: str) -> None:
        """Add a line, or several."""
        line = f"{self.seconds():9.3f} {who:<8} {what}"
        with self._lock:
            self._last.append(line)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def count(self, **numbers: int) -> None:
        """Add to the numbers that are shown at the end."""
        with self._lock:
            self.numbers.update(numbers)

    def failure(self, who: str, what: str) -> SoakFailureError:
        """Return the failure to raise, with the last of the story."""
        self.tell(who, f"FAILED: {what}")
        with self._lock:
            last = "\n".join(self._last)
        return SoakFailureError(f"{who}: {what}\n\nThe last of the story ({self.path} has all of it):\n{last}")
