"""What a restore notes of itself: packstore.sources.memo."""

import errno
import itertools
import shutil
from pathlib import Path

import pytest

from packstore.errors import TargetError
from packstore.sources.memo import Memo
from tests.support.faults import WRITING, CrashFileOps, FaultyFileOps, PowerLost

OLD, NEW = b"old" * 1000, b"new" * 2000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a memo in it, and a copy of that beside it."""
    (tmp_path / "template").mkdir()
    Memo(tmp_path / "template" / "memo").write(OLD)
    return tmp_path


def again(place: Path) -> Path:
    """Put everything back to its beginning; return where the memo is."""
    shutil.rmtree(place / "work", ignore_errors=True)
    shutil.copytree(place / "template", place / "work")
    return place / "work" / "memo"


@pytest.mark.parametrize("variant", ["worst", "names", "zeros", "all"])
def test_power_lost_while_it_is_replaced(place: Path, variant: str) -> None:
    """Half a note would be believed, or the last good one be lost with it."""
    seen = set()
    for at in itertools.count(1):
        path = again(place)
        ops = CrashFileOps(path.parent, at)
        memo = Memo(path, ops)
        try:
            memo.write(NEW)
            memo.remove()
        except PowerLost:
            ops.survive(variant)
            seen.add(Memo(path).read())
        else:
            break
    assert {OLD, NEW} <= seen <= {OLD, NEW, None}
    assert Memo(path).read() is None


def test_a_fault_while_it_is_replaced(place: Path) -> None:
    """A note that could not be written would be taken for written, or an undeclared error end the restore."""
    for at in itertools.count(1):
        path = again(place)
        ops = FaultyFileOps(errno.ENOSPC, at, WRITING)
        try:
            Memo(path, ops).write(NEW)
        except TargetError:
            assert ops.fired
            assert Memo(path).read() in {OLD, NEW}
        else:
            break
    assert not ops.fired
    assert Memo(path).read() == NEW


def test_every_flipped_bit_is_noticed(place: Path) -> None:
    """A flipped bit would make a range look finished that was never written."""
    path = again(place)
    whole = path.read_bytes()
    for at in range(0, len(whole), 101):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(TargetError):
            Memo(path).read()
    path.write_bytes(b"")
    with pytest.raises(TargetError):
        Memo(path).read()


def test_nothing_there(tmp_path: Path) -> None:
    """The first restore to a target would fail for want of a note."""
    memo = Memo(tmp_path / "below" / "memo")
    assert memo.read() is None
    assert not memo.exists()
    memo.remove()
    memo.write(NEW)
    assert memo.read() == NEW
