"""The units and the rule in contrib/ do what docs/CONFIGURATION.md says of them."""

import json
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


def settings(key: str) -> list[str]:
    """The words that the services are given for a key."""
    lines = (CONTRIB / "systemd/packstore-.service.d/hardening.conf").read_text().splitlines()
    return [word for line in lines if line.startswith(f"{key}=") for word in line.partition("=")[2].split()]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts")
def test_a_run_within_what_the_services_may_do(tmp_path: Path) -> None:
    """The first backup by the timer would fail: for want of a privilege, or of a place for the index.

    What the unit asks of systemd is done here by hand: its variables, its capabilities, and a system of which nothing
    can be written to but the places that it names.
    """
    source = tmp_path / "disk.img"
    source.write_bytes(os.urandom(300_000))
    source.chmod(0)
    (tmp_path / "config.toml").write_text(
        f'[repositories.usb]\npath = "/mnt/backup"\nkey_file = "/etc/packstore/key"\n'
        f'[volumes.disk]\nsource = "{source}"\n[limits]\nnice = 12\nio_priority = "idle"\n'
    )
    assert "-/mnt" in settings("ReadWritePaths")
    places = [f"/var/cache/{name}" for name in settings("CacheDirectory")]
    places += [f"/var/lib/{name}" for name in settings("StateDirectory")]
    capabilities = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in settings("CapabilityBoundingSet"))
    packstore = f"{sys.executable} -m packstore"
    start = f"env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 {' '.join(settings('Environment'))}"
    script = f"""
        for place in /etc /mnt /var/cache /var/lib; do mount -t tmpfs none $place; done
        mkdir -p /etc/packstore {" ".join(places)}
        for place in {" ".join(places)}; do mount -t tmpfs none $place; done
        mount -o remount,ro /var/cache && mount -o remount,ro /var/lib
        {start} {packstore} init -r /mnt/backup --key-file /etc/packstore/key --reserve 0 >&2
        cp {tmp_path}/config.toml /etc/packstore/
        mount -o remount,ro /etc && mount -o remount,bind,ro /
        exec {start} setpriv --bounding-set=-all,{capabilities} --inh-caps=-all -- {packstore} run -r usb --json
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script], cwd=CONTRIB.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [(step["step"], step["state"]) for step in json.loads(done.stdout)["steps"]]
    assert steps == [("backup", "done"), ("check", "done"), ("gc", "skipped")]
