"""Garbage is collected, and nothing else."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from packstore.errors import CollectionRefused, CollectorBusy, FormatError
from packstore.format.intent import IntentRole
from packstore.format.pack import PackType
from packstore.format.record import Encryption
from packstore.format.version import EventType
from packstore.operations import gc_finish
from packstore.operations.check import check_repository
from packstore.operations.gc import GcOptions, preview
from packstore.packs.names import list_packs
from packstore.progress import NullProgress, StopRequest
from packstore.repository.coordination import publish_notice
from packstore.repository.notices import survey
from packstore.repository.scrubs import scrub_memory
from packstore.storage.base import Storage
from packstore.storage.memory import MemoryStorage
from tests.support.devices import BLOCK
from tests.support.worlds import World


def device(seed: int, blocks: int = 40) -> bytes:
    """Bytes that no two seeds have in common."""
    return random.Random(seed).randbytes(blocks * BLOCK)


def changed(data: bytes, seed: int, *blocks: int) -> bytes:
    """`data` with some blocks replaced."""
    out = bytearray(data)
    for block in blocks:
        out[block * BLOCK : (block + 1) * BLOCK] = random.Random(f"{seed} {block}").randbytes(BLOCK)
    return bytes(out)


def stored(storage: Storage, prefix: str = "packs") -> int:
    """Bytes in packs."""
    return sum(listed.size for listed in storage.list_files(prefix))


def is_sound(world: World) -> bool:
    """Say whether a check finds nothing wrong with what is there."""
    return world.check().clean


def gc_files(storage: Storage) -> list[str]:
    """What lies in gc/."""
    return [listed.name for listed in storage.list_files("gc")]


@pytest.fixture(params=[Encryption.AEGIS_256, Encryption.NONE], ids=["encrypted", "clear"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    """A repository."""
    return World(MemoryStorage(), tmp_path / "index", request.param).create()


def test_nothing_to_do(world: World) -> None:
    """A collection in a repository without garbage would delete something, or leave something behind."""
    world.backup(device(1))
    before = stored(world.storage)
    report = world.gc()
    assert (report.versions, report.removed, report.packs_deleted, report.bytes_copied) == (1, 0, 0, 0)
    assert stored(world.storage) == before
    assert not gc_files(world.storage)
    assert world.verify()


def test_a_removed_version_goes_and_the_other_stays(world: World) -> None:
    """`rm` would free nothing, or take blocks that another version has."""
    first = world.backup(device(1), "one").version
    world.backup(device(2), "two")
    before = stored(world.storage)
    world.remove(first.uid)
    report = world.gc()
    assert report.packs_deleted
    assert stored(world.storage) < 0.6 * before
    assert not gc_files(world.storage)
    assert world.verify()
    assert is_sound(world)
    assert not [state for state in world.states() if not state.removed and state.version.uid == first.uid]


def test_what_is_still_needed_is_copied_out(world: World) -> None:
    """A pack with one block that is needed and a hundred that are not would stay, or go with it."""
    data = device(1)
    first = world.backup(data).version
    world.backup(changed(data, 2, *range(2, 40)))
    world.remove(first.uid)
    before = stored(world.storage)
    report = world.gc()
    assert report.bytes_copied > 2 * BLOCK
    assert stored(world.storage) < 0.7 * before
    assert world.verify()
    assert is_sound(world)


def test_below_the_threshold_nothing_is_copied(world: World) -> None:
    """Every `rm` of a small version would copy the whole repository."""
    data = device(1)
    first = world.backup(data).version
    world.backup(changed(data, 2, 5))
    world.remove(first.uid)
    before = stored(world.storage)
    assert world.gc(threshold=90).bytes_copied < BLOCK
    assert stored(world.storage) == before
    assert world.verify()


def test_everything_removed(world: World) -> None:
    """The last version's blocks would stay for ever."""
    for seed in range(3):
        world.remove(world.backup(device(seed)).version.uid)
    world.gc()
    world.gc()
    assert stored(world.storage) == 0
    assert world.backup(device(9)).version
    assert world.verify()


def test_a_second_run_finds_nothing(world: World) -> None:
    """Each run would move the same records again."""
    data = device(1)
    first = world.backup(data).version
    world.backup(changed(data, 2, *range(2, 40)))
    world.remove(first.uid)
    world.gc()
    again = world.gc()  # the directories of the packs that the first run deleted
    assert again.bytes_copied < BLOCK
    last = world.gc()
    assert (last.packs_deleted, last.bytes_copied) == (0, 0)


def test_small_packs_are_merged(world: World) -> None:
    """Hourly backups would leave millions of small packs."""
    data = device(1, 8)
    for seed in range(20):
        data = changed(data, seed, seed % 8)
        world.backup(data)
    metas = len(world.storage.list_files("meta"))
    blocks = len(world.storage.list_files("packs"))
    report = world.gc(merge_metas=16, merge_blocks=16)
    assert len(world.storage.list_files("meta")) < metas / 4
    assert len(world.storage.list_files("packs")) < blocks / 2
    assert report.bytes_copied
    assert len(world.verify()) == 20
    assert is_sound(world)
    assert world.backup(data).counters.new == 0


