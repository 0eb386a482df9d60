"""README and ARCHITECTURE name what exists, and the quick start works as written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/decisions/README.md",
    "docs/CONFIGURATION.md",
    "docs/RETENTION.md",
    "docs/SECURITY.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_exist(page: str) -> None:
    """A newcomer who follows a link or opens a named file would find nothing."""
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
    named = re.findall(r"`((?:packstore|tests|tools|spec|docs|contrib)/[a-z_/]+\.?[a-zA-Z]*)`", text)
    missing += [path for path in named if not (ROOT / path.rstrip("/")).exists()]
    assert not missing


def test_every_decision_is_listed() -> None:
    """A decision that the list does not name would never be read."""
    listed = set(re.findall(r"\((\d{4}-[a-z0-9-]+\.md)\)", (ROOT / "docs/decisions/README.md").read_text()))
    assert listed == {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}


def test_quick_start(tmp_path: Path) -> None:
    """The first commands that anybody types would fail."""
    block = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    commands = [line.split("#")[0].strip() for line in block[1].splitlines()]
    commands = [line for line in commands if line.startswith("packstore ")]
    assert len(commands) >= 7
    device = tmp_path / "root"
    device.write_bytes(os.urandom(3_000_001))
    script = (
        "\n".join(commands)
        .replace("/dev/vg/root", str(device))
        .replace("packstore ", f"{sys.executable} -m packstore ")
    )
    environment = os.environ | {
        "PACKSTORE_REPO": str(tmp_path / "repository"),
        "PACKSTORE_PASSPHRASE": "correct horse",
        "PACKSTORE_INDEX_DIR": str(tmp_path / "index"),
    }
    content = device.read_bytes()
    done = subprocess.run(
        ["sh", "-ec", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "root.img").read_bytes() == content
    assert device.read_bytes() == content
