"""Damage of every kind, in every place, met by every operation.

Only declared errors come out, nothing wrong is ever restored, what was not touched restores, and a check
names the damaged file and the byte ranges of versions that a restore would miss.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from packstore.blocks import Extent
from packstore.errors import PackstoreError
from packstore.format.pack import PACK_HEADER, PACK_TRAILER, PackType, decode_trailer
from packstore.format.record import HEADER_BYTES, Kind
from packstore.packs.names import parse_pack_name
from packstore.packs.reader import read_seal
from tests.support.devices import BLOCK, noise_blocks
from tests.support.worlds import PlaceStorage, World, is_exact_outside, restore_bytes

FIRST = noise_blocks("first", 20) + b"tail"
SECOND = FIRST[: 5 * BLOCK] + noise_blocks("changed", 3) + bytes(2 * BLOCK) + FIRST[10 * BLOCK :]
OTHER = noise_blocks("other", 12)

Files = dict[str, bytes]
Action = Callable[["Scene", str], Files]


class Scene:
    """A repository of three versions of two volumes, and a stranger's."""

    def __init__(self, place: Path) -> None:
        self.place = place
        world = World(PlaceStorage(), self.place / "index").create()
        world.backup(FIRST, "disk")
        world.backup(SECOND, "disk")
        world.backup(OTHER, "other")
        self.files: Files = dict(world.storage.files)  # type: ignore[attr-defined]
        # An intent whose writer nobody can be sure about.
        intent = next(iter(_left_intent(world).items()))
        self.files[intent[0]] = intent[1]
        self.expected = world.expected
        stranger = World(PlaceStorage(place="elsewhere"), self.place / "stranger").create()
        stranger.backup(noise_blocks("stranger", 20), "disk")
        self.stranger: Files = dict(stranger.storage.files)  # type: ignore[attr-defined]
        self.packs = sorted(name for name in self.files if name.startswith("packs/"))
        self.metas = sorted(name for name in self.files if name.startswith("meta/"))
        self._records = self._find_records(world)

    def _find_records(self, world: World) -> dict[str, dict[Kind, int]]:
        found: dict[str, dict[Kind, int]] = {}
        with world.open() as repository:
            for name in [*self.packs, *self.metas]:
                parsed = parse_pack_name(name)
                assert parsed
                seal = read_seal(repository.storage, *parsed, repository.owner)
                found[name] = {entry.kind: entry.offset for entry in reversed(seal.entries)}
        return found

    def places(self) -> dict[str, tuple[list[str], int]]:
        """Return the places of damage: names of the files, and the offset where bytes are changed."""
        pack, meta = self.packs[0], self.metas[0]
        keys = sorted(name for name in self.files if name.startswith("keys/"))
        slot, epoch = (next(k for k in keys if self.files[k][8] == number) for number in (2, 3))
        places: dict[str, tuple[list[str], int]] = {
            "packstore": (["packstore"], 40),
            "packstore.copy": (["packstore.copy"], 40),
            "packstore, both": (["packstore", "packstore.copy"], 40),
            "slot": ([slot], 100),
            "slot, both": ([slot, f"{slot}.copy"], 100),
            "epoch": ([epoch], 60),
            "epoch, both": ([epoch, f"{epoch}.copy"], 60),
            "intent": ([name for name in self.files if name.startswith("gc/")], 30),
        }
        for what, name in (("block pack", pack), ("meta pack", meta)):
            end = len(self.files[name])
            trailer = decode_trailer(self.files[name][end - PACK_TRAILER.size :])
            places[f"{what} header"] = ([name], 33)
            places[f"{what} directory"] = ([name], trailer.directory_offset + 20)
            places[f"{what} trailer"] = ([name], end - 50)
            for kind, offset in self._records[name].items():
                places[f"{what} record header of a {kind.name}"] = ([name], offset + 50)
                places[f"{what} payload of a {kind.name}"] = ([name], offset + HEADER_BYTES + 20)
        places["last meta pack"] = ([self.metas[-1]], PACK_HEADER.size + 120)
        return places


