"""`packstore key`: slots and epochs, as people and scripts use them."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program, Terminal, tree_of, wait_until

PASS = "correct horse battery"
Start = Callable[..., Terminal]


def slots(program: Program, **options: Any) -> dict[str, dict[str, Any]]:
    """The slots by label."""
    found = program("--json", "key", "ls", **options).expect(0).json["slots"]
    return {slot["label"]: slot for slot in found}


def restores(program: Program, device: Path, **options: Any) -> None:
    """See that the version is what was backed up."""
    done = program.plain("restore", "disk.img", "-", "-r", program.repo, **options).expect(0)
    assert done.raw == device.read_bytes()


def by_key(path: Path) -> dict[str, dict[str, str]]:
    """Open with another key file."""
    return {"env": {"PACKSTORE_KEY_FILE": str(path)}}


@pytest.fixture
def second(stored: Program) -> Path:
    """Another key file that opens the repository."""
    path = stored.home / "second"
    stored("key", "add", "--key-file", path, "--label", "second", env={"PACKSTORE_KEY_FILE": str(stored.key)})
    return path


@pytest.fixture(autouse=True)
def _first_key_in_the_environment(stored: Program) -> None:
    """`--key-file` of `key add` is the new one: the old one comes from the environment."""
    stored.env["PACKSTORE_KEY_FILE"] = str(stored.key)
    stored.command = lambda *args: [*stored.bare(*args), "-r", str(stored.repo)]  # type: ignore[method-assign]


def test_ls(stored: Program) -> None:
    """Nobody could see who can open a repository, or a script not read it."""
    text = stored("key", "ls").expect(0).out
    assert "SLOT" in text
    assert "*  key file" in text
    assert "recovery key" in text
    assert "written in" in text
    document = stored.json("key", "ls")
    (own,) = [slot for slot in document["slots"] if slot["own"]]
    assert (own["kind"], own["state"], own["lacks_epochs"], own["kdf_memory"]) == ("key_file", "good", [], 0)
    (epoch,) = document["epochs"]
    assert (epoch["number"], epoch["retired"]) == (1, False)
    assert (document["unreadable"], document["epochs_not_opened"]) == ([], [])
    assert PASS not in text
    assert not any(len(str(value)) > 32 for value in own.values()), "more than ids and dates"


def test_add_a_passphrase(stored: Program, device: Path) -> None:
    """A second person could not be let in without being told the first one's secret."""
    env = {"PACKSTORE_NEW_PASSPHRASE": PASS}
    done = stored("key", "add", "--passphrase", "--label", "the other admin", "--kdf", "interactive", env=env).expect(0)
    assert PASS not in done.out + done.err
    made = slots(stored)["the other admin"]
    assert (made["kind"], made["kdf_memory"], made["kdf_passes"]) == ("passphrase", 64 << 20, 2)
    restores(stored, device, env={"PACKSTORE_KEY_FILE": "", "PACKSTORE_PASSPHRASE": PASS})


@pytest.mark.parametrize(
    ("env", "code", "word"),
    [
        ({}, 21, "PACKSTORE_NEW_PASSPHRASE"),
        ({"PACKSTORE_NEW_PASSPHRASE": ""}, 21, "empty"),
        ({"PACKSTORE_NEW_PASSPHRASE_FILE": "/nonexistent"}, 20, "/nonexistent"),
        ({"PACKSTORE_NEW_PASSPHRASE": "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-3FFP"}, 20, "choose a passphrase"),
    ],
)
def test_no_new_passphrase(stored: Program, env: dict[str, str], code: int, word: str) -> None:
    """A slot would be made that nothing protects, or that nobody can open."""
    before = tree_of(stored.repo)
    stored("key", "add", "--passphrase", env=env).refused(code, word)
    assert tree_of(stored.repo) == before


def test_add_a_key_file(stored: Program, device: Path, tmp_path: Path) -> None:
    """A key file would be made that opens nothing, that others can read, or over a file that is there."""
    new = tmp_path / "new.key"
    stored("key", "add", "--key-file", new).expect(0)
    assert new.stat().st_mode & 0o777 == 0o600
    restores(stored, device, **by_key(new))
    other = Program(tmp_path, tmp_path / "other", tmp_path / "other.key")
    other("init", "--reserve", "0").expect(0)
    stored("key", "add", "--key-file", other.key, "--label", "of another repository").expect(0)
    restores(stored, device, **by_key(other.key))
    before = tree_of(stored.repo)
    stored("key", "add", "--key-file", new).refused(2, "opens slot", "already")
    stored("key", "add", "--key-file", device).refused(23, "not a key file")
    stored("key", "add", "--key-file", tmp_path / "no" / "such").refused(23, "cannot be made")
    assert tree_of(stored.repo) == before


