"""Where a passphrase or key is looked for, and in which order: docs/SECURITY.md says the same."""

import ctypes
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program

SECRET = "hunter2 of the whole house"
WRONG = "some other passphrase"
_ADD_KEY, _KEYCTL = {"x86_64": (248, 250)}.get(platform.machine(), (217, 219))
_USER_KEYRING, _UNLINK = -4, 9


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A repository that a passphrase, a key file and a recovery key open; nobody may change it."""
    root = tmp_path_factory.mktemp("three")
    made = Program(root, root / "repository", root / "right.key", {"PACKSTORE_REPO": str(root / "repository")})
    env = {"PACKSTORE_PASSPHRASE": SECRET}
    done = made.plain("--json", "init", "--reserve", "0", "--kdf", "interactive", env=env).expect(0).json
    (root / "recovery").write_text(done["recovery_key"].lower())
    made.plain("key", "add", "--key-file", made.key, env=env).expect(0)
    Program(root, root / "other", root / "wrong.key")("init", "--reserve", "0").expect(0)
    (root / "right").write_text(SECRET)
    (root / "wrong").write_text(WRONG)
    return made


@pytest.fixture
def kernel_key() -> Iterator[Callable[[bytes], str]]:
    """Adds a key to the user's keyring, and returns how it is called."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    added: list[int] = []

    def add(payload: bytes) -> str:
        description = f"packstore-{os.getpid()}-{len(added)}"
        key = syscall(_ADD_KEY, b"user", description.encode(), payload, len(payload), _USER_KEYRING)
        if key < 0:
            pytest.skip(f"no keys in the kernel: {os.strerror(ctypes.get_errno())}")
        added.append(key)
        return description

    yield add
    for key in added:
        syscall(_KEYCTL, _UNLINK, key, _USER_KEYRING)


ORDER = ["--key-file", "KEY_FILE", "PASSPHRASE", "FILE", "COMMAND", "KEYRING", "systemd key", "systemd passphrase"]


def give(program: Program, credentials: Path, add: Callable[[bytes], str], source: str, which: str) -> list[str]:
    """Offer what is right or wrong from a source; return the options for it."""
    text, path, key = (SECRET if which == "right" else WRONG), program.home / which, program.home / f"{which}.key"
    credentials.mkdir(exist_ok=True)
    variables = {
        "KEY_FILE": {"PACKSTORE_KEY_FILE": str(key)},
        "PASSPHRASE": {"PACKSTORE_PASSPHRASE": text},
        "FILE": {"PACKSTORE_PASSPHRASE_FILE": str(path)},
        "COMMAND": {"PACKSTORE_PASSPHRASE_COMMAND": f"cat '{path}'"},
    }
    if source == "--key-file":
        return ["--key-file", str(key)]
    if source == "KEYRING":
        program.env["PACKSTORE_PASSPHRASE_KEYRING"] = add(text.encode())
    elif source.startswith("systemd"):
        program.env["CREDENTIALS_DIRECTORY"] = str(credentials)
        shutil.copy(key if source == "systemd key" else path, credentials / f"packstore.{source.split()[1]}")
    program.env.update(variables.get(source, {}))
    return []


@pytest.mark.parametrize(("first", "code"), [("right", 0), ("wrong", 22)])
@pytest.mark.parametrize("source", ORDER)
def test_order(
    three: Program, tmp_path: Path, kernel_key: Callable[[bytes], str], source: str, first: str, code: int
) -> None:
    """What somebody says for one command would be passed over for what is set everywhere."""
    program = Program(three.home, three.repo, three.key, dict(three.env))
    options = give(program, tmp_path / "credentials", kernel_key, source, first)
    for later in ORDER[ORDER.index(source) + 1 :]:
        options += give(program, tmp_path / "credentials", kernel_key, later, "wrong" if first == "right" else "right")
    done = program.plain(*options, "ls").expect(code)
    assert SECRET not in done.err
    assert WRONG not in done.err


