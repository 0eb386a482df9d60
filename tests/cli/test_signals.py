"""Ctrl-C, SIGTERM and SIGKILL at many moments of a backup, and what is left of it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import Program, Terminal, wait_until

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 MiB that cannot be compressed: 24 packs."""
    path = tmp_path_factory.mktemp("signals") / "big.img"
    path.write_bytes(random.Random(7).randbytes(24 * MIB))
    return path


def sealed(program: Program) -> int:
    """Bytes in finished packs."""
    return sum(path.stat().st_size for path in program.repo.glob("packs/*/*") if path.suffix != ".tmp")


def wait_for_packs(program: Program, process: "subprocess.Popen[bytes]", count: int) -> None:
    """Wait until the backup has sealed so many packs."""

    def happened() -> bool:
        return len(list(program.repo.glob("packs/*/*"))) >= count or process.poll() is not None

    wait_until(happened, lambda: f"{count} packs")


def require_sound(program: Program, image: Path) -> None:
    """The repository is clean, and nothing that was stored is stored again."""
    before = sealed(program)
    assert "no damage found" in program("check").expect(0).out
    again = program.json("backup", image)
    assert again["bytes_stored"] < image.stat().st_size - before + MIB
    assert again["bytes_dedup"] + again["bytes_unchanged"] >= before - MIB
    program("check", "--keyless").expect(0)
    assert not list(program.repo.glob("gc/intent-" + "?" * 32))
    assert not [path for name in ("packs", "meta") for path in (program.repo / name).rglob("*.tmp")]
    assert program("restore", "big.img", "-").expect(0).raw == image.read_bytes()


