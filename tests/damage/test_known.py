"""What known damage means: for versions, for backups, and for what relies on hints."""

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from packstore.errors import ObjectCorrupt, ObjectMissing
from packstore.format.ledger import Damage, LostObject, Place, decode_damage, encode_damage
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.ids import ObjectId, PackId, Uid
from packstore.index.standing import fold_damages
from packstore.operations.base import changed_by_damage
from packstore.operations.findings import split_hits
from packstore.operations.repair import Repair
from packstore.packs.names import list_packs
from packstore.progress import NullProgress, StopRequest
from packstore.repository.scrubs import inherit_ranks, scrub_memory
from packstore.repository.validity import Validity
from tests.support.devices import BLOCK, noise_blocks
from tests.support.worlds import PlaceStorage, World

DEVICE = noise_blocks("known", 40)


def damage_blocks(storage: PlaceStorage, count: int) -> None:
    """Flip a bit in `count` blocks, far from each other, of the large pack that a partial check reads last."""
    packs = list_packs(storage, PackType.BLOCKS)
    name = packs[max(pack_id for pack_id, listed in packs.items() if listed.size > 500_000)].name
    data = bytearray(storage.files[name])
    for number in range(count):
        data[(2 * number + 1) * 66_000] ^= 1
    storage.files[name] = bytes(data)


def validities(world: World) -> list[Validity]:
    """What is known of each version."""
    with world.open() as repository:
        return [repository.validity(state) for state in repository.states()]


def test_a_version_is_invalid_until_all_that_it_lost_is_back(tmp_path: Path) -> None:
    """A version would be called whole when one of its lost blocks has come back and the other has not."""
    storage = PlaceStorage()
    world = World(storage, tmp_path).create()
    world.backup(DEVICE)
    world.backup(noise_blocks("unhit", 3), "other")
    damage_blocks(storage, 2)
    world.check()
    assert validities(world) == [Validity.INVALID, Validity.VALID]
    elsewhere = World(storage, tmp_path / "elsewhere")
    with elsewhere.open() as repository:
        lost = sorted(repository.index.standing().hits[repository.states()[0].version.uid])
        leaf = repository.tree(repository.states()[0].version).leaf(0)
        assert leaf
        at = [number for number in range(40) if LostObject(Kind.BLOCK, leaf.id_at(number)) in lost]
        changed = changed_by_damage(repository, repository.states()[0].version)
    assert changed == [range(number, number + 1) for number in at]
    assert len(at) == 2
    for step, expected in zip(at, (Validity.INVALID, Validity.VALID), strict=True):
        elsewhere.backup(DEVICE[step * BLOCK : (step + 1) * BLOCK], f"piece {step}")
        assert validities(elsewhere)[0] is expected
        assert validities(world)[0] is expected
    world.expected |= elsewhere.expected
    assert world.verify() == set(world.expected)


def test_changed_by_damage_covers_lost_pages_and_what_was_unreadable(tmp_path: Path) -> None:
    """A backup by hints would never visit the blocks below a lost page, and keep the hole for ever."""
    storage = PlaceStorage()
    world = World(storage, tmp_path / "one").create()
    version = world.backup(DEVICE).version
    with world.open() as repository:
        assert changed_by_damage(repository, version) == []
        (place,) = repository.index.locate(Kind.PAGE, version.root)
    name = min(listed.name for listed in list_packs(storage, PackType.META).values())
    data = bytearray(storage.files[name])
    data[place.offset + 200] ^= 1
    storage.files[name] = bytes(data)
    world.check()
    with world.open() as repository:
        assert changed_by_damage(repository, version) == [range(40)]
        assert repository.validity(repository.states()[0]) is Validity.INVALID


def test_a_partial_check_knows_what_an_earlier_one_found(tmp_path: Path) -> None:
    """A check that reads other packs would call a version whole that is known not to be."""
    storage = PlaceStorage()
    world = World(storage, tmp_path / "one").create()
    world.backup(DEVICE)
    world.backup(noise_blocks("more", 60), "other")
    damage_blocks(storage, 1)
    assert world.check().damage
    report = World(storage, tmp_path / "two").check(percent=5)
    assert not report.damage
    assert [hit.is_damaged for hit in report.versions] == [True]


def test_a_missing_pack_is_a_state_of_its_own_and_ends_when_it_comes(tmp_path: Path) -> None:
    """A copy that is still under way would be called damaged, for every host and for ever."""
    storage = PlaceStorage()
    world = World(storage, tmp_path / "one").create()
    world.backup(DEVICE)
    name = min(listed.name for listed in list_packs(storage, PackType.BLOCKS).values())
    data = storage.files.pop(name)
    report = world.check()
    assert report.missing == [name]
    assert not report.damaged
    assert validities(world) == [Validity.INCOMPLETE]
    with world.open() as repository:
        assert repository.damages() == []
        assert changed_by_damage(repository, repository.states()[0].version)
    storage.files[name] = data
    with world.open() as repository:
        assert repository.validity(repository.states()[0]) is Validity.VALID
    assert world.check().clean
    with world.open() as repository:
        assert repository.index.notes.lacking() == {}


