"""What somebody without a key can do to the storage, in every place, met by every operation.

Only declared errors come out; what is restored was backed up; no version is listed that nobody made; and whatever is
run on what the enemy has left destroys nothing: with the files that were there before, every version restores.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from packstore.codec.key import Key
from packstore.codec.slots import KDF_COSTS, make_epoch, make_slot
from packstore.errors import PackstoreError
from packstore.format.document import DocumentType, decode_document, decode_epoch, encode_epoch, encode_slot
from packstore.format.intent import CondemnedList, encode_list
from packstore.format.pack import PACK_HEADER, decode_pack_header
from packstore.format.record import Compression, Encryption, Kind
from packstore.format.version import EventType
from packstore.ids import PackId, Uid
from packstore.operations.repair_documents import apply_documents, plan_documents
from packstore.packs.names import parse_pack_name
from packstore.repository.documents import COPY_SUFFIX, key_name
from packstore.repository.notices import list_name, publish_list
from packstore.repository.repository import Repository
from tests.damage import enemy
from tests.keys.holders import RECOVERY, KeyWorld, make_world, secret
from tests.support.devices import BLOCK, noise_blocks
from tests.support.worlds import PlaceStorage, fixed_runtime, is_exact_outside, restore_bytes

FIRST = noise_blocks("enemy", 4) + b"tail"
SECOND = FIRST[:BLOCK] + noise_blocks("enemy, changed", 2) + FIRST[3 * BLOCK :]
THIRD = SECOND[: 3 * BLOCK] + noise_blocks("enemy, new", 2)
GONE = secret(7)
ENEMY = secret(66)

Files = dict[str, bytes]


class Scene:
    """A repository with two epochs, a slot that was removed, two versions and a list; and a stranger's, of one key."""

    def __init__(self, place: Path) -> None:
        world = make_world(place, PlaceStorage())
        world.add(RECOVERY)
        world.add(GONE)
        world.backup(FIRST)
        self.older: Files = dict(world.storage.files)  # type: ignore[attr-defined]
        world.drop(GONE)
        world.rotate(Encryption.XCHACHA20_POLY1305)
        world.backup(SECOND)
        keyring = world.keyring()
        packs = [PackId(parse_pack_name(name)[1]) for name in world.storage.files if name.startswith("packs/")]  # type: ignore[index,attr-defined]
        publish_list(world.storage, keyring, CondemnedList(Uid(b"L" * 16), packs[:1], []))
        self.files: Files = dict(world.storage.files)  # type: ignore[attr-defined]
        self.expected = dict(world.expected)
        self.keyring = keyring
        stranger = make_world(place / "stranger", PlaceStorage(place="elsewhere"))
        stranger.add(RECOVERY)
        stranger.rotate(Encryption.XCHACHA20_POLY1305)
        stranger.backup(FIRST)
        stranger.event(EventType.REMOVE, *self.expected)  # type: ignore[arg-type]
        publish_list(
            stranger.storage, stranger.keyring(), CondemnedList(Uid(b"S" * 16), packs, sorted(map(Uid, self.expected)))
        )
        self.stranger: Files = dict(stranger.storage.files)  # type: ignore[attr-defined]
        own = keyring.slot.id if keyring.slot else None
        self.slot = key_name(own) if own else ""
        keys = [name for name in self.files if name.startswith("keys/") and not name.endswith(COPY_SUFFIX)]
        self.epochs = [name for name in keys if self.files[name][8] == DocumentType.EPOCH]
        (self.other_slot,) = [name for name in keys if name not in [*self.epochs, self.slot]]
        self.packs = sorted(name for name in self.files if name.startswith("packs/"))
        self.metas = sorted(name for name in self.files if name.startswith("meta/"))
        self.list = list_name(Uid(b"L" * 16))

    def epoch(self, number: int) -> str:
        """The name of a file of that epoch: the last one written."""
        found = [name for name in self.epochs if decode_epoch(self._body(name)).number == number]
        return found[-1]

    def _body(self, name: str) -> bytes:
        return decode_document(self.files[name], DocumentType.EPOCH).body

    def like(self, name: str, files: Files) -> str:
        """A file of another repository, or state, of the same sort as this one."""
        top = name.split("/", maxsplit=1)[0]
        names = (each for each in sorted(files) if each.split("/")[0] == top and files[each][8] == self.files[name][8])
        return next(each for each in names if files[each] != self.files[name])


@pytest.fixture(scope="module")
def scene(module_path: Path) -> Scene:
    """The repository before the enemy came."""
    return Scene(module_path)


Case = tuple[str, Files]
"""What was done, and the files that differ."""


