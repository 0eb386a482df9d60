"""`packstore run`: what is due is done, one thing does not keep the other from being done, and it is said."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.aged import DAY, Aged
from tests.cli.program import Done, Program, wait_until

MIB = 1 << 20


def configure(program: Program, more: str, *, repository: str = "check_percent = 0") -> Path:
    """Write a configuration with this repository as usb."""
    path = program.home / ".config" / "packstore" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"[repositories.usb]\npath = {json.dumps(str(program.repo))}\nkey_file = {json.dumps(str(program.key))}\n"
        f"{repository}\n{more}\n"
    )
    return path


def volume(name: str, source: Path, *more: str) -> str:
    """A volume of the configuration."""
    return "\n".join([f"[volumes.{json.dumps(name)}]", f"source = {json.dumps(str(source))}", *more, ""])


DAILY = '[schedules.daily]\ninterval = "1d"\nkeep = 3\n'


def steps(done: Done) -> list[tuple[str, str | None, str]]:
    """What became of each step: its kind, volume and state."""
    return [(step["step"], step["volume"], step["state"]) for step in done.json["steps"]]


def tags(program: Program) -> dict[str, list[list[str]]]:
    """The tags of all versions, by volume."""
    found: dict[str, list[list[str]]] = {}
    for version in program.json("ls")["versions"]:
        found.setdefault(version["volume"], []).append(version["tags"])
    return found


def test_what_is_due_is_done_once(repo: Program, device: Path) -> None:
    """Each start of the timer would make a backup, or none would; and `due` would say otherwise."""
    db = '[schedules.db]\ninterval = "4h"\nkeep = 2\n'
    both = volume("disk", device, 'schedules = ["daily"]', 'tags = ["mine"]') + volume(
        "db", device, 'schedules = ["db"]'
    )
    configure(repo, both + DAILY + db)
    planned = repo.plain("run", "--dry-run", "--json").expect(0)
    assert steps(planned) == [("backup", "disk", "planned"), ("backup", "db", "planned"), ("gc", None, "skipped")]
    assert tags(repo) == {}
    done = repo.plain("run", "--json").expect(0)
    assert steps(done) == [("backup", "disk", "done"), ("backup", "db", "done"), ("gc", None, "skipped")]
    assert tags(repo) == {
        "disk": [["b_daily", "b_monthly", "b_weekly", "mine"]],
        "db": [["b_daily", "b_monthly", "b_weekly", "db"]],
    }
    assert done.json["steps"][0]["result"]["bytes_total"] == device.stat().st_size
    repo("due").expect(0)
    again = repo.plain("run", "--json").expect(0)
    assert steps(again) == [("backup", "disk", "skipped"), ("backup", "db", "skipped")]
    forced = repo.plain("run", "disk", "--now").expect(0)
    assert "disk    backup  done: version" in forced.out
    assert len(tags(repo)["disk"]) == 2
    assert len(tags(repo)["db"]) == 1


def test_a_volume_without_a_schedule_is_always_due(repo: Program, device: Path) -> None:
    """A volume in the file would never be backed up, because nothing says when."""
    configure(repo, volume("disk", device))
    repo.plain("run").expect(0)
    repo.plain("run").expect(0)
    assert len(tags(repo)["disk"]) == 2


def test_one_that_fails_does_not_stop_the_others(repo: Program, device: Path) -> None:
    """A disk that was taken out of the machine would end the backups of all others."""
    configure(
        repo,
        volume("bad", repo.home / "gone")
        + volume("good", device)
        + f'[repositories.nas]\npath = "{repo.home}/nas"\n'
        + f'[repositories.away]\npath = "{repo.home}/away"\noptional = true\n',
        repository="check_percent = 100",
    )
    done = repo.plain("run", "--json").expect(90)
    assert steps(done) == [
        ("backup", "bad", "failed"),
        ("backup", "good", "done"),
        ("check", None, "done"),
        ("gc", None, "skipped"),
        ("open", None, "failed"),
        ("open", None, "skipped"),
    ]
    found = done.json
    assert found["failed"] == 2
    assert found["steps"][0]["error"]["exit_code"] == 51
    assert found["steps"][4]["error"]["name"] == "RepositoryNotFound"
    assert found["steps"][2]["result"]["packs_checked"] == found["steps"][2]["result"]["packs_total"] > 0
    assert found["error"]["name"] == "RunFailed"
    assert "usb, backup of bad: " in done.err
    assert set(tags(repo)) == {"good"}
    assert not (repo.home / "nas").exists()


def test_damage_is_a_failure(stored: Program, device: Path) -> None:
    """A check that found damage at night would be a green line in the summary."""
    configure(stored, volume("disk.img", device), repository="check_percent = 100")
    pack = stored.only("packs/*/*")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    done = stored.plain("run", "--json").expect(90)
    assert ("check", None, "failed") in steps(done)
    (check,) = [step for step in done.json["steps"] if step["step"] == "check"]
    assert check["error"]["exit_code"] == 40
    assert check["result"]["clean"] is False


def test_prune_and_gc(aged: Aged, tmp_path: Path) -> None:
    """Versions would be kept for ever and the disk be full; or gc would read everything each night for nothing."""
    program = aged.program
    old = [aged.back_up(days * DAY, "disk", tags=("b_daily",)) for days in (30, 20, 10)]
    source = tmp_path / "source.img"
    source.write_bytes(random.Random(5).randbytes(200_000))
    path = configure(program, volume("disk", source, "retention = { last = 1 }"), repository="gc_percent = 100")
    dry = program.plain("run", "--dry-run", "--json").expect(0)
    assert ("prune", "disk", "planned") in steps(dry)
    assert len(aged.uids("disk")) == 3
    done = program.plain("run", "--json").expect(0)
    by_kind: dict[str, Any] = {step["step"]: step for step in done.json["steps"]}
    assert by_kind["prune"]["result"] == {"kept": 1, "removed": 3}
    assert by_kind["gc"]["state"] == "skipped"
    assert "would free" in by_kind["gc"]["reason"]
    assert not set(old) & set(aged.uids("disk"))
    path.write_text(path.read_text().replace("gc_percent = 100", "gc_percent = 1"))
    assert ("gc", None, "planned") in steps(program.plain("run", "--dry-run", "--json").expect(0))
    freed = program.plain("run", "--json").expect(0)
    (gc,) = [step for step in freed.json["steps"] if step["step"] == "gc"]
    assert (gc["state"], gc["result"]["packs_deleted"] > 0) == ("done", True)
    program("check").expect(0)
    last = program.plain("run", "--json").expect(0).json["steps"][-1]
    assert (last["step"], last["state"]) == ("gc", "skipped")


def test_the_guard_counts(aged: Aged, tmp_path: Path) -> None:
    """What `prune` by hand would keep because it is young would be removed at night."""
    aged.back_up(DAY, "disk", tags=("b_daily",))
    (tmp_path / "source.img").write_bytes(b"x" * 5000)
    path = configure(aged.program, volume("disk", tmp_path / "source.img", "retention = { last = 1 }"))
    aged.program.plain("run").expect(0)
    assert len(aged.uids("disk")) == 2
    path.write_text('[guards]\nmin_age = "0d"\n' + path.read_text())
    aged.program.plain("run").expect(0)
    assert len(aged.uids("disk")) == 1


def hooks(repo: Program, before: str = "") -> str:
    """Hooks that write down what they were told."""
    log = repo.home / "log"
    line = f"env | grep ^PACKSTORE_ | sort > {log}-$PACKSTORE_HOOK"
    return f"""[volumes.disk.hooks]
