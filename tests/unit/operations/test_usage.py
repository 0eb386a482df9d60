"""How much space versions take, against sets of everything each one refers to."""

import random
from pathlib import Path

import pytest

from packstore.format.page import decode_page
from packstore.format.record import Kind
from packstore.format.version import EventType, encode_version
from packstore.ids import HOLE, ObjectId
from packstore.operations.events import publish_events
from packstore.operations.sync import sync
from packstore.operations.usage import UsageReport, usage
from packstore.progress import NullProgress, StopRequest
from packstore.repository.repository import Repository
from tests.support.devices import BLOCK, noise, noise_blocks
from tests.support.worlds import PlaceStorage, World


def counted(world: World) -> UsageReport:
    """What the operation says."""
    with world.open() as repository:
        return usage(repository, StopRequest())


def _objects(repository: Repository, kind: Kind, object_id: ObjectId, found: dict[tuple[Kind, ObjectId], int]) -> None:
    """Collect all objects below one, each with the size of its record."""
    if object_id == HOLE:
        return
    found[kind, object_id] = repository.index.locate(kind, object_id)[0].record_size
    if kind is Kind.PAGE:
        page = decode_page(repository.read_object(kind, object_id))
        below = Kind.PAGE if page.level else Kind.BLOCK
        for at in range(len(page)):
            _objects(repository, below, page.id_at(at), found)


def require_right(world: World) -> UsageReport:
    """Compare with sets of all objects of all versions."""
    report = counted(world)
    with world.open() as repository:
        versions = [state.version for state in repository.states() if not state.removed]
        objects: dict[bytes, dict[tuple[Kind, ObjectId], int]] = {}
        for version in versions:
            objects[version.uid] = {}
            _objects(repository, Kind.PAGE, version.root, objects[version.uid])
        records = {
            version.uid: repository.index.locate(Kind.VERSION, repository.keyring.object_id(encode_version(version)))[
                0
            ].record_size
            for version in versions
        }
    assert {row.version.uid for row in report.rows} == set(objects)
    for row in report.rows:
        mine = objects[row.version.uid]
        others = set().union(*(objects[uid] for uid in objects if uid != row.version.uid))
        assert row.own == sum(size for key, size in mine.items() if key not in others)
        assert row.shared == sum(size for key, size in mine.items() if key in others)
        assert row.freed == row.own + records[row.version.uid]
    everything = {key: size for each in objects.values() for key, size in each.items()}
    assert report.stored == sum(everything.values()) + sum(records.values())
    assert not report.reasons
    return report


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty repository."""
    return World(PlaceStorage(), tmp_path / "index").create()


@pytest.mark.parametrize("seed", range(6))
def test_random_histories(world: World, seed: int) -> None:
    """Somebody would remove the wrong version to make room: blocks move, come back, repeat, and devices change size."""
    chance = random.Random(seed)
    palette = [noise(("usage", number), BLOCK) for number in range(12)] + [bytes(BLOCK)] * 4
    content = [chance.choice(palette) for _ in range(chance.choice([3, 255, 256, 257, 300]))]
    for _ in range(6):
        for _ in range(chance.randrange(4)):
            content[chance.randrange(len(content))] = chance.choice([*palette, noise(chance.random(), BLOCK)])
        change = chance.random()
        if change < 0.3:
            content = content[: 1 + chance.randrange(len(content))]
        elif change < 0.5:
            content = content + [chance.choice(palette)] * chance.randrange(40)
        world.backup(b"".join(content) + b"tail" * chance.randrange(3), chance.choice(["a", "b"]))
    require_right(world)


def test_a_block_that_stands_everywhere(world: World) -> None:
    """A counter of one byte would overflow, and a device full of one pattern look empty or endless."""
    pattern = noise("pattern", BLOCK)
    for count in (700, 254, 255, 256, 600):
        world.backup(pattern * count + noise(count, BLOCK))
    require_right(world)


def test_removed_versions_do_not_count(world: World) -> None:
    """What a removed version still takes would be shown as shared, and so as not to be had back."""
    content = noise_blocks("removed", 20)
    removed = world.backup(content).version.uid
    world.backup(content + noise("more", BLOCK))
    assert sum(row.shared for row in counted(world).rows) > 40 * BLOCK
    with world.open() as repository:
        event = repository.new_event(EventType.REMOVE, [removed])
        publish_events(repository, "test", lambda _: ([event], []))
    (row,) = require_right(world).rows
    assert row.shared == 0
    assert row.own > 21 * BLOCK


def test_different_block_sizes(tmp_path: Path) -> None:
    """Versions that came from elsewhere have other blocks; nothing of theirs is shared, and all of it counts."""
    world = World(PlaceStorage(), tmp_path / "index").create()
    other = World(PlaceStorage(place="other"), tmp_path / "index", block_size=4 * BLOCK).create()
    for _ in range(2):
        other.backup(noise_blocks("sizes", 30))
    world.backup(noise_blocks("sizes", 30))
    with other.open() as first, world.open() as second:
        sync(first, second, (), StopRequest(), NullProgress(), threads=2)
    world.backup(noise_blocks("sizes", 31))
    report = require_right(world)
    assert sorted(row.version.block_size // BLOCK for row in report.rows) == [1, 1, 4, 4]


def test_empty_repository(world: World) -> None:
    """The first thing that anybody types would fail."""
    assert counted(world).rows == []
    world.backup(b"")
    world.backup(bytes(3 * BLOCK))
    require_right(world)


def test_a_page_that_cannot_be_read(world: World) -> None:
    """Damage would end the command, or be left out without a word."""
    first = world.backup(noise_blocks("page", 300)).version
    world.backup(noise_blocks("page", 299) + noise("last", BLOCK))
    with world.open() as repository:
        page = decode_page(repository.read_object(Kind.PAGE, first.root)).id_at(0)
        (location,) = repository.index.locate(Kind.PAGE, page)
    name = f"meta/{location.pack_id.hex()}"
    data = bytearray(world.storage.read(name))
    data[location.offset + 300] ^= 1
    world.storage.files[name] = bytes(data)  # type: ignore[attr-defined]
    report = counted(world)
    assert len(report.rows) == 2
    assert any("page" in reason for reason in report.reasons)
