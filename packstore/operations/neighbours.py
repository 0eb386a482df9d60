"""Read many objects of which it is known where they lie: neighbours in one read, several reads at a time.

The pages of a version lie one after another in one pack. One by one they cost a disk as many movements, and a
network as many round trips, as there are pages.
Before: repository.repository, operations.pipeline. After: operations.gc.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing

from packstore.errors import FormatError, StorageError
from packstore.format.record import Kind, decode_record
from packstore.ids import ObjectId
from packstore.index.tables import Location
from packstore.limits import MIB
from packstore.operations.pipeline import ordered_map, window_items
from packstore.packs.names import pack_name
from packstore.repository.repository import Repository

Placed = tuple[ObjectId, Location]


def read_neighbours(
    repository: Repository, kind: Kind, places: Mapping[ObjectId, Location], *, threads: int
) -> Generator[tuple[ObjectId, bytes | None], None, None]:
    """Yield each object with its plaintext, in the order in which they lie; None if it is not whole at its place."""
    runs = _runs(sorted(places.items(), key=lambda found: (found[1].pack_id, found[1].offset)))
    results = ordered_map(
        lambda run: _read(repository, kind, run), runs, threads=threads, window=window_items(threads, MIB)
    )
    with closing(results):
        for found in results:
            yield from found


def _runs(placed: list[Placed]) -> Iterator[list[Placed]]:
    """Cut where there is a gap, or a megabyte."""
    run: list[Placed] = []
    end, size = None, 0
    for item in placed:
        place = item[1]
        if run and ((place.pack_id, place.offset) != end or size + place.record_size > MIB):
            yield run
            run, size = [], 0
        run.append(item)
        size += place.record_size
        end = place.pack_id, place.offset + place.record_size
    if run:
        yield run


def _read(repository: Repository, kind: Kind, run: list[Placed]) -> list[tuple[ObjectId, bytes | None]]:
    first, last = run[0][1], run[-1][1]
    size = last.offset + last.record_size - first.offset
    try:
        data = memoryview(repository.storage.read(pack_name(first.pack_type, first.pack_id), first.offset, size))
    except StorageError:
        return [(object_id, None) for object_id, _ in run]
    found: list[tuple[ObjectId, bytes | None]] = []
    for object_id, place in run:
        begin = place.offset - first.offset
        found.append((object_id, _decode(repository, kind, object_id, data[begin : begin + place.record_size])))
    return found


def _decode(repository: Repository, kind: Kind, object_id: ObjectId, data: memoryview) -> bytes | None:
    try:
        header, payload = decode_record(data)
        if (header.kind, header.object_id) != (kind, object_id):
            return None
        return repository.codec.decode(header, payload)
    except FormatError:
        return None
