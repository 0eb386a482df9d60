"""What was damaged and is put right again is found again, and damage does not make the index grow."""

from pathlib import Path

from packstore.progress import NullProgress
from tests.support.devices import noise_blocks
from tests.support.worlds import PlaceStorage, World


def test_a_repaired_meta_pack_is_read_again(tmp_path: Path) -> None:
    """A version would stay lost after its file was brought back from another copy."""
    world = World(PlaceStorage(), tmp_path / "index").create()
    world.backup(noise_blocks("repair", 4))
    files = world.storage.files  # type: ignore[attr-defined]
    name = next(name for name in files if name.startswith("meta/"))
    good = files[name]
    files[name] = bytes(len(good))
    world = World(PlaceStorage(files), tmp_path / "other index", expected=world.expected)
    assert world.states() == []
    with world.open() as repository:
        before = repository.index.statistics()["objects"]
        for _ in range(20):
            repository.refresh(NullProgress())
        assert repository.index.statistics()["objects"] == before
    world.storage.files[name] = good  # type: ignore[attr-defined]
    assert world.verify() == set(world.expected)
    assert world.check().clean
    with world.open() as repository:
        count = repository.index.statistics()["objects"]
        repository.relearn()
        assert repository.index.statistics()["objects"] == count