MOMENTS = [("start", 0), ("intent", 0), ("packs", 1), ("packs", 7), ("packs", 20)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(("moment", "count"), MOMENTS)
def test_stopped(repo: Program, image: Path, number: signal.Signals, moment: str, count: int) -> None:
    """A backup that was stopped would damage the repository, or have to start from nothing."""
    with repo.running("backup", image, "--json", "--threads", "1") as process:
        if moment == "intent":
            wait_until(lambda: list(repo.repo.glob("gc/intent-*")), lambda: "the intent")
        elif moment == "packs":
            wait_for_packs(repo, process, count)
        else:
            time.sleep(0.15)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    elif moment == "start":
        assert process.returncode in {130, -number, -signal.SIGINT}  # Python itself may not have begun yet
    else:
        assert process.returncode == 130, err
        assert b"Traceback" not in err
        assert json.loads(out)["error"]["name"] == "Interrupted"
    require_sound(repo, image)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_the_pipe_is_silent(repo: Program, number: signal.Signals) -> None:
    """A backup of a stream that has stalled could only be killed."""
    reading, writing = os.pipe()
    with repo.running("backup", "-", "stream", stdin=reading) as process:
        os.close(reading)
        os.write(writing, random.Random(1).randbytes(60_000))
        wait_until(lambda: list(repo.repo.glob("gc/intent-*")), lambda: "the intent")
        time.sleep(0.3)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
        os.close(writing)
    assert process.returncode == 130
    assert b"run it again" in err
    assert not repo.json("ls")["versions"]
    repo("check").expect(0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(repo: Program, image: Path, number: signal.Signals) -> None:
    """Somebody in a hurry would have to find out how to kill a process."""
    with repo.running("backup", image, "--compression", "zstd:19", "--json") as process:
        wait_for_packs(repo, process, 2)
        process.send_signal(number)
        process.send_signal(number)
        while process.poll() is None:
            process.send_signal(number)  # one alone may be merged with the first
            time.sleep(0.05)
        out, err = process.communicate(timeout=5)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert json.loads(out)["error"]["name"] == "Interrupted"
    require_sound(repo, image)


STOPPED_IN_A_STRING = """
import os, signal, sys

def trace(frame, event, arg):
    if frame.f_code.co_filename == "<string>" and "packstore.cli.cmd_ls" in sys.modules:
        sys.settrace(None)
        os.kill(os.getpid(), signal.SIGNUMBER)

sys.settrace(trace)
"""
"""Sends a signal while the first dataclass is made for the command `ls`."""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_stopped_while_a_dataclass_is_made(repo: Program, tmp_path: Path, name: str) -> None:
    """A command that was told to end while it was starting would be reported as killed by SIGINT."""
    (tmp_path / "sitecustomize.py").write_text(STOPPED_IN_A_STRING.replace("SIGNUMBER", name))
    done = repo("--json", "ls", env={"PYTHONPATH": str(tmp_path)}).expect(130)
    assert done.json["error"]["name"] == "Interrupted"


def test_nohup(repo: Program, image: Path) -> None:
    """A backup started with nohup would end with the terminal all the same."""
    command = ["nohup", *repo.command("backup", image)]
    with subprocess.Popen(
        command, env=repo.environment(), cwd=repo.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for_packs(repo, process, 2)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0


def test_hangup(repo: Program, image: Path) -> None:
    """A terminal that is closed would leave a backup running, or a repository in disorder."""
    with repo.running("backup", image) as process:
        wait_for_packs(repo, process, 2)
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == 130
    require_sound(repo, image)


@pytest.fixture
def big(repo: Program, image: Path) -> Program:
    """A repository with the image in it."""
    repo("backup", image).expect(0)
    return repo


def test_restore_and_check(big: Program, tmp_path: Path) -> None:
    """A restore that was stopped would look complete, or be told that it could go on."""
    target = tmp_path / "out"
    with big.running("restore", "big.img", target, "--threads", "1") as process:
        wait_until(target.exists, lambda: "the target")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"{target} is incomplete".encode() in err
    with big.running("check", "--threads", "1") as process:
        time.sleep(0.6)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode in {0, 130}
    assert b"Traceback" not in err
    big("check").expect(0)


def test_in_a_terminal(repo: Program, image: Path, terminal: Callable[..., Terminal]) -> None:
    """Ctrl-C would leave the terminal without a cursor, or whoever pressed it without an answer."""
    shown = terminal("backup", image, "-r", repo.repo, "--key-file", repo.key, "--threads", "1")
    shown.wait_for("backing up big.img")
    shown.wait_for("MiB")
    shown.type("\x03")
    assert shown.end() == 130
    assert "stopping when it is safe" in shown.shown
    assert "run it again" in shown.shown
    assert shown.shown.rfind("\x1b[?25h") > shown.shown.rfind("\x1b[?25l")
    require_sound(repo, image)


def test_twice_in_a_terminal(repo: Program, image: Path, terminal: Callable[..., Terminal]) -> None:
    """A second Ctrl-C would leave the terminal without a cursor."""
    shown = terminal("backup", image, "-r", repo.repo, "--key-file", repo.key, "--compression", "zstd:22")
    shown.wait_for("MiB")
    shown.type("\x03")
    shown.wait_for("stopping")
    shown.type("\x03")
    assert shown.end() == 130
    assert shown.shown.rfind("\x1b[?25h") > shown.shown.rfind("\x1b[?25l")
    assert not repo.json("ls")["versions"]
    repo("check").expect(0)


def test_stopped_inside_a_callback(repo: Program) -> None:
    """A signal while Python calls back, as when it imports, would be swallowed, and the backup go on for hours."""
    code = (
        "import os, signal, sys, time, weakref\nfrom packstore.cli import main\n"
        "class Thing: pass\n"
        "def run(*_):\n    thing = Thing()\n"
        "    ref = weakref.ref(thing, lambda _: [os.kill(os.getpid(), signal.SIGTERM), time.sleep(0)])\n"
        "    del thing\n    time.sleep(50)\n    return 0\n"
        "main.run = run\nmain.main()"
    )
    done = repo.run([sys.executable, "-c", code])
    assert done.code == 130
    assert "ignored" not in done.err
