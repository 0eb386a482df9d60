"""Several actors on one repository, one storage operation at a time, in an order that a seed decides.

Each actor is a thread that runs the real code on a storage of its own view. It stops before every storage
operation of its main thread until the stage lets it go on; so only one runs at a time. An actor may be killed
instead: its locks are free, and nothing of it happens any more, not even in a `finally`.
"""

import random
import threading
from collections.abc import Callable

from packstore.checksum import Buffer
from packstore.errors import PackstoreError
from packstore.storage.base import Hold, Listed, NewFile
from packstore.storage.memory import MemoryStorage
from tests.support.dying import Killed

WAIT = 60


class Actor:
    """One process: a name, what it does, and whether it is waiting, killed or over."""

    def __init__(self, stage: "Stage", name: str, work: Callable[["Actor"], None], *, mortal: bool) -> None:
        self.stage = stage
        self.name = name
        self.mortal = mortal
        self.killed = False
        self.over = False
        self.error: BaseException | None = None
        self.steps = 0
        self.next = ""
        self.held: list[tuple[MemoryStorage, str]] = []
        self._work = work
        self._go = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        try:
            self.step("begin")
            self._work(self)
        except Killed:
            self._die()
        except BaseException as error:  # noqa: BLE001  reported by the stage
            self.error = error
        self.over = True
        self.stage.arrived.release()

    def _die(self) -> None:
        for storage, name in self.held:
            storage.held.discard(name)

    def step(self, what: str) -> None:
        """Wait for the stage; then go on, or die."""
        if threading.current_thread() is self.thread:
            self.steps += 1
            self.next = what
            self.stage.arrived.release()
            if not self._go.acquire(timeout=WAIT * 10):
                raise Killed
            self.stage.trace.append(f"{self.name} {what}")
        if self.killed:
            raise Killed

    def go(self) -> None:
        """Let it go on to its next step."""
        self._go.release()
        assert self.stage.arrived.acquire(timeout=WAIT), f"{self.name} does not come back"


class Stage:
    """Lets actors run in turns."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.actors: list[Actor] = []
        self.arrived = threading.Semaphore(0)
        self.trace: list[str] = []

    def add(self, name: str, work: Callable[[Actor], None], *, mortal: bool = False) -> Actor:
        """Add an actor; it waits before its first step."""
        actor = Actor(self, name, work, mortal=mortal)
        self.actors.append(actor)
        actor.thread.start()
        assert self.arrived.acquire(timeout=WAIT)
        return actor

    def run(self, kill: float = 0.0) -> None:
        """Run until all are over; at each turn a mortal one dies with probability `kill`."""
        while True:
            alive = [actor for actor in self.actors if not actor.over]
            if not alive:
                break
            actor = self.random.choice(alive)
            for _ in range(
                self.random.choice((1, 2, 5, 30, 300, 3000))
            ):  # also all of one between two steps of another
                if actor.over:
                    break
                if actor.mortal and self.random.random() < kill:
                    actor.killed = True
                    self.trace.append(f"{actor.name} IS KILLED")
                actor.go()
        for actor in self.actors:
            actor.thread.join(WAIT)
            if actor.error is not None and not isinstance(actor.error, PackstoreError):
                raise actor.error


class StagedStorage(MemoryStorage):
    """One actor's view of shared files."""

    def __init__(self, shared: MemoryStorage, actor: Actor) -> None:
        super().__init__(shared.location)
        self.files = shared.files
        self.held = shared.held
        self._actor = actor

    @property
    def identity(self) -> str:
        """The place, whichever object."""
        return f"memory:{self.location}"

    def exists(self, name: str) -> bool:
        """Look, in turn."""
        self._actor.step(f"exists {name}")
        return super().exists(name)

    def size(self, name: str) -> int:
        """Look, in turn."""
        self._actor.step(f"size {name}")
        return super().size(name)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read, in turn."""
        self._actor.step(f"read {name}")
        return super().read(name, offset, length)

    def list_files(self, prefix: str) -> list[Listed]:
        """List, in turn."""
        self._actor.step(f"list {prefix}")
        return super().list_files(prefix)

    def create(self, name: str) -> NewFile:
        """Begin a file; publishing it is a step."""
        return _StagedFile(self._actor, super().create(name), name)

    def hold(self, name: str, data: bytes) -> Hold:
        """Publish and hold."""
        self._actor.held.append((self, name))
        return super().hold(name, data)

    def delete(self, name: str) -> None:
        """Delete, in turn."""
        self._actor.step(f"delete {name}")
        super().delete(name)


class _StagedFile:
    def __init__(self, actor: Actor, file: NewFile, name: str) -> None:
        self._actor = actor
        self._file = file
        self._name = name

    @property
    def size(self) -> int:
        return self._file.size

    def write(self, *parts: Buffer) -> None:
        self._file.write(*parts)

    def publish(self) -> None:
        self._actor.step(f"publish {self._name}")
        self._file.publish()

    def discard(self) -> None:
        self._file.discard()


def jumping_clock(rng: random.Random) -> Callable[[], int]:
    """Return a clock that is now and then a year off, in either direction."""
    year = 365 * 86_400_000
    now = [1_763_800_000_000]

    def now_ms() -> int:
        now[0] += 1000
        if rng.random() < 0.2:
            now[0] += rng.choice((-year, year))
        return now[0]

    return now_ms
