"""packstore: deduplicating, encrypted backups of block devices in append-only pack files."""

__version__ = "0.1.0"
