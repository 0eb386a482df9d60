"""Records of some later packstore: passed over, never taken for damage, and nothing else is lost to them."""

from pathlib import Path

from packstore.checksum import checksum64
from packstore.format.pack import Entry, PackHeader, PackType, encode_directory, encode_pack_header, encode_trailer
from packstore.format.record import AUTHENTICATED_BYTES, HEADER_BYTES, RECORD_HEADER, RECORD_MAGIC, Kind
from packstore.ids import ObjectId
from packstore.packs.names import pack_name
from packstore.packs.scanner import Foreign, PackWindow, Scanned, scan_records
from tests.support.devices import noise_blocks
from tests.support.worlds import PlaceStorage, World, fixed_runtime

LATER_KIND = 77


def later_record() -> bytes:
    """Return a whole record of a kind that does not exist yet."""
    payload = b"something that nobody can read yet"
    fields = (RECORD_MAGIC, LATER_KIND, 0, 2, 0, len(payload), len(payload), 0, b"k" * 8, b"i" * 64)
    checked = RECORD_HEADER.pack(*fields, 0)[:AUTHENTICATED_BYTES]
    return RECORD_HEADER.pack(*fields, checksum64((checked, payload))) + payload


def add_later_pack(world: World) -> str:
    """Put a meta pack with such a record beside the others; return its name."""
    record = later_record()
    with world.open() as repository:
        keyring, pack_id = repository.keyring, fixed_runtime().new_pack_id()
        header = PackHeader(PackType.META, pack_id, repository.file.id, keyring.domain)
        start = encode_pack_header(header)
        size = len(record) - HEADER_BYTES
        entry = Entry(LATER_KIND, ObjectId(b"i" * 64), len(start), size, size, 0, 2, b"k" * 8)
        directory = encode_directory(pack_id, [entry])
        trailer = encode_trailer(header, directory, len(start) + len(record), 1, keyring.pack_mac)
        name = pack_name(PackType.META, pack_id)
        world.storage.put(name, start + record + directory + trailer)
    return name


def test_a_later_record_is_no_damage(tmp_path: Path) -> None:
    """Once a newer packstore has written to a repository, this one would call it damaged, or not open it."""
    world = World(PlaceStorage(), tmp_path).create()
    world.backup(noise_blocks("foreign", 3))
    add_later_pack(world)
    with world.open() as repository:
        assert not repository.warnings
    assert world.check().clean
    assert world.check_keyless().clean
    world.backup(noise_blocks("foreign", 4))
    assert world.verify() == set(world.expected)


def test_a_damaged_later_record_is_damage(tmp_path: Path) -> None:
    """A flipped bit would pass as a record of some later program."""
    world = World(PlaceStorage(), tmp_path).create()
    name = add_later_pack(world)
    storage = world.storage
    assert isinstance(storage, PlaceStorage)
    data = bytearray(storage.files[name])
    data[64 + HEADER_BYTES] ^= 1
    storage.files[name] = bytes(data)
    assert {damage.name for damage in world.check_keyless().damage} == {name}


def test_walking_goes_on_behind_it(tmp_path: Path) -> None:
    """The records behind one that cannot be read would be lost when a directory is."""
    world = World(PlaceStorage(), tmp_path).create()
    world.backup(noise_blocks("foreign", 2))
    storage = world.storage
    name = next(listed.name for listed in storage.list_files("packs"))
    data = storage.read(name)
    assert isinstance(storage, PlaceStorage)
    storage.files["packs/spliced"] = data[:64] + later_record() + data[64:]
    found = list(scan_records(PackWindow(storage, "packs/spliced"), len(data)))
    assert [type(item) for item in found[:3]] == [Foreign, Scanned, Scanned]
    assert isinstance(found[1], Scanned)
    assert found[1].header.kind is Kind.BLOCK
