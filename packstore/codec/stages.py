"""Where the time of an operation goes: processor time by stage, and how long threads waited in it."""

import threading
import time
from collections import defaultdict
from typing import Final

READ: Final = "read"
FETCH: Final = "fetch"
STORE: Final = "store"
WRITE: Final = "write"
WAITING: Final = {READ: "the source", FETCH: "the repository", STORE: "the repository", WRITE: "the target"}
"""Stages that are input and output, and what for threads wait in them; elsewhere they wait for a processor."""


class Stages:
    """Adds up the seconds that all threads spend in each named stage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: defaultdict[str, float] = defaultdict(float)
        self._waited: defaultdict[str, float] = defaultdict(float)
        self.running = _Running()

    def time(self, stage: str) -> "_Timer":
        """Count what is spent inside the `with` block towards `stage`, but for what stages inside it count."""
        return _Timer(self, stage)

    def add(self, stage: str, used: float, waited: float) -> None:
        """Count seconds of processor time and of waiting."""
        with self._lock:
            self._used[stage] += used
            self._waited[stage] += waited

    def seconds(self) -> dict[str, float]:
        """Return the processor seconds of each stage so far."""
        with self._lock:
            return dict(self._used)

    def waits(self) -> dict[str, float]:
        """Return for each stage of input or output how many seconds threads have waited in it so far.

        With several threads that may be more than has passed.
        """
        with self._lock:
            return {stage: seconds for stage, seconds in self._waited.items() if stage in WAITING}


class _Running(threading.local):
    """What of the stage that this thread is in belongs to stages inside it."""

    used = 0.0
    passed = 0.0


class _Timer:
    """Times one passage of one thread through a stage."""

    __slots__ = ("_began", "_outside", "_stage", "_stages", "_used")

    def __init__(self, stages: Stages, stage: str) -> None:
        self._stages = stages
        self._stage = stage

    def __enter__(self) -> None:
        running = self._stages.running
        self._outside = running.used, running.passed
        running.used = running.passed = 0.0
        self._began, self._used = time.perf_counter(), time.thread_time()

    def __exit__(self, *_: object) -> None:
        used, passed = time.thread_time() - self._used, time.perf_counter() - self._began
        running = self._stages.running
        mine, here = used - running.used, passed - running.passed
        self._stages.add(self._stage, mine, max(here - mine, 0.0))
        running.used, running.passed = self._outside[0] + used, self._outside[1] + passed