def _left_intent(world: World) -> Files:
    from packstore.repository.coordination import publish_intent
    from tests.support.worlds import fixed_runtime

    with world.open() as repository:
        intent = publish_intent(world.storage, repository.keyring, fixed_runtime(), "somebody")
    data = world.storage.read(intent.name)
    intent.withdraw()
    return {intent.name: data}


def _change(files: Files, name: str, at: int, new: bytes) -> Files:
    data = files[name]
    at = min(at, max(len(data) - len(new), 0))
    return files | {name: data[:at] + new + data[at + len(new) :]}


def _renamed(files: Files, name: str, new: str) -> Files:
    return _without(files, name) | {new: files[name]}


def _without(files: Files, name: str) -> Files:
    return {key: value for key, value in files.items() if key != name}


def _swap(scene: Scene, name: str) -> Files:
    alike = [other for other in (scene.packs if name in scene.packs else scene.metas) if other != name]
    other = alike[0] if name in scene.packs + scene.metas else "packstore"
    files = scene.files
    return files | {name: files[other], other: files[name]}


def _replace(scene: Scene, name: str) -> Files:
    prefix = name.split("/", maxsplit=1)[0]
    candidates = [other for other in sorted(scene.stranger) if other.split("/")[0] == prefix]
    return scene.files | {name: scene.stranger[candidates[0]] if candidates else b"stranger"}


