"""A repository through a life of backups, interruptions, lost indexes and checks, against plain copies."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from packstore.errors import Interrupted, StorageGone
from packstore.format.record import Encryption
from packstore.progress import StopRequest
from tests.property.test_backup_restore import edit
from tests.support.devices import BLOCK, BytesSource, noise
from tests.support.worlds import PlaceStorage, World

VOLUMES = st.sampled_from(["one", "two"])


class RepositoryMachine(RuleBasedStateMachine):
    """What a repository must be equal to: a dictionary from versions to copies of devices."""

    @initialize(encryption=st.sampled_from(list(Encryption)))
    def begin(self, encryption: Encryption) -> None:
        """Make a repository and two devices."""
        self.place = Path(tempfile.mkdtemp())
        self.world = World(PlaceStorage(), self.place / "index", encryption).create()
        self.devices = {"one": noise("one", 18 * BLOCK + 7), "two": noise("two", 3 * BLOCK)}
        self.order: list[bytes] = []

    @rule(
        volume=VOLUMES,
        what=st.sampled_from(["write", "zero", "grow", "shrink", "repeat"]),
        at=st.integers(0, 20 * BLOCK),
        length=st.sampled_from([1, BLOCK, 3 * BLOCK + 5]),
        seed=st.integers(0, 2),
    )
    def change(self, volume: str, what: str, at: int, length: int, seed: int) -> None:
        """Write to a device."""
        self.devices[volume] = edit(self.devices[volume], (what, at, length, seed))

    @rule(volume=VOLUMES, paranoid=st.booleans())
    def back_up(self, volume: str, paranoid: bool) -> None:
        """Commit a version."""
        result = self.world.backup(self.devices[volume], volume, paranoid=paranoid)
        self.order.append(result.version.uid)

    @rule(volume=VOLUMES, at=st.integers(1, 20))
    def interrupt(self, volume: str, at: int) -> None:
        """Ask a backup to stop at some block."""
        stop = StopRequest()
        source = BytesSource(self.devices[volume])
        source.on_read = lambda number: stop.request() if number == at else None
        try:
            result = self.world.backup(source, volume, stop=stop)
        except Interrupted:
            return
        self.world.expected[result.version.uid] = self.devices[volume]
        self.order.append(result.version.uid)

    @rule(volume=VOLUMES, at=st.integers(1, 20))
    def fail(self, volume: str, at: int) -> None:
        """Have a backup die in the middle, its packs left behind."""
        source = BytesSource(self.devices[volume])

        def die(number: int) -> None:
            if number == at:
                raise StorageGone("unplugged")

        source.on_read = die
        try:
            result = self.world.backup(source, volume)
        except StorageGone:
            return
        self.world.expected[result.version.uid] = self.devices[volume]
        self.order.append(result.version.uid)

    @rule()
    def lose_the_index(self) -> None:
        """Delete the cache."""
        shutil.rmtree(self.place / "index", ignore_errors=True)

    @rule()
    def check(self) -> None:
        """See that nothing is damaged."""
        assert self.world.check().clean
        assert self.world.check_keyless().clean

    @rule()
    def restore_all(self) -> None:
        """Restore every version."""
        assert self.world.verify() == set(self.order)

    @invariant()
    def versions_are_listed_in_order(self) -> None:
        """`ls` shows what was committed, the oldest first."""
        if hasattr(self, "world"):
            assert [state.version.uid for state in self.world.states()] == self.order

    def teardown(self) -> None:
        """Restore everything one last time."""
        if hasattr(self, "world"):
            assert self.world.verify() == set(self.order)
            shutil.rmtree(self.place, ignore_errors=True)


RepositoryMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20)
TestRepository = RepositoryMachine.TestCase
