"""Turn samples into the report: medians, and ratios to packstore."""

import datetime as dt
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tools.bench.peer import Peer
from tools.bench.peers import PEERS
from tools.bench.rounds import FULL, OPERATIONS, UNCHANGED, Sample
from tools.measure import MIB
from tools.table import mib, rate, table

REFERENCE = PEERS[0].name
NOISY = 0.25
"""Where other programs took more than a quarter of a CPU, the times are not to be trusted."""


class Report:
    """The samples of one run, as Markdown that is readable in a terminal too."""

    def __init__(
        self, samples: Sequence[Sample], peers: Sequence[type[Peer]], image: Path, skipped: Sequence[str]
    ) -> None:
        self._all = samples
        self._samples = [sample for sample in samples if sample.others < NOISY or not _has_quiet(sample, samples)]
        self._peers = peers
        self._size = image.stat().st_size
        self._used = image.stat().st_blocks * 512
        self._skipped = skipped

    def text(self) -> str:
        """Return the whole report."""
        parts = [self._head()]
        parts += [f"## {operation.capitalize()}\n\n{self._operation(operation)}" for operation in OPERATIONS]
        parts += [f"## Repository\n\n{self._repository()}", f"## Where packstore's CPU time goes\n\n{self._stages()}"]
        parts += [f"## How to read this\n\n{self._notes()}"]
        return "\n\n".join(parts) + "\n"

    def _head(self) -> str:
        rounds = sum(1 for s in self._all if s.operation == FULL and s.peer == REFERENCE)
        today = dt.datetime.now(tz=dt.UTC).date()
        return f"""# packstore and its peers

{today}, {machine()}. Image: {mib(self._size)} MiB, {mib(self._used)} MiB of it no holes. Medians (rounds: {rounds}); \
"x" is the ratio to packstore: above 1 is slower than packstore, or more."""

    def _operation(self, operation: str) -> str:
        rows = []
        for peer in self._peers:
            seconds, seconds_ratio = self._figure(peer.name, operation, lambda s: s.measured.seconds)
            cpu, cpu_ratio = self._figure(peer.name, operation, lambda s: s.measured.cpu_seconds)
            memory, memory_ratio = self._figure(peer.name, operation, lambda s: s.measured.peak_rss_bytes / MIB)
            row = (f"{seconds:.2f}", seconds_ratio, rate(self._size, seconds), f"{cpu:.2f}", cpu_ratio)
            rows.append((peer.name, *row, f"{memory:.0f}", memory_ratio))
        return table(("program", "seconds", "x", "MiB/s", "CPU s", "x", "peak RSS MiB", "x"), rows)

    def _repository(self) -> str:
        rows = []
        for peer in self._peers:
            full, ratio = self._figure(peer.name, FULL, lambda s: s.repository_bytes)
            again, _ = self._figure(peer.name, UNCHANGED, lambda s: s.repository_bytes)
            rows.append((peer.name, mib(full), ratio, f"1 : {self._used / full:.2f}", f"{(again - full) / 1024:.1f}"))
        return table(("program", "MiB", "x", "of the image", "KiB more when unchanged"), rows)

    def _figure(self, peer: str, operation: str, value: Callable[[Sample], float]) -> tuple[float, str]:
        """Return the median of a program's figure, and its ratio to packstore's."""
        mine = median(value(s) for s in self._samples if s.peer == peer and s.operation == operation)
        ours = median(value(s) for s in self._samples if s.peer == REFERENCE and s.operation == operation)
        return mine, f"{mine / ours:.2f}"

    def _stages(self) -> str:
        known = [s for s in self._samples if s.stages]
        if not known:
            return "This packstore does not report it."
        names = list(dict.fromkeys(name for s in known for name in s.stages))
        rows = []
        for operation in (FULL, UNCHANGED):
            samples = [s for s in known if s.operation == operation]
            shares = (median(s.stages.get(name, 0.0) / sum(s.stages.values()) for s in samples) for name in names)
            rows.append((operation, *(f"{share:.0%}" for share in shares)))
        return table(("operation", *names), rows)

    def _notes(self) -> str:
        return "\n".join(
            [
                "- Source, repositories and restored files lie on the same disk. Before each command what it reads was",
                "  read once and everything synced: sources come from the page cache, the same for all programs.",
                "- A restore ends when the restored file has been synced. Each restored image was compared.",
                *self._disturbances(),
                *(f"- {peer.name} ({peer.version()}): {peer.differs}." for peer in self._peers),
                *(f"- **{name} was skipped**: not installed, and it could not be." for name in self._skipped),
            ]
        )

    def _disturbances(self) -> list[str]:
        """Say how far the machine's other work spoilt the measurement."""
        noisy = sum(1 for s in self._samples if s.others >= NOISY)
        left_out = len(self._all) - len(self._samples)
        disturbed = f"ran while other programs took {NOISY:.0%} of a CPU or more"
        notes = []
        if left_out:
            notes += [f"- {left_out} of {len(self._all)} commands {disturbed}; they do not count."]
        if noisy:
            notes += [f"- **{noisy} commands {disturbed}** and count all the same, as no quiet round could"]
            notes += ["  replace them: their seconds say little; CPU seconds suffer less."]
        return notes


def _has_quiet(sample: Sample, samples: Sequence[Sample]) -> bool:
    """Say whether there is an undisturbed measurement of the same thing."""
    same = (s for s in samples if (s.peer, s.operation) == (sample.peer, sample.operation))
    return any(s.others < NOISY for s in same)


def machine() -> str:
    """Describe the machine in a line."""
    models = (
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MIB / 1024
    model = next(models, platform.machine())
    return f"{os.cpu_count()} CPUs ({model}), {memory:.0f} GiB RAM, Python {platform.python_version()}"