def test_new_packs_inherit_the_lowest_rank(tmp_path: Path) -> None:
    """A collector that merges packs each night would keep them from ever being read."""
    world = World(PlaceStorage(), tmp_path).create()
    for number in range(6):
        world.backup(noise_blocks(number, 10), f"volume {number}")
    world.check(percent=30)
    world.check(percent=30)
    with world.open() as repository:
        memory = scrub_memory(repository)
        read = sorted(memory.ranks, key=lambda pack_id: memory.ranks[pack_id])
        unread = min(memory.seen.keys() - memory.ranks.keys())
        new = [PackId(bytes([number]) * 16) for number in range(4)]
        unknown = PackId(b"u" * 16)
        scrub = inherit_ranks(
            repository, {new[0]: read, new[1]: [read[-1], unknown], new[2]: [read[-1], unread], new[3]: [unknown]}
        )
    assert len(read) > 1
    assert scrub.ranks == {new[0]: 1, new[1]: memory.ranks[read[-1]]}
    assert scrub.seen == {new[2]: min(memory.seen[unread], memory.ranks[read[-1]])}


def test_a_reader_beside_a_repair_goes_on(tmp_path: Path) -> None:
    """A restore that runs while a pack is repaired would give zeros for what was only moved."""
    storage = PlaceStorage()
    world = World(storage, tmp_path / "one").create()
    version = world.backup(DEVICE).version
    damage_blocks(storage, 1)
    world.check()
    with World(storage, tmp_path / "two").open() as reader:
        leaf = reader.tree(version).leaf(0)
        assert leaf
        with world.open() as repository:
            repair = Repair(repository, None, StopRequest(), NullProgress(), threads=2)
            result = repair.apply(repair.plan())
        assert result.moved
        lost = 0
        for at in range(40):
            try:
                assert reader.read_object(Kind.BLOCK, leaf.id_at(at)) == DEVICE[at * BLOCK : (at + 1) * BLOCK]
            except (ObjectCorrupt, ObjectMissing):
                lost += 1
        assert lost == 1


PLACES = st.builds(Place, st.sampled_from([PackId(bytes([n]) * 16) for n in range(3)]), st.integers(0, 3))


@given(st.lists(st.tuples(st.sets(PLACES), st.sets(st.sampled_from([PackId(bytes([n]) * 16) for n in range(3)])))))
def test_damage_folds_by_counter_alone(steps: list[tuple[set[Place], set[PackId]]]) -> None:
    """Two hosts that hear of the same records in another order would disagree about what is damaged."""
    records, standing, spoken = [], set[Place](), dict[PackId, int]()
    for number, (places, packs) in enumerate(steps):
        uid = Uid(bytes([number % 256]) * 16)
        records.append(Damage(uid, number, 0, sorted(packs), sorted(places), [], {}, "", ""))
        standing |= places
        for pack_id in packs | {place.pack_id for place in places}:
            spoken[pack_id] = number
    random.Random(len(steps)).shuffle(records)
    again = [decode_damage(encode_damage(record)) for record in records]
    found = fold_damages(again)
    assert {Place(pack_id, offset) for pack_id, offsets in found.places.items() for offset in offsets} == standing
    assert found.spoken == spoken


@given(
    st.dictionaries(
        st.integers(0, 20).map(lambda n: Uid(bytes([n]) * 16)),
        st.sets(st.integers(0, 30).map(lambda n: LostObject(1, ObjectId(bytes([n]) * 64)))),
        max_size=20,
    ),
    st.integers(200, 3000),
)
def test_hits_are_split_without_losing_any(hits: dict[Uid, set[LostObject]], limit: int) -> None:
    """Of damage that hits many versions a part would not be recorded, or in a record that nobody can read."""
    found: dict[Uid, set[LostObject]] = {}
    for objects, numbers in split_hits(hits, limit):
        assert 65 * len(objects) + sum(32 + 4 * len(each) for each in numbers.values()) <= limit
        for uid, each in numbers.items():
            found.setdefault(uid, set()).update(objects[number] for number in each)
    assert found == {uid: objects for uid, objects in hits.items() if objects}


def test_merged_copies_share_records_and_not_damage(tmp_path: Path) -> None:
    """A clean check of one copy takes the damage of the other back, and its next backup relies on a bad block."""
    data = random.Random(5).randbytes(20 * BLOCK)
    first = PlaceStorage(place="here")
    here = World(first, tmp_path / "index").create()
    here.backup(data)
    second = PlaceStorage(first.files, place="there")
    there = World(second, tmp_path / "index")
    damage_blocks(second, 1)
    assert not there.check().clean
    for source, target in ((second, first), (first, second)):
        for other, content in source.files.items():
            target.files.setdefault(other, content)
        assert here.check().clean
    for world, elsewhere, valid in ((here, "a", True), (there, "b", False)):
        fresh = World(world.storage, tmp_path / elsewhere)
        with fresh.open() as repository:
            (state,) = repository.states()
            assert (repository.validity(state) is Validity.VALID) == valid
        result = fresh.backup(data, "again")
        assert (result.counters.new > 0) == (not valid)
        assert all(known is Validity.VALID for known in validities(fresh))
        assert fresh.restore(result.version)[0] == data