def test_each_shared_page_is_read_once(world: World) -> None:
    """A collection would take as long as all versions together."""
    data = device(1, 600)
    for seed in range(6):
        data = changed(data, seed, seed * 90)
        world.backup(data)
    with world.open() as repository:
        pages = repository.index.statistics()["objects"]
        assert pages
    report = world.gc()
    # 3 leaves and a root at first, then one leaf and a root for each change.
    assert report.pages_read == 4 + 2 * 5


def test_a_hold_keeps_everything(world: World) -> None:
    """Rsync would copy half of a repository that is being collected meanwhile."""
    first = world.backup(device(1)).version
    world.remove(first.uid)
    with world.open() as repository:
        hold = publish_notice(world.storage, repository.keyring, repository.runtime, "rsync", IntentRole.HOLD)
    before = stored(world.storage)
    report = world.gc()
    assert stored(world.storage) == before
    assert "rsync" in report.waiting_for[0]
    hold.withdraw()
    world.gc()
    assert stored(world.storage) == 0
    assert not gc_files(world.storage)


def test_protected_again_before_the_list_was_ripe(world: World) -> None:
    """A version that was brought back would lose its blocks to a list made while it was removed."""
    first = world.backup(device(1)).version
    data = world.expected[first.uid]
    removal = world.remove(first.uid)
    with world.open() as repository:
        hold = publish_notice(world.storage, repository.keyring, repository.runtime, "rsync", IntentRole.HOLD)
    world.gc()  # lists, and cannot go on
    world.event(EventType.UNDELETE, first.uid, cancels=(removal.id,))  # as from another copy, which knew of no list
    world.expected[first.uid] = data
    hold.withdraw()
    world.gc()
    assert world.verify() == {first.uid}
    assert is_sound(world)


def test_a_second_collector_says_so(world: World) -> None:
    """Two collectors would do the same work at the same time, and nobody know why it is slow."""
    world.backup(device(1))
    with world.open() as repository:
        notice = publish_notice(world.storage, repository.keyring, repository.runtime, "gc", IntentRole.COLLECTOR)
    with pytest.raises(CollectorBusy, match="already"):
        world.gc()
    assert world.gc(beside=True).packs_deleted == 0
    notice.withdraw()
    world.gc()


def test_gone_stays_gone(world: World) -> None:
    """A removed version would come back, without its blocks, when an old copy of its record is merged."""
    first = world.backup(device(1)).version
    old = dict(world.storage.files)  # type: ignore[attr-defined]
    world.backup(device(2), "two")
    world.remove(first.uid)
    world.gc()
    world.gc(threshold=1)
    for name, data in old.items():
        if name.startswith("meta/"):
            world.storage.files.setdefault(name, data)  # type: ignore[attr-defined]
    assert [state.version.volume for state in world.states() if not state.removed] == ["two"]
    world.gc()
    assert world.verify()
    assert is_sound(world)


def test_nothing_is_deleted_when_a_meta_pack_is_damaged(world: World) -> None:
    """What an unreadable meta pack names would look like garbage."""
    world.backup(device(1))
    (name,) = [listed.name for listed in world.storage.list_files("meta")]
    second = world.backup(device(2)).version
    world.remove(second.uid)
    files = world.storage.files  # type: ignore[attr-defined]
    files[name] = files[name][:-200] + bytes(100) + files[name][-100:]
    before = sorted(listed.name for listed in world.storage.list_files("packs"))
    with pytest.raises(CollectionRefused, match="meta/"):
        world.gc()
    assert sorted(listed.name for listed in world.storage.list_files("packs")) == before


def test_an_interrupted_list_is_finished_by_the_next(world: World) -> None:
    """A collector that was killed would leave its list, and what it names, for ever."""
    first = world.backup(device(1)).version
    world.remove(first.uid)
    with world.open() as repository:
        hold = publish_notice(world.storage, repository.keyring, repository.runtime, "rsync", IntentRole.HOLD)
    world.gc()
    hold.withdraw()
    with world.open() as repository:
        found = survey(world.storage, repository.keyring, repository.runtime.process)
        assert len(found.lists) == len(found.ripe()) == 1
    assert world.gc().lists_finished >= 1
    assert stored(world.storage) == 0


def test_out_of_time(world: World) -> None:
    """A collection that ran out of time would leave a repository in disorder."""
    first = world.backup(device(1)).version
    world.backup(device(2), "two")
    world.remove(first.uid)
    assert "time" in world.gc(max_seconds=0.0).stopped
    assert world.verify()
    world.gc()
    assert not gc_files(world.storage)
    assert world.verify()