def documents(scene: Scene) -> Iterator[Case]:
    """Everything that is done to the small files: to one copy, and to both."""
    epoch = scene.epoch(scene.keyring.highest)
    twice = ["packstore", scene.slot, scene.other_slot, epoch, scene.epoch(1)]
    places = [*itertools.product(twice, ("one", "other", "both")), (scene.list, "it is once only")]
    for name, which in places:
        names = {"one": [name], "other": [name + COPY_SUFFIX], "both": [name, name + COPY_SUFFIX]}.get(which, [name])
        data = scene.files[name]
        alike = [each for each in (scene.slot, scene.other_slot, epoch, scene.epoch(1)) if each != name]
        made = {
            "flipped": bytes([*data[:60], data[60] ^ 4, *data[61:]]),
            "cut": data[:-1],
            "empty": b"",
            "swapped": scene.files[alike[0]],
            "a stranger's": scene.stranger[scene.like(name, scene.stranger)],
            "edited": enemy.edited_document(data, len(data) - 81 if name != scene.list else 20),
            "edited early": enemy.edited_document(data, 12),
        }
        for what, content in made.items():
            yield f"{name} ({which}) {what}", dict.fromkeys(names, content)


def added(scene: Scene) -> Iterator[Case]:
    """Files that the enemy adds: lists, slots, epochs; and older ones that come back."""
    packs = [PackId(parse_pack_name(name)[1]) for name in (*scene.packs, *scene.metas)]  # type: ignore[index]
    named = CondemnedList(Uid(b"F" * 16), packs, sorted(map(Uid, scene.expected)))
    yield "forged list", {list_name(named.id): enemy.forged_document(DocumentType.LIST, encode_list(named))}
    theirs = list_name(Uid(b"S" * 16))
    yield "a stranger's list", {theirs: scene.stranger[theirs]}
    random = fixed_runtime().random
    root = Key(b"e" * 32)
    slot = make_slot(
        ENEMY, scene.keyring.repository_id, root, costs=KDF_COSTS["interactive"], label="", date_ms=0, random=random
    )
    slot_file = enemy.forged_document(DocumentType.SLOT, encode_slot(slot))
    slots = {key_name(slot.header.id) + suffix: slot_file for suffix in ("", COPY_SUFFIX)}
    yield "forged slot", slots
    epoch, _ = make_epoch(99, Encryption.AEGIS_256, [slot.header], date_ms=0, random=random)
    epoch_file = enemy.forged_document(DocumentType.EPOCH, encode_epoch(epoch))
    epochs = {key_name(epoch.id) + suffix: epoch_file for suffix in ("", COPY_SUFFIX)}
    yield "forged epoch", epochs
    yield "forged slot and epoch", slots | epochs
    strangers = {name: data for name, data in scene.stranger.items() if name.startswith("keys/")}
    yield "a stranger's keys", strangers
    yield "a stranger's slots", {n: d for n, d in strangers.items() if d[8] == DocumentType.SLOT}
    yield "replayed slots and epochs", {n: d for n, d in scene.older.items() if n.startswith("keys/")}
    for name, data in scene.stranger.items():
        if name.startswith(("meta/", "packs/")):
            header = decode_pack_header(data[: PACK_HEADER.size])
            ours = type(header)(header.pack_type, header.pack_id, scene.keyring.repository_id, scene.keyring.domain)
            key = scene.keyring.newest.of_kind(Kind.BLOCK if name.startswith("packs/") else Kind.PAGE)
            yield f"a stranger's {name}", {name: data}
            yield f"a stranger's {name}, in our name", {name: enemy.resealed(data, list, header=ours)}
            claim = enemy.relabel(key_id=key.id, encryption=key.encryption)
            yield f"a stranger's {name}, with our key's id", {name: enemy.resealed(data, claim, header=ours)}


def packs(scene: Scene) -> Iterator[Case]:
    """What is done to records and packs, each time with right checksums."""
    older, newer = scene.keyring.epochs[0], scene.keyring.newest
    for names in (scene.packs, scene.metas):
        name, other = names[0], names[-1]
        data, second = scene.files[name], scene.files[other]
        yield f"{name} swapped", {name: second, other: data}
        yield f"{name} a stranger's", {name: scene.stranger[scene.like(name, scene.stranger)]}
        key = newer.of_kind(Kind.BLOCK if names is scene.packs else Kind.PAGE)
        first = older.of_kind(Kind.BLOCK if names is scene.packs else Kind.PAGE)
        edits: dict[str, enemy.Edit] = {
            "payloads swapped": enemy.swap_payloads,
            "ids swapped": enemy.swap_ids,
            "kind of a block": enemy.relabel(kind=Kind.BLOCK),
            "kind of a page": enemy.relabel(kind=Kind.PAGE),
            "kind of a version": enemy.relabel(kind=Kind.VERSION),
            "kind of an event": enemy.relabel(kind=Kind.EVENT),
            "the newest key": enemy.relabel(key_id=key.id),
            "the newest key and its encryption": enemy.relabel(key_id=key.id, encryption=key.encryption),
            "the oldest key": enemy.relabel(key_id=first.id),
            "another encryption": enemy.relabel(encryption=Encryption.XCHACHA20_POLY1305),
            "no encryption": enemy.relabel(encryption=Encryption.NONE, key_id=bytes(8)),
            "no key": enemy.relabel(key_id=bytes(8)),
            "raw": enemy.relabel(compression=Compression.RAW),
            "zstd": enemy.relabel(compression=Compression.ZSTD),
            "another size": enemy.relabel(plain_size=4096),
            "records of the other pack": lambda records, foreign=second: [*records[:1], *enemy.records_of(foreign)],  # type: ignore[misc]
        }
        for what, edit in edits.items():
            yield f"{name} {what}, resealed", {name: enemy.resealed(data, edit)}
            in_place = enemy.patched(data, edit)
            if len(in_place) == len(data):
                yield f"{name} {what}", {name: in_place}