ACTIONS: dict[str, Callable[[Scene, str, int], Files]] = {
    "delete": lambda scene, name, _: _without(scene.files, name),
    "truncate": lambda scene, name, at: scene.files | {name: scene.files[name][:at]},
    "empty": lambda scene, name, _: scene.files | {name: b""},
    "flip": lambda scene, name, at: _change(scene.files, name, at, bytes([scene.files[name][at] ^ 4])),
    "zero": lambda scene, name, at: _change(scene.files, name, at // 512 * 512, bytes(512)),
    "swap": lambda scene, name, _: _swap(scene, name),
    "rename": lambda scene, name, _: _renamed(scene.files, name, name[:-2] + ("01" if name.endswith("00") else "00")),
    "rename in place": lambda scene, name, _: _renamed(scene.files, name, f"{name[:-4]}zz{name[-2:]}"),
    "rename to another": lambda scene, name, _: _renamed(
        scene.files, name, name[:-4] + ("01" if name[-4:-2] == "00" else "00") + name[-2:]
    ),
    "stranger": lambda scene, name, _: _replace(scene, name),
    "append": lambda scene, name, _: scene.files | {name: scene.files[name] + b"\x00more"},
}
FATAL = {"packstore, both", "slot, both", "epoch, both"}


@pytest.fixture(scope="module")
def scene(module_path: Path) -> Scene:
    """The repository before it was damaged."""
    return Scene(module_path)


def _damaged(scene: Scene, action: str, place: str) -> Files:
    names, at = scene.places()[place]
    files = scene.files
    for name in names:
        changed = ACTIONS[action](scene, name, at)
        touched = {key for key in changed | scene.files if changed.get(key) != scene.files.get(key)}
        files = {key: value for key, value in files.items() if key not in touched} | {
            key: changed[key] for key in touched if key in changed
        }
    return files


def _places() -> list[str]:
    packs = [f"block pack {part}" for part in ("header", "directory", "trailer")]
    packs += ["block pack record header of a BLOCK", "block pack payload of a BLOCK"]
    metas = [f"meta pack {part}" for part in ("header", "directory", "trailer")]
    metas += [
        f"meta pack {part} of a {kind}"
        for part in ("record header", "payload")
        for kind in ("DIRECTORY", "PAGE", "VERSION")
    ]
    documents = ["packstore", "packstore.copy", "packstore, both", "slot", "slot, both", "epoch", "epoch, both"]
    return [*documents, "intent", *packs, *metas, "last meta pack"]


@pytest.mark.parametrize("place", _places())
@pytest.mark.parametrize("index", ["fresh index", "old index"])
def test_damage(scene: Scene, fast_path: Path, place: str, index: str) -> None:
    """Damage would give wrong data, an undeclared error, or hide what is whole."""
    for action in ACTIONS:
        files = _damaged(scene, action, place)
        if files == scene.files:
            continue
        world = World(PlaceStorage(files), fast_path / action, expected=dict(scene.expected))
        if index == "old index":
            World(PlaceStorage(scene.files), fast_path / action).states()
        names = [name for name in scene.files if files.get(name) != scene.files[name]]
        try:
            _examine(world, names, place)
        except PackstoreError as error:
            # Where nothing could have gone on; a stranger's repository file may be refused (FORMAT.md 8.2).
            if place not in FATAL and (action, place) != ("stranger", "packstore"):
                raise AssertionError(f"{action}: {error!r}") from error
        except AssertionError as error:
            raise AssertionError(f"{action} {place} {index}: {error}") from error


def _examine(world: World, names: list[str], place: str) -> None:
    report = world.check()
    found: dict[bytes, list[Extent]] = {}
    with world.open() as repository:
        states = repository.states()
        for state in states:
            uid = state.version.uid
            data, result = restore_bytes(repository, state.version)
            assert is_exact_outside(data, world.expected[uid], result.damaged), "wrong data was restored"
            found[uid] = result.damaged
    assert len(states) >= 2, "damage to one file hid other versions"
    ranges = {damaged.version.uid: damaged.ranges for damaged in report.versions}
    assert ranges == {uid: bad for uid, bad in found.items() if bad}, "check and restore disagree"
    if "pack" not in place.replace("packstore", "") or place.endswith(("header", "directory", "trailer")):
        _expect_untouched(world, names, found)
    _expect_named(world, names, {damage.name for damage in report.damage} | set(report.missing))
    _back_up_again(world, found)


def _expect_untouched(world: World, names: list[str], found: dict[bytes, list[Extent]]) -> None:
    if not any(name.startswith(("packs/", "meta/")) for name in names):
        assert not any(found.values()), "damage to a document cost data"


def _expect_named(world: World, names: list[str], reported: set[str]) -> None:
    keyless = {damage.name for damage in world.check_keyless().damage}
    for name in names:
        gone = name not in world.storage.files  # type: ignore[attr-defined]
        if gone and name.startswith(("meta/", "gc/")):
            continue  # nothing in the repository says that it was there
        # A pack under the name of another one, in its own directory: its records are found, and that file is named.
        moved = gone and name.startswith("packs/") and any(other.startswith(name[:-4]) for other in reported)
        assert name in reported or moved, f"check does not name {name}, but {reported}"
        assert gone or name in keyless, f"the keyless check does not name {name}, but {keyless}"


def _back_up_again(world: World, found: dict[bytes, list[Extent]]) -> None:
    result = world.backup(SECOND, "disk")
    data, restored = world.restore(result.version)
    assert is_exact_outside(data, SECOND, restored.damaged)
    if not any(found.values()):
        assert not restored.damaged


@pytest.mark.parametrize("kind", [PackType.BLOCKS, PackType.META])
def test_one_flipped_bit_costs_one_object(scene: Scene, fast_path: Path, kind: PackType) -> None:
    """One bad bit in a pack would cost more than the block it lies in, or than what a page covers."""
    names = scene.packs if kind is PackType.BLOCKS else scene.metas
    for number, name in enumerate(names):
        at = PACK_HEADER.size + HEADER_BYTES + 30
        data = scene.files[name]
        files = scene.files | {name: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]}
        world = World(PlaceStorage(files), fast_path / str(number))
        lost = 0
        with world.open() as repository:
            for state in repository.states():
                restored, result = restore_bytes(repository, state.version)
                assert is_exact_outside(restored, scene.expected[state.version.uid], result.damaged)
                lost = max(lost, sum(extent.length for extent in result.damaged))
        if kind is PackType.BLOCKS:
            assert lost == BLOCK