def test_a_copy_inherits_when_it_was_checked(world: World) -> None:
    """What a collection has copied would count as never checked, and be read before what nobody has read for a year."""
    data = device(1)
    first = world.backup(data).version
    world.backup(changed(data, 2, *range(2, 40)))
    assert world.check().clean
    world.remove(first.uid)
    world.gc()
    with world.open() as repository:
        memory = scrub_memory(repository)
        blocks = list_packs(world.storage, PackType.BLOCKS)
        assert blocks
        assert {memory.rank(pack_id) for pack_id in blocks} == {1}


def test_many_scrub_records_become_one(world: World) -> None:
    """A check every hour would leave a record for each, to be read by every command for ever."""
    world.backup(device(1))
    for _ in range(70):
        world.check(percent=50)
    with world.open() as repository:
        before = scrub_memory(repository)
        assert len(repository.scrubs()) == 70
    for _ in range(3):
        world.gc(merge_metas=8)
    with world.open() as repository:
        after = scrub_memory(repository)
        assert len(repository.scrubs()) < 10
    assert after.runs == before.runs
    assert {pack_id: after.rank(pack_id) for pack_id in before.ranks if after.rank(pack_id) is not None}.items() <= (
        before.ranks.items()
    )


class _Meanwhile(NullProgress):
    """Does something at the moment at which a check has read all packs and begins to walk the versions."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__()
        self._work = work

    def start(self, phase: str, total_bytes: int | None) -> None:
        """Do it, if this is the moment."""
        if phase == "walking versions":
            self._work()


def test_a_version_collected_while_it_is_checked_is_no_damage(world: World, tmp_path: Path) -> None:
    """A check beside `rm` and gc would say that versions which were removed cannot be restored for want of packs."""
    gone = world.backup(device(1), "one").version
    world.backup(device(2), "two")
    other = World(world.storage, tmp_path / "other host", world.encryption)

    def collect_it() -> None:
        other.remove(gone.uid)
        assert other.gc().packs_deleted

    with world.open() as repository:
        report = check_repository(repository, StopRequest(), _Meanwhile(collect_it), threads=2)
    assert report.clean, (report.versions, report.missing)
    assert not report.missing
    assert world.check().clean


def test_a_damaged_list_does_not_stop_everybody_for_ever(world: World) -> None:
    """One flipped bit in a list would lock the repository against all writing, with no way out."""
    first = world.backup(device(1)).version
    world.backup(device(2), "two")
    world.remove(first.uid)
    with world.open() as repository:
        hold = publish_notice(world.storage, repository.keyring, repository.runtime, "rsync", IntentRole.HOLD)
    world.gc()
    hold.withdraw()
    (name,) = [name for name in gc_files(world.storage) if "list-" in name]
    data = bytearray(world.storage.files[name])  # type: ignore[attr-defined]
    data[len(data) // 2] ^= 1
    world.storage.files[name] = bytes(data)  # type: ignore[attr-defined]
    with pytest.raises(FormatError, match=name) as raised:
        world.backup(device(3), "three")
    assert "gc" in raised.value.advice
    world.gc()
    assert not gc_files(world.storage)
    world.backup(device(3), "three")
    assert len(world.verify()) == 2


def test_an_emptied_repository_settles(world: World) -> None:
    """Each collection would write a new file, and each nightly copy take it."""
    world.remove(world.backup(device(1)).version.uid)
    world.check()
    for _ in range(4):
        world.gc()
    before = sorted(listed.name for listed in world.storage.list_files("meta"))
    assert world.gc().packs_deleted == 0
    assert sorted(listed.name for listed in world.storage.list_files("meta")) == before


def test_what_was_listed_earlier_is_shown(world: World) -> None:
    """A preview would say that nothing goes, and the collection after it delete everything."""
    world.remove(world.backup(device(1)).version.uid)
    with world.open() as repository:
        hold = publish_notice(world.storage, repository.keyring, repository.runtime, "rsync", IntentRole.HOLD)
    assert world.gc().waiting_for
    assert world.gc().waiting_for
    hold.withdraw()
    with world.open() as repository:
        shown = preview(repository, GcOptions(threads=1), StopRequest(), NullProgress())
    assert shown.packs_ripe > 0
    assert world.gc().packs_deleted >= shown.packs_ripe


def test_another_collector_is_quicker(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack that another collector deletes while it is read would be called damaged, and somebody woken for it."""
    first = world.backup(device(1)).version
    world.backup(changed(device(1), 2, *range(20)))
    world.remove(first.uid)
    read, others = gc_finish.read_record, []

    def read_after_another(*arguments: Any) -> Any:
        if not others:
            others.append(None)
            others[0] = world.gc(threshold=1, beside=True)
        return read(*arguments)

    monkeypatch.setattr(gc_finish, "read_record", read_after_another)
    report = world.gc(threshold=1, beside=True)
    assert others[0].packs_deleted
    assert not report.kept
    assert not others[0].kept
    assert len(world.verify()) == 1
    world.gc()
    assert is_sound(world)
    assert not gc_files(world.storage)