before = {json.dumps(line + before)}
after = {json.dumps(line)}
on_failure = {json.dumps(line)}
"""


def told(repo: Program, hook: str) -> dict[str, str]:
    """What a hook was told; nothing if it did not run."""
    path = repo.home / f"log-{hook}"
    return dict(line.split("=", 1) for line in path.read_text().splitlines()) if path.exists() else {}


def test_hooks_of_a_backup_that_succeeds(repo: Program, device: Path) -> None:
    """A database would stay frozen, or whoever looks at a version after its backup would not know which it is."""
    configure(repo, volume("disk", device) + hooks(repo, before="; echo noise; cp -r $PACKSTORE_SOURCE /dev/null"))
    done = repo.plain("run", "--json", env={"PACKSTORE_PASSPHRASE": "not for hooks"}).expect(0)
    assert "noise" in done.err
    about = {
        "PACKSTORE_HOOK": "before",
        "PACKSTORE_VOLUME": "disk",
        "PACKSTORE_SOURCE": str(device),
        "PACKSTORE_REPOSITORY": "usb",
        "PACKSTORE_REPO": str(repo.repo),
        "PACKSTORE_INDEX_DIR": str(repo.home / "index"),
    }
    assert told(repo, "before") == about
    result = {"PACKSTORE_RESULT": "ok", "PACKSTORE_EXIT_CODE": "0", "PACKSTORE_ERROR": ""}
    version = {"PACKSTORE_VERSION": done.json["steps"][0]["result"]["version"]}
    assert told(repo, "after") == about | result | version | {"PACKSTORE_HOOK": "after"}
    assert not told(repo, "on_failure")


def test_hooks_of_a_backup_that_fails(repo: Program) -> None:
    """A database would stay frozen because its disk could not be read."""
    configure(repo, volume("disk", repo.home / "gone") + hooks(repo))
    repo.plain("run").expect(90)
    for hook in ("after", "on_failure"):
        found = told(repo, hook)
        assert (found["PACKSTORE_RESULT"], found["PACKSTORE_EXIT_CODE"]) == ("failed", "51")
        assert "does not exist" in found["PACKSTORE_ERROR"]
        assert found["PACKSTORE_VERSION"] == ""


def test_a_hook_that_fails(repo: Program, device: Path) -> None:
    """A database that could not be frozen would be backed up while it writes; a failing hook would go unnoticed."""
    configure(repo, volume("disk", device) + hooks(repo, before="; exit 3"))
    done = repo.plain("run", "--json").expect(90)
    assert done.json["steps"][0]["error"] == {
        "name": "HookFailed",
        "exit_code": 91,
        "message": "the hook 'before' ended with code 3",
        "advice": "what it printed stands above",
    }
    assert told(repo, "after")["PACKSTORE_RESULT"] == "failed"
    assert tags(repo) == {}
    configure(repo, volume("disk", device) + '[volumes.disk.hooks]\nafter = "kill -9 $$"\n')
    done = repo.plain("run", "--json").expect(90)
    assert done.json["steps"][0]["error"]["message"] == "the hook 'after' was killed by signal 9"
    assert done.json["steps"][0]["result"]["version"]
    assert set(tags(repo)) == {"disk"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped(repo: Program, tmp_path: Path, number: signal.Signals) -> None:
    """`systemctl stop` would kill a backup, lose what it had stored, and leave the database frozen.

    The limit of the bandwidth is what keeps it from being over before it is stopped.
    """
    source = tmp_path / "big.img"
    source.write_bytes(random.Random(8).randbytes(12 * MIB))
    slow = '[limits]\nbandwidth_out = "2MiB"\nnice = 3\nio_priority = "idle"\nthreads = 1\n'
    path = configure(repo, volume("disk", source) + hooks(repo) + slow)
    process = subprocess.Popen(
        repo.bare("run", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=repo.environment(),
        start_new_session=True,
    )
    try:
        wait_until(lambda: len(list(repo.repo.glob("packs/*/*"))) > 1 or process.poll() is not None, lambda: "packs")
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == max(3, os.getpriority(os.PRIO_PROCESS, 0))
        shown = subprocess.run(["ionice", "-p", str(process.pid)], capture_output=True, text=True, check=True).stdout
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert shown == "idle\n"
    document = json.loads(out)
    assert [step["state"] for step in document["steps"]] == ["failed"]
    assert document["error"]["name"] == "Interrupted"
    assert told(repo, "after")["PACKSTORE_RESULT"] == "interrupted"
    path.write_text(path.read_text().replace(slow, ""))
    again = repo.plain("run", "--json").expect(0).json["steps"][0]["result"]
    assert 0 < again["bytes_new"] < 12 * MIB
    repo("check").expect(0)


def test_wrong_use(repo: Program, device: Path) -> None:
    """A name with a typing error would be a run that finds nothing to do."""
    repo.plain("run").refused(70, "no volumes are configured", "config.toml")
    path = configure(repo, volume("disk", device))
    repo.plain("run", "dsik").refused(2, "no volume 'dsik'", "disk")
    repo.plain("run", "-r", "nas").refused(2, "no repository 'nas'", "usb")
    repo.plain("run", "-r", repo.repo).refused(2, "no repository")
    path.write_text(volume("disk", device))
    repo.plain("run").refused(70, "no repositories are configured")
    path.write_text("[volumes.disk]\nsauce = 1\n")
    repo.plain("run").refused(70, ":2: volumes.disk.sauce is not known", "config check")


def test_no_snapshot_is_taken(repo: Program, device: Path) -> None:
    """Somebody would believe that a busy volume was backed up from a snapshot."""
    configure(repo, volume("disk", device, 'snapshot_size = "5GiB"'))
    assert "snapshot_size of disk is not used" in repo.plain("run").expect(0).err


@pytest.mark.root
def test_min_free(program: Program, mounted: Any, tmp_path: Path) -> None:
    """A backup would fill the disk that it shares with others; or, stopped by that, start anew each time."""
    program.repo = mounted("-t", "tmpfs", "-o", "size=48M", "packstore-test") / "repository"
    program("init", "--reserve", "0", "--block-size", "64KiB", "--pack-size", "1MiB").expect(0)
    source = tmp_path / "big.img"
    source.write_bytes(random.Random(9).randbytes(30 * MIB))

    def free() -> int:
        status = os.statvfs(program.repo)
        return status.f_bavail * status.f_frsize

    program("backup", source, "--min-free", "100MiB").refused(36, "100 MiB are to stay free", "packstore gc")
    assert not list(program.repo.glob("packs/*/*"))
    done = program("backup", source, "--min-free", "30MiB", "--json").expect(36)
    assert done.json["error"]["name"] == "FreeSpaceFloor"
    assert 30 * MIB <= free() < 36 * MIB
    configure(program, volume("big", source), repository='min_free = "20MiB"\ncheck_percent = 0')
    assert program.plain("run", "--json").expect(90).json["steps"][0]["error"]["exit_code"] == 36
    assert 20 * MIB <= free() < 26 * MIB
    program("ls").expect(0)
    ended = program.plain("backup", source, "-r", "usb", "--min-free", "0", "--json").expect(0).json
    assert ended["bytes_new"] < 12 * MIB
    assert program("restore", "big.img", "-").expect(0).raw == source.read_bytes()


def test_the_summary_of_a_process_that_cannot_write(repo: Program, device: Path) -> None:
    """Whoever runs it from a script that has closed its output would get a traceback."""
    configure(repo, volume("disk", device))
    done = subprocess.run(
        [sys.executable, "-c", "import os, sys; os.close(1); os.execv(sys.argv[1], sys.argv[1:])", *repo.bare("run")],
        env=repo.environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(tags(repo)) == {"disk"}
