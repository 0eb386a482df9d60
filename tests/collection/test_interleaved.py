"""Writers, a reader, events, two collectors and a merged copy, one storage operation at a time, in seeded orders."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from packstore.errors import CollectionError, DamageError, PackstoreError, RepositoryError
from packstore.format.record import Encryption
from packstore.format.version import Event, EventType
from packstore.ids import Uid
from packstore.operations.backup import BackupOptions, backup
from packstore.operations.events import publish_events
from packstore.operations.gc import GcOptions, collect
from packstore.operations.hold import hold_everything
from packstore.progress import NullProgress, StopRequest
from packstore.repository.coordination import WriterIntent
from packstore.repository.repository import Repository
from packstore.repository.runtime import ProcessIdentity, Runtime
from packstore.storage.memory import MemoryStorage
from tests.collection.test_gc import changed, device
from tests.support.devices import BytesSource
from tests.support.stage import Actor, Stage, StagedStorage, jumping_clock
from tests.support.worlds import PlaceStorage, World, restore_bytes

BLOCKS = 12


@dataclass
class Play:
    """One repository, maybe a copy of it, and what is known to have been promised."""

    root: Path
    seed: int
    stage: Stage
    shared: MemoryStorage = field(default_factory=lambda: PlaceStorage(place="here"))
    copy: MemoryStorage = field(default_factory=lambda: PlaceStorage(place="copy"))
    written: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    committed: set[Uid] = field(default_factory=set)
    removals: set[Uid] = field(default_factory=set)
    opened: int = 0

    def world(self, storage: MemoryStorage, who: str) -> World:
        """The repository as one host sees it, with an index of its own."""
        return World(storage, self.root / who / storage.location, Encryption.NONE, threads=1)

    def runtime(self) -> Runtime:
        """A process with a clock that cannot be relied on."""
        self.opened += 1
        rng = random.Random(f"{self.seed} {self.opened}")
        return Runtime(jumping_clock(rng), rng.randbytes, ProcessIdentity.current(), "test", "packstore tests")

    def acting(
        self, who: str, work: Callable[[Repository, random.Random], None], times: int, storage: MemoryStorage
    ) -> Callable[[Actor], None]:
        """Return what an actor does: open the repository, do `work`, close it; so many times."""

        def play(actor: Actor) -> None:
            for number in range(times):
                rng = random.Random(f"{self.seed} {who} {number}")
                view = StagedStorage(storage, actor)
                with self.world(view, who).open(self.runtime()) as repository:
                    work(repository, rng)

        return play

    def writing(self, volume: str) -> Callable[[Repository, random.Random], None]:
        """A backup of a device that shares most of its blocks with all others."""

        def work(repository: Repository, rng: random.Random) -> None:
            data = changed(device(1, BLOCKS), rng.randrange(3), *rng.sample(range(BLOCKS), rng.randrange(4)))
            self.written[volume].add(data)
            options = BackupOptions(volume, threads=1)
            result = backup(repository, BytesSource(data), options, StopRequest(), NullProgress())
            self.committed.add(result.version.uid)

        return work

    def saying(self, repository: Repository, rng: random.Random) -> None:
        """Remove, undelete, protect or unprotect some version."""

        def plan(intent: WriterIntent) -> tuple[list[Event], list[Event]]:
            states = repository.states()
            if not states:
                return [], []
            state = rng.choice(states)
            uid = state.version.uid
            events = [event for event in repository.events() if uid in event.versions]
            if rng.random() < 0.6:
                self.removals.add(uid)
                return [repository.new_event(EventType.REMOVE, [uid])], []
            if state.gone or uid in intent.condemned_versions:
                return [], []
            if state.removed and rng.random() < 0.5:
                removes = [event.id for event in events if event.type == EventType.REMOVE]
                undo = [repository.new_event(EventType.REMOVE, [uid])]
                return [repository.new_event(EventType.UNDELETE, [uid], cancels=removes)], undo
            if state.protected:
                protects = [event.id for event in events if event.type == EventType.PROTECT]
                return [repository.new_event(EventType.UNPROTECT, [uid], cancels=protects)], []
            event = repository.new_event(EventType.PROTECT, [uid])
            return [event], [repository.new_event(EventType.UNPROTECT, [uid], cancels=[event.id])]

        publish_events(repository, "event", plan)

    def collecting(self, repository: Repository, rng: random.Random) -> None:
        """Collect garbage, eagerly."""
        options = GcOptions(
            threshold=rng.choice((1, 30)), beside=True, threads=1, merge_blocks=rng.choice((2, 9)), merge_metas=3
        )
        collect(repository, options, StopRequest(), NullProgress())

    def reading(self, repository: Repository, rng: random.Random) -> None:
        """Restore some version while others move its blocks."""
        states = [state for state in repository.states() if not state.removed]
        if states:
            state = rng.choice(states)
            data, result = restore_bytes(repository, state.version, 1)
            if state.version.uid not in self.removals:
                assert not result.bad_ranges, result.reasons
                assert data in self.written[state.version.volume]

    def merging(self, actor: Actor) -> None:
        """Merge the two copies, in both directions, under a hold at either end."""
        here, there = StagedStorage(self.shared, actor), StagedStorage(self.copy, actor)
        runtime = self.runtime()
        with self.world(here, "merger").open(runtime) as repository:
            keyring = repository.keyring
        stop, progress = StopRequest(), NullProgress()
        with (
            hold_everything(here, keyring, runtime, "merge", stop, progress),
            hold_everything(there, keyring, runtime, "merge", stop, progress),
        ):
            for source, target in ((here, there), (there, here)):
                names = [listed.name for prefix in ("gc", "meta", "packs") for listed in source.list_files(prefix)]
                for name in names:
                    if "gc/intent-" not in name and name not in target.files and name in source.files:
                        target.put(name, source.read(name))

    def require_sound(self, storage: MemoryStorage, who: str) -> None:
        """Every version that is there restores to what was written; none is missing that nobody removed."""
        world = self.world(storage, who)
        with world.open() as repository:
            states = [state for state in repository.states() if not state.removed]
            for state in states:
                data, result = restore_bytes(repository, state.version, 1)
                assert not result.bad_ranges, (state, result.reasons)
                assert data in self.written[state.version.volume]
            found = {state.version.uid for state in states}
            protected = self.committed - self.removals
            if storage is self.shared:
                assert protected <= found, "a version that nobody removed is gone"
        assert world.check().clean


def prepare(root: Path, seed: int) -> Play:
    """A repository with some versions, and a copy of it."""
    play = Play(root, seed, Stage(seed))
    world = play.world(play.shared, "first").create()
    for number in range(3):
        data = changed(device(1, BLOCKS), number, number)
        play.written["a"].add(data)
        play.committed.add(world.backup(data, "a").version.uid)
    play.copy.files.update(play.shared.files)
    return play


def tolerated(play: Play) -> None:
    """Actors may fail in ways that cost nothing; nothing else."""
    for actor in play.stage.actors:
        if isinstance(actor.error, DamageError):
            raise actor.error
        assert actor.error is None or isinstance(actor.error, CollectionError | RepositoryError), actor.error


@pytest.mark.parametrize("seed", range(40))
def test_interleaved(tmp_path: Path, seed: int) -> None:
    """Some order of steps loses a version that nobody removed."""
    play = prepare(tmp_path, seed)
    stage = play.stage
    stage.add("writer-a", play.acting("writer-a", play.writing("a"), 2, play.shared), mortal=True)
    stage.add("writer-b", play.acting("writer-b", play.writing("b"), 2, play.shared), mortal=True)
    stage.add("events", play.acting("events", play.saying, 4, play.shared))
    stage.add("reader", play.acting("reader", play.reading, 2, play.shared))
    stage.add("gc-1", play.acting("gc-1", play.collecting, 2, play.shared), mortal=True)
    stage.add("gc-2", play.acting("gc-2", play.collecting, 2, play.shared), mortal=True)
    stage.run(kill=0.002)
    tolerated(play)
    play.require_sound(play.shared, "after")
    finish(play, play.shared)


@pytest.mark.parametrize("seed", range(100, 120))
def test_interleaved_with_a_copy(tmp_path: Path, seed: int) -> None:
    """Two copies that were both written to and both collected lose a version when they are merged."""
    play = prepare(tmp_path, seed)
    stage = play.stage
    for name, storage in (("here", play.shared), ("there", play.copy)):
        stage.add(f"writer-{name}", play.acting(f"writer-{name}", play.writing(name), 1, storage))
        stage.add(f"events-{name}", play.acting(f"events-{name}", play.saying, 2, storage))
        stage.add(f"gc-{name}", play.acting(f"gc-{name}", play.collecting, 2, storage), mortal=True)
    stage.add("merger", play.merging)
    stage.run(kill=0.002)
    tolerated(play)
    stage.add("merger-2", play.merging)
    stage.run()
    tolerated(play)
    for storage in (play.shared, play.copy):
        play.require_sound(storage, "after")
        finish(play, storage)


def finish(play: Play, storage: MemoryStorage) -> None:
    """Collect until nothing is left to do; everything is still there."""
    world = play.world(storage, "last")
    for _ in range(3):
        try:
            world.gc(merge_metas=3, merge_blocks=3)
        except PackstoreError as error:
            raise AssertionError("the last collection is refused") from error
    play.require_sound(storage, "last")
