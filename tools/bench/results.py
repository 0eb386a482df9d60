"""What was measured, as JSON beside the data, so that the report can be written again without measuring."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

FIRST, UNCHANGED, DAY2 = "first backup", "unchanged backup", "backup of day 2"
RESTORE, VERIFY = "restore of day 2", "verification of everything"
RANDOM, EMPTY = "backup of random data", "backup of an empty device"
OPERATIONS = (FIRST, UNCHANGED, DAY2, RESTORE, VERIFY, RANDOM, EMPTY)
"""What every peer does."""
DD = "dd"
READ_IMAGE, READ_PACKS = "read the image", "read packstore's packs"
"""What dd does."""
START, LS_MANY = "`--version`", "`ls` of many versions"
"""What packstore does besides."""

MEMORY, DISK = "memory", "disk"
NOISY = 0.25
"""Where other programs took more than a quarter of a CPU, the times are not to be trusted."""


@dataclass(frozen=True)
class Sample:
    """One command of one round."""

    place: str
    """Where data and repository lay: MEMORY, or DISK with nothing cached."""
    program: str
    operation: str
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    """Of its largest process."""
    repository_bytes: int
    others: float
    """CPU seconds that other programs on the machine took, per second of the measurement."""
    stages: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """What the report says about a peer."""

    name: str
    version: str
    differs: str
    verifies: str
    counts: bool = True
    """Whether targets compare with it: it does the same kind of work."""


@dataclass(frozen=True)
class Image:
    """An image that was backed up."""

    name: str
    size: int
    used: int
    """Bytes that are no holes."""


@dataclass
class Results:
    """All that the report is made of."""

    machine: str = ""
    date: str = ""
    packstore: str = ""
    """The exact state of packstore's source."""
    programs: list[Program] = field(default_factory=list)
    """The first is packstore; also those which have no samples now."""
    images: list[Image] = field(default_factory=list)
    about: str = ""
    """What the images are, in words."""
    versions: int = 0
    """How many versions LS_MANY lists."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Programs that could not be measured, or no further, and why."""
    samples: list[Sample] = field(default_factory=list)

    def of(self, place: str, operation: str, program: str) -> list[Sample]:
        """Return the samples of one thing, without the disturbed ones unless there are no others."""
        every = [s for s in self.samples if (s.place, s.operation, s.program) == (place, operation, program)]
        return [sample for sample in every if sample.others < NOISY] or every

    def median(self, place: str, operation: str, program: str, figure: str = "seconds") -> float | None:
        """Return the median of one figure (a field of Sample), or None if it was not measured."""
        values = [getattr(sample, figure) for sample in self.of(place, operation, program)]
        return median(values) if values else None

    def fastest_peer(self, place: str, operation: str, figure: str = "seconds") -> tuple[float, str] | None:
        """Return the smallest median of a figure among packstore's peers that count, and whose it is."""
        peers = (program.name for program in self.programs[1:] if program.counts)
        figures = ((self.median(place, operation, name, figure), name) for name in peers)
        return min(((value, name) for value, name in figures if value is not None), default=None)

    def drop(self, place: str) -> None:
        """Forget what was measured in one place, to measure it anew: figures are compared within one run only."""
        self.samples = [sample for sample in self.samples if sample.place != place]

    def save(self, path: Path) -> None:
        """Write everything to a file, which is replaced as a whole."""
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")
        unfinished.rename(path)

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read what save() wrote."""
        loaded = json.loads(path.read_text(encoding="utf-8"))
        loaded["programs"] = [Program(**each) for each in loaded["programs"]]
        loaded["images"] = [Image(**each) for each in loaded["images"]]
        loaded["samples"] = [Sample(**each) for each in loaded["samples"]]
        return cls(**loaded)
