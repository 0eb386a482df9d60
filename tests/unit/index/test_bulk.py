"""Taking many meta packs in at once must leave the same index as one after another."""

from pathlib import Path
from typing import Any

import pytest

from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.index import bulk, sync
from packstore.index.environment import Transaction
from packstore.packs.names import list_packs
from packstore.repository.repository import Repository
from tests.support.devices import noise_blocks
from tests.support.worlds import PlaceStorage, World

VOLUMES = [noise_blocks(("bulk", number), 6 + number) for number in range(5)]


@pytest.fixture
def storage(tmp_path: Path) -> PlaceStorage:
    """A repository of several versions, with blocks and packs that several meta packs know of."""
    storage = PlaceStorage()
    world = World(storage, tmp_path / "writer").create()
    for number, data in enumerate(VOLUMES):
        world.backup(data, f"volume {number}")
        world.backup(data + VOLUMES[0], f"volume {number}")
    world.remove(next(iter(world.expected)))
    return storage


def _objects(repository: Repository) -> list[tuple[int, bytes]]:
    found = []
    for state in repository.states():
        tree = repository.tree(state.version)
        found.append((Kind.PAGE, state.version.root))
        found += [(Kind.BLOCK, tree.entry(at)[0]) for at in range(state.version.size // state.version.block_size)]
    return found


def _content(repository: Repository) -> dict[str, Any]:
    """Return what an index says, but for the numbers it has given."""
    index = repository.index
    places = {
        wanted: sorted(place[:4] for place in index.locate(Kind(wanted[0]), wanted[1]))  # type: ignore[arg-type]
        for wanted in _objects(repository)
    }
    assert all(places.values())
    return {
        "places": places,
        "metas": index.metas(),
        "packs": sorted((pack.pack_type, pack.pack_id, pack.records) for pack in index.packs()),
        "directories": {pack.pack_id: index.directory_ids(pack.pack_id) for pack in index.packs()},
        "named": {pack.pack_id: index.is_named(pack.pack_id) for pack in index.packs()},
        "objects": index.statistics()["objects"],
        "records": [sorted(index.records(kind)) for kind in (Kind.VERSION, Kind.EVENT)],
    }


def _expected(storage: PlaceStorage, place: Path) -> dict[str, Any]:
    with World(storage, place).open() as repository:
        return _content(repository)


def test_same_index_as_one_by_one(storage: PlaceStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuilt index would not find what is there, and it would be stored again."""
    expected = _expected(storage, tmp_path / "slow")
    monkeypatch.setattr(sync, "BULK_BYTES", 0)
    assert _expected(storage, tmp_path / "fast") == expected
    monkeypatch.setattr(bulk, "MAX_ROWS", 5)
    monkeypatch.setattr(bulk, "_WRITTEN_BYTES", 1)
    assert _expected(storage, tmp_path / "in pieces") == expected


def test_on_top_of_what_is_known(storage: PlaceStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long absence a host would lose what its index knew already, or know it twice."""
    names = [listed.name for listed in list_packs(storage, PackType.META).values()]
    half = PlaceStorage({name: data for name, data in storage.files.items() if name not in names[::2]})
    with World(half, tmp_path / "index").open() as repository:
        assert len(repository.index.metas()) == len(names) // 2
    monkeypatch.setattr(sync, "BULK_BYTES", 0)
    assert _expected(storage, tmp_path / "index") == _expected(storage, tmp_path / "fresh")


def test_killed_before_the_rows_count(storage: PlaceStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a load that came to nothing would be believed, or stand in the way of the next one."""
    expected = _expected(storage, tmp_path / "slow")

    def die(_self: bulk.BulkLoad, _transaction: Transaction) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sync, "BULK_BYTES", 0)
    with monkeypatch.context() as killed:
        killed.setattr(bulk.BulkLoad, "_write_metas", die)
        with pytest.raises(KeyboardInterrupt):
            _expected(storage, tmp_path / "index")
    found = _expected(storage, tmp_path / "index")
    assert found.pop("objects") >= expected.pop("objects")
    assert found == expected


def test_collected_meanwhile(storage: PlaceStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector at work would make the rebuild of an index fail, or leave claims of what is gone."""
    monkeypatch.setattr(sync, "BULK_BYTES", 0)
    names = [listed.name for listed in list_packs(storage, PackType.META).values()]
    real = sync.read_seal

    def read_seal(*args: Any) -> Any:
        storage.files.pop(names[3], None)
        return real(*args)

    monkeypatch.setattr(sync, "read_seal", read_seal)
    with World(storage, tmp_path / "index").open() as repository:
        assert len(repository.index.metas()) == len(names) - 1
