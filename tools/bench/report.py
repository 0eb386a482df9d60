"""Turn results into the report: targets, medians, ratios to packstore, and how to read them."""

from collections.abc import Callable, Sequence
from statistics import median

from tools.bench import targets
from tools.bench.peers.packstore import KEYLESS, LS_KEY_FILE, LS_PASSPHRASE
from tools.bench.results import (
    DAY2,
    DD,
    DISK,
    EMPTY,
    FIRST,
    LS_MANY,
    MEMORY,
    NOISY,
    OPERATIONS,
    RANDOM,
    READ_IMAGE,
    READ_PACKS,
    RESTORE,
    START,
    UNCHANGED,
    VERIFY,
    Results,
)
from tools.measure import MIB
from tools.table import mib, table

OURS = targets.OURS
SECONDS_PLOT, CPU_PLOT, DISK_PLOT, SIZE_PLOT = (
    f"images/bench-{name}.svg" for name in ("seconds", "cpu", "disk", "size")
)
_COLUMNS = {
    FIRST: "first",
    UNCHANGED: "unchanged",
    DAY2: "day 2",
    RESTORE: "restore",
    VERIFY: "verify",
    RANDOM: "random",
    EMPTY: "empty",
}
_NONE = "-"


class Report:
    """The results of a benchmark, as Markdown that is readable in a terminal too."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def text(self) -> str:
        """Return the whole report."""
        parts = [self._head(), f"## Targets\n\n{self._targets()}", *self._memory()]
        if any(sample.place == DISK for sample in self._results.samples):
            parts += self._disk()
        parts += [
            f"## Repository\n\n{self._repository()}\n\n![Repository sizes]({SIZE_PLOT})",
            f"## Reading alone, and starting\n\n{self._besides()}",
            f"## Where packstore's CPU time goes\n\n{self._stages()}",
            f"## How to read this\n\n{self._notes()}",
        ]
        return "\n\n".join(parts) + "\n"

    def plots(self) -> dict[str, tuple[str, list[str], dict[str, list[float | None]]]]:
        """Return each picture's title, groups of bars and bars, by the name under which the text has it."""
        every = list(OPERATIONS)
        some = [operation for operation in OPERATIONS if operation not in (RANDOM, EMPTY)]
        made = {
            SECONDS_PLOT: ("Seconds, in memory", every, self._series(MEMORY, every, "seconds")),
            CPU_PLOT: ("CPU seconds, in memory", every, self._series(MEMORY, every, "cpu_seconds")),
            DISK_PLOT: ("Seconds, on a disk of which nothing is cached", some, self._series(DISK, some, "seconds")),
        }
        sizes = [FIRST, DAY2]
        in_mib = {
            name: [None if value is None else value / MIB for value in values]
            for name, values in self._series(MEMORY, sizes, "repository_bytes").items()
        }
        made[SIZE_PLOT] = ("MiB in the repository, after", sizes, in_mib)
        return {name: plot for name, plot in made.items() if plot[2]}

    def _series(self, place: str, operations: Sequence[str], figure: str) -> dict[str, list[float | None]]:
        if not self._measured(place):
            return {}
        names = self._measured(MEMORY, DISK)
        return {name: [self._results.median(place, each, name, figure) for each in operations] for name in names}

    def _measured(self, *where: str) -> list[str]:
        """Return the programs that were measured in any of these places, packstore first."""
        have = {sample.program for sample in self._results.samples if sample.place in where}
        return [program.name for program in self._results.programs if program.name in have]

    def _head(self) -> str:
        results = self._results
        images = "; ".join(f"{i.name} {mib(i.size)} MiB, {mib(i.used)} MiB of it no holes" for i in results.images)
        return f"""# packstore and its peers

Written by `make bench`. {results.date}, {results.machine}; packstore {results.packstore}. Images: {images}.

{results.about}"""

    def _targets(self) -> str:
        header = ("target", "limit", "measured", "compared with", "met")
        how = (
            "≥ N x: packstore has to be N times as fast as the fastest peer (or as `dd bs=4M`), by medians of the same "
            "run, in memory. ≤ N x: packstore's median through that of the best peer."
        )
        return f"{table(header, targets.rows(self._results))}\n\n{how}"

    def _memory(self) -> list[str]:
        every = list(OPERATIONS)
        return [
            "## In memory\n\nData and repositories on a tmpfs: programs are compared, and not a disk. "
            "In brackets the ratio to packstore: above 1 is slower than packstore, or more.",
            f"### Seconds\n\n{self._table(MEMORY, every, 'seconds', _seconds)}\n\n![Seconds]({SECONDS_PLOT})",
            f"### CPU seconds\n\n{self._table(MEMORY, every, 'cpu_seconds', _seconds)}\n\n![CPU seconds]({CPU_PLOT})",
            f"### Peak memory, MiB\n\n{self._table(MEMORY, every, 'peak_rss_bytes', _whole_mib)}\n\n"
            "Of the largest process of each command.",
        ]

    def _disk(self) -> list[str]:
        some = [operation for operation in OPERATIONS if operation not in (RANDOM, EMPTY)]
        return [
            "## On a disk\n\nImages, repositories and restored files lie on one disk. Before each command all is "
            "written, and nothing is cached, neither of these nor of the programs.",
            f"### Seconds\n\n{self._table(DISK, some, 'seconds', _seconds)}\n\n![Seconds on a disk]({DISK_PLOT})",
            f"### CPU seconds\n\n{self._table(DISK, some, 'cpu_seconds', _seconds)}",
        ]

    def _table(self, place: str, operations: Sequence[str], figure: str, show: Callable[[float], str]) -> str:
        """Lay out medians: a row for each program, a column for each operation."""
        rows = []
        for name in self._measured(place):
            cells = [self._cell(place, operation, name, figure, show) for operation in operations]
            rows.append((name, str(self._rounds(place, name)), *cells))
        return table(("program", "rounds", *(_COLUMNS[operation] for operation in operations)), rows)

    def _cell(self, place: str, operation: str, name: str, figure: str, show: Callable[[float], str]) -> str:
        value = self._results.median(place, operation, name, figure)
        if value is None:
            return _NONE
        ours = self._results.median(place, operation, OURS, figure)
        ratio = f" ({value / ours:.2f})" if ours and name != OURS else ""
        noisy = all(sample.others >= NOISY for sample in self._results.of(place, operation, name))
        return show(value) + ratio + (r"\*" if noisy else "")

    def _rounds(self, place: str, name: str) -> int:
        return sum(1 for s in self._results.samples if (s.place, s.operation, s.program) == (place, FIRST, name))

    def _repository(self) -> str:
        rows = []
        for name in self._measured(MEMORY):
            first, unchanged, day2, random = (
                self._results.median(MEMORY, operation, name, "repository_bytes")
                for operation in (FIRST, UNCHANGED, DAY2, RANDOM)
            )
            again = _NONE if first is None or unchanged is None else f"{(unchanged - first) / 1024:,.0f}"
            more = _NONE if unchanged is None or day2 is None else mib(day2 - unchanged)
            cells = (_NONE if value is None else mib(value) for value in (first, day2, random))
            total = self._cell(MEMORY, DAY2, name, "repository_bytes", _whole_mib)
            first_mib, _, random_mib = cells
            rows.append((name, first_mib, again, more, total, random_mib))
        header = ("program", "first, MiB", "unchanged, KiB more", "day 2, MiB more", "both days, MiB", "random, MiB")
        return table(header, rows)

    def _besides(self) -> str:
        rows = []
        for program, operation in (
            (DD, READ_IMAGE),
            (DD, READ_PACKS),
            (OURS, KEYLESS),
            (OURS, START),
            (OURS, LS_MANY),
            (OURS, LS_KEY_FILE),
            (OURS, LS_PASSPHRASE),
        ):
            cells = []
            for place in (MEMORY, DISK):
                seconds = self._results.median(place, operation, program)
                peak = self._results.median(place, operation, program, "peak_rss_bytes")
                cells += [_NONE if seconds is None else f"{seconds:.3f}", _NONE if peak is None else _whole_mib(peak)]
            many = f": {self._results.versions:,}" if operation == LS_MANY else ""
            rows.append((f"{program}: {operation}{many}", *cells))
        return table(("what", "in memory, s", "peak MiB", "on a disk, s", "peak MiB"), rows)

    def _stages(self) -> str:
        known = [s for s in self._results.samples if s.stages and s.place == MEMORY]
        if not known:
            return "Not measured."
        names = list(dict.fromkeys(name for s in known for name in s.stages))
        rows = []
        for operation in dict.fromkeys(s.operation for s in known):
            samples = [s for s in known if s.operation == operation]
            shares = (median(s.stages.get(name, 0.0) / sum(s.stages.values()) for s in samples) for name in names)
            rows.append((operation, *(f"{share:.0%}" for share in shares)))
        return table(("operation", *names), rows)

    def _notes(self) -> str:
        measured = {sample.program for sample in self._results.samples}
        return "\n".join(
            [
                "- Medians. One command and one repository at a time; the programs in turn, each round beginning with",
                "  another one.",
                "- No program is told what has changed or that a file has not: a device has no time of modification.",
                "- A restore ends when the restored file has been synced. Each restored image was compared.",
                "- CPU seconds are user and system time of a command and its children.",
                *self._disturbances(),
                *(
                    f"- **{program.name}** ({program.version}): {program.differs}. Its verification reads "
                    f"{program.verifies}."
                    for program in self._results.programs
                    if program.name in measured
                ),
                *(
                    f"- **{name} is missing here, at least in part**: {' '.join(why.split())}"
                    for name, why in self._results.skipped.items()
                ),
            ]
        )

    def _disturbances(self) -> list[str]:
        """Say how far the machine's other work spoilt the measurement."""
        samples = self._results.samples
        noisy = [sample for sample in samples if sample.others >= NOISY]
        counted = sum(1 for s in noisy if s in self._results.of(s.place, s.operation, s.program))
        disturbed = f"ran while other programs took {NOISY:.0%} of a CPU or more"
        notes = []
        if len(noisy) > counted:
            notes += [f"- {len(noisy) - counted} of {len(samples)} commands {disturbed}; they do not count."]
        if counted:
            notes += [f"- **{counted} commands {disturbed}** and count all the same (\\*), as no quiet round could"]
            notes += ["  replace them: their seconds say little; CPU seconds suffer less."]
        return notes


def _seconds(value: float) -> str:
    return f"{value:.2f}"


def _whole_mib(value: float) -> str:
    return f"{value / MIB:,.0f}"
