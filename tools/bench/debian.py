"""Two disk images with a real Debian system: its first day, and its second after a day of real changes.

    python -m tools.bench.debian FIRST SECOND [--mirror URL]

Needs root and a Debian mirror. Works through a loop mount in mount and process namespaces of its own, so that whatever
happens, no mount and no database server is left behind. Freed blocks keep their old bytes, as on any disk.
"""

import argparse
import gzip
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tools.images import copy_sparse
from tools.measure import MIB, Command, run
from tools.programs import ToolError, find, install_missing

SUITE = "bookworm"
"""Always the same one, so that figures of different years are about the same data."""
ABOUT = (
    "debian.img is a real Debian system: a database, a web server with a week of logs, compilers. debian-day2.img is "
    "the same one a day later: packages installed and purged, database pages changed, a database file of 100 MiB "
    "written, logs grown and rotated, files edited and removed."
)
IMAGE_BYTES = 8192 * MIB
PACKAGES = [
    "gcc",
    "g++",
    "make",
    "perl",
    "vim",
    "git",
    "python3",
    "python3-numpy",
    "python3-django",
    "postgresql",
    "postgresql-contrib",
    "nginx",
    "openssh-server",
    "rsyslog",
    "linux-image-amd64",
    "locales",
    "man-db",
    "manpages-dev",
    "golang-go",
    "default-jre-headless",
]
PACKAGES_DAY_2 = ("redis-server", "php-fpm")
PURGED_DAY_2 = ("golang-go", "golang-1.19-go", "golang-src", "golang-1.19-src")
DATABASE_BYTES = 100 * MIB
_PROGRAMS = {"debootstrap": "debootstrap", "mkfs.ext4": "e2fsprogs", "unshare": "util-linux", "chroot": "coreutils"}


def build(first: Path, second: Path, mirror: str | None) -> None:
    """Make whichever of both images is missing; raise ToolError where this machine cannot."""
    if os.geteuid() != 0:
        raise ToolError("only root can build the Debian images; as anybody else: make bench-quick")
    lacking = install_missing(_PROGRAMS)
    if lacking:
        raise ToolError(f"install these Debian packages: {' '.join(lacking)}")
    options = ("--mirror", mirror) if mirror else ()
    run(
        Command(
            (
                *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *(sys.executable, "-m", "tools.bench.debian", str(first.absolute()), str(second.absolute()), *options),
            )
        )
    )


def _first_day(image: Path, mirror: str | None) -> None:
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    run(Command((find("mkfs.ext4", "e2fsprogs"), "-q", "-L", "debian", str(image))))
    with _mounted(image) as root:
        run(Command(("debootstrap", SUITE, str(root), *([mirror] if mirror else []))))
    with _system(image) as system:
        shutil.copy("/etc/resolv.conf", system.root / "etc/resolv.conf")
        policy = system.root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")  # no services while packages are installed
        policy.chmod(0o755)
        (system.root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
        system.install(PACKAGES)
        with system.database():
            system.as_postgres("createdb bench && pgbench -q -i -s 12 bench")
        _write_logs(system.root / "var/log/nginx", random.Random(1))  # noqa: S311 (the same data every time)


def _second_day(image: Path) -> None:
    chance = random.Random(2)  # noqa: S311 (the same data every time)
    with _system(image) as system:
        system.install(PACKAGES_DAY_2)
        system.run("apt-get", "purge", "-qqy", *PURGED_DAY_2)
        system.run("apt-get", "clean")
        with system.database():
            system.as_postgres("pgbench -n -c 2 -t 1500 bench")  # random pages of tables, indexes and its log
        _write_database(system.root / "var/lib/app.db", system.root, chance)
        _go_on_with_logs(system.root / "var/log", chance)
        _edit_and_remove(system.root, chance)


class _System:
    """The mounted system, to run its own programs in."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *argv: str) -> None:
        """Run a program of the system."""
        clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
        run(Command(("chroot", str(self.root), *clean, *argv)))

    def install(self, packages: tuple[str, ...] | list[str]) -> None:
        """Install packages with all that they recommend."""
        self.run("apt-get", "update", "-qq")
        self.run("apt-get", "install", "-qqy", *packages)

    def as_postgres(self, line: str) -> None:
        """Run a line of shell as the database's user."""
        self.run("su", "postgres", "-c", line)

    @contextmanager
    def database(self) -> Iterator[None]:
        """Run the database server."""
        version = next((self.root / "usr/lib/postgresql").iterdir()).name
        control = f"/usr/lib/postgresql/{version}/bin/pg_ctl -w -D /var/lib/postgresql/{version}/main"
        configuration = f"config_file=/etc/postgresql/{version}/main/postgresql.conf"
        self.run("install", "-d", "-o", "postgres", "-g", "postgres", "/run/postgresql")
        log = "/var/log/postgresql/bench.log"
        self.as_postgres(f"{control} -o '-c {configuration} -c listen_addresses=' -l {log} start >/dev/null")
        try:
            yield
        finally:
            self.as_postgres(f"{control} -m fast stop >/dev/null")


@contextmanager
def _mounted(image: Path) -> Iterator[Path]:
    root = image.with_name(image.name + ".mnt")
    root.mkdir(exist_ok=True)
    run(Command(("mount", "-o", "loop", str(image), str(root))))
    try:
        yield root
    finally:
        run(Command(("umount", "--recursive", str(root))))
        root.rmdir()


@contextmanager
def _system(image: Path) -> Iterator[_System]:
    with _mounted(image) as root:
        for argv in (
            ("mount", "-t", "proc", "proc", str(root / "proc")),
            ("mount", "--bind", "/dev", str(root / "dev")),
            ("mount", "-t", "tmpfs", "shm", str(root / "dev/shm")),  # the database's shared memory
        ):
            run(Command(argv))
        yield _System(root)


def _access_log(chance: random.Random, lines: int, day: int) -> Iterator[str]:
    for number in range(lines):
        second = number * 86400 // lines
        host = f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(256)}"
        when = f"{day:02}/Nov/2026:{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} +0000"
        item = f"/item/{int(chance.paretovariate(1))}?s={chance.getrandbits(32):08x}"
        status, size = chance.choice((200, 200, 200, 304, 404)), chance.randrange(200, 90000)
        yield f'{host} - - [{when}] "GET {item} HTTP/1.1" {status} {size} "-" "Mozilla/5.0 (X11; Linux x86_64)"\n'


