"""The command line as people and scripts use it: a process, its output, its exit code."""

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.aged import Aged
from tests.cli.program import Program, Terminal

BLOCK = 64 * 1024


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs loop devices or mounts when there is no root to make them."""
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The command line; no repository yet."""
    home = tmp_path / "home"
    home.mkdir()
    return Program(home, tmp_path / "repository", tmp_path / "key")


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of ten and a bit blocks, with a hole. Shared: nobody may change it."""
    content = random.Random(1).randbytes(4 * BLOCK) + bytes(3 * BLOCK) + random.Random(2).randbytes(3 * BLOCK + 77)
    path = tmp_path_factory.mktemp("device") / "disk.img"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory, device: Path) -> dict[str, Path]:
    """Repositories to copy, which is faster than to make them: an empty one, and one with a version."""
    root = tmp_path_factory.mktemp("templates")
    maker = Program(root, root / "empty", root / "key")
    maker("init", "--reserve", "0", "--block-size", "64KiB", "--pack-size", "1MiB").expect(0)
    shutil.copytree(root / "empty", root / "stored")
    Program(root, root / "stored", root / "key")("backup", device).expect(0)
    return {name: root / name for name in ("empty", "stored", "key")}


@pytest.fixture
def repo(program: Program, templates: dict[str, Path]) -> Program:
    """The command line with an empty encrypted repository of small blocks, opened by a key file."""
    shutil.copytree(templates["empty"], program.repo)
    shutil.copy2(templates["key"], program.key)
    return program


@pytest.fixture
def stored(program: Program, templates: dict[str, Path]) -> Program:
    """A repository with one version of `disk.img` in it."""
    shutil.copytree(templates["stored"], program.repo)
    shutil.copy2(templates["key"], program.key)
    return program


@pytest.fixture
def aged(program: Program) -> Aged:
    """A repository whose versions are as old as a test wants them."""
    return Aged(program)


@pytest.fixture
def terminal(program: Program) -> Iterator[Callable[..., Terminal]]:
    """Starts commands in terminals of their own."""
    opened: list[Terminal] = []

    def start(*args: str | Path, **env: str) -> Terminal:
        opened.append(Terminal(program.bare(*args), program.environment(**env), program.home))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def mounted() -> Iterator[Callable[..., Path]]:
    """Mounts file systems on fresh directories; takes what `mount` takes before the directory."""
    points: list[Path] = []

    def mount(*args: str) -> Path:
        point = Path(tempfile.mkdtemp(prefix="packstore-mount-"))
        points.append(point)
        subprocess.run(["mount", *args, str(point)], check=True)
        return point

    yield mount
    for point in reversed(points):
        subprocess.run(["umount", str(point)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(point) if not os.path.ismount(point) else None


@pytest.fixture
def loop() -> Iterator[Callable[..., Path]]:
    """Makes loop devices of files."""
    devices: list[str] = []

    def attach(path: Path, *args: str) -> Path:
        done = subprocess.run(
            ["losetup", "--find", "--show", *args, str(path)], check=True, stdout=subprocess.PIPE, text=True
        )
        devices.append(done.stdout.strip())
        return Path(devices[-1])

    yield attach
    for name in devices:
        subprocess.run(["losetup", "--detach", name], check=False)
