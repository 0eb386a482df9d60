"""Where passphrases and key files come from, and that they go nowhere."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import Program, Terminal, tree_of

SECRET = "correct horse battery"
Start = Callable[..., Terminal]


@pytest.fixture
def opened(program: Program) -> Program:
    """A repository that is opened by a passphrase."""
    env = {"PACKSTORE_PASSPHRASE": SECRET}
    program.plain("init", "--reserve", "0", "-r", program.repo, env=env).expect(0)
    return program


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_file(opened: Program, ending: str) -> None:
    """A passphrase in a file would not open the repository, because editors end it with a newline."""
    path = opened.home / "secret"
    path.write_bytes((SECRET + ending).encode())
    opened.plain("ls", "-r", opened.repo, env={"PACKSTORE_PASSPHRASE_FILE": str(path)}).expect(0)


def test_command(opened: Program) -> None:
    """A password manager could not be asked."""
    env = {"PACKSTORE_PASSPHRASE_COMMAND": f"sh -c 'echo \"{SECRET}\"'"}
    opened.plain("ls", "-r", opened.repo, env=env).expect(0)


def test_wrong(opened: Program) -> None:
    """A wrong passphrase would look like damage, or show itself."""
    before = tree_of(opened.repo)
    done = opened.plain("ls", "-r", opened.repo, env={"PACKSTORE_PASSPHRASE": "wrong horse"})
    done.refused(22, "does not open", str(opened.repo))
    assert "horse" not in done.err
    assert tree_of(opened.repo) == before


@pytest.mark.parametrize(
    ("name", "value", "code", "word"),
    [
        ("PACKSTORE_PASSPHRASE", "", 21, "is empty"),
        ("PACKSTORE_PASSPHRASE", "\n", 21, "is empty"),
        ("PACKSTORE_PASSPHRASE_FILE", "/dev/null", 21, "is empty"),
        ("PACKSTORE_PASSPHRASE_FILE", "/nonexistent", 20, "/nonexistent"),
        ("PACKSTORE_PASSPHRASE_FILE", "/", 20, "Is a directory"),
        ("PACKSTORE_PASSPHRASE_COMMAND", "true", 21, "is empty"),
        ("PACKSTORE_PASSPHRASE_COMMAND", "sh -c 'echo hunter2; exit 3'", 20, "exit code 3"),
        ("PACKSTORE_PASSPHRASE_COMMAND", "/nonexistent hunter2", 20, "cannot be run"),
        ("PACKSTORE_PASSPHRASE_COMMAND", "echo 'hunter2", 20, "no command line"),
        ("PACKSTORE_PASSPHRASE_COMMAND", "printf 'hunter2\\377'", 20, "UTF-8"),
        ("PACKSTORE_PASSPHRASE_COMMAND", "", 21, "no terminal"),
        ("HOME", "/", 21, "no terminal"),
    ],
)
def test_refused_at_init(program: Program, name: str, value: str, code: int, word: str) -> None:
    """A repository would be made that nothing protects or opens, or what is secret be shown."""
    done = program.plain("init", "-r", program.repo, env={name: value}).refused(code, word)
    assert "hunter2" not in done.err
    assert not program.repo.exists()


def test_no_terminal(opened: Program) -> None:
    """A nightly job without a passphrase would hang, or not say what to set."""
    opened.plain("ls", "-r", opened.repo).refused(21, "PACKSTORE_PASSPHRASE_FILE", "--key-file")


def test_key_file_that_is_missing_when_needed(stored: Program) -> None:
    """Somebody would be asked for a passphrase that does not exist."""
    stored.plain("ls", "-r", stored.repo).refused(21, "key file", "--key-file")
    stored.plain("ls", "-r", stored.repo, env={"PACKSTORE_PASSPHRASE": SECRET}).refused(21, "key file")


def test_wrong_key_file(stored: Program, tmp_path: Path) -> None:
    """A key file of another repository would look like damage."""
    other = Program(stored.home, tmp_path / "other", tmp_path / "other-key")
    other("init", "--reserve", "0").expect(0)
    stored.plain("ls", "-r", stored.repo, "--key-file", other.key).refused(22, "key file does not open")


@pytest.mark.parametrize("content", [b"", b"hunter2\n", b"\xff" * 300, b"0000-" * 8 + b"0001\n"])
def test_arbitrary_files_are_no_key_files(program: Program, content: bytes) -> None:
    """A picture would be taken for a key, and be lost or edited some day."""
    program.key.write_bytes(content)
    done = program("init").refused(23, "is not a key file that packstore wrote")
    assert "hunter2" not in done.err
    assert program.key.read_bytes() == content
    assert not program.repo.exists()


def test_key_file_that_cannot_be_made(program: Program) -> None:
    """A key file in a directory that is missing would end in a traceback."""
    away = Program(program.home, program.repo, program.home / "missing" / "key")
    away("init").refused(23, "cannot be made")
    assert not program.repo.exists()


def test_key_of_a_repository_that_claims_to_have_none(program: Program) -> None:
    """Whoever holds the disk could replace the repository by one that he can read."""
    program.plain("init", "--no-encryption", "--reserve", "0", "-r", program.repo).expect(0)
    env = {"PACKSTORE_PASSPHRASE": SECRET}
    program.plain("ls", "-r", program.repo, env=env).refused(25, "claims not to be encrypted")


def test_prompt_twice_at_init(program: Program, terminal: Start) -> None:
    """A typing error at `init` would lock its owner out for ever; or what is typed would be shown."""
    asked = terminal("init", "--reserve", "0", "--no-recovery-key", "-r", program.repo)
    asked.wait_for(f"Passphrase for {program.repo}")
    asked.type(SECRET + "\n")
    asked.wait_for("Repeat")
    asked.type("something else\n")
    asked.wait_for("do not match")
    asked.wait_for("Passphrase for", times=2)
    assert not program.repo.exists()
    asked.type(SECRET + "\n")
    asked.wait_for("Repeat", times=2)
    asked.type(SECRET + "\n")
    assert asked.end() == 0
    assert SECRET not in asked.shown
    assert "something else" not in asked.shown
    program.plain("ls", "-r", program.repo, env={"PACKSTORE_PASSPHRASE": SECRET}).expect(0)


def test_prompt_once_afterwards(opened: Program, terminal: Start) -> None:
    """Opening a repository would ask twice, not at all, or show what is typed."""
    asked = terminal("index", "rebuild", "-r", opened.repo)
    asked.wait_for("Passphrase for")
    asked.type(SECRET + "\n")
    assert asked.end() == 0
    assert asked.shown.count("Passphrase") == 1
    assert SECRET not in asked.shown


def test_wrong_passphrase_at_the_prompt(opened: Program, terminal: Start) -> None:
    """A wrong passphrase at the prompt would end in anything but its own exit code."""
    asked = terminal("ls", "-r", opened.repo)
    asked.wait_for("Passphrase for")
    asked.type("wrong\n")
    assert asked.end() == 22


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
@pytest.mark.parametrize("command", [["ls"], ["check"], ["init"]], ids=["ls", "check", "init"])
def test_leaving_the_prompt(opened: Program, terminal: Start, command: list[str], key: str) -> None:
    """Somebody who cannot remember could not get out of the prompt, or leave half a repository behind."""
    repo = opened.repo if command != ["init"] else opened.repo.with_name("new")
    asked = terminal(*command, "-r", repo)
    asked.wait_for("Passphrase for")
    asked.type(key)
    assert asked.end() == 130
    assert "Traceback" not in asked.shown
    assert command != ["init"] or not repo.exists()


def test_secrets_stay_out_of_the_repository_and_the_cache(opened: Program, device: Path) -> None:
    """The passphrase would lie beside what it protects."""
    env = {"PACKSTORE_PASSPHRASE": SECRET}
    opened.plain("backup", device, "-v", "-r", opened.repo, env=env).expect(0)
    for root in (opened.repo, opened.home):
        for path in root.rglob("*"):
            assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_index_is_private(stored: Program) -> None:
    """Other users of the machine could read the names of volumes and what is known of them."""
    stored("ls").expect(0)
    (directory,) = (stored.home / "index").glob("*")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
