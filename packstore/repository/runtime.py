"""What a repository takes from the machine it runs on: time, randomness, who the process is.

Injected, so that tests can fix them. No rule of safety uses the time: it is shown, and makes names sort.
"""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from packstore import __version__
from packstore.ids import PackId, Uid, make_pack_id


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Enough to say later whether this very process still runs."""

    host: str
    boot: str
    pid_namespace: str
    pid: int
    start: int

    @classmethod
    def current(cls) -> "ProcessIdentity":
        """Describe the running process."""
        pid = os.getpid()
        return cls(
            host=_read("/etc/machine-id") or socket.gethostname(),
            boot=_read("/proc/sys/kernel/random/boot_id"),
            pid_namespace=_link("/proc/self/ns/pid"),
            pid=pid,
            start=process_start(pid) or 0,
        )


def process_start(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if there is no such process."""
    text = _read(f"/proc/{pid}/stat")
    # The name in parentheses may hold anything; the start time is the 20th field after it.
    return int(text.rpartition(")")[2].split()[19]) if text else None


def is_gone(pid: int, start: int) -> bool:
    """Say whether the process that had this number and started then is surely over.

    /proc may be mounted so that it hides even what the same user has started: then the number has to be free.
    """
    found = process_start(pid)
    if found is not None:
        return found != start
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass  # it is somebody else's, and it is there
    return False


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Runtime:
    """Time in milliseconds since 1970 UTC, random bytes, and who runs."""

    now_ms: Callable[[], int] = _now_ms
    random: Callable[[int], bytes] = os.urandom
    process: ProcessIdentity = field(default_factory=ProcessIdentity.current)
    hostname: str = field(default_factory=socket.gethostname)
    program: str = f"packstore {__version__}"

    def new_uid(self) -> Uid:
        """Return a new random uid."""
        return Uid(self.random(16))

    def new_pack_id(self) -> PackId:
        """Return a new pack id."""
        return make_pack_id(self.now_ms(), self.random(10))
