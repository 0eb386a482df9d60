"""Versions copied between repositories with different keys, blocks and storages."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from packstore.errors import Interrupted, StorageError, UsageError
from packstore.format.record import Encryption, Kind
from packstore.format.version import EventType
from packstore.ids import Uid
from packstore.operations.events import publish_events
from packstore.operations.sync import SyncReport, sync
from packstore.operations.transcribe import Memo
from packstore.progress import NullProgress, StopRequest
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.storage.file import FileStorage
from tests.support.devices import BLOCK, noise_blocks
from tests.support.faults import WRITING, FaultyFileOps
from tests.support.worlds import MIB, PlaceStorage, World


def world(root: Path, name: str, **options: object) -> World:
    """A repository of its own, at a place of its own."""
    return World(PlaceStorage(place=name), root / "index", **options).create()  # type: ignore[arg-type]


@contextmanager
def both(source: World, destination: World) -> Iterator[tuple[Repository, Repository]]:
    """Open the two."""
    with source.open() as first, destination.open() as second:
        yield first, second


def copy(
    source: World,
    destination: World,
    *specs: str,
    stop: StopRequest | None = None,
    progress: NullProgress | None = None,
) -> SyncReport:
    """Copy versions, and know what they must restore to."""
    destination.expected |= source.expected
    with both(source, destination) as (first, second):
        return sync(first, second, specs, stop or StopRequest(), progress or NullProgress(), threads=2)


def blocks_stored(destination: World) -> int:
    """Records of blocks in the destination, twice stored ones twice."""
    with destination.open() as repository:
        return sum(pack.records for pack in repository.index.packs() if pack.pack_type.name == "BLOCKS")


def require_sound(destination: World) -> None:
    """Everything in it restores, and a check with keys finds nothing."""
    destination.verify()
    report = destination.check()
    assert report.clean, report.damage


CONTENT = noise_blocks("first", 300)
CHANGED = CONTENT[: 7 * BLOCK] + noise_blocks("change", 2) + bytes(3 * BLOCK) + CONTENT[12 * BLOCK :]


@pytest.mark.parametrize("encryption", [Encryption.NONE, Encryption.AEGIS_256, Encryption.XCHACHA20_POLY1305])
def test_every_version_restores_from_the_copy(tmp_path: Path, encryption: Encryption) -> None:
    """Whoever loses the source would find something else in the copy, or find the source's secrets needed."""
    source = world(tmp_path, "source")
    destination = world(tmp_path, "destination", encryption=encryption, pack_size=2 * MIB)
    for content in (CONTENT, CHANGED, CHANGED + b"tail", b"", bytes(5 * MIB), CONTENT[: BLOCK + 1]):
        source.backup(content)
    report = copy(source, destination)
    assert len(report.copied) == 6
    require_sound(destination)
    assert destination.verify() == set(source.expected)
    source.storage.files.clear()  # type: ignore[attr-defined]
    require_sound(destination)


def test_a_version_keeps_what_it_says_of_itself(tmp_path: Path) -> None:
    """A version could not be recognised in the copy, or would count as another one's successor."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    source.backup(CONTENT)
    source.backup(CHANGED)
    copy(source, destination)
    for before, after in zip(source.states(), destination.states(), strict=True):
        assert replace(before.version, root=after.version.root) == after.version
        assert before.version.root != after.version.root


def test_tags_protection_and_expiry_are_copied(tmp_path: Path) -> None:
    """A version that is protected at its source would be removed in its copy."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    uid = source.backup(CONTENT).version.uid
    with source.open() as repository:
        events = [
            repository.new_event(EventType.TAG, [uid], value="keep"),
            repository.new_event(EventType.PROTECT, [uid]),
            repository.new_event(EventType.EXPIRE, [uid], value="2030-01-01T00:00:00Z"),
        ]
        publish_events(repository, "test", lambda _: (events, []))
    copy(source, destination)
    (state,) = destination.states()
    assert (state.tags, state.protected, state.expires) == ({"keep"}, True, "2030-01-01T00:00:00Z")


def test_again_stores_nothing(tmp_path: Path) -> None:
    """Each run of a daily job would store everything again."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    source.backup(CONTENT)
    copy(source, destination)
    before = dict(destination.storage.files)  # type: ignore[attr-defined]
    report = copy(source, destination)
    assert (len(report.copied), len(report.skipped)) == (0, 1)
    assert destination.storage.files == before  # type: ignore[attr-defined]


def test_only_what_changed_is_read(tmp_path: Path) -> None:
    """Copying a day's change would read the whole device, at the source and from its storage."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    source.backup(CONTENT)
    copy(source, destination)
    source.backup(CHANGED)
    report = copy(source, destination)
    assert report.bytes_read == 2 * BLOCK
    assert report.bytes_new == 2 * BLOCK
    require_sound(destination)


