"""The recovery key that `init` makes: seen once, typed back, and good for opening everything."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import Program, Terminal

SECRET = {"PACKSTORE_PASSPHRASE": "hunter2 of the whole house"}
QUICK = ["--reserve", "0", "--kdf", "interactive"]
ASKED = "makes no repository): "
ANOTHER = "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-3FFP"
Start = Callable[..., Terminal]


def shown_by(asked: Terminal) -> str:
    """The recovery key that is on the screen."""
    asked.wait_for(ASKED)
    found = re.search(r"recovery key: ([0-9A-Z-]{44})", asked.shown)
    assert found
    return found[1]


def test_typed_back(program: Program, terminal: Start) -> None:
    """A recovery key that was written down wrongly would be noticed when it is needed."""
    asked = terminal("init", *QUICK, "-r", program.repo, **SECRET)
    key = shown_by(asked)
    wrong = [f"{key[:-1]}{'2' if key[-1] != '2' else '3'}", f"{key[:-1]}U", key[:-5], "", ANOTHER, "yes"]
    for times, typed in enumerate(wrong, 2):
        asked.type(f"{typed}\n")
        asked.wait_for(ASKED, times=times)
        assert not program.repo.exists()
    for told in ("check digits", "nine groups", "another recovery key"):
        assert told in asked.shown
    asked.type(key.lower().replace("0", "o").replace("1", "l").replace("-", " ") + "\n")
    assert asked.end() == 0
    # On the screen it is once, and what was typed; not again in what is said of the repository.
    assert asked.shown.count(key) == 1
    assert "Traceback" not in asked.shown
    for given in (key, key.lower(), key.replace("0", "O").replace("1", "I"), f" {key} "):
        program.plain("ls", "-r", program.repo, env={"PACKSTORE_PASSPHRASE": given}).expect(0)


@pytest.mark.parametrize("keys", ["\x03", "\x04", "wrong\n\x03"], ids=["ctrl-c", "ctrl-d", "ctrl-c later"])
def test_leaving(program: Program, terminal: Start, keys: str) -> None:
    """Somebody without a pencil would get a repository whose recovery key nobody has, or a key file for nothing."""
    asked = terminal("init", "--reserve", "0", "-r", program.repo, "--key-file", program.key)
    shown_by(asked)
    asked.type(keys)
    assert asked.end() == 130
    assert "Traceback" not in asked.shown
    assert not program.repo.exists()
    assert not program.key.exists()


def test_quiet_at_a_terminal(program: Program, terminal: Start) -> None:
    """--quiet would hide what has to be typed."""
    asked = terminal("init", "-q", *QUICK, "-r", program.repo, **SECRET)
    asked.type(shown_by(asked) + "\n")
    assert asked.end() == 0


@pytest.mark.parametrize("form", [[], ["-v"], ["--json"], ["--json", "-q"]], ids=" ".join)
def test_without_a_terminal(program: Program, form: list[str]) -> None:
    """A script would make a repository with a recovery key that nobody has ever seen."""
    done = program(*form, "init", "--reserve", "0").expect(0)
    key = done.json["recovery_key"] if form[:1] == ["--json"] else re.findall(r"recovery key: (\S+)", done.out)[0]
    assert done.out.count(key) == 1
    assert key not in done.err
    program.plain("ls", "-r", program.repo, env={"PACKSTORE_PASSPHRASE": key}).expect(0)
    program.key.write_text(key)
    program("ls").expect(0)


def test_json_at_a_terminal(program: Program, terminal: Start) -> None:
    """A program that runs `init` in a terminal of its own would be asked to type what it is to read."""
    asked = terminal("--json", "init", *QUICK, "-r", program.repo, **SECRET)
    assert asked.end() == 0
    assert re.search(r'"recovery_key": "[0-9A-Z-]{44}"', asked.shown)


def test_quiet_without_a_terminal(program: Program) -> None:
    """The recovery key would be made and never be seen."""
    program("init", "-q", "--reserve", "0").refused(2, "--quiet", "--no-recovery-key")
    assert not program.repo.exists()
    assert not program.key.exists()
    assert not program("init", "-q", "--reserve", "0", "--no-recovery-key").expect(0).out


@pytest.mark.parametrize("command", [["key", "add", "--recovery"], ["key", "change", "recovery key"]], ids=" ".join)
def test_quiet_with_a_new_one(program: Program, command: list[str]) -> None:
    """A recovery key would take the place of another, and nobody would ever have seen it."""
    env = {"PACKSTORE_KEY_FILE": str(program.key)}
    old = program("--json", "init", "--reserve", "0").expect(0).json["recovery_key"]
    program.plain("-q", *command, "-r", program.repo, env=env).refused(2, "--quiet")
    assert len(program.json("key", "ls")["slots"]) == 2
    program.plain("ls", "-r", program.repo, env={"PACKSTORE_PASSPHRASE": old}).expect(0)
    done = program.plain("-q", "--json", *command, "-r", program.repo, env=env).expect(0)
    program.plain("ls", "-r", program.repo, env={"PACKSTORE_PASSPHRASE": done.json["recovery_key"]}).expect(0)


def test_none(program: Program) -> None:
    """A recovery key would be made that was not wanted."""
    done = program("--json", "init", "--reserve", "0", "--no-recovery-key").expect(0)
    assert done.json["recovery_key"] is None
    assert [slot["kind"] for slot in program.json("key", "ls")["slots"]] == ["key_file"]
    program.plain("--json", "init", "--no-encryption", "--reserve", "0", "-r", program.home / "clear").expect(0)


@pytest.mark.parametrize("opened_by", ["passphrase", "key file"])
def test_at_the_prompt(program: Program, terminal: Start, opened_by: str) -> None:
    """Whoever has nothing but the paper would not get in."""
    if opened_by == "passphrase":
        made = program.plain("--json", "init", *QUICK, "-r", program.repo, env=SECRET)
    else:
        made = program("--json", "init", "--reserve", "0")
    key = made.expect(0).json["recovery_key"]
    asked = terminal("ls", "-r", program.repo)
    asked.wait_for(str(program.repo))
    asked.type(key.lower() + "\n")
    assert asked.end() == 0
    assert key.lower() not in asked.shown
    assert ("Recovery key" in asked.shown) is (opened_by == "key file")
    mistyped = terminal("ls", "-r", program.repo)
    mistyped.wait_for(str(program.repo))
    mistyped.type(ANOTHER + "\n")
    assert mistyped.end() == 22
    assert "this recovery key does not open" in mistyped.shown


@pytest.mark.parametrize("command", [["init"], ["key", "add", "--passphrase"]], ids=" ".join)
@pytest.mark.parametrize("text", [ANOTHER, ANOTHER.lower().replace("0", "o"), ANOTHER.replace("-", "")])
def test_is_no_new_passphrase(stored: Program, tmp_path: Path, command: list[str], text: str) -> None:
    """A passphrase would be made that is taken for a recovery key whenever it is given, and opens nothing."""
    env = {"PACKSTORE_NEW_PASSPHRASE": text}
    if command == ["init"]:
        env = {"PACKSTORE_PASSPHRASE": text}
        done = stored.plain("init", *QUICK, "-r", tmp_path / "new", env=env)
    else:
        env["PACKSTORE_KEY_FILE"] = str(stored.key)
        done = stored.plain(*command, "-r", stored.repo, env=env)
    done.refused(20, "no passphrase", "--key-file")
    assert text not in done.err
    assert not (tmp_path / "new").exists()


def test_a_lost_passphrase_slot(program: Program) -> None:
    """The right passphrase would be called a missing key file, and nobody would think of keys/."""
    program.plain("init", *QUICK, "-r", program.repo, env=SECRET).expect(0)
    slots = program.plain("--json", "key", "ls", "-r", program.repo, env=SECRET).expect(0).json["slots"]
    (slot,) = (slot["id"] for slot in slots if slot["kind"] == "passphrase")
    away = program.home / "away"
    away.mkdir()
    for path in program.repo.glob(f"keys/{slot}*"):
        shutil.move(path, away)
    program.plain("ls", "-r", program.repo, env=SECRET).refused(21, "recovery key", "key import")
