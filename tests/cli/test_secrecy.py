"""What is secret stays in the process: no core files, nothing for others, nothing in children or output."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import Program

Ran = subprocess.CompletedProcess[bytes]
ROOT = Path(__file__).parents[2]
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
SECRET = "hunter2 of the whole house"
VARIABLES = {
    "PACKSTORE_PASSPHRASE": SECRET,
    "PACKSTORE_NEW_PASSPHRASE": f"new {SECRET}",
    "PACKSTORE_SRC_PASSPHRASE": f"source {SECRET}",
    "PACKSTORE_DST_PASSPHRASE": f"destination {SECRET}",
}
LOOK = "cat /proc/$PPID/environ /proc/$PPID/cmdline; echo looked"
"""What a program that `hold` runs sees of packstore itself."""


@pytest.fixture
def secret(program: Program) -> Program:
    """A repository that all of the secret variables speak of."""
    program.env.update(VARIABLES, PACKSTORE_REPO=str(program.repo))
    program.plain("init", "--reserve", "0", "--no-recovery-key", "--kdf", "interactive").expect(0)
    return program


@pytest.fixture
def nobody(tmp_path: Path, device: Path, mounted: Callable[..., Path]) -> Callable[..., Ran]:
    """Runs packstore as a user without any rights, who has a file system of his own and a disk.img in it.

    The program and its Python are mounted where he can reach them: a home directory may be closed to others.
    """
    python, project, packages = (
        mounted("--bind", str(path)) for path in (sys.base_prefix, ROOT, sysconfig.get_path("purelib"))
    )
    home = mounted("-t", "tmpfs", "-o", f"uid={NOBODY},gid={NOBODY},mode=700", "tmpfs")
    shutil.copyfile(device, home / "disk.img")
    env = {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "HOME": str(home),
        "LD_LIBRARY_PATH": str(python / "lib"),
        "PYTHONPATH": f"{project}:{packages}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PACKSTORE_REPO": str(home / "repository"),
        "PACKSTORE_PASSPHRASE": SECRET,
    }
    interpreter = python / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"

    def run(*args: str, code: int = 0) -> Ran:
        done = subprocess.run(
            [*AS_NOBODY, str(interpreter), "-m", "packstore", *args],
            env=env,
            cwd=home,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        assert SECRET.encode() not in done.stdout + done.stderr
        return done

    return run


@pytest.mark.root
def test_a_user_without_rights(nobody: Callable[..., Ran], device: Path) -> None:
    """Who is not root could not use packstore: a process that hides from others must still see itself."""
    nobody("init", "--reserve", "1MiB", "--kdf", "interactive")
    nobody("backup", "disk.img", "--immutable")
    nobody("backup", "disk.img")
    assert nobody("restore", "disk.img", "-").stdout == device.read_bytes()
    nobody("restore", "disk.img", "new.img")
    seen = nobody("hold", "--", "sh", "-c", LOOK)
    assert seen.stdout.endswith(b"looked\n")
    assert b"PACKSTORE_REPO=" not in seen.stdout  # though it is a process of the same user
    assert b"/environ: Permission denied" in seen.stderr
    nobody("rm", "--force", "disk.img~1")
    nobody("gc")
    nobody("check")
    assert b"nobody is" in nobody("status").stdout


def test_not_in_the_environment_of_the_process(secret: Program) -> None:
    """Root, or whoever is given a list of processes with their variables, would read passphrases at leisure."""
    seen = secret.plain("hold", "--", "sh", "-c", f"{LOOK}").expect(0)
    assert seen.out.endswith("looked\n")
    assert "packstore" in seen.out  # the command line
    if os.geteuid() == 0:
        assert f"PACKSTORE_REPO={secret.repo}" in seen.out
    assert SECRET not in seen.out


def test_not_in_the_environment_of_children(secret: Program) -> None:
    """Every hook and every rsync would be handed the passphrase, and hand it on."""
    seen = secret.plain("hold", "--", "env").expect(0).out.splitlines()
    assert f"PACKSTORE_REPO={secret.repo}" in seen
    assert not [line for line in seen if line.partition("=")[0] in VARIABLES or SECRET in line]


def test_not_in_the_environment_of_the_passphrase_command(secret: Program) -> None:
    """What asks a password manager would learn passphrases that it was not asked for."""
    seen = secret.home / "seen"
    del secret.env["PACKSTORE_PASSPHRASE"]
    command = f"sh -c 'env > {seen}; echo {SECRET}'"
    secret.plain("ls", env={"PACKSTORE_PASSPHRASE_COMMAND": command}).expect(0)
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert "PACKSTORE_REPO" in names
    assert not names & set(VARIABLES)


@pytest.mark.root
@pytest.mark.parametrize("number", ["ABRT", "SEGV"])
def test_no_core_file(secret: Program, number: str) -> None:
    """A crash would write keys and passphrases to a disk that they are to protect."""
    assert os.WCOREDUMP(_end_of(secret, ["sh", "-c", f"kill -{number} $$"]))  # so it can be noticed at all
    for path in secret.home.glob("core*"):
        path.unlink()
    status = _end_of(secret, secret.bare("hold", "--", "sh", "-c", f"kill -{number} $PPID"))
    assert os.WTERMSIG(status) == signal.Signals[f"SIG{number}"]
    assert not os.WCOREDUMP(status)
    assert not list(secret.home.glob("core*"))


def _end_of(program: Program, command: list[str]) -> int:
    """Run a command that may write core files of any size; return how it ended."""
    unlimited = ["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", *command]
    process = subprocess.Popen(unlimited, env=program.environment(), cwd=program.home, stderr=subprocess.DEVNULL)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return status


COMMANDS = [
    ["backup", "nowhere"],
    ["check"],
    ["check", "--keyless"],
    ["gc"],
    ["key", "add", "--passphrase", "--kdf", "interactive"],
    ["key", "change", "nothing"],
    ["key", "export"],
    ["key", "ls"],
    ["key", "test", "--ask"],
    ["ls", "--nonsense"],
    ["restore", "nothing", "-"],
    ["status"],
    ["sync", "nowhere", "elsewhere"],
    ["hold", "--", "no-such-command"],
]


@pytest.mark.parametrize("form", ["-v", "--json"])
@pytest.mark.parametrize("wrong", [False, True], ids=["opened", "wrong passphrase"])
def test_not_in_any_output(secret: Program, form: str, *, wrong: bool) -> None:
    """Passphrases would end in the journal, and in mails to people who are not to know them."""
    if wrong:
        secret.env["PACKSTORE_PASSPHRASE"] = f"wrong {SECRET}"
    codes = set()
    for command in COMMANDS:
        done = secret.plain(form, *command)
        assert SECRET not in done.out + done.err, command
        assert "Traceback" not in done.err
        codes.add(done.code)
    assert 0 in codes
    assert (22 in codes) is wrong


UNFORESEEN = """
import sys
from packstore.cli.main import main
import packstore.repository.opening as opening
def fail(*arguments):
    raise RuntimeError(arguments)
opening.open_slot = fail
sys.argv[0] = "packstore"
main()
"""


@pytest.mark.parametrize("source", ["PACKSTORE_PASSPHRASE", "PACKSTORE_PASSPHRASE_FILE", "PACKSTORE_KEY_FILE"])
def test_not_in_a_traceback(secret: Program, source: str) -> None:
    """A mistake in packstore would show what it was working with, to be pasted into a report."""
    path = secret.home / "secret"
    text = SECRET
    if source == "PACKSTORE_KEY_FILE":
        secret.plain("key", "add", "--key-file", path).expect(0)
        text = path.read_text().strip()
    else:
        path.write_text(text)
    env = {source: str(path)} if source != "PACKSTORE_PASSPHRASE" else {}
    if env:
        del secret.env["PACKSTORE_PASSPHRASE"]
    done = secret.run([sys.executable, "-c", UNFORESEEN, "-v", "ls"], env=env)
    assert done.code == 1
    assert "Traceback" in done.err
    assert "Credential(" in done.err  # what was shown is not what is secret in it
    for shown in (text, repr(text.encode()), text.encode().hex()):
        assert shown not in done.out + done.err
