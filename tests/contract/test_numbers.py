"""What a backup may cost: bytes stored, bytes read, calls, memory."""

import os
import subprocess
import sys
from pathlib import Path

from packstore.format.pack import PackType
from packstore.packs.names import list_packs
from packstore.progress import NullProgress
from packstore.repository.coordination import publish_intent
from packstore.sources.file import FileSource
from packstore.storage.file import FileStorage
from tests.support.devices import noise, noise_blocks
from tests.support.recording import RecordingStorage
from tests.support.worlds import MIB, PlaceStorage, World, fixed_runtime

CEILING_MIB = 320
"""Python, the libraries, the window of 64 MiB in its several forms; far below the 512 MiB that are read."""


def _stored(world: World) -> int:
    return sum(len(data) for data in world.storage.files.values())  # type: ignore[attr-defined]


def test_an_unchanged_source_stores_less_than_64_kib(tmp_path: Path) -> None:
    """Nightly backups of an idle disk would fill the repository."""
    device = noise_blocks("unchanged", 600) + b"tail"
    world = World(PlaceStorage(), tmp_path / "index", pack_size=16 * MIB).create()
    world.backup(device)
    before = _stored(world)
    result = world.backup(device)
    assert _stored(world) - before == result.bytes_stored < 64 * 1024
    assert result.counters.unchanged == len(device)


def test_ten_changed_blocks_of_8_gib_store_themselves_and_little_else(tmp_path: Path) -> None:
    """The cost of a backup would grow with the device and not with what changed."""
    path, block = tmp_path / "disk", MIB
    with path.open("wb") as file:
        file.truncate(8 << 30)
        for number in range(40):
            file.seek(number * 200 * block)
            file.write(noise(number, block))
    world = World(PlaceStorage(), tmp_path / "index", block_size=block, pack_size=16 * MIB).create()
    world.backup(FileSource(path))
    before = _stored(world)
    with path.open("r+b") as file:
        for number in range(10):
            file.seek(number * 800 * block + 5 * block)
            file.write(noise(("new", number), block))
    result = world.backup(FileSource(path))
    assert result.counters.new == 10 * block
    assert _stored(world) - before < 11 * block
    assert result.counters.read <= 60 * block


def test_an_unchanged_backup_makes_few_calls(tmp_path: Path) -> None:
    """A backup that changes nothing would cost requests for each block, and not one look at each pack of its base."""
    device = noise_blocks("calls", 300)
    world = World(PlaceStorage(), tmp_path / "index").create()
    world.backup(device)
    recorder = RecordingStorage(world.storage)
    World(recorder, world.index_root).backup(device)
    calls = recorder.count()
    assert (calls["create"], calls["hold"], calls["delete"]) == (1, 1, 1)
    packs = len(list_packs(world.storage, PackType.BLOCKS))
    assert packs < 25
    assert calls["exists"] <= packs + 5
    assert sum(calls.values()) - calls["exists"] < 40, calls


def test_opening_reads_only_what_is_new(tmp_path: Path) -> None:
    """`ls` would take longer with every backup."""
    world = World(PlaceStorage(), tmp_path / "index").create()
    for number in range(5):
        world.backup(noise_blocks(number, 2))
    recorder = RecordingStorage(world.storage)
    with World(recorder, world.index_root).open() as repository:
        repository.refresh(NullProgress())
    assert [name for _, name in recorder.calls if name.startswith(("packs/", "meta/"))] == []


def test_a_hold_by_an_intent_costs_no_other_writer_anything(tmp_path: Path) -> None:
    """Two backups at once would wait for each other."""
    world = World(PlaceStorage(), tmp_path / "index").create()
    device = noise_blocks("two", 3)
    with world.open() as repository:
        other = publish_intent(world.storage, repository.keyring, fixed_runtime(), "other")
    result = world.backup(device)
    other.withdraw()
    assert world.restore(result.version)[0] == device


_PROGRAM = """
import sys
from pathlib import Path
from packstore.sources.file import FileSource
from packstore.storage.file import FileStorage
from tests.support.worlds import MIB, World
world = World(FileStorage(Path(sys.argv[1])), Path(sys.argv[2]), block_size=MIB, pack_size=32 * MIB).create()
world.backup(FileSource(Path(sys.argv[3])))
# Not ru_maxrss: that also counts what the process was forked from.
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(int(peak.split()[1]) // 1024)
"""


def test_memory_is_bounded_by_the_window_and_not_by_the_device(tmp_path: Path) -> None:
    """A large volume would exhaust the memory of the machine that is backed up."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        for _ in range(32):
            file.write(os.urandom(16 * MIB))
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, tmp_path / "repository", tmp_path / "index", path],
        capture_output=True,
        check=True,
        text=True,
    )
    assert FileStorage(tmp_path / "repository").list_files("packs")
    assert int(done.stdout) < CEILING_MIB