def test_add_a_recovery_key(stored: Program, device: Path) -> None:
    """The key that was written down would open nothing."""
    shown = stored.json("key", "add", "--recovery", "--label", "in the safe")["recovery_key"]
    restores(stored, device, env={"PACKSTORE_KEY_FILE": "", "PACKSTORE_PASSPHRASE": shown.lower().replace("-", " ")})
    assert slots(stored)["in the safe"]["kind"] == "recovery"
    assert not any(shown.encode() in path.read_bytes() for path in stored.home.rglob("*") if path.is_file())


@pytest.mark.parametrize("options", [[], ["--passphrase", "--recovery"], ["--recovery", "--key-file", "x"]])
def test_add_nothing_or_too_much(stored: Program, options: list[str]) -> None:
    """Something else would be added than was meant."""
    before = tree_of(stored.repo)
    stored("key", "add", *options).refused(2, "one of")
    assert tree_of(stored.repo) == before


def test_rm(stored: Program, second: Path, device: Path) -> None:
    """Whoever was shut out would still get in, or everybody else be shut out."""
    stored("key", "add", "--recovery", "--label", "second").expect(0)
    before = tree_of(stored.repo)
    stored("key", "rm", "second").refused(28, "several slots", "by its id")
    stored("key", "rm", "nonesuch").refused(27, "key ls")
    stored("key", "rm", "").refused(27, "key ls")
    assert tree_of(stored.repo) == before
    (uid,) = [
        each["id"] for each in stored.json("key", "ls")["slots"] if each["kind"] == "key_file" and not each["own"]
    ]
    gone = stored.json("key", "rm", uid[:10].upper())
    assert (gone["removed"], gone["label"], gone["epoch"]) == (uid, "second", 2)
    assert stored.json("key", "rm", "second")["kind"] == "recovery"
    stored("ls", **by_key(second)).refused(22, "does not open")
    restores(stored, device)
    assert not list(stored.repo.glob(f"keys/{uid}*"))


def test_rm_one_s_own_and_the_last(stored: Program, second: Path, device: Path) -> None:
    """Somebody would lock themselves out, or be left with a key that half works."""
    own = next(slot["id"] for slot in stored.json("key", "ls")["slots"] if slot["own"])
    assert "needs another one" in stored("key", "rm", own).expect(0).out
    stored("ls").refused(22, "does not open")
    stored.env["PACKSTORE_KEY_FILE"] = str(second)
    stored("key", "rm", "recovery key").expect(0)
    before = tree_of(stored.repo)
    stored("key", "rm", "second").refused(64, "last slot", "key add")
    assert tree_of(stored.repo) == before
    assert "only one slot" in stored("key", "ls").expect(0).err
    stored("backup", device).expect(0)
    restores(stored, device)


def test_change(stored: Program, second: Path, device: Path) -> None:
    """An old key would still open what is stored from now on, or the new one not open what was stored before."""
    packs = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in stored.repo.glob("[mp]*/**/*")}
    before = tree_of(stored.repo)
    stored("key", "change", "second").refused(2, "--key-file")
    stored("key", "change", "recovery key", "--key-file", second).refused(2, "recovery key", "key add")
    stored("key", "change", "second", "--key-file", second).refused(2, "already")
    stored("key", "change", "second", "--key-file", device).refused(23, "not a key file")
    stored("key", "change", "nonesuch").refused(27, "key ls")
    assert tree_of(stored.repo) == before
    new = second.with_name("new")
    done = stored.json("key", "change", "second", "--key-file", new)
    assert {"slot", "kind", "label", "removed", "epoch"} <= done.keys()
    stored("ls", **by_key(second)).refused(22, "does not open")
    restores(stored, device, **by_key(new))
    shown = stored.json("key", "change", "recovery key")["recovery_key"]
    restores(stored, device, env={"PACKSTORE_KEY_FILE": "", "PACKSTORE_PASSPHRASE": shown})
    now = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in stored.repo.glob("[mp]*/**/*")}
    assert now == packs, "a pack was touched"


