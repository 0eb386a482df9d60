"""The measurements: what every program does, several rounds of it, the programs in turn.

One repository at a time, and only those images that are needed just then: all of it has to fit into memory.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.bench import version_list
from tools.bench.data import Data
from tools.bench.many_versions import command
from tools.bench.peer import Peer
from tools.bench.peers.packstore import Packstore
from tools.bench.places import Place
from tools.bench.results import (
    DAY2,
    DD,
    EMPTY,
    FIRST,
    LS_MANY,
    MEMORY,
    RANDOM,
    READ_IMAGE,
    READ_PACKS,
    RESTORE,
    START,
    UNCHANGED,
    VERIFY,
    Sample,
)
from tools.images import first_difference
from tools.measure import Command, Measured, run
from tools.programs import ToolError

_STARTS = 10
"""Commands of some milliseconds are measured so often."""


@dataclass
class Rounds:
    """The measurements of some programs in one place."""

    place: Place
    data: Data
    peers: Sequence[type[Peer]]
    count: int
    versions: int
    """How many are listed."""
    failed: dict[str, str] = field(default_factory=dict)
    """Programs that failed in the middle, and what they said; they are not measured any further."""

    def measure(self) -> Iterator[Sample]:
        """Measure everything; on the disk, what says something about disks."""
        with self.place.staged(self.data.day1, self.data.day2) as (day1, day2):
            for peer in self._turns():
                yield from self._guarded(peer, self._two_days(peer, day1, day2))
        if self.place.name == MEMORY:
            for image, operation in ((self.data.random, RANDOM), (self.data.empty, EMPTY)):
                with self.place.staged(image) as (staged,):
                    for peer in self._turns():
                        yield from self._guarded(peer, self._one_image(peer, staged, operation))
            yield from self._starts()

    def _turns(self) -> Iterator[type[Peer]]:
        """Return each program in each round, each time beginning with another one."""
        for number in range(self.count):
            turn = number % len(self.peers)
            for peer in (*self.peers[turn:], *self.peers[:turn]):
                if peer.name not in self.failed:
                    yield peer

    def _guarded(self, peer: type[Peer], samples: Iterator[Sample]) -> Iterator[Sample]:
        """Let a peer that fails spoil only its own figures; packstore must not fail."""
        try:
            yield from samples
        except ToolError as error:
            if peer is self.peers[0]:
                raise
            print(f"\n*** {peer.name} FAILED: {error} ***\n", file=sys.stderr, flush=True)
            self.failed[peer.name] = str(error)

    def _two_days(self, kind: type[Peer], day1: Path, day2: Path) -> Iterator[Sample]:
        with self.place.fresh() as directory:
            peer = kind(directory)
            run(peer.init())
            for operation, image in ((FIRST, day1), (UNCHANGED, day1), (DAY2, day2)):
                yield self._of(peer, operation, peer.backup(image), backup=True)
            target = directory / "restored"
            target.mkdir()
            restored = peer.restored(day2, target)
            yield self._of(peer, RESTORE, peer.restore(day2, target), writes=restored)
            where = first_difference(day2, restored)
            if where is not None:
                raise ToolError(f"it brought back something else: the first difference is in the MiB at byte {where}")
            shutil.rmtree(target)
            yield self._of(peer, VERIFY, peer.verify())
            for operation, extra in peer.extras().items():
                yield self._of(peer, operation, extra)
            if kind is self.peers[0]:
                yield self._sample(DD, READ_IMAGE, _dd([day1]))
                packs = sorted(path for path in (peer.repository / "packs").rglob("*") if path.is_file())
                yield self._sample(DD, READ_PACKS, _dd(packs))

    def _one_image(self, kind: type[Peer], image: Path, operation: str) -> Iterator[Sample]:
        with self.place.fresh() as directory:
            peer = kind(directory)
            run(peer.init())
            yield self._of(peer, operation, peer.backup(image), backup=True)

    def _starts(self) -> Iterator[Sample]:
        """Measure how long packstore takes to do next to nothing."""
        name = Packstore.name
        print(f"  make {self.versions} versions …", flush=True)
        with self.place.fresh() as directory:
            version_list.build(directory, self.versions)
            for _ in range(_STARTS):
                yield self._sample(name, START, Command((Packstore.program, *Packstore.version_arguments)))
                yield self._sample(name, LS_MANY, command(directory, "ls"))

    def _of(
        self, peer: Peer, operation: str, measures: Command, *, writes: Path | None = None, backup: bool = False
    ) -> Sample:
        return self._sample(peer.name, operation, measures, peer=peer, writes=writes, backup=backup)

    def _sample(
        self,
        program: str,
        operation: str,
        measures: Command,
        *,
        peer: Peer | None = None,
        writes: Path | None = None,
        backup: bool = False,
    ) -> Sample:
        """Measure one command, until the file `writes` is on disk."""
        self.place.settle()
        begin, busy = time.monotonic(), _busy_seconds()
        measured: Measured = run(measures)
        if writes is not None:  # some programs sync what they restore; let all have it done
            with writes.open("rb") as file:
                os.fsync(file.fileno())
        seconds = time.monotonic() - begin if writes is not None else measured.seconds
        others = (_busy_seconds() - busy - measured.cpu_seconds) / seconds
        return Sample(
            place=self.place.name,
            program=program,
            operation=operation,
            seconds=seconds,
            cpu_seconds=measured.cpu_seconds,
            peak_rss_bytes=measured.peak_rss_bytes,
            repository_bytes=peer.repository_bytes() if peer else 0,
            others=max(0.0, others),
            stages=peer.stages(measured) if peer and backup else {},
        )


def _dd(files: Sequence[Path]) -> Command:
    """Return the command that reads files with dd, one after another."""
    each = 'for file; do dd if="$file" of=/dev/null bs=4M status=none || exit 1; done'
    return Command(("sh", "-c", each, "dd", *map(str, files)))


def _busy_seconds() -> float:
    """Return the CPU time that all programs and the kernel have used since the machine started."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
