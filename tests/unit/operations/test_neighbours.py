"""Objects that lie together are read together: packstore.operations.neighbours."""

import random
from pathlib import Path

import pytest

from packstore.format.page import Page, encode_page
from packstore.format.record import Encryption, Kind
from packstore.ids import ObjectId
from packstore.index.tables import Location
from packstore.operations.neighbours import read_neighbours
from packstore.packs.names import pack_name
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.storage.memory import MemoryStorage
from tests.support.recording import RecordingStorage
from tests.support.worlds import World

PAGES = 200
"""Of some 20 KiB each: several megabytes."""


@pytest.fixture(params=[Encryption.AEGIS_256, Encryption.NONE], ids=["encrypted", "clear"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    """A repository whose calls of the storage are noted."""
    storage = RecordingStorage(MemoryStorage())
    return World(storage, tmp_path / "index", request.param).create()


def store(repository: Repository) -> dict[ObjectId, bytes]:
    """Store pages; return them by id."""
    noise = random.Random(1)
    pages = [encode_page(Page(0, noise.randbytes(256 * 64), noise.randbytes(256 * 16))) for _ in range(PAGES)]
    with Session(repository, "test") as session:
        stored = {session.put_page(plain): plain for plain in pages}
        session.keep()
    return stored


def places_of(repository: Repository, stored: dict[ObjectId, bytes]) -> dict[ObjectId, Location]:
    """Where they lie."""
    return {page_id: repository.index.locate(Kind.PAGE, page_id)[0] for page_id in stored}


def test_neighbours_are_read_together(world: World) -> None:
    """A collection would ask the storage for each page of each version, which are millions."""
    with world.open() as repository:
        stored = store(repository)
        places = places_of(repository, stored)
        world.storage.calls.clear()  # type: ignore[attr-defined]
        assert dict(read_neighbours(repository, Kind.PAGE, places, threads=2)) == stored
        size = sum(place.record_size for place in places.values())
        assert world.storage.count()["read"] <= size // (1 << 20) + 2  # type: ignore[attr-defined]


def test_what_lies_apart_is_read_as_well(world: World) -> None:
    """Of pages that are not neighbours the bytes between would be taken for one."""
    with world.open() as repository:
        stored = store(repository)
        some = {page_id: place for page_id, place in places_of(repository, stored).items() if page_id[0] % 3}
        found = dict(read_neighbours(repository, Kind.PAGE, some, threads=2))
        assert found == {page_id: stored[page_id] for page_id in some}


def test_one_that_is_damaged_is_none_and_the_others_are_whole(world: World) -> None:
    """A flipped bit would cost a megabyte of pages, or pass."""
    with world.open() as repository:
        stored = store(repository)
        places = places_of(repository, stored)
        broken = sorted(places, key=lambda page_id: places[page_id].offset)[PAGES // 2]
        place = places[broken]
        files = world.storage.inner.files  # type: ignore[attr-defined]
        name = pack_name(place.pack_type, place.pack_id)
        data = bytearray(files[name])
        data[place.offset + place.record_size // 2] ^= 1
        files[name] = bytes(data)
        found = dict(read_neighbours(repository, Kind.PAGE, places, threads=2))
        assert found == {**stored, broken: None}


def test_a_pack_that_is_gone(world: World) -> None:
    """A collection beside another one would fail with what should only make it look again."""
    with world.open() as repository:
        stored = store(repository)
        places = places_of(repository, stored)
        for place in places.values():
            world.storage.delete(pack_name(place.pack_type, place.pack_id))
        assert set(dict(read_neighbours(repository, Kind.PAGE, places, threads=2)).values()) == {None}