def test_within_a_run_nothing_is_read_twice(tmp_path: Path) -> None:
    """Two volumes of equal content would be read twice."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    source.backup(CONTENT, "one")
    source.backup(CHANGED, "two")
    report = copy(source, destination)
    assert report.bytes_read == len(CONTENT) + 2 * BLOCK
    require_sound(destination)


def test_blocks_known_there_are_not_stored_again(tmp_path: Path) -> None:
    """Deduplication would end at the border between two machines."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    destination.backup(CONTENT, "own")
    source.backup(CHANGED)
    report = copy(source, destination)
    assert report.bytes_new == 2 * BLOCK
    require_sound(destination)


@pytest.mark.parametrize(("first", "second"), [(BLOCK, 4 * BLOCK), (4 * BLOCK, BLOCK)])
def test_versions_keep_their_block_size(tmp_path: Path, first: int, second: int) -> None:
    """A version cut into blocks of another size would not be found, or be compared with blocks of the wrong length."""
    source = world(tmp_path, "source", block_size=first)
    destination = world(tmp_path, "destination", block_size=second)
    source.backup(CONTENT)
    copy(source, destination)
    (state,) = destination.states()
    assert state.version.block_size == first
    require_sound(destination)
    # A backup there starts afresh, for it has no base whose blocks are as long.
    result = destination.backup(CHANGED)
    assert result.base is None
    require_sound(destination)
    source.backup(CHANGED)
    assert copy(source, destination).bytes_read == 2 * BLOCK if first == BLOCK else 4 * BLOCK
    require_sound(destination)


