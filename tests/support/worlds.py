"""A repository, the machine it is used from, and what the tests do with both."""

import contextlib
import dataclasses
import hashlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packstore.blocks import Extent
from packstore.codec.key import Key
from packstore.codec.slots import Credential
from packstore.format.document import SlotKind
from packstore.format.record import Encryption
from packstore.format.version import Event, EventType, Version
from packstore.ids import Uid
from packstore.index.objectindex import ObjectIndex
from packstore.operations.backup import BackupOptions, BackupResult, backup
from packstore.operations.check import CheckReport, check_repository, check_stored_bytes
from packstore.operations.checkpoints import CheckpointPolicy
from packstore.operations.events import publish_events
from packstore.operations.gc import GcOptions, GcReport, collect
from packstore.operations.hints import Hints
from packstore.operations.restore import RestoreResult, restore
from packstore.operations.scrub_plan import Amount
from packstore.packs.reader import Owner
from packstore.progress import NullProgress, StopRequest
from packstore.repository.creation import CreateOptions, create_repository
from packstore.repository.history import VersionState
from packstore.repository.opening import AskCredential, read_repository_file
from packstore.repository.repository import OpenOptions, Repository, index_directory
from packstore.repository.runtime import ProcessIdentity, Runtime
from packstore.sources.base import Source
from packstore.storage.base import Storage
from packstore.storage.memory import MemoryStorage
from tests.support.devices import BLOCK, BytesSource, BytesTarget

MIB = 1024 * 1024
SECRET = Credential.from_secret(Key(bytes(range(20))))
_SEEDS = itertools.count(1)


def fixed_runtime(seed: int | None = None, process: ProcessIdentity | None = None) -> Runtime:
    """Return a runtime whose time and randomness are functions of a seed; each seed is used once."""
    stream = hashlib.shake_128(repr(next(_SEEDS) if seed is None else ("chosen", seed)).encode()).digest(16)
    lock, ticks, draws = threading.Lock(), itertools.count(1_763_800_000_000, 1000), itertools.count()

    def now_ms() -> int:
        with lock:
            return next(ticks)

    def random(length: int) -> bytes:
        with lock:
            draw = next(draws)
        return hashlib.shake_128(stream + draw.to_bytes(8, "big")).digest(length)

    return Runtime(now_ms, random, process or ProcessIdentity.current(), "test", "packstore tests")


class PlaceStorage(MemoryStorage):
    """A memory storage that stands for one place: its copies share an index, as a path would."""

    def __init__(self, files: dict[str, bytes] | None = None, place: str = "place") -> None:
        super().__init__(place)
        self.files = dict(files or {})

    @property
    def identity(self) -> str:
        """The place, whichever object."""
        return f"memory:{self.location}"


def _ask(credential: Credential | None) -> AskCredential:
    def ask(_: set[SlotKind]) -> Credential:
        assert credential is not None, "asked for a key to an unencrypted repository"
        return credential

    return ask


