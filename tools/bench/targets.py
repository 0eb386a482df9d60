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
    """A figure that must not be above a limit; in "times as fast", not below it."""

    title: str
    limit: float
    unit: str
    measure: Callable[[Results], Measure | None]

    def is_met_by(self, value: float) -> bool:
        """Say whether a measured value is good enough."""
        return value >= self.limit if self.unit == _FASTER else value <= self.limit


def _faster(operation: str) -> Callable[[Results], Measure | None]:
    """Say how many times as fast as the fastest peer packstore is."""
    compare = _to_best(operation, "seconds")
    return lambda results: _inverse(compare(results))


def _inverse(measured: Measure | None) -> Measure | None:
    return None if measured is None else Measure(1 / measured.value, measured.against)


def _to_best(operation: str, figure: str) -> Callable[[Results], Measure | None]:
    """Compare packstore with the best of its peers."""

    def measure(results: Results) -> Measure | None:
        ours, peer = results.median(MEMORY, operation, OURS, figure), results.fastest_peer(MEMORY, operation, figure)
        if ours is None or peer is None:
            return None
        return Measure(ours / peer[0], peer[1])

    return measure


def _to_dd(operation: str, reading: str) -> Callable[[Results], Measure | None]:
    """Say how much of the rate of `dd bs=4M` reading the same bytes packstore reaches."""

    def measure(results: Results) -> Measure | None:
        ours, dd = results.median(MEMORY, operation, OURS), results.median(MEMORY, reading, DD)
        return None if ours is None or not dd else Measure(dd / ours, f"dd: {reading}")

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


_FASTER = "times as fast"
TARGETS = (
    Target("first backup", 2.2, _FASTER, _faster(FIRST)),
    Target("unchanged backup", 6.0, _FASTER, _faster(UNCHANGED)),
    Target("unchanged backup, against reading", 0.7, _FASTER, _to_dd(UNCHANGED, READ_IMAGE)),
    Target("backup of day 2", 4.0, _FASTER, _faster(DAY2)),
    Target("random data", 2.0, _FASTER, _faster(RANDOM)),
    Target("empty device", 10.0, _FASTER, _faster(EMPTY)),
    Target("restore to a file, verified", 3.0, _FASTER, _faster(RESTORE)),
    Target("check with decryption of everything", 2.0, _FASTER, _faster(VERIFY)),
    Target("check without a key, against reading", 0.8, _FASTER, _to_dd(KEYLESS, READ_PACKS)),
    Target("repository after both days", 1.05, "x", _to_best(DAY2, "repository_bytes")),
    Target("peak memory of any command", 300, "MiB", _most_memory),
    Target("`packstore --version`", 80, "ms", _milliseconds(START)),
    Target(f"`ls` of {VERSIONS:,} versions", 300, "ms", _listing),
)


def rows(results: Results) -> list[tuple[str, str, str, str, str]]:
    """Return a row for each target: what, the limit, what was measured, against what, and whether it is met."""
    made = []
    for target in TARGETS:
        measured = target.measure(results)
        sign = "≥" if target.unit == _FASTER else "≤"
        limit = f"{sign} {_shown(target.limit, target.unit)}"
        if measured is None:
            made.append((target.title, limit, "not measured", "", "-"))
        else:
            met = "yes" if target.is_met_by(measured.value) else "**no**"
            made.append((target.title, limit, _shown(measured.value, target.unit), measured.against, met))
    return made


def _shown(value: float, unit: str) -> str:
    return f"{value:.2f} x" if unit in {"x", _FASTER} else f"{value:.0f} {unit}"