@pytest.mark.parametrize("change", [-BLOCK // 2, BLOCK // 2, 3 * BLOCK, -3 * BLOCK])
def test_a_device_that_changed_its_size(tmp_path: Path, change: int) -> None:
    """The last block of the base, which is shorter, would be taken for a whole one."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    whole = noise_blocks("size", 280)
    source.backup(whole[: 270 * BLOCK + 100])
    copy(source, destination)
    source.backup(whole[: 270 * BLOCK + 100 + change])
    copy(source, destination)
    require_sound(destination)


def _flip(storage: PlaceStorage, name: str, offset: int) -> None:
    data = bytearray(storage.files[name])
    data[offset] ^= 1
    storage.files[name] = bytes(data)


def test_damage_refuses_what_it_hits_and_nothing_else(tmp_path: Path) -> None:
    """A bad sector at the source would end the copy, or come over as zeros that nobody is told of."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    good = source.backup(CONTENT[: 20 * BLOCK], "good").version
    bad = source.backup(noise_blocks("bad", 20), "bad").version
    later = source.backup(CHANGED[: 20 * BLOCK], "good").version
    with source.open() as repository:
        entry = repository.tree(bad).entry(3)[0]
        (location,) = repository.index.locate(Kind.BLOCK, entry)
    name = next(name for name in source.storage.files if name.endswith(location.pack_id.hex()))  # type: ignore[attr-defined]
    _flip(source.storage, name, location.offset + 200)  # type: ignore[arg-type]
    progress = NullProgress()
    report = copy(source, destination, progress=progress)
    assert [refused.state.version.uid for refused in report.refused] == [bad.uid]
    assert [state.version.uid for state in report.copied] == [good.uid, later.uid]
    assert "is damaged" in report.refused[0].reason
    assert progress.warnings
    del destination.expected[bad.uid]
    require_sound(destination)
    assert {state.version.uid for state in destination.states()} == {good.uid, later.uid}
    # Mended at the source, it is copied, and what of it came over is not stored again.
    _flip(source.storage, name, location.offset + 200)  # type: ignore[arg-type]
    report = copy(source, destination)
    assert [state.version.uid for state in report.copied] == [bad.uid]
    require_sound(destination)


def test_a_removed_version_does_not_come_back(tmp_path: Path) -> None:
    """What was removed from the copy would be there again the next night."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    uid = source.backup(CONTENT).version.uid
    copy(source, destination)
    with destination.open() as repository:
        event = repository.new_event(EventType.REMOVE, [uid])
        publish_events(repository, "test", lambda _: ([event], []))
    report = copy(source, destination)
    assert not report.copied
    assert [state.removed for state in destination.states()] == [True]


def test_the_same_place_is_refused(tmp_path: Path) -> None:
    """A repository would be copied into itself."""
    source = world(tmp_path, "source")
    other = replace(source, index_root=tmp_path / "other")
    with pytest.raises(UsageError):
        copy(source, other)


@pytest.mark.parametrize("after", [0, 1, 40, 151, 180, 240])
def test_interrupted_it_goes_on_where_it_was(tmp_path: Path, after: int) -> None:
    """A copy over a slow line that is interrupted each night would never be done."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    source.backup(CONTENT[: 150 * BLOCK])
    source.backup(CONTENT[100 * BLOCK : 250 * BLOCK])

    class StopsAfter(StopRequest):
        """Stops at the n-th look."""

        left = after

        def check(self) -> None:
            self.left -= 1
            if self.left < 0:
                self.requested = True
            super().check()

    with pytest.raises(Interrupted):
        copy(source, destination, stop=StopsAfter())
    stored = blocks_stored(destination)
    report = copy(source, destination)
    assert report.bytes_new == (250 - stored) * BLOCK
    assert blocks_stored(destination) == 250
    require_sound(destination)
    assert not [name for name in destination.storage.files if name.startswith("gc/")]  # type: ignore[attr-defined]


def test_damage_known_there_is_mended(tmp_path: Path) -> None:
    """A copy that has lost a pack would go on to build on it, for ever."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    source.backup(CONTENT)
    copy(source, destination)
    files = destination.storage.files  # type: ignore[attr-defined]
    del files[next(name for name in sorted(files) if name.startswith("packs/"))]
    assert destination.check().versions
    source.backup(CONTENT + CHANGED[7 * BLOCK : 9 * BLOCK])
    copy(source, destination)
    destination.verify()
    assert not destination.check().versions


@pytest.mark.parametrize("at", [2, 9, 16, 23, 30, 37, 60, 100])
def test_a_failing_destination_stays_whole(tmp_path: Path, at: int) -> None:
    """A full disk in the middle would leave versions that do not restore, or all that was stored be stored again."""
    source = world(tmp_path, "source")
    source.backup(CONTENT[: 30 * BLOCK])
    source.backup(CONTENT[10 * BLOCK : 50 * BLOCK])
    place = tmp_path / "destination"
    destination = World(FileStorage(place), tmp_path / "index").create()
    faults = FaultyFileOps(errno.EIO, at, WRITING)
    try:
        copy(source, replace(destination, storage=FileStorage(place, faults)))
    except StorageError:
        assert faults.fired
    destination.expected |= source.expected
    destination.verify()
    copy(source, destination)
    require_sound(destination)
    assert destination.verify() == set(source.expected)
    assert blocks_stored(destination) <= 50 + (1 * MIB) // BLOCK * 2


def test_memo_is_bounded() -> None:
    """Memory would grow with the device."""
    memo: Memo[int, int] = Memo(10)
    for number in range(1000):
        memo.put(number, number)
        assert memo.get(max(0, number - 4)) == max(0, number - 4)
    assert len(memo._young) + len(memo._old) <= 20
    assert memo.get(3) is None


def test_a_counter_that_leaves_no_room_is_refused(tmp_path: Path) -> None:
    """One version from elsewhere would end all writing: every later record counts on from the highest."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    version = source.backup(CONTENT[:BLOCK]).version
    with source.open() as repository, Session(repository, "test") as session:
        session.commit(replace(version, uid=Uid(bytes(16)), counter=(1 << 64) - 2))
    report = copy(source, destination)
    assert [refused.state.version.uid for refused in report.refused] == [bytes(16)]
    assert [state.version.uid for state in report.copied] == [version.uid]
    destination.backup(CONTENT)
    require_sound(destination)


def test_what_was_collected_there_is_not_copied_again(tmp_path: Path) -> None:
    """Each nightly run would store again, for nothing, all that was ever pruned and collected at the destination."""
    source, destination = world(tmp_path, "source"), world(tmp_path, "destination")
    old = source.backup(CONTENT).version
    source.backup(noise_blocks("other", 20), "other")
    assert len(copy(source, destination).copied) == 2
    destination.remove(old.uid)
    for _ in range(3):
        destination.gc(threshold=1, merge_metas=2)
    assert old.uid not in {state.version.uid for state in destination.states()}
    before = blocks_stored(destination)
    assert not copy(source, destination).copied
    assert blocks_stored(destination) == before
    destination.expected.pop(old.uid)
    require_sound(destination)
