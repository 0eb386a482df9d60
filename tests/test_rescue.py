"""tools/rescue.py: whoever has only the specification gets their data back, also from a damaged repository."""

import ast
import dataclasses
import functools
import hashlib
import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

RESCUE = Path(__file__).resolve().parent.parent / "tools" / "rescue.py"
GOLDEN = sorted(path.parent for path in (Path(__file__).parent / "golden").glob("*/versions.json"))
BLOCK = 64 << 10
OK, USAGE, NO_REPOSITORY, UNSUPPORTED, NO_VERSION, WRONG_KEY, DAMAGE = 0, 2, 11, 13, 14, 22, 40
MODES = {
    "passphrase": ["--encryption-version", "2"],
    "key-file": ["--encryption-version", "1"],
    "clear": ["--no-encryption"],
}
QUICK = ["key-file", "clear"]
"""For tests of damage: nothing is derived from a passphrase, which takes most of a second each time."""
TRAILER = 88


@dataclasses.dataclass
class Backups:
    """A repository of three versions, with what they must restore to."""

    path: Path
    secret: dict[str, str]
    old: bytes = b""
    new: bytes = b""
    uids: dict[str, str] = dataclasses.field(default_factory=dict)

    def env(self) -> dict[str, str]:
        """The environment of a program that is to open it."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PACKSTORE_")}
        env["PACKSTORE_INDEX_DIR"] = str(self.path.parent / "index")
        return env | self.secret

    def packstore(self, *args: str) -> bytes:
        """Run packstore on it."""
        command = [sys.executable, "-m", "packstore", "-r", str(self.path), *args]
        return subprocess.run(command, check=True, env=self.env(), stdout=subprocess.PIPE).stdout

    def rescue(self, *args: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        """Run rescue.py on it: the command, then what follows the repository."""
        command = [sys.executable, str(RESCUE), args[0], str(self.path), *args[1:]]
        return subprocess.run(command, check=False, env=self.env() | env, stdin=subprocess.DEVNULL, capture_output=True)

    def files(self, pattern: str) -> list[Path]:
        """Its files that match, of which there must be some."""
        found = sorted(path for path in self.path.glob(pattern) if path.is_file())
        assert found
        return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Backups]:
    """Make a repository, once for each mode: two versions of one volume, with a hole, and one device of no bytes."""

    @functools.cache
    def make(mode: str) -> Backups:
        folder = tmp_path_factory.mktemp(mode)
        noise = random.Random(7).randbytes
        old = noise(5 * BLOCK) + bytes(300 * BLOCK) + b"all work and no play\n" * 20000 + noise(511)
        new = old[: 2 * BLOCK] + noise(BLOCK) + old[3 * BLOCK : -1]
        secrets = {
            "passphrase": {"PACKSTORE_PASSPHRASE": "pässwort"},
            "key-file": {"PACKSTORE_KEY_FILE": f"{folder}/key"},
        }
        backups = Backups(folder / "repository", secrets.get(mode, {}), old, new)
        backups.packstore("init", "--block-size", "64KiB", "--pack-size", "1MiB", *MODES[mode])
        for content, volume in ((old, "disk"), (new, "disk"), (b"", "empty")):
            (folder / "source").write_bytes(content)
            backups.packstore("backup", str(folder / "source"), volume, "--tag", "weekly")
        listed = backups.rescue("ls")
        assert (listed.returncode, listed.stderr) == (OK, b"")
        lines = [line.split() for line in listed.stdout.decode().splitlines()]
        backups.uids.update({f"{line[4]} {line[3]}": line[0] for line in lines})
        return backups

    return make


@pytest.fixture(params=MODES)
def backups(request: pytest.FixtureRequest, made: Callable[[str], Backups]) -> Backups:
    """A repository in every mode, only to be read."""
    return made(request.param)


@pytest.fixture(params=QUICK)
def copy(request: pytest.FixtureRequest, made: Callable[[str], Backups], tmp_path: Path) -> Backups:
    """A copy of a repository, to be damaged."""
    backups = made(request.param)
    shutil.copytree(backups.path, tmp_path / "repository")
    return dataclasses.replace(backups, path=tmp_path / "repository")


def module() -> ModuleType:
    """rescue.py as a module, to find places worth damaging."""
    spec = importlib.util.spec_from_file_location("rescue", RESCUE)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def flip(path: Path, offset: int) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)


def bad_ranges(result: subprocess.CompletedProcess[bytes]) -> list[tuple[int, int]]:
    """The ranges that rescue.py has reported, as start and end."""
    found = re.findall(r"BAD: zeros at bytes (\d+)-(\d+)", result.stderr.decode())
    return [(int(start), int(last) + 1) for start, last in found]


def test_imports_only_the_standard_library_and_three_others() -> None:
    """If this fails, rescue.py needs more than its own file and the three libraries that its first lines name."""
    tree = ast.parse(RESCUE.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {"." * node.level + (node.module or "") for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"msgpack", "nacl", "zstandard"}
    assert not re.search(r"__import__|import_module|exec\(|eval\(", RESCUE.read_text(encoding="utf-8"))


def test_lists_the_versions(backups: Backups) -> None:
    """If this fails, nobody can see with rescue.py alone which backups there are."""
    listed = backups.rescue("ls").stdout.decode()
    assert set(backups.uids) == {f"disk {len(backups.old)}", f"disk {len(backups.new)}", "empty 0"}
    assert re.fullmatch(r"([0-9a-f]{32}  \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  +\d+  (disk|empty)  weekly\n){3}", listed)


def test_restores_every_way_of_naming_a_version(backups: Backups, tmp_path: Path) -> None:
    """If this fails, FORMAT.md and the program disagree: a reader made from one cannot read what the other wrote."""
    old_uid, new_uid = (backups.uids[f"disk {len(content)}"] for content in (backups.old, backups.new))
    ways = {"disk": backups.new, "disk~0": backups.new, "disk~1": backups.old, "disk@2999-12-31": backups.new}
    ways |= {old_uid: backups.old, old_uid[:9]: backups.old, new_uid[:9].upper(): backups.new, "empty": b""}
    if "PACKSTORE_PASSPHRASE" in backups.secret:
        ways = {way: ways[way] for way in ("disk", "disk~1", old_uid[:9])}  # each takes its time
    for number, (way, content) in enumerate(ways.items()):
        out = tmp_path / str(number)
        result = backups.rescue("restore", way, str(out))
        assert (result.returncode, result.stderr) == (OK, b"")
        assert out.read_bytes() == content
        assert out.stat().st_blocks * 512 < 40 * BLOCK, "the hole was written"
    assert backups.rescue("restore", "disk~1", "-").stdout == backups.old


def test_says_what_is_wrong_without_a_traceback(backups: Backups, tmp_path: Path) -> None:
    """If this fails, somebody who mistypes something in an emergency is shown the wrong problem."""
    (tmp_path / "there").touch()
    gone = dataclasses.replace(backups, path=tmp_path)
    results = [
        (NO_VERSION, backups.rescue("restore", "nothing", str(tmp_path / "out"))),
        (NO_VERSION, backups.rescue("restore", "disk~2", str(tmp_path / "out"))),
        (NO_VERSION, backups.rescue("restore", "disk@2001-01-01", str(tmp_path / "out"))),
        (USAGE, backups.rescue("restore", "disk", str(tmp_path / "there"))),
        (USAGE, backups.rescue("restore", "disk")),
        (NO_REPOSITORY, gone.rescue("ls")),
    ]
    for code, result in results:
        assert result.returncode == code
        assert result.stderr
        assert b"Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_wrong_passphrase(backups: Backups, tmp_path: Path) -> None:
    """If this fails, a wrong passphrase is taken for damage, or one that is given where none is needed is ignored."""
    wrong = {"PACKSTORE_PASSPHRASE": "not this one", "PACKSTORE_KEY_FILE": ""}
    result = backups.rescue("restore", "disk", str(tmp_path / "out"), **wrong)
    assert result.returncode == WRONG_KEY
    assert b"Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_passphrase_from_a_file_or_a_command(made: Callable[[str], Backups], tmp_path: Path) -> None:
    """If this fails, the passphrase cannot be given in every way that the help of rescue.py names."""
    backups = made("passphrase")
    (tmp_path / "secret").write_bytes(unicodedata.normalize("NFD", "pässwort\r\n").encode())
    for name, value in (("FILE", str(tmp_path / "secret")), ("COMMAND", f"cat {tmp_path}/secret")):
        ways = {"PACKSTORE_PASSPHRASE": "", f"PACKSTORE_PASSPHRASE_{name}": value}
        assert backups.rescue("restore", "disk", "-", **ways).stdout == backups.new


def test_key_file_as_people_type_it(made: Callable[[str], Backups], tmp_path: Path) -> None:
    """If this fails, a secret copied from paper does not open its repository, or a mistyped one is not noticed."""
    backups = made("key-file")
    written = Path(backups.secret["PACKSTORE_KEY_FILE"]).read_text(encoding="ascii")
    typed = tmp_path / "typed"
    for text, code in (
        (written.lower().replace("-", " ").replace("0", "o").replace("1", "l"), OK),
        (("2" if written[0] == "3" else "3") + written[1:], WRONG_KEY),
        (written[:-2], WRONG_KEY),
        ("", WRONG_KEY),
    ):
        typed.write_text(text, encoding="ascii")
        assert backups.rescue("ls", "--key-file", str(typed)).returncode == code


def test_one_flipped_byte_costs_one_block(copy: Backups, tmp_path: Path) -> None:
    """If this fails, a small damage costs more than the block it is in, or goes unnoticed."""
    flip(copy.files("packs/*/*")[0], 64 + 104 + 50)
    bad = 0
    for way, content in (("disk", copy.new), ("disk~1", copy.old)):
        out = tmp_path / way
        result = copy.rescue("restore", way, str(out))
        restored, ranges = bytearray(out.read_bytes()), bad_ranges(result)
        assert result.returncode == (DAMAGE if ranges else OK)
        for start, end in ranges:
            assert (start % BLOCK, end - start) == (0, BLOCK)
            assert restored[start:end] == bytes(BLOCK)
            restored[start:end] = content[start:end]
        assert restored == content
        bad += len(ranges)
    assert bad


def test_a_missing_pack_costs_its_blocks(copy: Backups) -> None:
    """If this fails, the loss of a whole file ends the restore of all the rest."""
    for path in copy.files("packs/*/*"):
        path.unlink()
    result = copy.rescue("restore", "disk", "-")
    assert result.returncode == DAMAGE
    assert result.stdout == bytes(len(copy.new))
    assert bad_ranges(result)[0] == (0, 5 * BLOCK)
    assert bad_ranges(result)[-1][1] == len(copy.new)


@pytest.mark.parametrize(
    "lost", ["packstore", "packstore.copy", "keys/????????????????????????????????", "keys/*.copy"]
)
@pytest.mark.parametrize("how", ["deleted", "changed"])
def test_either_copy_serves(copy: Backups, lost: str, how: str) -> None:
    """If this fails, the second copies of the small files are of no use in an emergency."""
    found = sorted(copy.path.glob(lost))
    assert bool(found) == (bool(copy.secret) or not lost.startswith("keys"))
    for path in found:
        path.unlink() if how == "deleted" else flip(path, 20)
    result = copy.rescue("restore", "disk", "-")
    assert result.returncode == OK
    assert result.stdout == copy.new


def test_without_any_directory_records_are_found_by_walking(copy: Backups) -> None:
    """If this fails, packs that have lost their ends, and the directories in meta/ with them, are taken for empty."""
    rescue: Any = module()
    repository = rescue.Repository(copy.path)
    repository.open(copy.secret.get("PACKSTORE_KEY_FILE"))
    repository.load()
    places = [place for key, found in repository.places.items() if key[0] == rescue.DIRECTORY for place in found]
    assert places
    for path, offset in places:
        flip(path, offset + 104 + 60)
    for path in copy.files("packs/*/*") + copy.files("meta/*"):
        path.write_bytes(path.read_bytes()[: -TRAILER - 9])
    uids = [copy.uids[f"disk {len(content)}"] for content in (copy.new, copy.old)]
    for uid, content in zip(uids, (copy.new, copy.old), strict=True):
        result = copy.rescue("restore", uid, "-")
        assert (result.returncode, bad_ranges(result)) == (OK, [])
        assert result.stdout == content
    assert copy.rescue("ls").returncode == DAMAGE


def test_bytes_shifted_within_a_pack(copy: Backups) -> None:
    """If this fails, records are only looked for where a directory says that they are, or where one should begin."""
    for path in copy.files("meta/*") + copy.files("packs/*/*"):
        data = path.read_bytes()
        path.write_bytes(data[:64] + random.Random(3).randbytes(70_001) + data[64:])
    listed = copy.rescue("ls")
    assert listed.returncode == DAMAGE
    assert {line.split()[0] for line in listed.stdout.decode().splitlines()} == set(copy.uids.values())
    result = copy.rescue("restore", copy.uids[f"disk {len(copy.old)}"], "-")
    assert (result.returncode, bad_ranges(result)) == (OK, [])
    assert result.stdout == copy.old


def test_a_later_format_is_refused(copy: Backups) -> None:
    """If this fails, rescue.py reads what it does not understand, and may give back something else than was stored."""
    for path in copy.files("packstore*"):
        data = bytearray(path.read_bytes())
        data[7] = 2
        data[-32:] = hashlib.sha512(data[:-32]).digest()[:32]
        path.write_bytes(data)
    assert copy.rescue("ls").returncode == UNSUPPORTED


def test_removed_versions_and_tags() -> None:
    """If this fails, events do not count as section 10 says: removed versions look alive, or living ones removed."""
    rescue: Any = module()
    repository = rescue.Repository(Path("nowhere"))
    uid, count = b"v" * 16, iter(range(99))

    def say(what: str, *cancels: bytes, value: str | None = None) -> bytes:
        name = b"%016d" % next(count)
        repository.events.append({"id": name, "type": what, "versions": [uid], "cancels": cancels, "value": value})
        return name

    def state() -> tuple[bool, list[str]]:
        version = {
            "uid": uid,
            "tags": ["given"],
            "unreadable": [],
            "date_ms": 0,
            "volume": "v",
            "size": 0,
            "counter": 1,
        }
        folded = repository.fold(version)
        return folded["removed"], sorted(folded["tags"])

    assert state() == (False, ["given"])
    first, second = say("remove"), say("remove")
    say("undelete", first)
    assert state() == (True, ["given"])
    say("protect", second)
    assert state() == (False, ["given"])
    say("unprotect", b"%016d" % 3)
    assert state() == (True, ["given"])
    say("undelete", second)
    tag = say("tag", value="added")
    assert state() == (False, ["added", "given"])
    say("untag", tag, value="given")
    assert state() == (False, [])
    say("gone", b"%016d" % 2)
    assert state() == (False, []), "whoever collected it did not know of both undeletes"
    say("gone", b"%016d" % 2, b"%016d" % 5)
    assert state() == (True, [])
    say("protect")
    assert state() == (False, [])


def test_a_collected_version_stays_away(copy: Backups) -> None:
    """If this fails, a version that gc has collected is the latest again when an old copy brings its record back."""
    uid = copy.uids[f"disk {len(copy.new)}"]
    before = {path: path.read_bytes() for path in copy.files("meta/*")}
    copy.packstore("rm", uid, "--force")
    copy.packstore("gc")
    assert any(not path.exists() for path in before), "nothing was collected"
    for path, content in before.items():
        path.write_bytes(content)
    listed = {line.split()[0]: line for line in copy.rescue("ls").stdout.decode().splitlines()}
    assert "REMOVED" in listed[uid]
    restored = copy.rescue("restore", "disk", "-")
    assert (restored.returncode, restored.stdout) == (OK, copy.old)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name)
def test_golden_repositories(golden: Path) -> None:
    """If this fails, a repository that an earlier release wrote can no longer be rescued."""
    secret = golden / "passphrase"
    given = secret.exists() and secret.read_bytes().strip()
    made = Backups(golden / "repository", {"PACKSTORE_PASSPHRASE_FILE": str(secret)} if given else {})
    versions = json.loads((golden / "versions.json").read_text(encoding="utf-8"))
    listed = made.rescue("ls").stdout.decode()
    for uid, version in versions.items():
        assert re.search(rf"^{uid}  .*  {re.escape(version['volume'])}(  |$)", listed, re.MULTILINE)
        result = made.rescue("restore", uid, "-")
        assert result.returncode == OK
        assert hashlib.sha256(result.stdout).hexdigest() == version["sha256"]
