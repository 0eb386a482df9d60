"""`hold` and `status`: who is at work, and keeping everything from being deleted."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.cli.program import Program, wait_until


@contextmanager
def running(program: Program, *args: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A command under way whose options do not come after COMMAND."""
    with subprocess.Popen(
        program.bare(*args), env=program.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        yield process


@pytest.fixture
def repo(repo: Program) -> Program:
    """Options behind COMMAND would be COMMAND's: repository and key come from the environment."""
    repo.env.update(PACKSTORE_REPO=str(repo.repo), PACKSTORE_KEY_FILE=str(repo.key))
    return repo


def intents(program: Program) -> list[str]:
    """The intents that are there."""
    return [path.name for path in program.repo.glob("gc/intent-*")]


@pytest.mark.parametrize("code", [0, 3, 40])
def test_the_exit_code_is_the_commands(repo: Program, code: int) -> None:
    """A script around rsync would not learn that rsync has failed."""
    assert repo.plain("hold", "--", "sh", "-c", f"exit {code}").code == code
    assert intents(repo) == []


def test_a_command_that_is_killed(repo: Program) -> None:
    """A killed rsync would look like one that has succeeded, or leave everything held."""
    assert repo.plain("hold", "--", "sh", "-c", "kill -9 $$").code == 128 + 9
    assert intents(repo) == []


def test_a_command_that_does_not_exist(repo: Program) -> None:
    """A typing error would end in a traceback, or in a hold that stays."""
    assert "cannot run no-such-command" in repo.plain("hold", "--", "no-such-command").expect(2).err
    assert "--help" in repo.plain("hold").expect(2).err
    assert intents(repo) == []


def test_status_names_the_hold(repo: Program) -> None:
    """Nobody could find out why nothing is deleted."""
    inner = repo.command("--json", "status")
    found = json.loads(repo.plain("hold", "--", *inner).expect(0).out)
    assert [(notice["role"], notice["dead"], notice["holds_all"]) for notice in found["notices"]] == [
        ("hold", False, True)
    ]
    assert "hold for" in found["notices"][0]["purpose"]
    assert "nobody is writing" in repo("status").expect(0).out


def test_times_are_local(repo: Program) -> None:
    """`status` would show hours at which nothing happened, beside those that `ls` shows."""
    east = timezone(timedelta(hours=13, minutes=30))
    with running(repo, "hold", "--", "sleep", "60") as process:
        wait_until(lambda: intents(repo), lambda: "an intent")
        since = datetime.fromisoformat(repo.json("status")["notices"][0]["since"])
        assert since.utcoffset() == timedelta()
        text = repo("status", env={"TZ": "EAST-13:30"}).expect(0).out
        assert f"{since.astimezone(east):%Y-%m-%d %H:%M:%S}" in text
        process.terminate()


def test_sigterm_is_handed_on(repo: Program) -> None:
    """Systemd would stop the hold and leave rsync running without it."""
    with running(repo, "hold", "--", "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done") as process:
        wait_until(lambda: intents(repo), lambda: "the hold")
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 9
    assert intents(repo) == []


def test_a_hold_lasts_as_long_as_its_command(repo: Program, tmp_path: Path) -> None:
    """The process between would be killed for want of memory, and what rsync is reading be deleted."""
    with running(repo, "hold", "--", "sh", "-c", f"sleep 4; touch {tmp_path}/over") as process:
        wait_until(lambda: intents(repo), lambda: "the hold")
        time.sleep(1)
        process.kill()
        process.wait()
        assert [notice["dead"] for notice in repo.json("status")["notices"]] == [False]
        wait_until((tmp_path / "over").exists, lambda: "the command")
    time.sleep(0.2)
    assert [notice["dead"] for notice in repo.json("status")["notices"]] == [True]


def test_a_killed_hold_is_seen_to_be_dead(repo: Program) -> None:
    """A hold whose process was killed would keep garbage for ever."""
    with running(repo, "hold", "--", "sleep", "30") as process:
        wait_until(lambda: intents(repo), lambda: "the hold")
        time.sleep(0.5)
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
        process.kill()
        for child in children.stdout.split():
            subprocess.run(["kill", child], check=False)
        process.communicate(timeout=20)
    assert [notice["dead"] for notice in repo.json("status")["notices"]] == [True]


def test_declared_dead(repo: Program) -> None:
    """A wrong guess about a running hold would go unnoticed, and the copy that it was for be taken for complete."""
    with running(repo, "hold", "--", "sleep", "2") as process:
        wait_until(lambda: intents(repo), lambda: "the hold")
        found = repo.json("status")["notices"][0]["id"]
        assert "taken for dead" in repo("status", "--declare-dead", found[:8]).expect(0).out
        _, err = process.communicate(timeout=20)
    assert process.returncode == 18
    assert b"may have been deleted" in err
    assert "no process has announced itself" in repo("status", "--declare-dead", found[:8]).expect(14).err
