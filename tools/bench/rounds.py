"""The measurements: full backup, unchanged backup, restore; several rounds, the programs in turn.

What one program leaves in the page cache must not help or hurt the next: before each command the files
that it reads are read once, and everything is synced. So the source comes from memory, and the figures
are about the programs rather than the disk.
"""

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tools.bench.peer import Peer
from tools.images import first_difference
from tools.measure import MIB, Command, Measured, run
from tools.programs import ToolError

FULL, UNCHANGED, RESTORE = "full backup", "unchanged backup", "restore"
OPERATIONS = (FULL, UNCHANGED, RESTORE)


@dataclass(frozen=True)
class Sample:
    """One command of one round."""

    peer: str
    operation: str
    measured: Measured
    repository_bytes: int
    stages: Mapping[str, float]
    others: float
    """CPU seconds that other programs on the machine took, per second of the measurement."""


def measure_all(peers: Sequence[type[Peer]], image: Path, directory: Path, rounds: int) -> Iterator[Sample]:
    """Measure all programs in each round, each time beginning with another one."""
    for number in range(rounds):
        turn = number % len(peers)
        for peer in (*peers[turn:], *peers[:turn]):
            place = directory / f"{peer.name}-{number + 1}"
            place.mkdir()
            try:
                yield from _measure(peer(place), image)
            finally:
                shutil.rmtree(place, ignore_errors=True)


def _measure(peer: Peer, image: Path) -> Iterator[Sample]:
    run(peer.init())
    for operation in (FULL, UNCHANGED):
        yield _sample(peer, operation, peer.backup(image), image)
    target = peer.directory / "restored"
    target.mkdir()
    yield _sample(peer, RESTORE, peer.restore(image, target), peer.repository, peer.restored(image, target))
    where = first_difference(image, peer.restored(image, target))
    if where is not None:
        raise ToolError(f"{peer.name} brought back something else: the first difference is in the MiB at byte {where}")


def _sample(peer: Peer, operation: str, command: Command, reads: Path, writes: Path | None = None) -> Sample:
    """Measure one command that reads the file or tree `reads`, until the file `writes` is on disk."""
    _warm(reads)
    os.sync()
    begin, busy = time.monotonic(), _busy_seconds()
    measured = run(command)
    if writes is not None:  # some programs sync what they restore; let all have it done
        with writes.open("rb") as file:
            os.fsync(file.fileno())
        measured = replace(measured, seconds=time.monotonic() - begin)
    others = (_busy_seconds() - busy - measured.cpu_seconds) / measured.seconds
    stages = {} if operation == RESTORE else peer.stages(measured)
    return Sample(peer.name, operation, measured, peer.repository_bytes(), stages, max(0.0, others))


def _warm(path: Path) -> None:
    """Read a file, or all files of a tree, into the page cache."""
    buffer = bytearray(MIB)
    for file in [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]:
        with file.open("rb") as stream:
            while stream.readinto(buffer):
                pass


def _busy_seconds() -> float:
    """Return the CPU time that all programs and the kernel have used since the machine started."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
