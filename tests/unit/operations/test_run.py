"""A run in which what nobody foresees happens: no step may be reported as done that was not."""

from pathlib import Path

import pytest

from packstore.errors import StorageGone
from packstore.operations.events import publish_events
from packstore.operations.gc import GcOptions
from packstore.operations.hooks import Hooks
from packstore.operations.removal import removal_events
from packstore.operations.run import RunOptions, State, Step, VolumeTask, run_repository
from packstore.operations.worth import estimate_gc
from packstore.progress import NullProgress, StopRequest
from packstore.storage.base import NewFile
from tests.support.devices import BytesSource, noise_blocks
from tests.support.worlds import PlaceStorage, World


class Gone(PlaceStorage):
    """A disk that is unplugged as soon as a pack is written."""

    unplugged = False

    def create(self, name: str) -> NewFile:
        """Begin a new file, or find that the disk is gone."""
        if self.unplugged:
            raise StorageGone("cannot create it: no such device")
        return super().create(name)


class Broken(NullProgress):
    """A fault of ours."""

    def start(self, phase: str, total_bytes: int | None) -> None:
        """Fail as no exception of packstore does."""
        raise ZeroDivisionError("a mistake")


def source(tmp_path: Path) -> Path:
    """A file to back up."""
    path = tmp_path / "disk.img"
    path.write_bytes(noise_blocks("run", 3))
    return path


def test_a_disk_that_is_gone_ends_its_steps(tmp_path: Path) -> None:
    """Of a disk that was unplugged each further volume would wait for it, and fail, one after another."""
    storage = Gone()
    world = World(storage, tmp_path / "index").create()
    tasks = [VolumeTask(name, str(source(tmp_path))) for name in ("one", "two")]
    steps: list[Step] = []
    with world.open() as repository:
        storage.unplugged = True
        run_repository(repository, tasks, RunOptions("usb"), StopRequest(), NullProgress(), steps.append)
    assert [(step.kind, step.volume, step.state) for step in steps] == [("backup", "one", State.FAILED)]
    assert isinstance(steps[0].error, StorageGone)


def test_a_mistake_of_ours_is_no_success(tmp_path: Path) -> None:
    """The summary would say that a backup was made; or a database stay frozen because packstore has a mistake."""
    world = World(PlaceStorage(), tmp_path / "index").create()
    log = tmp_path / "log"
    task = VolumeTask("one", str(source(tmp_path)), hooks=Hooks(after=f'echo "$PACKSTORE_RESULT" >> {log}'))
    steps: list[Step] = []
    with world.open() as repository, pytest.raises(ZeroDivisionError):
        run_repository(repository, [task], RunOptions("usb"), StopRequest(), Broken(), steps.append)
    assert [step.state for step in steps] == [State.FAILED]
    assert steps[0].error
    assert "ZeroDivisionError" in steps[0].error.message
    assert log.read_text() == "failed\n"


class Small(PlaceStorage):
    """A disk with so much space."""

    free: int | None = None

    def available(self) -> int | None:
        """Return what is left."""
        return self.free


def test_when_collecting_is_worth_it(tmp_path: Path) -> None:
    """On a full disk the next backup would fail for want of the little that could be freed; else gc would never end."""
    storage = Small()
    world = World(storage, tmp_path / "index").create()
    versions = [world.backup(BytesSource(noise_blocks(number, count))).version for number, count in enumerate((1, 40))]
    with world.open() as repository:

        def worth(percent: float, min_free: int) -> tuple[bool, bool]:
            found = estimate_gc(repository, percent, min_free, GcOptions(), StopRequest(), NullProgress())
            return found.worth, found.report is not None

        assert worth(1, 0) == (False, False), "nothing was removed: nobody reads the repository to find that out"
        publish_events(repository, "rm", lambda _: removal_events(repository, [versions[0].uid]))
        assert worth(1, 0) == (True, True)
        assert worth(0, 0) == (False, False)
        assert worth(50, 0) == (False, True)
        storage.free = 1000
        assert worth(50, 400) == (False, True)
        assert worth(50, 600) == (True, True)