@pytest.mark.parametrize("source", ["PASSPHRASE", "FILE", "COMMAND", "KEYRING", "systemd passphrase"])
def test_recovery_key_for_a_passphrase(
    three: Program, tmp_path: Path, kernel_key: Callable[[bytes], str], source: str
) -> None:
    """Whoever has only the paper left would have to find out first how it is given."""
    key = (three.home / "recovery").read_text()
    offered = Program(tmp_path, three.repo, three.key, dict(three.env))
    (tmp_path / "right").write_text(key)
    (tmp_path / "right.key").write_text(key)
    give(offered, tmp_path / "credentials", kernel_key, source, "right")
    if source == "PASSPHRASE":
        offered.env["PACKSTORE_PASSPHRASE"] = key
    elif source == "KEYRING":
        offered.env["PACKSTORE_PASSPHRASE_KEYRING"] = kernel_key(key.encode())
    offered.plain("ls").expect(0)


def test_recovery_key_as_a_key_file(three: Program) -> None:
    """A script could not use the paper's text."""
    three.plain("ls", "--key-file", three.home / "recovery").expect(0)


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("packstore.passphrase", b"", 21, ["is empty", "credential"]),
        ("packstore.passphrase", b"\n", 21, ["is empty", "credential"]),
        ("packstore.passphrase", b"hunter2\xff", 20, ["UTF-8"]),
        ("packstore.passphrase", b"hunter2", 22, ["passphrase does not open"]),
        ("packstore.key", b"", 23, ["is not a key file"]),
        ("packstore.key", b"hunter2", 23, ["is not a key file"]),
        ("something else", b"hunter2", 21, ["no terminal"]),
    ],
)
def test_bad_systemd_credentials(
    three: Program, tmp_path: Path, name: str, content: bytes, code: int, words: list[str]
) -> None:
    """A service whose credential is not what it should be would hang, or not say which one it is."""
    (tmp_path / name).write_bytes(content)
    done = three.plain("ls", env={"CREDENTIALS_DIRECTORY": str(tmp_path)}).refused(code, *words)
    assert "hunter2" not in done.err


def test_kernel_key_that_is_missing(three: Program) -> None:
    """A key that has expired would look like a mistake in packstore."""
    done = three.plain("ls", env={"PACKSTORE_PASSPHRASE_KEYRING": "packstore-no-such-key"})
    done.refused(20, "packstore-no-such-key", "keyctl padd user")


@pytest.mark.parametrize(("payload", "code"), [(b"\xffhunter2", 20), (b"\n", 21), (b"hunter2", 22)])
def test_bad_kernel_key(three: Program, kernel_key: Callable[[bytes], str], payload: bytes, code: int) -> None:
    """What is wrong with a key would not be said, or would be shown."""
    done = three.plain("ls", env={"PACKSTORE_PASSPHRASE_KEYRING": kernel_key(payload)}).refused(code)
    assert "hunter2" not in done.err


def test_passphrase_file_that_is_a_disk(three: Program) -> None:
    """A mistyped path would fill the memory."""
    three.plain("ls", env={"PACKSTORE_PASSPHRASE_FILE": "/dev/zero"}).refused(20, "too long", "/dev/zero")


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_key_file_that_others_may_read(three: Program, tmp_path: Path, mode: int) -> None:
    """Nobody would notice that others can open the repository as well."""
    key = Path(shutil.copy(three.key, tmp_path / "key"))
    key.chmod(mode)
    assert "chmod 600` it" in three.plain("ls", "--key-file", key).expect(0).err
    key.chmod(0o600)
    assert not three.plain("ls", "--key-file", key).expect(0).err


def test_key_file_that_no_slot_takes(program: Program) -> None:
    """Somebody who names a key file would be told to name a key file."""
    program.env["PACKSTORE_PASSPHRASE"] = SECRET
    options = ["--reserve", "0", "--no-recovery-key", "--kdf", "interactive"]
    program.plain("init", *options, "-r", program.repo).expect(0)
    del program.env["PACKSTORE_PASSPHRASE"]
    program("ls").refused(21, "no slot of it takes a key file", "PACKSTORE_PASSPHRASE_FILE")


def test_recovery_key_with_a_typing_error(stored: Program) -> None:
    """Whoever types from paper would be told that a key file is missing, and look for one."""
    mistyped = {"PACKSTORE_PASSPHRASE": "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-3FFQ"}
    stored.plain("ls", "-r", stored.repo, env=mistyped).refused(21, "check digits", "recovery key")
    another = {"PACKSTORE_PASSPHRASE": "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-3FFP"}
    stored.plain("ls", "-r", stored.repo, env=another).refused(22, "recovery key does not open")
