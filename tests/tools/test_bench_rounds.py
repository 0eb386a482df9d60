"""The benchmark at work, with images of a few MiB and programs that are no more than `cp`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import Program
from tools.bench import places, version_list
from tools.bench.data import Data, prepare
from tools.bench.peer import Peer
from tools.bench.peers.packstore import Packstore
from tools.bench.places import Place
from tools.bench.provide import Provider
from tools.bench.results import DAY2, DD, DISK, EMPTY, FIRST, LS_MANY, MEMORY, OPERATIONS, RESTORE, START
from tools.bench.rounds import Rounds
from tools.measure import MIB, Command
from tools.programs import ToolError

HUGE = 2**50


class Copy(Peer):
    """Keeps the last image as it is."""

    name = "copy"
    differs = verifies = ""

    @classmethod
    def prepare(cls, provider: Provider) -> None:
        """Every system has it."""
        cls.program = "cp"

    def init(self) -> Command:
        """Make a directory."""
        return Command(("mkdir", str(self.repository)))

    def backup(self, image: Path) -> Command:
        """Keep the image instead of the one before."""
        return Command(("cp", str(image), str(self.repository / "image")))

    def restore(self, image: Path, target: Path) -> Command:
        """Copy it back."""
        return Command(("cp", str(self.repository / "image"), str(self.restored(image, target))))

    def restored(self, image: Path, target: Path) -> Path:
        """Return the copy."""
        return target / image.name

    def verify(self) -> Command:
        """Read it."""
        return Command(("cat", str(self.repository / "image")))


class Liar(Copy):
    """Keeps nothing after the first day, and says that all is well."""

    name = "liar"

    def backup(self, image: Path) -> Command:
        """Keep the first one."""
        return Command(("sh", "-c", f"test -e {self.repository}/image || cp {image} {self.repository}/image"))


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """Four small images."""
    data = Data(tmp_path)
    for path, contents in zip(data.all(), (b"1" * MIB, b"1" * MIB + b"2", os.urandom(MIB), bytes(MIB)), strict=True):
        path.write_bytes(contents)
    return data


def test_all_is_measured_and_a_peer_that_lies_is_found(tmp_path: Path, data: Data) -> None:
    """A program that brings back something else would win; or one that fails would end the run of hours."""
    work = tmp_path / "work"
    work.mkdir()
    Packstore.prepare(Provider(tmp_path))
    rounds = Rounds(Place(MEMORY, work), data, [Copy, Liar], 2, versions=3)
    samples = list(rounds.measure())
    honest = [sample.operation for sample in samples if sample.program == Copy.name]
    assert sorted(honest) == sorted(2 * OPERATIONS)
    assert [s.operation for s in samples if s.program == Liar.name][-1] == RESTORE
    assert "the first difference is in the MiB at byte" in rounds.failed[Liar.name]
    assert sum(1 for sample in samples if sample.program == DD) == 4
    assert {sample.operation for sample in samples if sample.program == Packstore.name} == {START, LS_MANY}
    assert next(s for s in samples if s.operation == DAY2).repository_bytes == MIB + 1
    assert not any(work.iterdir()), "what was measured stays"


def test_packstore_must_not_fail(tmp_path: Path, data: Data) -> None:
    """The report would compare peers with nothing."""
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(ToolError, match="the first difference"):
        list(Rounds(Place(MEMORY, work), data, [Liar], 1, versions=3).measure())


def test_a_disk_is_measured_where_the_images_are(tmp_path: Path, data: Data) -> None:
    """Copies in the page cache would be measured; and figures of random data, which say nothing about a disk."""
    if os.geteuid() != 0:
        with pytest.raises(ToolError, match="root"), places.disk(tmp_path):
            pass
        return
    with places.disk(tmp_path) as place:
        assert place.directory.parent == tmp_path
        with place.staged(data.day1) as (image,):
            assert image == data.day1
        operations = {sample.operation for sample in Rounds(place, data, [Copy], 1, versions=3).measure()}
        assert place.name == DISK
    assert FIRST in operations
    assert EMPTY not in operations
    assert data.day1.exists()


def test_memory_is_a_tmpfs_and_goes_again(tmp_path: Path, data: Data) -> None:
    """A disk would be measured where the report says memory; or gigabytes of memory stay taken."""
    with places.memory(tmp_path, 4 * MIB) as place:
        kind = subprocess.run(["stat", "-f", "-c", "%T", place.directory], capture_output=True, text=True, check=True)
        assert kind.stdout.strip() == "tmpfs"
        with place.staged(data.random) as (copy,):
            assert copy.read_bytes() == data.random.read_bytes()
        assert not copy.exists()
    assert not place.directory.exists()
    assert data.random.exists()


def test_too_little_memory_is_said_before(tmp_path: Path) -> None:
    """The machine would run out of memory in the middle, and its other programs with it."""
    with pytest.raises(ToolError, match="are needed"), places.memory(tmp_path, HUGE):
        pass


def test_images_are_made_once(data: Data) -> None:
    """A quarter of an hour would be spent each time, and two runs be about different data."""
    before = [path.read_bytes() for path in data.all()]
    assert prepare(data.directory, quick=True).all() == data.all()
    assert [path.read_bytes() for path in data.all()] == before


def test_a_long_list_is_a_real_one(tmp_path: Path) -> None:
    """`ls` would be timed on something that no backup leaves behind: check would find fault with it."""
    version_list.build(tmp_path, 12)
    program = Program(tmp_path, tmp_path / "repository", tmp_path / "key")
    assert len({version["uid"] for version in program.json("ls")["versions"]}) == 12
    program("check").expect(0)


def test_wrong_arguments_are_explained(tmp_path: Path) -> None:
    """A peer that is spelt wrong would be left out in silence."""
    command = [sys.executable, "-m", "tools.bench", "--dir", str(tmp_path)]
    said = subprocess.run([*command, "brog"], capture_output=True, text=True, check=False)
    assert (said.returncode, "no such peer: brog" in said.stderr) == (2, True)
    said = subprocess.run([*command, "--source", "benji"], capture_output=True, text=True, check=False)
    assert (said.returncode, "PROJECT=DIRECTORY" in said.stderr) == (2, True)
    said = subprocess.run([*command, "--report"], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "bench failed" in said.stderr