def test_change_a_passphrase(stored: Program, device: Path, second: Path) -> None:
    """The old passphrase would be gone before the new one is proven, or stay."""
    add = ("key", "add", "--passphrase", "--kdf", "interactive")
    stored(*add, env={"PACKSTORE_NEW_PASSPHRASE": PASS}).expect(0)
    old = slots(stored)["passphrase"]
    env = {"PACKSTORE_KEY_FILE": "", "PACKSTORE_PASSPHRASE": PASS}
    stored("key", "change", "passphrase", env=env).refused(21, "PACKSTORE_NEW_PASSPHRASE")
    change = ("key", "change", "passphrase", "--kdf", "interactive")
    stored(*change, env=env | {"PACKSTORE_NEW_PASSPHRASE": "another one"}).expect(0)
    assert slots(stored, **by_key(second))["passphrase"]["id"] != old["id"]
    stored("key", "test", env=env).refused(22, "does not open")
    restores(stored, device, env=env | {"PACKSTORE_PASSPHRASE": "another one"})


def test_who_changes_their_own_key_is_not_warned_of_themselves(stored: Program) -> None:
    """The most usual change of all would be followed by the warning that somebody else has a key."""
    env = {"PACKSTORE_NEW_PASSPHRASE": PASS}
    stored("key", "add", "--passphrase", "--kdf", "interactive", env=env).expect(0)
    env = {"PACKSTORE_KEY_FILE": "", "PACKSTORE_PASSPHRASE": PASS, "PACKSTORE_NEW_PASSPHRASE": "another one"}
    assert not stored("key", "change", "passphrase", "--kdf", "interactive", env=env).expect(0).err
    env["PACKSTORE_PASSPHRASE"] = "another one"
    assert not stored("key", "ls", env=env).expect(0).err
    own = next(slot["id"] for slot in stored.json("key", "ls", env=env)["slots"] if slot["own"])
    assert not stored("key", "rm", own, env=env).expect(0).err
    assert not stored("ls").expect(0).err


def test_change_shows_a_recovery_key_before_the_old_one_goes(stored: Program) -> None:
    """Killed in between, the only recovery key there is would be one that nobody has seen."""
    out = stored("key", "change", "recovery key").expect(0).out
    assert out.index("to be written down") < out.index("is removed")


def test_test(stored: Program, second: Path) -> None:
    """A key would be believed to open everything, and does not."""
    done = stored.json("key", "test")
    assert [(each["read_block"], each["read_metadata"]) for each in done["epochs"]] == [(True, True)]
    assert done["kind"] == "key_file"
    assert stored.json("key", "test", **by_key(second))["label"] == "second"
    stored("key", "rotate").expect(0)
    text = stored("key", "test").expect(0).out
    assert "none there" in text
    stored("key", "test", "--key-file", second.with_name("gone")).refused(23, "cannot be read")
    second.write_text("0" * 36 + "\n")
    stored("key", "test", **by_key(second)).refused(23, "not a key file")
    stored("key", "test", "--ask").refused(21, "at a terminal")


def test_test_asks_for_the_recovery_key(stored: Program, terminal: Start) -> None:
    """What is on paper could only be tried when it is too late."""
    shown = stored.json("key", "add", "--recovery", "--label", "on paper")["recovery_key"]
    for typed, code, word in ((shown, 0, "a recovery key"), (shown[:-1] + ("A" if shown[-1] != "A" else "B"), 21, "")):
        asked = terminal("key", "test", "--ask", "-r", stored.repo, PACKSTORE_KEY_FILE=str(stored.key))
        asked.wait_for("Recovery key")
        asked.type(typed + "\n")
        assert asked.end() == code, asked.shown
        assert word in asked.shown
        assert typed not in asked.shown


def test_test_gives_slots_what_they_lack(stored: Program, second: Path, device: Path, tmp_path: Path) -> None:
    """After a merge somebody's key would not open what the other copy has written, and nothing mends that."""
    copy = tmp_path / "copy"
    shutil.copytree(stored.repo, copy)
    stored("key", "rotate").expect(0)
    stored("key", "add", "--recovery", "--label", "only here").expect(0)
    stored.plain("key", "rotate", "-r", copy).expect(0)
    for path in copy.glob("keys/*"):
        shutil.copy2(path, stored.repo / "keys")
    shown = stored("key", "ls").expect(0)
    assert "lacks epoch 2" in shown.out
    assert "key test" in shown.err
    done = stored.json("key", "test")
    assert done["granted"] == [slots(stored)["only here"]["id"]]
    assert all(slot["state"] == "good" for slot in stored.json("key", "ls")["slots"])
    stored("backup", device).expect(0)
    restores(stored, device, **by_key(second))