def _write_logs(directory: Path, chance: random.Random) -> None:
    """Write a week of a web server's logs, the older ones compressed."""
    for age in range(2, 8):
        with gzip.open(directory / f"access.log.{age}.gz", "wt") as packed:
            packed.writelines(_access_log(chance, 60_000, 23 - age))
    for name, lines, day in (("access.log.1", 60_000, 22), ("access.log", 30_000, 23)):
        with (directory / name).open("w") as plain:
            plain.writelines(_access_log(chance, lines, day))


def _go_on_with_logs(logs: Path, chance: random.Random) -> None:
    """Rotate the web server's log, and append to the system's."""
    (logs / "nginx/access.log").rename(logs / "nginx/access.log.0")
    with (logs / "nginx/access.log").open("w") as file:
        file.writelines(_access_log(chance, 60_000, 24))
    with (logs / "syslog").open("a") as file:
        for number in range(50_000):
            request, milliseconds = chance.getrandbits(32), chance.randrange(500)
            process = chance.randrange(999, 9999)
            minute = f"2026-11-24T{number // 3000:02}:{number // 50 % 60:02}"
            file.write(f"{minute} debian app[{process}]: request {request:08x} done in {milliseconds} ms\n")


def _write_database(path: Path, root: Path, chance: random.Random) -> None:
    """Write a database file of words and random bytes, with an index."""
    words = (root / "usr/share/common-licenses/GPL-3").read_text().split()
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table item (id integer primary key, name text, value blob)")
        while path.stat().st_size < DATABASE_BYTES:
            rows = [(" ".join(chance.choices(words, k=12)), chance.randbytes(100)) for _ in range(20_000)]
            database.executemany("insert into item (name, value) values (?, ?)", rows)
            database.commit()
        database.execute("create index by_name on item (name)")
        database.commit()


def _edit_and_remove(root: Path, chance: random.Random) -> None:
    """Remove every fifth changelog, and add a line to ten files of /etc."""
    # Packages of one source may share a directory: a link to one would lead to the same files again.
    directories = (path for path in (root / "usr/share/doc").iterdir() if path.is_dir() and not path.is_symlink())
    changelogs = sorted(path for directory in directories for path in directory.glob("changelog*"))
    for path in changelogs[::5]:
        path.unlink()
    settings = sorted(path for path in (root / "etc").glob("*.conf") if not path.is_symlink())
    for path in chance.sample(settings, 10):
        with path.open("a") as file:
            file.write("# edited\n")


def main() -> int:
    """Make both images; to be called in namespaces of its own."""
    parser = argparse.ArgumentParser(description="Make the benchmark's Debian images.")
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--mirror", help="where debootstrap finds Debian's packages (default: its own default)")
    options = parser.parse_args()
    try:
        if not options.first.exists():
            unfinished = options.first.with_suffix(".tmp")
            _first_day(unfinished, options.mirror)
            unfinished.rename(options.first)
        if not options.second.exists():
            unfinished = options.second.with_suffix(".tmp")
            copy_sparse(options.first, unfinished)
            _second_day(unfinished)
            unfinished.rename(options.second)
    except (ToolError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
