"""Passphrases and key files from systemd and the kernel's keyrings; which goes before which; new ones."""

import ctypes
import os
import platform
import shutil
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from packstore.cli.credentials import Credentials, make_key_file, read_key_file
from packstore.codec.slots import Credential
from packstore.errors import KeyFileUnusable, KeyUnavailable, PassphraseMissing
from packstore.format.document import SlotKind
from tests.cli.program import Program, Terminal

SECRET = "correct horse battery"
ADD_KEY = {"x86_64": 248, "aarch64": 217, "riscv64": 217}
KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
REVOKE, UNLINK, USER_KEYRING = 3, 9, -4
Start = Callable[..., Terminal]


@pytest.fixture
def opened(program: Program) -> Program:
    """A repository that is opened by a passphrase."""
    env = {"PACKSTORE_PASSPHRASE": SECRET}
    program.plain("init", "--reserve", "0", "-r", program.repo, env=env).expect(0)
    return program


@pytest.fixture
def systemd(program: Program) -> Path:
    """The directory that systemd names in CREDENTIALS_DIRECTORY; the program sees it."""
    directory = program.home / "credentials"
    directory.mkdir()
    program.env["CREDENTIALS_DIRECTORY"] = str(directory)
    return directory


def call(numbers: dict[str, int], *arguments: int | bytes) -> int:
    """Make a system call."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    return int(syscall(numbers[platform.machine()], *arguments))


@pytest.fixture
def kernel_key() -> Iterator[tuple[str, int]]:
    """A key with the passphrase in the keyring of this user: its description and number."""
    if platform.machine() not in ADD_KEY:
        pytest.skip(f"the numbers of the system calls of {platform.machine()} are not known")
    name = f"packstore test {uuid.uuid4()}"
    number = call(ADD_KEY, b"user", name.encode(), SECRET.encode(), len(SECRET), USER_KEYRING)
    if number < 0 and "CI" not in os.environ:
        pytest.skip(f"no keyrings here: {os.strerror(ctypes.get_errno())}")
    assert number > 0
    yield name, number
    call(KEYCTL, UNLINK, number, USER_KEYRING)


def test_kernel_key(opened: Program, kernel_key: tuple[str, int]) -> None:
    """A passphrase that an administrator has put into the keyring at boot would not be found from cron."""
    name, number = kernel_key
    env = {"PACKSTORE_PASSPHRASE_KEYRING": name}
    opened.plain("ls", "-r", opened.repo, env=env).expect(0)
    call(KEYCTL, REVOKE, number)
    opened.plain("ls", "-r", opened.repo, env=env).refused(20, name)


def test_kernel_key_that_is_missing(opened: Program, kernel_key: tuple[str, int]) -> None:
    """Somebody would search for a mistake in the passphrase instead of the missing key."""
    env = {"PACKSTORE_PASSPHRASE_KEYRING": kernel_key[0] + " or not"}
    opened.plain("ls", "-r", opened.repo, env=env).refused(20, "there is no such key", "keyctl padd user")


def test_a_machine_without_keyrings(opened: Program) -> None:
    """On a kernel whose system calls are unknown here another call would be made by accident."""
    if shutil.which("setarch") is None:
        pytest.skip("no setarch")
    if platform.machine() != "x86_64":
        pytest.skip("only x86_64 has a personality with another name")
    command = ["setarch", "i686", *opened.bare("ls", "-r", opened.repo)]
    done = opened.run(command, env={"PACKSTORE_PASSPHRASE_KEYRING": "any"})
    done.refused(20, "keyrings are not supported")


def test_systemd_passphrase(opened: Program, systemd: Path) -> None:
    """A service with LoadCredentialEncrypted= could not open its repository."""
    (systemd / "packstore.passphrase").write_text(SECRET + "\n")
    opened.plain("ls", "-r", opened.repo).expect(0)
    opened.plain("ls", "-r", opened.repo, env={"PACKSTORE_PASSPHRASE": "wrong"}).refused(22, "passphrase")


def test_systemd_key(stored: Program, systemd: Path) -> None:
    """A service could not be given a key file by systemd, or be warned of a mode that systemd gives it."""
    shutil.copy2(stored.key, systemd / "packstore.key")
    (systemd / "packstore.key").chmod(0o440)
    assert not stored.plain("ls", "-r", stored.repo).expect(0).err
    (systemd / "packstore.passphrase").write_text(SECRET)
    stored.plain("ls", "-r", stored.repo).expect(0)


def test_systemd_credentials_of_another_service(opened: Program, systemd: Path) -> None:
    """Credentials that are there for other programs would be tried, or keep packstore from asking."""
    (systemd / "smtp.password").write_text("hunter2")
    opened.plain("ls", "-r", opened.repo).refused(21, "no terminal")
    opened.plain("ls", "-r", opened.repo, env={"PACKSTORE_PASSPHRASE": SECRET}).expect(0)


def test_systemd_both(opened: Program, systemd: Path) -> None:
    """A key of another repository would be tried where the passphrase beside it is right."""
    make_key_file(systemd / "packstore.key")
    (systemd / "packstore.passphrase").write_text(SECRET)
    opened.plain("ls", "-r", opened.repo).expect(0)


def test_init_by_systemd(program: Program, systemd: Path) -> None:
    """A repository would be made with another secret than it is later opened by."""
    make_key_file(systemd / "packstore.key")
    program.plain("init", "--reserve", "0", "-r", program.repo).expect(0)
    program.plain("ls", "-r", program.repo).expect(0)
    program.plain("init", "--no-encryption", "-r", program.home / "clear").refused(2, "--no-encryption")


def test_order(opened: Program, systemd: Path) -> None:
    """Which of several secrets is taken would not be as docs/SECURITY.md says, and change from version to version."""
    right, wrong = opened.home / "right", opened.home / "wrong"
    right.write_text(SECRET)
    wrong.write_text("wrong")
    sources = [
        ("PACKSTORE_PASSPHRASE", SECRET, "wrong"),
        ("PACKSTORE_PASSPHRASE_FILE", str(right), str(wrong)),
        ("PACKSTORE_PASSPHRASE_COMMAND", f"echo '{SECRET}'", "echo wrong"),
        ("PACKSTORE_PASSPHRASE_KEYRING", "", "packstore no such key"),
    ]
    (systemd / "packstore.passphrase").write_text("wrong")
    for at, (name, good, _) in enumerate(sources[:3]):
        later = {other: bad for other, _, bad in sources[at + 1 :]}
        opened.plain("ls", "-r", opened.repo, env=later | {name: good}).expect(0)
    opened.plain("ls", "-r", opened.repo, env={"PACKSTORE_PASSPHRASE_KEYRING": "no such"}).refused(20, "no such")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_key_file_of_others(stored: Program, mode: int) -> None:
    """A key that every user of the machine can copy would never be noticed."""
    assert not stored("ls").expect(0).err
    stored.key.chmod(mode)
    done = stored("ls", "--json").expect(0)
    assert f"mode {mode:03o}" in done.err
    assert "chmod 600" in done.err
    assert done.json["versions"]


def test_make_key_file(tmp_path: Path) -> None:
    """A key file would be overwritten, be readable by others for a moment, or hold another secret than is used."""
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        secret = make_key_file(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key_file(path) == secret
    assert len(path.read_text().splitlines()) == 1
    with pytest.raises(KeyFileUnusable, match="cannot be made: File exists"):
        make_key_file(path)
    assert read_key_file(path) == secret


def test_key_file_on_a_full_disk(program: Program) -> None:
    """A key file without a key in it would be left, and be refused for ever after."""
    command = ["sh", "-c", 'ulimit -f 0; trap "" XFSZ; exec "$@"', "sh", *program.command("init", "--reserve", "0")]
    program.run(command).refused(23, "cannot be written")
    assert not program.key.exists()


def new(environment: dict[str, str]) -> Credential:
    """The new passphrase that this environment gives."""
    return Credentials(environment, None, "repository", lambda _: None).new_passphrase()


def test_new_passphrase(tmp_path: Path) -> None:
    """The passphrase that opens the repository would be taken for the one that it is to have."""
    path = tmp_path / "new"
    path.write_text("from a file\n")
    old = {"PACKSTORE_PASSPHRASE": "old", "PACKSTORE_PASSPHRASE_FILE": "/nonexistent"}
    assert new(old | {"PACKSTORE_NEW_PASSPHRASE": "new"}) == Credential.from_passphrase("new")
    assert new(old | {"PACKSTORE_NEW_PASSPHRASE_FILE": str(path)}) == Credential.from_passphrase("from a file")
    assert new(old | {"PACKSTORE_NEW_PASSPHRASE": "new"}).kind is SlotKind.PASSPHRASE
    with pytest.raises(PassphraseMissing, match="PACKSTORE_NEW_PASSPHRASE is empty"):
        new(old | {"PACKSTORE_NEW_PASSPHRASE": ""})
    make_key_file(tmp_path / "key")
    with pytest.raises(KeyUnavailable, match="no passphrase"):
        new({"PACKSTORE_NEW_PASSPHRASE": (tmp_path / "key").read_text()})


_ASK = (
    "import os; from packstore.cli.credentials import Credentials\n"
    "found = Credentials(os.environ, None, 'REPO', print).new_passphrase()\n"
    "print('found', found.material.secret == b'new one')"
)


def test_new_passphrase_at_a_terminal(program: Program) -> None:
    """A typing error in a new passphrase would lock its owner out, or what is typed be shown."""
    asked = Terminal([sys.executable, "-c", _ASK], program.environment(PACKSTORE_PASSPHRASE="old"), program.home)
    try:
        for times, typed in enumerate(("new one\n", "new on\n", "new one\n", "new one\n")):
            asked.wait_for("Repeat" if times % 2 else "New passphrase for REPO", times=times // 2 + 1)
            asked.type(typed)
        assert asked.end() == 0
        assert "found True" in asked.shown
        assert "new on" not in asked.shown.replace("New passphrase", "")
    finally:
        asked.close()


def test_new_passphrase_without_a_terminal(program: Program) -> None:
    """A script would not be told what to set."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        env=program.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert "no terminal" in done.stderr
    assert done.returncode == 1