def test_rotate(stored: Program, second: Path, device: Path) -> None:
    """A new epoch would shut the other keys out, or store everything again."""
    done = stored.json("key", "rotate", "--encryption-version", "1")
    assert (done["number"], done["encryption_version"], done["slots"]) == (2, 1, 3)
    assert "what was stored before" in stored("key", "rotate").expect(0).out
    again = stored.json("backup", device)
    assert again["bytes_new"] == 0
    restores(stored, device, **by_key(second))
    stored("key", "rotate", "--encryption-version", "3").refused(2, "range")
    assert [epoch["number"] for epoch in stored.json("key", "ls")["epochs"]] == [1, 2, 3]


def test_migrate_and_retire(stored: Program, second: Path, device: Path) -> None:
    """Old keys could not be got rid of, or what is stored under them would be lost."""
    stored("key", "retire", "1").refused(64, "written in", "key rotate")
    stored("key", "rotate").expect(0)
    stored("key", "retire", "1").refused(64, "still hold records of epoch 1", "key migrate")
    for spec in ("9", "x", ""):
        stored("key", "retire", spec).refused(27, "key ls")
    for option in ("0s", "soon"):
        stored("key", "migrate", "--max-duration", option).refused(2, "duration")
    done = stored.json("key", "migrate", "--max-duration", "1h")
    assert (done["packs_left"], done["waiting_for"], done["stopped"]) == (0, [], "")
    assert done["bytes_copied"] > 0
    assert "nothing is left" in stored("key", "migrate").expect(0).out
    assert stored.json("key", "retire", "1")["already"] is False
    assert stored.json("key", "retire", "1")["already"] is True
    assert [epoch["retired"] for epoch in stored.json("key", "ls")["epochs"]] == [True, False]
    stored("check").expect(0)
    restores(stored, device, **by_key(second))


def test_migrate_beside_a_backup(stored: Program, device: Path) -> None:
    """A backup under way would lose what it builds on, or commit what is refused afterwards."""
    with stored.running("backup", "-", "piped", stdin=subprocess.PIPE) as running:
        assert running.stdin
        running.stdin.write(device.read_bytes())
        running.stdin.flush()
        wait_until(lambda: list(stored.repo.glob("gc/intent-*")), lambda: "the backup's intent")
        stored("key", "rotate").expect(0)
        first = stored("--json", "key", "migrate").expect(0).json
        assert first["packs_left"] > 0
        assert any("backup" in each for each in first["waiting_for"])
        stored("key", "retire", "1").refused(64, "may still write", "backup", "packstore status")
        running.stdin.close()
        running.stdin = None
        assert running.wait(60) == 0
    assert stored.json("key", "migrate")["packs_left"] == 0
    stored("key", "retire", "1").expect(0)
    restores(stored, device)
    assert stored("restore", "piped", "-").expect(0).raw == device.read_bytes()


@pytest.mark.parametrize(
    "command",
    [
        ["ls"],
        ["add", "--recovery"],
        ["rm", "x"],
        ["change", "x"],
        ["test"],
        ["rotate"],
        ["migrate"],
        ["retire", "1"],
        ["export"],
    ],
    ids=lambda command: command[0],
)
def test_a_clear_repository_has_no_keys(stored: Program, tmp_path: Path, command: list[str]) -> None:
    """Somebody would believe that a clear repository is encrypted from now on."""
    clear = tmp_path / "clear"
    env = {"PACKSTORE_KEY_FILE": ""}
    stored.plain("init", "--no-encryption", "--reserve", "0", "-r", clear, env=env).expect(0)
    before = tree_of(clear)
    stored.plain("key", *command, "-r", clear, env=env).refused(2, "not encrypted", "packstore sync")
    assert tree_of(clear) == before


def test_help_and_nothing(stored: Program) -> None:
    """Somebody who does not know the subcommands would be left alone."""
    stored("key").refused(2, "--help")
    stored("key", "nonesuch").refused(2, "nonesuch")
    text = stored.plain("key", "--help").expect(0).out
    for name in ("add", "change", "export", "import", "ls", "migrate", "retire", "rm", "rotate", "test"):
        assert name in text