@dataclass
class World:
    """One repository and where its index is kept."""

    storage: Storage
    index_root: Path
    encryption: Encryption = Encryption.AEGIS_256
    pack_size: int = MIB
    block_size: int = BLOCK
    threads: int = 2
    expected: dict[bytes, bytes] = field(default_factory=dict)
    """What each committed version must restore to, by uid."""

    @property
    def credential(self) -> Credential | None:
        """The key of an encrypted repository."""
        return SECRET if self.encryption else None

    def create(self, runtime: Runtime | None = None) -> "World":
        """Make the repository."""
        credentials = (self.credential,) if self.credential else ()
        options = CreateOptions(self.block_size, self.pack_size, credentials, self.encryption, reserve_bytes=0)
        create_repository(self.storage, options, runtime or fixed_runtime())
        return self

    @contextlib.contextmanager
    def open(self, runtime: Runtime | None = None) -> Iterator[Repository]:
        """Open it, and close it again."""
        options = OpenOptions(self.index_root, _ask(self.credential), expect_encrypted=bool(self.encryption))
        repository = Repository.open(self.storage, options, runtime or fixed_runtime())
        try:
            yield repository
        finally:
            repository.close()

    def backup(
        self,
        source: bytes | Source,
        volume: str = "volume",
        *,
        paranoid: bool = False,
        base: str | None = None,
        hints: Hints | None = None,
        runtime: Runtime | None = None,
        stop: StopRequest | None = None,
        checkpoints: CheckpointPolicy | None = None,
    ) -> BackupResult:
        """Back bytes or a source up; bytes are remembered as what the version must restore to."""
        device = BytesSource(source) if isinstance(source, bytes) else source
        options = BackupOptions(
            volume, base=base, paranoid=paranoid, threads=self.threads, run_bytes=BLOCK, hints=hints
        )
        if checkpoints is not None:
            options = dataclasses.replace(options, checkpoints=checkpoints)
        with self.open(runtime) as repository:
            result = backup(repository, device, options, stop or StopRequest(), NullProgress())
        if isinstance(source, bytes):
            self.expected[result.version.uid] = source
        return result

    def states(self) -> list[VersionState]:
        """Return what `ls` is made from."""
        with self.open() as repository:
            return repository.states()

    def check(self, percent: float = 100.0) -> CheckReport:
        """Check with keys."""
        with self.open() as repository:
            amount = Amount(percent)
            return check_repository(repository, StopRequest(), NullProgress(), amount=amount, threads=self.threads)

    def check_keyless(self, percent: float = 100.0) -> CheckReport:
        """Check without keys."""
        file = read_repository_file(self.storage).file
        index = ObjectIndex(index_directory(self.index_root, file, self.storage), file.id)
        try:
            return check_stored_bytes(
                self.storage,
                Owner(file.id, None, None),
                index,
                StopRequest(),
                NullProgress(),
                amount=Amount(percent),
                date_ms=1_763_800_000_000,
                threads=self.threads,
            )
        finally:
            index.close()

    def restore(self, version: Version) -> tuple[bytes, RestoreResult]:
        """Restore one version."""
        with self.open() as repository:
            return restore_bytes(repository, version, self.threads)

    def verify(self) -> set[bytes]:
        """See that every version listed is one that was committed, and restores exactly; return their uids."""
        with self.open() as repository:
            present = [state for state in repository.states() if not state.removed]
            return {verify_state(repository, state, self.expected, self.threads) for state in present}

    def event(self, event_type: EventType, *uids: Uid, cancels: tuple[Uid, ...] = ()) -> Event:
        """Say something about versions, as `rm`, `protect` and their like do."""
        with self.open() as repository:
            (event,) = publish_events(
                repository, "test", lambda _: ([repository.new_event(event_type, list(uids), cancels=cancels)], [])
            )
        return event

    def remove(self, *uids: Uid) -> Event:
        """Remove versions; what was expected of them is forgotten."""
        for uid in uids:
            self.expected.pop(uid, None)
        return self.event(EventType.REMOVE, *uids)

    def gc(self, runtime: Runtime | None = None, stop: StopRequest | None = None, **options: Any) -> GcReport:
        """Collect garbage."""
        with self.open(runtime) as repository:
            chosen = GcOptions(**({"threads": self.threads} | options))
            return collect(repository, chosen, stop or StopRequest(), NullProgress())


def restore_bytes(
    repository: Repository, version: Version, threads: int = 2, *, in_order: bool = False
) -> tuple[bytes, RestoreResult]:
    """Restore one version into memory."""
    target = BytesTarget(in_order=in_order)
    result = restore(repository, version, target, StopRequest(), NullProgress(), threads=threads)
    assert target.finished
    return bytes(target.data), result


def verify_state(repository: Repository, state: VersionState, expected: dict[bytes, bytes], threads: int) -> bytes:
    """See that a version is known and restores exactly; return its uid."""
    uid = state.version.uid
    assert uid in expected, "a version that was never backed up"
    data, result = restore_bytes(repository, state.version, threads)
    assert not result.bad_ranges, result.reasons
    assert data == expected[uid]
    return uid


def is_exact_outside(data: bytes, expected: bytes, ranges: list[Extent]) -> bool:
    """Say whether restored bytes are right, but for these ranges, which are zeros."""
    if len(data) != len(expected):
        return False
    patched = bytearray(expected)
    for extent in ranges:
        patched[extent.offset : extent.end] = bytes(extent.length)
    return bytes(patched) == data