def cut_payloads(scene: Scene) -> Iterator[Case]:
    """Payloads too short for nonce and tag."""
    for length in range(32):
        names = (scene.packs[0], scene.metas[0])
        yield f"packs cut to {length}", {name: enemy.resealed(scene.files[name], enemy.cut(length)) for name in names}


SERVED = ("replayed", "a stranger's packs/", "a stranger's slots")
"""Where all goes on as if nothing had happened to what is stored."""


@pytest.mark.parametrize("cases", [documents, added, packs, cut_payloads])
def test_every_operation(scene: Scene, fast_path: Path, cases: Callable[[Scene], Iterator[Case]]) -> None:
    """Somebody who holds the storage could make us restore, write or delete what they want."""
    number = 0
    for what, changed in cases(scene):
        files = scene.files | changed
        if files == scene.files:
            continue
        number += 1
        world = KeyWorld(PlaceStorage(files), fast_path / str(number) / "index", expected=dict(scene.expected))
        try:
            _met_by_all(world, scene, changed, what, cases)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
    assert number > 15


def _met_by_all(world: KeyWorld, scene: Scene, changed: Files, what: str, cases: object) -> None:
    failed = []
    for operation in (_read_all, _check, _keyless, _back_up, _collect):
        try:
            operation(world, what)
        except PackstoreError as error:
            failed.append((operation.__name__, repr(error)))
    if any(word in what for word in SERVED):
        assert not failed, f"what is added stops what need not stop: {failed}"
    if ("(one)" in what or "(other)" in what) and what != "packstore (one) a stranger's":
        refusals = [each for each in failed if "Tampered" not in each[1] and "25" not in each[1]]
        assert not refusals, f"the other copy does not serve: {refusals}"
    # The enemy goes away, with what they did: nothing that we did to it must have cost anything.
    left = world.storage.files  # type: ignore[attr-defined]
    for name in changed:
        left.pop(name, None)
    for name in changed.keys() & scene.files.keys():
        left[name] = scene.files[name]
    again = KeyWorld(PlaceStorage(left), world.index_root.with_name("afterwards"), expected=world.expected)
    found = again.verify()
    assert set(scene.expected) <= found, "a version is gone for good"


def _read_all(world: KeyWorld, _: str) -> None:
    with world.open() as repository:
        _restore_all(world, repository)


def _restore_all(world: KeyWorld, repository: Repository) -> None:
    for state in repository.states():
        assert state.version.uid in world.expected, "a version that nobody has made"
        assert not state.removed, "somebody without a key has removed a version"
        data, result = restore_bytes(repository, state.version)
        assert is_exact_outside(data, world.expected[state.version.uid], result.damaged), "wrong data"


def _check(world: KeyWorld, what: str) -> None:
    report = world.check()
    if "replayed" not in what:
        assert report.damage, "check sees nothing"


def _keyless(world: KeyWorld, what: str) -> None:
    report = world.check_keyless()
    if any(word in what for word in ("flipped", " cut", "empty")) and "cut to" not in what:
        assert report.damage, "the keyless check sees nothing"


def _back_up(world: KeyWorld, _: str) -> None:
    result = world.backup(THIRD)
    data, restored = world.restore(result.version)
    assert is_exact_outside(data, THIRD, restored.damaged), "wrong data of a new version"


def _collect(world: KeyWorld, _: str) -> None:
    world.gc()
    world.gc()
    _read_all(world, "")


def test_either_copy_of_a_small_file_damaged_at_every_byte(scene: Scene, tmp_path: Path) -> None:
    """One bad bit or one short file, in one of two copies, would lose the repository or stay unnoticed."""
    newest = scene.epoch(scene.keyring.highest)
    for name, suffix in itertools.product(("packstore", scene.slot, newest), ("", COPY_SUFFIX)):
        data = scene.files[name]
        damaged = [bytes([*data[:at], data[at] ^ 1 << at % 8, *data[at + 1 :]]) for at in range(len(data))]
        damaged += [data[:length] for length in range(len(data))]
        for content in damaged:
            storage = PlaceStorage(scene.files | {name + suffix: content})
            world = KeyWorld(storage, tmp_path)
            keyring = world.keyring()
            assert len(keyring.epochs) == len(scene.keyring.epochs)
            fixes = plan_documents(storage, keyring, None)
            assert [(fix.name, fix.source is not None) for fix in fixes] == [(name + suffix, True)]
            apply_documents(storage, None, fixes)
            assert {n: d for n, d in storage.files.items() if not n.startswith("quarantine/")} == scene.files
            assert [d for n, d in storage.files.items() if n.startswith("quarantine/")] == [content]
