"""A writer at work: objects go in, a version comes out. FORMAT.md section 13.

1. block packs are sealed and published, 2. then meta packs with their directories, the pages and, last of
all, the version record: the commit. 3. then the index learns of it. A crash at any point leaves the old
state or the new one; packs that no directory in `meta/` names yet are found again by the next writer.
Before: packs.writer, repository.coordination. After: operations.backup.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from packstore.codec.objectcodec import EncodedObject
from packstore.errors import DeclaredDead, FormatError, NameNotFound, PackstoreError, StorageError, StorageGone
from packstore.format.checkpoint import Checkpoint, encode_checkpoint
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.format.version import Event, EventType, Version, encode_event, encode_version
from packstore.ids import ObjectId, PackId
from packstore.index.sync import SyncResult
from packstore.index.tables import Location
from packstore.limits import META_PACK_BYTES
from packstore.packs.names import META_PREFIX, pack_name
from packstore.packs.reader import read_seal
from packstore.packs.writer import PackWriter
from packstore.progress import NullProgress
from packstore.repository.coordination import WriterIntent, other_writers, publish_intent
from packstore.repository.documents import GC_PREFIX
from packstore.repository.proof import Prover
from packstore.repository.repository import Repository


class Session:
    """One writer of a repository, from its intent to its commit. Use as a context manager.

    `is_known` and `undamaged` may be called from many threads; everything else from one.
    """

    def __init__(self, repository: Repository, purpose: str) -> None:
        repository.require_writable()
        self._repository = repository
        self._storage = repository.storage
        self._index = repository.index
        self._intent = publish_intent(self._storage, repository.keyring, repository.runtime, purpose)
        self._prover = Prover(self._storage, repository.owner)
        self._relied: set[tuple[PackType, PackId]] = set()
        self._proven: set[tuple[PackType, PackId]] = set()
        self._existing: dict[PackId, bool] = {}
        self._fresh: dict[tuple[int, ObjectId], None] = {}
        self._own: set[PackId] = set()
        self._adopted: set[PackId] = set()
        self._to_adopt: set[PackId] = set()
        self._blocks: PackWriter | None = None
        self._meta: PackWriter | None = None
        self._sealer = ThreadPoolExecutor(1, "seal")
        self._sealing: Future[PackWriter] | None = None
        self._dead: list[str] = []
        self._alone = False
        self._published_bytes = 0
        self._may_have_published = False
        try:
            repository.learn_keys()
        except BaseException:
            self._undo()
            raise
        try:
            self._take_over()
        except BaseException:
            self._intent.leave()
            raise

    @property
    def intent(self) -> WriterIntent:
        """What this writer has announced."""
        return self._intent

    @property
    def bytes_stored(self) -> int:
        """Bytes that this session has added to the storage, with those of the open packs."""
        return self._published_bytes + sum(pack.size for pack in (self._blocks, self._meta) if pack)

    def _take_over(self) -> None:
        """Take in what dead writers have stored, and sweep what they had not finished."""
        unfinished = [name for prefix in ("packs", META_PREFIX, GC_PREFIX) for name in self._storage.unfinished(prefix)]
        # Read before the intent stood, the index may speak of what has been collected since.
        self._repository.refresh(NullProgress())
        others = other_writers(self._storage, self._intent, self._repository.runtime.process)
        if others.dead:
            self._repository.sync.adopt_orphans(SyncResult())
            self._dead = others.dead
        self._alone = not others.alive
        if self._alone:
            # Listed before the intents were: whoever wrote these and lives would have been seen, but for somebody who
            # was just publishing an intent. That one makes another.
            for name in unfinished:
                self._storage.delete(name)

    def take_in_orphans(self) -> None:
        """Publish the directories of packs that nothing in `meta/` names, unless a living writer may own them.

        Ends the session.
        """
        if self._alone:
            self._repository.sync.adopt_orphans(SyncResult())
            self.flush(orphans=True)
            self._seal_meta()
        self._finish()

    def is_known(self, kind: Kind, object_id: ObjectId) -> bool:
        """Say whether an object is in the repository, proven by the directory of the pack it is in."""
        if (kind, object_id) in self._fresh:
            return True
        for location in self._index.usable(kind, object_id):
            if location.pack_id in self._intent.condemned_packs:
                continue
            if self._prover.holds(location.pack_type, location.pack_id, kind, object_id):
                self._relied.add((location.pack_type, location.pack_id))
                return True
        return False

    def undamaged(self, kind: Kind, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Return those objects of the base that are still there as far as is known: their packs exist, undamaged.

        That they were in the packs was proven when the base was committed; what was lost since is to be stored again.
        """
        found = self._index.usable_many(kind, ids)
        return {object_id for object_id, locations in found if any(map(self._exists, locations))}

    def present(self, kind: Kind, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Return those objects of the base that are in a pack which exists.

        Unlike `undamaged` it asks nobody about damage: whoever asks knows what is damaged of the base.
        """
        found = self._index.locate_many(kind, ids)
        return {object_id for object_id, locations in found if any(map(self._exists, locations))}

    def _exists(self, location: Location) -> bool:
        if location.pack_id not in self._existing:
            name = pack_name(location.pack_type, location.pack_id)
            self._existing[location.pack_id] = self._storage.exists(name)
        return self._existing[location.pack_id]

    def put_block(self, encoded: EncodedObject) -> bool:
        """Append the record of a block; say whether it is new in this session. Nothing is durable yet."""
        key = (encoded.header.kind, encoded.header.object_id)
        if key in self._fresh:
            return False
        target = self._repository.file.pack_size
        if self._blocks is not None and not self._blocks.has_room_for(encoded, target):
            self._seal_blocks()
        if self._blocks is None:
            self._blocks = self._new_pack(PackType.BLOCKS)
        self._blocks.append(encoded)
        self._fresh[key] = None
        return True

    def put_object(self, kind: Kind, plain: bytes) -> ObjectId:
        """Store a page or directory unless it is there already; return its id. Nothing is durable yet."""
        object_id = self._repository.keyring.object_id(plain)
        if not self.is_known(kind, object_id):
            self._append_meta(kind, object_id, plain)
        return object_id

    def put_record(self, kind: Kind, plain: bytes) -> ObjectId:
        """Append a version, an event or another record that no other one equals; return its id."""
        object_id = self._repository.keyring.object_id(plain)
        self._append_meta(kind, object_id, plain)
        return object_id

    def put_page(self, plain: bytes) -> ObjectId:
        """Store a page."""
        return self.put_object(Kind.PAGE, plain)

    def put_copy(self, encoded: EncodedObject) -> None:
        """Append the record of an object as it stands elsewhere, unless this session has it. Nothing is durable yet."""
        if encoded.header.kind is Kind.BLOCK:
            self.put_block(encoded)
        elif (encoded.header.kind, encoded.header.object_id) not in self._fresh:
            self._append_encoded(encoded)

    def adopt(self, pack_ids: Iterable[PackId]) -> None:
        """Have the next flush put the own directories of these packs into `meta/`."""
        self._to_adopt.update(pack_ids)

    def settle(self) -> None:
        """Publish all that was put so far; the session goes on."""
        self.flush()
        self._seal_meta()

    def _append_meta(self, kind: Kind, object_id: ObjectId, plain: bytes) -> None:
        self._append_encoded(self._repository.codec.encode(kind, object_id, plain))

    def _append_encoded(self, encoded: EncodedObject) -> None:
        if self._meta is not None and not self._meta.has_room_for(encoded, META_PACK_BYTES):
            self._seal_meta()
        if self._meta is None:
            self._meta = self._new_pack(PackType.META)
        self._meta.append(encoded)
        self._fresh[encoded.header.kind, encoded.header.object_id] = None

    def _new_pack(self, pack_type: PackType) -> PackWriter:
        return self._repository.new_pack(pack_type)

    def _seal_blocks(self) -> None:
        """Seal the open block pack in the background; there is never more than one on its way."""
        self._await_seal()
        if self._blocks is not None:
            self._may_have_published = True
            self._sealing = self._sealer.submit(_seal, self._blocks)
            self._blocks = None

    def _await_seal(self) -> None:
        if self._sealing is None:
            return
        sealing, self._sealing = self._sealing, None
        pack = sealing.result()
        pack_id = pack.header.pack_id
        self._published_bytes += pack.size
        self._own.add(pack_id)
        self._index.add_orphan(PackType.BLOCKS, pack_id, pack.entries)
        self._append_meta(Kind.DIRECTORY, self._repository.keyring.object_id(pack.directory), pack.directory)
        for entry in pack.entries:
            self._fresh.pop((entry.kind, entry.object_id), None)

    def _seal_meta(self) -> None:
        """Seal and publish the open meta pack, and have the index read it back."""
        if self._meta is None:
            return
        meta, self._meta = self._meta, None
        self._may_have_published = True
        try:
            meta.seal()
        finally:
            meta.discard()
        self._published_bytes += meta.size
        self._repository.refresh(NullProgress())
        state = self._index.meta_state(meta.header.pack_id)
        if state is None or state.damaged:
            raise StorageGone(f"what was just written to {self._storage.location} does not read back as it was written")
        for entry in meta.entries:
            self._fresh.pop((entry.kind, entry.object_id), None)

    def commit(self, version: Version, *, go_on: bool = False) -> None:
        """Publish everything and, last, the version. With `go_on` the session does not end: more versions follow.

        Raises:
            StorageError: the version may or may not be there; it is whole if it is.
            DeclaredDead: somebody took this writer for dead; the version was taken back.
        """
        self.flush()
        self.put_record(Kind.VERSION, encode_version(version))
        self._prove_packs(self._relied)
        self._seal_meta()
        reason = "the writer had been declared dead"
        self._fence([self._repository.new_event(EventType.REMOVE, [version.uid], value=reason)], go_on=go_on)

    def publish(self, events: list[Event], undo: list[Event]) -> None:
        """Publish events; `undo` are those that take them back.

        Raises:
            StorageError: they may or may not be there, all or none of them.
            DeclaredDead: somebody took this writer for dead; `undo` was published too.
        """
        for event in events:
            self.put_record(Kind.EVENT, encode_event(event))
        self.flush()
        self._seal_meta()
        self._fence(undo)

    def checkpoint(self, checkpoint: Checkpoint, instead: Checkpoint) -> None:
        """Publish what is stored so far and, last, how far that is; the session goes on.

        Raises:
            StorageError: the checkpoint may or may not be there; all that it refers to is, if it is.
            DeclaredDead: somebody took this writer for dead; `instead`, which refers to nothing, was published over it.
        """
        self.flush()
        self.put_record(Kind.CHECKPOINT, encode_checkpoint(checkpoint))
        self._prove_packs(self._relied - self._proven)
        self._proven |= self._relied
        self._seal_meta()
        self._require_standing([(Kind.CHECKPOINT, encode_checkpoint(instead))])

    def _fence(self, undo: list[Event], *, go_on: bool = False) -> None:
        """End the session, unless somebody has declared it dead: then garbage may have been collected meanwhile."""
        self._require_standing([(Kind.EVENT, encode_event(event)) for event in undo])
        if not go_on:
            self._finish()

    def _require_standing(self, undo: list[tuple[Kind, bytes]]) -> None:
        if not self._intent.stands():
            for kind, plain in undo:
                self.put_record(kind, plain)
            self._seal_meta()
            raise _declared_dead()

    def keep(self) -> None:
        """Publish what is stored so far without a version: the next backup will find it."""
        self.flush()
        self._seal_meta()
        self._finish()

    def flush(self, *, orphans: bool = False) -> None:
        """Publish the blocks; their directories are then in the open meta pack."""
        self._seal_blocks()
        self._await_seal()
        wanted = {pack_id for pack_type, pack_id in self._relied if pack_type is PackType.BLOCKS}
        wanted = {pack_id for pack_id in wanted if not self._index.is_named(pack_id)}
        wanted |= self._to_adopt
        if self._dead or orphans:
            wanted |= set(self._index.orphans())
        for pack_id in sorted(wanted - self._own - self._adopted - self._intent.condemned_packs):
            self._adopt(pack_id)
            self._adopted.add(pack_id)

    def _adopt(self, pack_id: PackId) -> None:
        """Put the directory of a pack that nothing in `meta/` names into this session's metadata."""
        try:
            directory = read_seal(self._storage, PackType.BLOCKS, pack_id, self._repository.owner).directory
        except (FormatError, NameNotFound):
            return  # it cannot have been relied on: the proof would have failed in the same way
        self._append_meta(Kind.DIRECTORY, self._repository.keyring.object_id(directory), directory)

    def _prove_packs(self, relied: set[tuple[PackType, PackId]]) -> None:
        """See that packs newly relied on still exist.

        Raises:
            StorageError: one is gone; no version is committed.
        """
        for pack_type, pack_id in sorted(relied):
            self._storage.size(pack_name(pack_type, pack_id))

    def _finish(self) -> None:
        try:
            for name in self._dead:
                self._storage.delete(name)
            self._intent.withdraw()
        except StorageError:
            self._intent.leave()  # all is published; the next writer removes what is left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sealer.shutdown(wait=True)
        for pack in (self._blocks, self._meta):
            if pack is not None:
                pack.discard()
        if self._may_have_published:
            self._intent.leave()
        else:
            self._undo()
        if isinstance(error, NameNotFound) and not self._intent.stands():
            # What it had written, or was writing, has been collected since.
            raise _declared_dead() from error

    def _undo(self) -> None:
        """Leave no trace of a session that has published nothing."""
        try:
            self._intent.withdraw()
        except StorageError:
            self._intent.leave()  # the next writer finds it, and that there is nothing to take over


def _declared_dead() -> DeclaredDead:
    return DeclaredDead(
        "another process took this one for dead, so what it had committed was taken back",
        advice="run it again: nothing that is stored is stored again",
    )


def _seal(pack: PackWriter) -> PackWriter:
    try:
        pack.seal()
    except PackstoreError:
        pack.discard()
        raise
    return pack
