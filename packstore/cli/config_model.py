"""What the configuration file says, as values. Pure. docs/CONFIGURATION.md describes the file.

After: cli.config_sections, cli.config.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from packstore.codec.compression import DEFAULT_COMPRESSION
from packstore.operations.guards import DEFAULT_MIN_AGE
from packstore.operations.hooks import Hooks
from packstore.operations.retention import PruneOptions
from packstore.operations.schedules import Schedule

DEFAULT_CHECK_PERCENT = 3.0
"""Of each run: with one run a day, every byte is read in about a month."""
DEFAULT_GC_PERCENT = 5.0


@dataclass(frozen=True)
class RepositoryEntry:
    """A repository with a name: where it is (a path, an id, or both), what opens it, what `run` does with it."""

    name: str
    path: str = ""
    id: str = ""
    """All 32 hexadecimal digits; empty: whichever repository is at the path."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Variables that say what opens it: PACKSTORE_KEY_FILE, PACKSTORE_PASSPHRASE_FILE and so on."""
    optional: bool = False
    min_free: int = 0
    compression: str = DEFAULT_COMPRESSION
    check_percent: float = DEFAULT_CHECK_PERCENT
    gc_percent: float = DEFAULT_GC_PERCENT


@dataclass(frozen=True)
class VolumeEntry:
    """What `run` backs up as a volume, and how; without `repositories` into each."""

    name: str
    source: str
    repositories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    retention: PruneOptions | None = None
    immutable: bool = False
    snapshot_size: int | None = None
    hooks: Hooks = field(default_factory=Hooks)


@dataclass(frozen=True)
class Limits:
    """What `run` may take of the machine; bandwidths in bytes a second, None: no limit."""

    threads: int | None = None
    bandwidth_in: int | None = None
    bandwidth_out: int | None = None
    nice: int = 0
    io_priority: str = ""


@dataclass(frozen=True)
class Config:
    """What the configuration file says, or the defaults; `file` is where that is, or would be, written."""

    file: Path
    min_age: timedelta = DEFAULT_MIN_AGE
    schedules: tuple[Schedule, ...] = ()
    repositories: dict[str, RepositoryEntry] = field(default_factory=dict)
    volumes: dict[str, VolumeEntry] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
