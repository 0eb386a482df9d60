"""Where tests that write many small files do it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")


def fast_parent() -> str | None:
    """Return where temporary directories go that are written often: memory, where there is such a place."""
    return str(_MEMORY) if _MEMORY.is_dir() else None


def _place() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="packstore-test-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def fast_path() -> Iterator[Path]:
    """A directory in memory where there is one: what these tests say of fsync does not need a disk."""
    yield from _place()


@pytest.fixture(scope="module")
def module_path() -> Iterator[Path]:
    """The same, for all tests of a module."""
    yield from _place()
