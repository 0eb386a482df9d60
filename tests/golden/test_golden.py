"""Repositories written by earlier packstores, which must stay readable for ever."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NAMES = sorted(path.name for path in HERE.iterdir() if path.is_dir() and path.name != "__pycache__")


def run(name: str, index: Path, *arguments: str) -> Any:
    """Run packstore on a golden repository; return its JSON."""
    environment = os.environ | {
        "PACKSTORE_PASSPHRASE_FILE": str(HERE / name / "passphrase"),
        "PACKSTORE_INDEX_DIR": str(index),
    }
    environment.pop("PACKSTORE_PASSPHRASE", None)
    command = [sys.executable, "-m", "packstore", "-r", str(HERE / name / "repository"), "--json", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def expected(name: str) -> dict[str, dict[str, Any]]:
    """Return what each version of a golden repository holds, by uid."""
    found: dict[str, dict[str, Any]] = json.loads((HERE / name / "versions.json").read_text())
    return found


def test_there_is_one() -> None:
    """Without a golden repository nothing would notice that old ones cannot be read."""
    assert "format-1" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_was_not_edited(name: str) -> None:
    """A golden repository that changes with the program proves nothing."""
    sums = {}
    for line in (HERE / name / "SHA256SUMS").read_text().splitlines():
        digest, _, path = line.partition("  ")
        sums[path] = digest
    files = [path for path in (HERE / name / "repository").rglob("*") if path.is_file()]
    assert {str(path.relative_to(HERE / name)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files} == sums


@pytest.mark.parametrize("name", NAMES)
def test_every_version_restores(name: str, tmp_path: Path) -> None:
    """Somebody's old backups could not be restored by this program."""
    listed = run(name, tmp_path / "index", "ls")["versions"]
    assert {version["uid"]: version["volume"] for version in listed} == {
        uid: version["volume"] for uid, version in expected(name).items()
    }
    for uid, version in expected(name).items():
        out = tmp_path / uid
        run(name, tmp_path / "index", "restore", uid, str(out))
        assert hashlib.sha256(out.read_bytes()).hexdigest() == version["sha256"]
        assert run(name, tmp_path / "index", "show", uid)["version"]["tags"] == sorted(version["tags"])


@pytest.mark.parametrize("name", NAMES)
def test_check_is_clean(name: str, tmp_path: Path) -> None:
    """This program would call a good old repository damaged."""
    assert run(name, tmp_path / "index", "check", "--no-record")["clean"]
    assert run(name, tmp_path / "index", "check", "--keyless")["clean"]
