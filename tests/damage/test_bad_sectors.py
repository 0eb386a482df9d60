"""Bad sectors: reading one file gives EIO, and everything else must go on."""

from pathlib import Path

import pytest

from packstore.storage.file import FileStorage
from tests.support.devices import BLOCK, noise_blocks
from tests.support.faults import BadSectorFileOps
from tests.support.worlds import World, is_exact_outside

FIRST = noise_blocks("bad sectors", 20)
SECOND = FIRST[: 2 * BLOCK] + noise_blocks("changed", 2) + FIRST[4 * BLOCK :]


@pytest.mark.parametrize("prefix", ["packstore", "packs", "meta", "keys"])
@pytest.mark.parametrize("index", ["fresh index", "old index"])
def test_one_unreadable_file_prevents_nothing_else(fast_path: Path, prefix: str, index: str) -> None:
    """One bad sector would make a whole repository unreadable, although a copy or a neighbour is whole."""
    root = fast_path / "repository"
    plain = World(FileStorage(root), fast_path / "index").create()
    plain.backup(FIRST, "one")
    plain.backup(noise_blocks("another", 3), "two")
    files = sorted(path for path in root.rglob("*") if path.is_file())
    bad = [path for path in files if str(path.relative_to(root)).startswith(prefix) and path.suffix != ".copy"]
    for number, path in enumerate(bad):
        index_root = fast_path / "index" if index == "old index" else fast_path / f"index {number}"
        world = World(FileStorage(root, BadSectorFileOps({path.name})), index_root, expected=dict(plain.expected))
        report = world.check()
        assert path.relative_to(root).as_posix() in {damage.name for damage in report.damage}
        states = world.states()
        assert len(states) >= (1 if prefix == "meta" else 2)
        for state in states:
            data, result = world.restore(state.version)
            assert is_exact_outside(data, world.expected[state.version.uid], result.damaged)
            assert prefix in {"packs", "meta"} or not result.damaged
        version = world.backup(SECOND, f"new {number}").version
        plain.expected[version.uid] = SECOND
        data, result = world.restore(version)
        assert is_exact_outside(data, SECOND, result.damaged)
        assert prefix == "meta" or not result.damaged
