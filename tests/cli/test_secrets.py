"""Secrets stay inside the process: out of core files, /proc, children, tracebacks."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.program import TIMEOUT, WITHOUT_PRIVILEGES, Program, wait_until

SECRET = "correct horse battery"
VARIABLES = dict.fromkeys(
    ("PACKSTORE_PASSPHRASE", "PACKSTORE_NEW_PASSPHRASE", "PACKSTORE_SRC_PASSPHRASE", "PACKSTORE_DST_PASSPHRASE"), SECRET
)


@pytest.fixture
def opened(program: Program) -> Program:
    """A repository that is opened by a passphrase."""
    program.plain("init", "--reserve", "0", "-r", program.repo, env=VARIABLES).expect(0)
    return program


@contextmanager
def backing_up(program: Program, before: str = "") -> "Iterator[subprocess.Popen[bytes]]":
    """A backup that waits for its standard input; the shell's commands `before` come first."""
    command = program.bare("backup", "-", "stream", "-v", "-r", program.repo)
    with subprocess.Popen(
        ["sh", "-c", f'{before}\nexec "$@"', "sh", *command],
        env=program.environment(**VARIABLES),
        cwd=program.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until(lambda: list(program.repo.glob("gc/intent-*")), lambda: "the writer")
            yield process
        finally:
            process.kill()


def test_what_proc_shows(opened: Program) -> None:
    """The passphrase would be in the list of processes, or in what root's backup of a process's state takes along."""
    with backing_up(opened) as process:
        proc = Path("/proc", str(process.pid))
        environment = (proc / "environ").read_bytes() if os.geteuid() == 0 else b"PACKSTORE_PASSPHRASE="
        assert b"PACKSTORE_PASSPHRASE=" in environment
        for shown in (environment, (proc / "cmdline").read_bytes(), (proc / "comm").read_bytes()):
            assert SECRET.encode() not in shown
        (cores,) = (line for line in (proc / "limits").read_text().splitlines() if line.startswith("Max core file"))
        assert cores.split()[-3:] == ["0", "0", "bytes"]


@pytest.mark.root
def test_what_another_process_of_the_same_user_may_read(opened: Program) -> None:
    """Whatever else runs as this user, a browser say, could read the keys out of the memory of a backup."""
    reader = [*WITHOUT_PRIVILEGES, "head", "-c", "1"]
    with backing_up(opened, f'set -- {shlex.join(WITHOUT_PRIVILEGES)} "$@"') as process:
        for name in ("environ", "mem", "maps"):
            done = subprocess.run([*reader, f"/proc/{process.pid}/{name}"], capture_output=True, text=True, check=False)
            assert done.returncode == 1
            assert "Permission denied" in done.stderr
        assert subprocess.run([*reader, f"/proc/{process.pid}/stat"], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_no_core_file(opened: Program, number: signal.Signals) -> None:
    """A crash would leave the keys of the repository on the disk."""
    with backing_up(opened, "ulimit -c unlimited") as process:
        process.send_signal(number)
        assert process.wait(TIMEOUT) == -number
    assert not [path for path in opened.home.iterdir() if "core" in path.name]


def test_a_core_file_would_have_been_found(tmp_path: Path) -> None:
    """The test above would succeed because this machine writes no core files, or elsewhere."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    if pattern.startswith(("|", "/")):
        pytest.skip("this machine hands core files to a program")
    code = "import os; os.abort()"
    script = f'ulimit -c unlimited && exec "{sys.executable}" -c "{code}"'
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode == -signal.SIGABRT
    assert [path for path in tmp_path.iterdir() if "core" in path.name]


def test_children_of_hold(opened: Program) -> None:
    """Rsync and all that it starts would have the passphrase; or what they need to open a repository be missing."""
    env = VARIABLES | {"PACKSTORE_PASSPHRASE_KEYRING": "of the children", "KEPT": "yes"}
    done = opened.plain("-r", opened.repo, "hold", "--", "sh", "-c", "env; cat /proc/self/environ", env=env).expect(0)
    assert SECRET not in done.out + done.err
    assert "KEPT=yes" in done.out
    assert "PACKSTORE_PASSPHRASE_KEYRING=of the children" in done.out


def test_packstore_inside_hold(opened: Program, device: Path) -> None:
    """A backup inside `hold` could not be run at all, or not be told why it asks for a passphrase."""
    inner = opened.bare("-r", opened.repo, "backup", device)
    opened.plain("-r", opened.repo, "hold", "--", *inner, env=VARIABLES).refused(21, "PACKSTORE_PASSPHRASE_FILE")
    path = opened.home / "passphrase"
    path.write_text(SECRET)
    opened.plain("-r", opened.repo, "hold", "--", *inner, env={"PACKSTORE_PASSPHRASE_FILE": str(path)}).expect(0)


def test_the_command_that_prints_the_passphrase(opened: Program) -> None:
    """A password manager would be handed another repository's passphrase."""
    seen = opened.home / "seen"
    own = {name: value for name, value in VARIABLES.items() if name != "PACKSTORE_PASSPHRASE"}
    env = own | {"PACKSTORE_PASSPHRASE_COMMAND": f"sh -c 'env >{seen}; exit 7'"}
    opened.plain("ls", "-r", opened.repo, env=env).refused(20, "exit code 7")
    assert "PATH=" in seen.read_text()
    assert SECRET not in seen.read_text()


def test_tracebacks(opened: Program) -> None:
    """What somebody sends to have a mistake explained would contain the passphrase."""
    code = (
        "import sys; from packstore.codec import slots\nfrom packstore.cli.main import main\n"
        "def fail(*given): raise ZeroDivisionError('of course')\n"
        "slots.argon2id = fail\nmain()"
    )
    command = [sys.executable, "-c", code, "ls", "-v", "-r", str(opened.repo)]
    done = opened.run(command, env=VARIABLES)
    assert done.code == 1
    assert "Traceback" in done.err
    assert "of course" in done.err
    assert SECRET not in done.err + done.out


@pytest.fixture
def for_nobody() -> Iterator[Path]:
    """A directory in /tmp, where everybody may look; `code` in it is where the program's directories are to appear."""
    root = Path(tempfile.mkdtemp(prefix="packstore-nobody-"))
    root.chmod(0o755)
    for name in ("code", "site", "python", "home"):
        (root / name).mkdir()
    os.chown(root / "home", 65534, 65534)
    yield root
    for name in ("code", "site", "python"):
        (root / name).rmdir()  # never more than the directory: if it were still mounted, this would be the program
    shutil.rmtree(root)


_AS_NOBODY = """
set -e
mount --bind "$1" code; mount --bind "$2" site; mount --bind "$3" python
root=$PWD; cd home
exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all -- env \
  HOME="$PWD" PATH="$PATH" LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$root/code:$root/site" \
  sh -ec "$5" sh "$root/python/$4"
"""
_ALL_THAT_READS_PROC = """
packstore() { "$python" -m packstore -r repo "$@"; }
python=$1
head -c 3000000 /dev/urandom >disk
packstore init --key-file key --reserve 0 >/dev/null
packstore backup disk --key-file /dev/fd/9 9<key
packstore backup /dev/stdin piped --key-file key <disk
tail -n 1 key | PACKSTORE_PASSPHRASE_FILE=/dev/stdin packstore ls
packstore restore disk - --key-file key | cmp - disk
packstore restore disk back --key-file key
packstore hold --key-file key -- sh -c '"$1" -m packstore -r repo status --key-file key' sh "$python"
packstore check --key-file key
packstore gc --key-file key
cmp back disk
"""


@pytest.mark.root
def test_what_packstore_reads_of_itself_without_privileges(for_nobody: Path) -> None:
    """With its files in /proc belonging to root, packstore could not find what it was given, or who else is at work."""
    python = Path(sys.executable).resolve()
    base = Path(sys.base_prefix).resolve()
    arguments = [Path(__file__).parents[2], sysconfig.get_path("purelib"), base, python.relative_to(base)]
    command = ["unshare", "--mount", "sh", "-c", _AS_NOBODY, "sh", *map(str, arguments), _ALL_THAT_READS_PROC]
    done = subprocess.run(command, cwd=for_nobody, capture_output=True, text=True, check=False, timeout=2 * TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert "running  hold for sh" in done.stdout
    assert "Traceback" not in done.stderr
