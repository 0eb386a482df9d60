"""Which checkpoints are open."""

import itertools

from packstore.format.checkpoint import Checkpoint
from packstore.format.version import Version
from packstore.ids import HOLE, Uid
from packstore.repository.checkpoints import open_checkpoints

BLOCK = 65_536


def checkpoint(number: int, counter: int, volume: str = "disk") -> Checkpoint:
    """Return a checkpoint of one block."""
    return Checkpoint(
        id=Uid(bytes([number]) * 16),
        volume=volume,
        date_ms=0,
        counter=counter,
        size=BLOCK,
        block_size=BLOCK,
        covered=BLOCK,
        root=HOLE,
        source={},
        immutable_id="",
        program="",
        host="",
    )


def version(counter: int, volume: str = "disk") -> Version:
    """Return a version with this counter."""
    return Version(
        uid=Uid(bytes([counter]) * 16),
        volume=volume,
        date_ms=0,
        counter=counter,
        size=0,
        block_size=BLOCK,
        root=HOLE,
        source={},
        unreadable=[],
        trusted_runs=0,
        statistics={},
        tags=[],
        base=None,
        program="",
        host="",
    )


def test_the_newest_of_each_volume_is_open() -> None:
    """A backup would go on from an older point, or what a running one has stored would be collected."""
    there = [checkpoint(1, 5), checkpoint(2, 7), checkpoint(3, 6), checkpoint(9, 1, "other")]
    for order in itertools.permutations(there):
        assert open_checkpoints([], order) == [there[1], there[3]]


def test_the_id_decides_between_equal_counters() -> None:
    """Two writers at once would keep what both of them refer to, or two readers disagree about which it is."""
    first, second = checkpoint(1, 5), checkpoint(2, 5)
    assert open_checkpoints([], [first, second]) == open_checkpoints([], [second, first]) == [second]


def test_a_later_version_closes() -> None:
    """What a finished backup no longer needs would be kept for ever."""
    there = checkpoint(1, 5)
    assert open_checkpoints([version(6)], [there]) == []
    assert open_checkpoints([version(6), version(2)], [there]) == []


def test_versions_that_are_older_or_of_other_volumes_do_not_close() -> None:
    """What a first backup of 200 TB has stored would be collected when another volume is backed up."""
    there = checkpoint(1, 5)
    assert open_checkpoints([version(4), version(5), version(9, "other")], [there]) == [there]


def test_an_older_checkpoint_does_not_come_back() -> None:
    """A closed checkpoint would make an older one look open, whose objects may have been collected."""
    assert open_checkpoints([version(8)], [checkpoint(1, 5), checkpoint(2, 7)]) == []
