"""Find the system's programs, and install the Debian packages of those that are missing.

    python3 tools/programs.py PROGRAM=PACKAGE …

Uses the standard library only, because `make setup` calls it before there is anything else. Installs
when it may (root, and a machine with apt-get); otherwise it says what to install and goes on, since
most of packstore can be built and tested without.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Debian keeps mkfs and its kind out of an ordinary user's PATH."""


class ToolError(Exception):
    """A tool cannot do its work; the message tells its user why and what would help."""


def find(program: str, package: str) -> str:
    """Return the path of `program`, or raise ToolError naming the Debian package it comes in."""
    path = shutil.which(program, path=SYSTEM_PATH)
    if path is None:
        raise ToolError(f"{program} is not installed; on Debian: apt-get install {package}")
    return path


def missing(programs: Mapping[str, str]) -> list[str]:
    """Return the packages of those programs (program -> package) that are not installed."""
    return sorted({package for program, package in programs.items() if not shutil.which(program, path=SYSTEM_PATH)})


def install_missing(programs: Mapping[str, str]) -> list[str]:
    """Install what is missing if that is allowed here; return the packages that are missing still."""
    wanted = missing(programs)
    if wanted and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing Debian packages: {' '.join(wanted)}", flush=True)
        apt_get("install", wanted)
        if missing(programs):  # a fresh container has no package lists yet
            apt_get("update", [])
            apt_get("install", missing(programs))
    return missing(programs)


def apt_get(command: str, packages: Sequence[str]) -> None:
    """Run apt-get quietly; whether it helped is found out by looking for what was wanted."""
    options = ["-y", "-q", "--no-install-recommends"] if command == "install" else ["-q"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(
        ["apt-get", command, *options, *packages],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
    )


def main(arguments: list[str]) -> int:
    """Install what the arguments (PROGRAM=PACKAGE) name and say what could not be installed."""
    lacking = install_missing(dict(argument.split("=", 1) for argument in arguments))
    if lacking:
        print(f"Missing, needed by `make demo` and some tests: apt-get install {' '.join(lacking)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
