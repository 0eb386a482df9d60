"""The recovery key: made by `init`, typed back, and what it opens."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from packstore.codec.key import Key
from packstore.codec.secret import format_secret
from tests.cli.program import Done, Program, Terminal

SECRET = "correct horse battery"
PASSPHRASE = {"PACKSTORE_PASSPHRASE": SECRET}
KEY = re.compile(r"recovery key: ((?:[0-9A-Z]{4}-){8}[0-9A-Z]{4})")
PROMPT = "Recovery key (Ctrl-C makes no repository)"
Start = Callable[..., Terminal]


def init(program: Program, *options: str, **more: str) -> Done:
    """Make a repository that is opened by a passphrase, without a terminal."""
    return program.plain("init", "--reserve", "0", "-r", program.repo, *options, env=PASSPHRASE | more)


@pytest.fixture
def key(program: Program) -> str:
    """The recovery key of a repository that is opened by a passphrase."""
    return str(init(program, "--json").expect(0).json["recovery_key"])


def shown_key(asked: Terminal) -> str:
    """The key on the screen."""
    asked.wait_for(PROMPT)
    found = KEY.search(asked.shown)
    assert found
    return found[1]


def test_without_a_terminal_it_is_printed(program: Program) -> None:
    """A script that makes repositories would hang, or make a recovery key that nobody has seen."""
    done = init(program).expect(0)
    found = KEY.search(done.out)
    assert found
    assert "paper" in done.out
    program.plain("ls", "-r", program.repo, env={"PACKSTORE_PASSPHRASE": found[1]}).expect(0)


def test_quiet_does_not_hide_it(program: Program) -> None:
    """A recovery key would be made that nobody has seen."""
    init(program, "-q").refused(2, "--quiet", "--no-recovery-key")
    assert not program.repo.exists()
    assert not init(program, "-q", "--no-recovery-key").expect(0).raw


def test_none_is_made_if_none_is_wanted(program: Program) -> None:
    """Somebody who declined it would have a further key to his backups somewhere."""
    assert init(program, "--no-recovery-key", "--json").expect(0).json["recovery_key"] is None
    assert len(list(program.repo.glob("keys/*"))) == 4  # a slot and an epoch, twice each


def test_a_repository_that_is_not_encrypted_has_none(program: Program) -> None:
    """A key would be shown that opens nothing."""
    done = program.plain("init", "--no-encryption", "--reserve", "0", "-r", program.repo, "--json").expect(0)
    assert done.json["recovery_key"] is None


@pytest.mark.parametrize("change", [str, str.lower, lambda key: key.replace("-", " ").replace("0", "o") + "\n"])
def test_it_is_a_passphrase(program: Program, key: str, change: Callable[[str], str]) -> None:
    """Whoever has lost the passphrase could not get at the backups, or only by typing exactly what is on the paper."""
    program.plain("ls", "-r", program.repo, env={"PACKSTORE_PASSPHRASE": change(key)}).expect(0)


def test_it_is_a_key_file(program: Program, key: str) -> None:
    """The line on the paper, typed into a file, would not open the repository."""
    path = program.home / "typed"
    path.write_text(key + "\n")
    path.chmod(0o600)
    program.plain("ls", "-r", program.repo, "--key-file", path).expect(0)
    # Beside a passphrase a key file was meant for another repository, if it has no slot for one.
    path.write_text(format_secret(Key(bytes(20))) + "\n")
    program.plain("ls", "-r", program.repo, "--key-file", path).refused(22, "key file")
    program.plain("ls", "-r", program.repo, "--key-file", path, env=PASSPHRASE).expect(0)


def test_it_is_an_answer_at_the_prompt(program: Program, key: str, terminal: Start) -> None:
    """At 3 am, asked for a passphrase, somebody would have to find out where else a recovery key can be given."""
    asked = terminal("ls", "-r", program.repo)
    asked.wait_for("Passphrase for")
    asked.type(key.lower() + "\n")
    assert asked.end() == 0
    assert key.lower() not in asked.shown


def test_it_stands_in_for_a_key_file(program: Program, terminal: Start) -> None:
    """Whoever has lost the key file could not get at the backups."""
    key = program.json("init", "--reserve", "0")["recovery_key"]
    program.plain("ls", "-r", program.repo, env={"PACKSTORE_PASSPHRASE": key}).expect(0)
    program.plain("ls", "-r", program.repo, env=PASSPHRASE).refused(21, "--key-file", "recovery key")
    asked = terminal("ls", "-r", program.repo)
    asked.wait_for("Recovery key or line of the key file")
    asked.type(key + "\n")
    assert asked.end() == 0


def test_a_passphrase_that_looks_like_one(program: Program) -> None:
    """What was given as a passphrase would later be tried as a recovery key only, and open nothing."""
    text = format_secret(Key(bytes(range(20))))
    init(program, PACKSTORE_PASSPHRASE=text).refused(20, "no passphrase", "--key-file")
    assert not program.repo.exists()
    almost = text[:-1] + ("0" if text[-1] != "0" else "1")
    init(program, PACKSTORE_PASSPHRASE=almost).expect(0)
    program.plain("ls", "-r", program.repo, env={"PACKSTORE_PASSPHRASE": almost}).expect(0)


def test_typed_back(program: Program, terminal: Start) -> None:
    """A recovery key that nobody has written down would give a false sense of safety."""
    asked = terminal("init", "--reserve", "0", "-r", program.repo, **PASSPHRASE)
    key = shown_key(asked)
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    for times, (typed, answer) in enumerate(
        [
            ("hunter2", "nine groups"),
            (wrong, "a character is wrong"),
            (format_secret(Key(bytes(20))), "another recovery key"),
        ]
    ):
        asked.type(typed + "\n")
        asked.wait_for(answer)
        asked.wait_for(PROMPT, times=times + 2)
        assert not program.repo.exists()
    asked.type(key.lower().replace("0", "o").replace("1", "l").replace("-", "") + "\n")
    assert asked.end() == 0
    assert asked.shown.count("recovery key: ") == 1
    program.plain("ls", "-r", program.repo, env={"PACKSTORE_PASSPHRASE": key}).expect(0)


@pytest.mark.parametrize("leave", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
@pytest.mark.parametrize("by_key_file", [False, True])
def test_leaving(program: Program, terminal: Start, leave: str, *, by_key_file: bool) -> None:
    """Somebody without pen and paper could not get out, or leave a key file or half a repository behind."""
    options = ["--key-file", str(program.key)] if by_key_file else []
    asked = terminal("init", "-r", program.repo, *options, **({} if by_key_file else PASSPHRASE))
    shown_key(asked)
    asked.type(leave)
    assert asked.end() == 130
    assert "Traceback" not in asked.shown
    assert not program.repo.exists()
    assert not program.key.exists()


def test_at_a_terminal_after_the_passphrase(program: Program, terminal: Start, device: Path) -> None:
    """The questions would come in an order in which something is typed in vain, or what is made not work."""
    asked = terminal("init", "--reserve", "0", "-r", program.repo)
    for times, question in enumerate(("Passphrase for", "Repeat")):
        asked.wait_for(question)
        assert asked.shown.count("recovery key") == 0, times
        asked.type(SECRET + "\n")
    asked.type(shown_key(asked) + "\n")
    assert asked.end() == 0
    for secret in (SECRET, shown_key(asked)):
        program.plain("backup", device, "-r", program.repo, env={"PACKSTORE_PASSPHRASE": secret}).expect(0)
    program.plain("check", "-r", program.repo, env=PASSPHRASE).expect(0)


def test_json_at_a_terminal(program: Program, terminal: Start) -> None:
    """A script that is started at a terminal would wait for an answer that nobody knows is due."""
    asked = terminal("init", "--json", "--reserve", "0", "-r", program.repo, **PASSPHRASE)
    assert asked.end() == 0
    assert '"recovery_key": "' in asked.shown
