"""The units and the rule in contrib/ do what docs/CONFIGURATION.md says of them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CONTRIB = Path(__file__).parents[2] / "contrib"
UNITS = sorted(path.name for path in (CONTRIB / "systemd").glob("packstore-*@.*"))
MOST_EXPOSED = 25
"""Of 100, which is a service that may do anything. Reading any disk as root is most of it."""
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they would be installed for a repository called usb, with a packstore that exists."""
    program = tmp_path / "packstore"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -m packstore\n")
    program.chmod(0o755)
    folder = tmp_path / "units"
    shutil.copytree(CONTRIB / "systemd", folder)
    for path in folder.glob("packstore-*@.*"):
        text = path.read_text()
        assert path.suffix == ".timer" or "ExecStart=/usr/local/bin/packstore " in text
        path.write_text(text.replace("/usr/local/bin/packstore", str(program)))
        shutil.copy(path, folder / path.name.replace("@", "@usb"))
    return folder


def analyze(units: Path, *args: str) -> str:
    """Run systemd-analyze; return all that it says."""
    done = subprocess.run(["systemd-analyze", *args], cwd=units, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_units_are_understood(units: Path, unit: str) -> None:
    """Systemd would pass over what it does not understand: a timer that never starts, a guard that is none."""
    assert analyze(units, "verify", f"./{unit.replace('@', '@usb')}") == ""


@needs_systemd
@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.endswith(".service")])
def test_services_may_do_little(units: Path, unit: str) -> None:
    """A service that reads every disk could also write to them, or talk to the network."""
    said = analyze(
        units,
        "security",
        "--offline=yes",
        "--no-pager",
        f"--threshold={MOST_EXPOSED}",
        f"./{unit.replace('@', '@usb')}",
    )
    for passed in ("ProtectSystem=", "NoNewPrivileges=", "CapabilityBoundingSet=~CAP_SYS_ADMIN", "IPAddressDeny="):
        assert any(line.startswith("✓ " + passed) for line in said.splitlines()), passed


def test_each_service_has_its_timer() -> None:
    """`systemctl enable packstore-gc@usb.timer` would find none."""
    services = {name.removesuffix(".service") for name in UNITS if name.endswith(".service")}
    assert services == {name.removesuffix(".timer") for name in UNITS if name.endswith(".timer")}
    assert services == {"packstore-backup@", "packstore-check@", "packstore-gc@"}


UUID = "1c0ffee5-0000-4000-8000-000000000001"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A block device with a file system that has this UUID."""
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-U", UUID, image], check=True)
    made = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=True).stdout.strip()
    yield Path(made)
    subprocess.run(["losetup", "-d", made], check=True)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("udevadm"), reason="needs root and udevadm")
@pytest.mark.parametrize(("uuid", "starts"), [(UUID, True), (UUID.replace("1c", "2c"), False)])
def test_the_rule_starts_the_backup_of_this_disk_alone(disk: Path, tmp_path: Path, uuid: str, starts: bool) -> None:
    """Plugging the disk in would start nothing, or plugging any disk in the backup."""
    rule = (CONTRIB / "udev/99-packstore.rules").read_text()
    unset = "00000000-0000-0000-0000-000000000000"
    assert unset in rule
    (tmp_path / "rule").write_text(rule.replace(unset, uuid))
    # In a mount namespace of its own: the rules of this machine stay as they are.
    script = (
        "mkdir -p /run/udev && mount -t tmpfs none /run/udev && mkdir /run/udev/rules.d && "
        f'cp "$1" /run/udev/rules.d/99-packstore.rules && udevadm test --action=add /sys/class/block/{disk.name} 2>&1'
    )
    command = ["unshare", "--mount", "sh", "-ec", script, "sh", str(tmp_path / "rule")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "99-packstore.rules:" not in done.stdout, "udev says what it does not understand"
    assert ("SYSTEMD_WANTS=packstore-backup@usb.service" in done.stdout) == starts
