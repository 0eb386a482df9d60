"""An open repository: the one place that knows keys, packs, index and versions together.

Before: repository.opening, index.sync. After: operations.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from packstore.codec.compression import DEFAULT_COMPRESSION, CompressionSpec, Compressor
from packstore.codec.keyring import Keyring
from packstore.codec.objectcodec import ObjectCodec
from packstore.codec.stages import Stages
from packstore.errors import FormatError, KeysUnreadable, NameNotFound, UnsupportedFormat
from packstore.format.checkpoint import Checkpoint, decode_checkpoint
from packstore.format.document import RepositoryFile
from packstore.format.ledger import Damage, Scrub, decode_damage, decode_scrub
from packstore.format.pack import PackHeader, PackType
from packstore.format.record import Kind
from packstore.format.version import Event, EventType, Version, decode_event, decode_version
from packstore.ids import ObjectId, Uid
from packstore.index.environment import IndexBroken, destroy
from packstore.index.objectindex import ObjectIndex
from packstore.index.sync import IndexSync, SyncResult
from packstore.packs.reader import Owner
from packstore.packs.writer import PackWriter
from packstore.progress import NullProgress, Progress
from packstore.repository.documents import complete_directories
from packstore.repository.history import VersionState, find_version, fold
from packstore.repository.keyfiles import KeyFiles, genuine_epochs, read_key_files, take_in_epochs
from packstore.repository.objects import ObjectReader
from packstore.repository.opening import AskCredential, read_repository_file, unlock
from packstore.repository.places import is_bad_here
from packstore.repository.rollback import Comparison, compare, update
from packstore.repository.runtime import Runtime
from packstore.repository.sightings import Sightings, place_of, refuse_downgrade
from packstore.repository.tree import TreeReader
from packstore.repository.validity import Judge, Validity
from packstore.storage.base import Storage

Record = TypeVar("Record", Version, Event, Scrub, Damage, Checkpoint)


@dataclass(frozen=True)
class OpenOptions:
    """How to open: where indexes are kept, what to do for a key, and where is noted what was seen (None: nowhere)."""

    index_root: Path
    ask: AskCredential
    expect_encrypted: bool = False
    state_root: Path | None = None
    compression: CompressionSpec = field(default_factory=lambda: CompressionSpec.parse(DEFAULT_COMPRESSION))


class Repository:
    """One repository, opened with its keys and its index."""

    def __init__(
        self,
        storage: Storage,
        file: RepositoryFile,
        keyring: Keyring,
        index: ObjectIndex,
        *,
        compression: CompressionSpec,
        runtime: Runtime,
    ) -> None:
        self.storage = storage
        self.file = file
        self.keyring = keyring
        self.runtime = runtime
        self.stages = Stages()
        self.warnings: list[str] = []
        """What is damaged or cannot be read."""
        self.announcements: list[str] = []
        """What somebody should know, and that is no damage."""
        self.owner = Owner(file.id, keyring.domain, keyring.pack_mac)
        self.codec = ObjectCodec(keyring, Compressor(compression), self.stages, runtime.random)
        self.missing = Comparison()
        self._sightings: Sightings | None = None
        self._use_index(index)

    def _use_index(self, index: ObjectIndex) -> None:
        self._judge: tuple[int, Judge] | None = None
        self.index = index
        index.look = lambda pack_id, offset: is_bad_here(self.storage, index, self.owner, self.codec, pack_id, offset)
        self.sync = IndexSync(self.storage, index, self.owner, self.codec)
        self._objects = ObjectReader(self.storage, index, self.codec, self._catch_up, (self.recover, self.relearn))

    @classmethod
    def open(
        cls, storage: Storage, options: OpenOptions, runtime: Runtime, progress: Progress | None = None
    ) -> "Repository":
        """Open a repository and bring its index up to date.

        Raises:
            RepositoryError: there is none, or it cannot be used.
            KeyUnavailable: no key, a wrong one, or tampering.
            StorageError: it cannot be read.
        """
        opened = read_repository_file(storage)
        refuse_downgrade(options.state_root, opened.file, storage)
        sightings = Sightings(options.state_root, opened.file.id, storage)
        first = sightings.slot()
        keyring = unlock(storage, opened, options.ask, expect_encrypted=options.expect_encrypted, first=first)
        directory = index_directory(options.index_root, opened.file, storage)
        index = ObjectIndex(directory, opened.file.id)
        repository = cls(storage, opened.file, keyring, index, compression=options.compression, runtime=runtime)
        try:
            repository.warnings += opened.faults
            repository.announcements += key_warnings(keyring)
            try:
                repository.refresh(progress or NullProgress())
            except IndexBroken:
                repository.warnings += repository.rebuild_index(progress or NullProgress()).damage
            repository.look_back(sightings)
        except BaseException:
            repository.close()
            raise
        return repository

    def with_new_index(self, directory: Path) -> "Repository":
        """Return the same repository with an index made anew in `directory`, which changes only by growing.

        For whoever deletes: what is not needed must not be decided by a cache that may be wrong.
        """
        index = ObjectIndex(directory, self.file.id, durable=False)
        compression = CompressionSpec.parse(DEFAULT_COMPRESSION)
        found = Repository(self.storage, self.file, self.keyring, index, compression=compression, runtime=self.runtime)
        found._objects = ObjectReader(self.storage, index, found.codec, lambda: None, ())
        return found

    def learn_keys(self) -> None:
        """Take in the epochs that were made since; for writers, when their intent stands.

        Whoever retires an epoch relies on it: writers that began later write in a newer one.

        Raises:
            TamperedRepository: an epoch was not written by anybody who has the key.
            KeysUnreadable: the newest epoch cannot be opened with this key.
        """
        if self.keyring.encrypted:
            take_in_epochs(self.keyring, read_key_files(self.storage, self.keyring.known))
            self.keyring.writing_key(Kind.BLOCK)

    def look_back(self, sightings: Sightings) -> None:
        """Compare what is there with what this host has seen, and note what is there now."""
        self._sightings = sightings
        seen = sightings.read()
        self.missing = compare(
            seen, self.keyring, self.index.uids(Kind.VERSION), self._records(Kind.EVENT, decode_event)
        )
        self.announcements += self.missing.announcements()
        self.note_seen()

    def accept_missing(self) -> None:
        """Take what is missing for what is meant."""
        self.keyring.missed.clear()
        self.missing = Comparison()
        self.note_seen()

    def note_seen(self) -> None:
        """Note what is there now, and go on missing what is missing."""
        versions = self.index.uids(Kind.VERSION)
        self.missing.versions -= versions
        sightings, seen = self._sightings, update(self.keyring, versions, self.missing)
        if sightings is not None and seen != sightings.read():
            sightings.write(seen)
            if sightings.fault:
                self.warnings.append(
                    f"what was seen here cannot be noted, so a rollback goes unseen: {sightings.fault}"
                )

    def require_every_epoch(self) -> None:
        """Refuse to judge what is stored with a key that does not open all of it: it would look damaged.

        Raises:
            KeysUnreadable: there is an epoch that this key does not open.
        """
        if self.keyring.foreign:
            numbers = ", ".join(str(number) for number in sorted(self.keyring.foreign.values()))
            raise KeysUnreadable(
                f"this key does not open epoch {numbers}: what is stored in it cannot be told from damage",
                advice="use another key; `packstore key test` with one that opens it gives each slot what it lacks",
            )

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    def refresh(self, progress: Progress) -> SyncResult:
        """Read what is new in `meta/`; damage is kept as a warning and prevents nothing."""
        result = self.synchronise(progress)
        self.warnings += result.damage
        return result

    def _catch_up(self) -> None:
        """Read what is new in `meta/`; what is damaged there was said when the repository was opened."""
        self.synchronise(NullProgress())

    def synchronise(self, progress: Progress) -> SyncResult:
        """Read what is new in `meta/`, which may be in an epoch that was not there when the repository was opened."""
        if self.keyring.encrypted:
            files = read_key_files(self.storage, self.keyring.known)
            take_in_epochs(self.keyring, KeyFiles(epochs=genuine_epochs(self.keyring, files)))
        return self.sync.synchronise(progress)

    def rebuild_index(self, progress: Progress) -> SyncResult:
        """Throw the index away and make it anew, from `meta/` and from the packs that nothing there names."""
        directory = self.index.directory
        self.index.close()
        destroy(directory)
        self._use_index(ObjectIndex(directory, self.file.id))
        result = self.synchronise(progress)
        self.sync.adopt_orphans(result)
        return result

    def recover(self) -> None:
        """Look everywhere for what the index does not know: `meta/`, then the packs' own directories."""
        result = self.synchronise(NullProgress())
        self.sync.adopt_orphans(result)

    def relearn(self) -> None:
        """Forget what the index says and read everything again: it is wrong, or there is damage."""
        self.index.clear()
        self.recover()

    def states(self) -> list[VersionState]:
        """Return every version with what its events make of it, the oldest first."""
        return fold(self._records(Kind.VERSION, decode_version), self._records(Kind.EVENT, decode_event))

    def scrubs(self) -> list[Scrub]:
        """Return what checks have recorded of the packs they read."""
        return list(self._records(Kind.SCRUB, decode_scrub))

    def damages(self) -> list[Damage]:
        """Return what checks have recorded of damage, in the order in which it counts."""
        return sorted(self._records(Kind.DAMAGE, decode_damage), key=lambda damage: (damage.counter, damage.id))

    def checkpoints(self) -> list[Checkpoint]:
        """Return how far unfinished backups have come."""
        return list(self._records(Kind.CHECKPOINT, decode_checkpoint))

    def events(self) -> list[Event]:
        """Return all events."""
        return list(self._records(Kind.EVENT, decode_event))

    def _records(self, kind: Kind, decode: Callable[[bytes], Record]) -> Iterator[Record]:
        """Yield the records that this program understands; of the others it warns."""
        for plain in self.index.records(kind):
            try:
                yield decode(plain)
            except FormatError as error:
                self.warnings.append(f"one {kind.name.lower()} cannot be used: {error.message}")

    def find(self, spec: str) -> VersionState:
        """Find a version by what a person writes. Raises VersionNotFound, AmbiguousVersion."""
        return find_version(spec, self.states())

    def next_counter(self) -> int:
        """Return one more than the highest counter there is: what "later" means in a repository."""
        counters = [version.counter for version in self._records(Kind.VERSION, decode_version)]
        counters += [event.counter for event in self.events()]
        counters += [damage.counter for damage in self.damages()]
        counters += [checkpoint.counter for checkpoint in self.checkpoints()]
        return 1 + max(counters, default=0)

    def new_event(
        self, event_type: EventType, versions: list[Uid], *, cancels: Sequence[Uid] = (), value: str | None = None
    ) -> Event:
        """Make an event about versions, later than all there is; it is not published."""
        return Event(
            id=self.runtime.new_uid(),
            type=event_type,
            date_ms=self.runtime.now_ms(),
            counter=self.next_counter(),
            versions=versions,
            cancels=list(cancels),
            value=value,
            program=self.runtime.program,
            host=self.runtime.hostname,
        )

    def new_pack(self, pack_type: PackType) -> PackWriter:
        """Begin a pack.

        Raises:
            StorageError: it cannot be written.
        """
        header = PackHeader(pack_type, self.runtime.new_pack_id(), self.file.id, self.keyring.domain)
        try:
            return PackWriter(self.storage, header, self.keyring.pack_mac)
        except NameNotFound:
            complete_directories(self.storage)
            return PackWriter(self.storage, header, self.keyring.pack_mac)

    def read_object(self, kind: Kind, object_id: ObjectId) -> bytes:
        """Return the plaintext of an object. Raises ObjectMissing, ObjectCorrupt, StorageGone."""
        return self._objects.read(kind, object_id)

    def read_block(self, object_id: ObjectId, fingerprint: bytes) -> bytes:
        """Return a block for which a version has this fingerprint. Raises ObjectMissing, ObjectCorrupt, StorageGone."""
        return self._objects.read(Kind.BLOCK, object_id, fingerprint)

    def tree(self, version: Version) -> TreeReader:
        """Return the tree of a version."""
        return self.tree_of(version.root, -(-version.size // version.block_size))

    def tree_of(self, root: ObjectId, block_count: int) -> TreeReader:
        """Return the tree with this root, over so many blocks."""
        return TreeReader(lambda page_id: self.read_object(Kind.PAGE, page_id), root, block_count)

    def validity(self, state: VersionState) -> Validity:
        """Say what is known of a version without reading it."""
        return self.judge([state]).validity(state)

    def judge(self, states: Sequence[VersionState]) -> Judge:
        """Return what says what is known of versions now, prepared for these: cheap, also for thousands of them."""
        stamp = self.index.stamp()
        if self._judge is None or self._judge[0] != stamp:
            self._judge = stamp, Judge(self.storage, self.index)
        self._judge[1].look_up(states)
        return self._judge[1]

    def is_readable(self, state: VersionState) -> bool:
        """Say whether a version is whole as far as can be told without reading it."""
        return state.complete and self.validity(state) is Validity.VALID

    def require_writable(self) -> None:
        """Refuse to write where a feature unknown here would be ignored.

        Raises:
            UnsupportedFormat: there is such a feature.
        """
        if self.file.features["write"]:
            message = f"writing to this repository needs the unknown feature {self.file.features['write'][0]!r}"
            raise UnsupportedFormat(message, advice="use a newer packstore; reading works")


def key_warnings(keyring: Keyring) -> list[str]:
    """Return what somebody should know about the key that opened a repository."""
    if keyring.slot is not None and keyring.slot.id in keyring.removed:
        return ["the key that opened this repository was removed: what was written since cannot be read with it"]
    if keyring.foreign:
        numbers = ", ".join(str(number) for number in sorted(keyring.foreign.values()))
        return [f"this key does not open epoch {numbers}: what is stored in it cannot be read with it"]
    return []


def index_directory(root: Path, file: RepositoryFile, storage: Storage) -> Path:
    """Return where the index of a repository at one place lies: two copies of it have two indexes."""
    return root / f"{file.id.hex()}-{place_of(storage)}"
