"""Packs that are cut, and packs with one bit turned: what is whole is found, all else is named."""

from collections.abc import Iterator

import pytest

from packstore.errors import FormatError
from packstore.format.pack import PACK_HEADER
from packstore.format.record import Encryption
from packstore.operations.check_packs import PackChecker, PackReport
from packstore.packs.reader import read_seal
from packstore.packs.scanner import Gap, PackWindow, Scanned, scan_records
from packstore.progress import NullProgress, StopRequest
from packstore.storage.base import Listed
from packstore.storage.memory import MemoryStorage
from tests.support.devices import noise
from tests.support.packs import SmallPack, make_codec, make_keyring, make_owner, make_pack

KEYRING = make_keyring(Encryption.AEGIS_256)
PLAINS = [noise("torn", 90), b"a" * 700, noise("torn too", 1), b"\x89PSrecd\x01" * 20, noise("last", 130)]


@pytest.fixture(scope="module")
def pack() -> SmallPack:
    """A sealed pack of five small records; one of them holds the magic of a record in its plaintext."""
    return make_pack(KEYRING, PLAINS)


@pytest.fixture(scope="module")
def clear_pack() -> SmallPack:
    """The same, unencrypted, with random content around record magics that the scanner will stumble upon."""
    magics = noise("before", 50) + b"\x89PSrecd\x01" + noise("between", 40) + b"\x89PSrecd\x01" + noise("after", 30)
    return make_pack(make_keyring(Encryption.NONE), [noise("clear", 120), magics, noise("end", 60)])


def _scan(pack: SmallPack, data: bytes, end: int | None = None) -> list[Scanned | Gap]:
    storage = MemoryStorage()
    storage.files[pack.name] = data
    return list(scan_records(PackWindow(storage, pack.name), len(data) if end is None else end))


def _places(found: list[Scanned | Gap]) -> list[tuple[int, bytes]]:
    return [(item.offset, item.header.object_id) for item in found if isinstance(item, Scanned)]


def _check(pack: SmallPack, data: bytes, *, keyless: bool) -> PackReport:
    storage = MemoryStorage()
    storage.files[pack.name] = data
    owner = make_owner(KEYRING, keyless=keyless)
    codec = None if keyless else make_codec(KEYRING)
    checker = PackChecker(storage, owner, codec, StopRequest(), NullProgress(), threads=1)
    return checker.check(pack.pack_type, pack.pack_id, Listed(pack.name, len(data)))


def _flips(data: bytes) -> Iterator[tuple[int, bytes]]:
    for offset in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[offset] ^= 1 << bit
            yield offset, bytes(flipped)


@pytest.mark.parametrize("fixture", ["pack", "clear_pack"])
def test_a_cut_at_every_byte_keeps_the_whole_records_before_it(fixture: str, request: pytest.FixtureRequest) -> None:
    """A torn pack would lose records that are whole, or yield one that is not."""
    pack: SmallPack = request.getfixturevalue(fixture)
    for cut in range(len(pack.data)):
        whole = [(e.offset, e.object_id) for e in pack.entries if e.offset + e.record_size <= cut]
        assert _places(_scan(pack, pack.data[:cut])) == whole, cut


def test_a_cut_pack_is_never_sealed(pack: SmallPack) -> None:
    """A writer could refer to a pack whose end never reached the disk."""
    for cut in range(len(pack.data)):
        storage = MemoryStorage()
        storage.files[pack.name] = pack.data[:cut]
        with pytest.raises(FormatError):
            read_seal(storage, pack.pack_type, pack.pack_id, make_owner(KEYRING))


def test_gaps_and_records_cover_every_byte(pack: SmallPack) -> None:
    """Damage could hide between what the scanner yields."""
    for cut in range(PACK_HEADER.size, len(pack.data), 7):
        offset = PACK_HEADER.size
        for item in _scan(pack, pack.data[:cut]):
            assert item.offset == offset
            offset += item.length if isinstance(item, Gap) else item.header.record_size
        assert offset == cut


@pytest.mark.parametrize("fixture", ["pack", "clear_pack"])
def test_every_flipped_bit_costs_only_the_record_it_touches(fixture: str, request: pytest.FixtureRequest) -> None:
    """One bad bit would take its neighbours along, or a damaged record would be taken for whole."""
    pack: SmallPack = request.getfixturevalue(fixture)
    end = pack.entries[-1].offset + pack.entries[-1].record_size
    for offset, data in _flips(pack.data):
        untouched = [(e.offset, e.object_id) for e in pack.entries if not 0 <= offset - e.offset < e.record_size]
        assert _places(_scan(pack, data, end)) == untouched, offset


@pytest.mark.parametrize("keyless", [True, False])
def test_a_flipped_bit_in_every_byte_is_found_and_named(pack: SmallPack, keyless: bool) -> None:
    """A flipped bit anywhere in a pack could go unnoticed by a check, with keys or without."""
    end = pack.entries[-1].offset + pack.entries[-1].record_size
    for offset in range(len(pack.data)):
        data = pack.data[:offset] + bytes([pack.data[offset] ^ 1 << offset % 8]) + pack.data[offset + 1 :]
        report = _check(pack, data, keyless=keyless)
        assert report.damage, f"the flip at {offset} was not found"
        assert {damage.name for damage in report.damage} == {pack.name}
        touched = {e.offset for e in pack.entries if 0 <= offset - e.offset < e.record_size}
        assert set(report.good) == {e.offset for e in pack.entries} - touched, offset
        if PACK_HEADER.size <= offset < end:
            assert any(damage.offset <= offset < damage.offset + damage.length for damage in report.damage), offset


def test_zeroed_sectors_cost_only_the_records_they_touch(pack: SmallPack) -> None:
    """A lost sector would cost more than what lies on it."""
    for begin in range(0, len(pack.data), 64):
        end = begin + 64
        data = pack.data[:begin] + bytes(min(64, len(pack.data) - begin)) + pack.data[end:]
        report = _check(pack, data, keyless=True)
        touched = {e.offset for e in pack.entries if e.offset < end and begin < e.offset + e.record_size}
        assert set(report.good) == {e.offset for e in pack.entries} - touched
        assert report.damage


def test_inserted_and_removed_bytes_are_resynchronised(pack: SmallPack) -> None:
    """A walk that only follows lengths would lose everything after the first shift."""
    for at in range(pack.entries[0].offset, pack.entries[-1].offset, 11):
        longer = pack.data[:at] + b"\x00\x89PS" + pack.data[at:]
        shorter = pack.data[:at] + pack.data[at + 3 :]
        for data, moved, lost in ((longer, 4, 0), (shorter, -3, 3)):
            found = {object_id for _, object_id in _places(_scan(pack, data))}
            inside = {e.object_id for e in pack.entries if e.offset < at + lost and at < e.offset + e.record_size}
            assert found >= {e.object_id for e in pack.entries} - inside, (at, moved)


def test_a_record_inside_the_payload_of_a_damaged_record_does_not_open() -> None:
    """Salvage would believe a record that a guest has put into the content of its disk."""
    clear = make_keyring(Encryption.NONE)
    planted = make_pack(clear, [b"planted " * 10], number=2)
    inner = planted.data[planted.entries[0].offset :][: planted.entries[0].record_size]
    pack = make_pack(KEYRING, [noise("x", 60), noise("carrier", 40) + inner, noise("y", 60)])
    codec = make_codec(KEYRING)
    for offset, data in _flips(pack.data):
        for item in _scan(pack, data):
            if isinstance(item, Scanned):
                plain = codec.decode(item.header, item.payload)
                assert plain in pack.plains, offset
