"""What packstore is meant to reach, and whether it does. Ratios are of medians of one run, in memory."""

from collections.abc import Callable
from dataclasses import dataclass

from tools.bench.peers.packstore import KEYLESS, Packstore
from tools.bench.results import (
    DAY2,
    DD,
    EMPTY,
    FIRST,
    LS_MANY,
    MEMORY,
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

OURS = Packstore.name
VERSIONS = 10_000
"""How many `ls` has to list."""


@dataclass(frozen=True)
class Measure:
    """A measured figure, and in words what it was compared with."""

    value: float
    against: str = ""


@dataclass(frozen=True)
class Target:
    """A figure that must not be above a limit."""

    title: str
    limit: float
    unit: str
    measure: Callable[[Results], Measure | None]


def _to_fastest(operation: str, figure: str = "seconds") -> Callable[[Results], Measure | None]:
    """Compare packstore with the best of its peers."""

    def measure(results: Results) -> Measure | None:
        ours, peer = results.median(MEMORY, operation, OURS, figure), results.fastest_peer(MEMORY, operation, figure)
        if ours is None or peer is None:
            return None
        return Measure(ours / peer[0], peer[1])

    return measure


def _to_dd(operation: str, reading: str) -> Callable[[Results], Measure | None]:
    """Compare packstore with `dd bs=4M` reading the same bytes."""

    def measure(results: Results) -> Measure | None:
        ours, dd = results.median(MEMORY, operation, OURS), results.median(MEMORY, reading, DD)
        return None if ours is None or not dd else Measure(ours / dd, f"dd: {reading}")

    return measure


def _milliseconds(operation: str) -> Callable[[Results], Measure | None]:
    def measure(results: Results) -> Measure | None:
        seconds = results.median(MEMORY, operation, OURS)
        return None if seconds is None else Measure(1000 * seconds)

    return measure


def _listing(results: Results) -> Measure | None:
    return _milliseconds(LS_MANY)(results) if results.versions == VERSIONS else None


def _most_memory(results: Results) -> Measure | None:
    """Return the highest of the medians of all operations, and which one it was."""
    peaks = ((results.median(MEMORY, operation, OURS, "peak_rss_bytes"), operation) for operation in OPERATIONS)
    most = max(((peak, operation) for peak, operation in peaks if peak is not None), default=None)
    return None if most is None else Measure(most[0] / MIB, most[1])


TARGETS = (
    Target("first backup", 1.0, "x", _to_fastest(FIRST)),
    Target("unchanged backup", 1.0, "x", _to_fastest(UNCHANGED)),
    Target("unchanged backup, against reading", 1.5, "x", _to_dd(UNCHANGED, READ_IMAGE)),
    Target("backup of day 2", 1.0, "x", _to_fastest(DAY2)),
    Target("random data", 1.0, "x", _to_fastest(RANDOM)),
    Target("empty device", 1.0, "x", _to_fastest(EMPTY)),
    Target("restore to a file, verified", 1.0, "x", _to_fastest(RESTORE)),
    Target("check with decryption of everything", 1.0, "x", _to_fastest(VERIFY)),
    Target("check without a key, against reading", 1.5, "x", _to_dd(KEYLESS, READ_PACKS)),
    Target("repository after both days", 1.05, "x", _to_fastest(DAY2, "repository_bytes")),
    Target("peak memory of any command", 256, "MiB", _most_memory),
    Target("`packstore --version`", 80, "ms", _milliseconds(START)),
    Target(f"`ls` of {VERSIONS:,} versions", 300, "ms", _listing),
)


def rows(results: Results) -> list[tuple[str, str, str, str, str]]:
    """Return a row for each target: what, the limit, what was measured, against what, and whether it is met."""
    made = []
    for target in TARGETS:
        measured = target.measure(results)
        limit = f"≤ {_shown(target.limit, target.unit)}"
        if measured is None:
            made.append((target.title, limit, "not measured", "", "-"))
        else:
            met = "yes" if measured.value <= target.limit else "**no**"
            made.append((target.title, limit, _shown(measured.value, target.unit), measured.against, met))
    return made


def _shown(value: float, unit: str) -> str:
    return f"{value:.2f} x" if unit == "x" else f"{value:.0f} {unit}"
