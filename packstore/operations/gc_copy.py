"""Copy records into new packs: out of packs that are about to go. FORMAT.md section 13.5.

A record names its key and not its pack: it is copied byte for byte, but for those of an older epoch, which are
encrypted anew. What is copied was opened and compared with its id first: a collector must not carry damage on.
Before: packs.writer. After: operations.gc.
"""

from packstore.codec.objectcodec import EncodedObject
from packstore.errors import StorageGone
from packstore.format.ledger import Scrub, encode_scrub
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.ids import ObjectId, PackId
from packstore.limits import META_PACK_BYTES
from packstore.packs.writer import PackWriter
from packstore.progress import NullProgress
from packstore.repository.repository import Repository
from packstore.repository.scrubs import inherit_ranks, split_scrub


class Copier:
    """Writes copies and a collector's own records; `publish` makes them count."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._open: dict[PackType, PackWriter] = {}
        self._copied: set[tuple[int, ObjectId]] = set()
        self._sources: dict[PackId, set[PackId]] = {}
        self.bytes_copied = 0
        self.packs: set[PackId] = set()

    def has(self, kind: int, object_id: ObjectId) -> bool:
        """Say whether an object was copied already, in this run."""
        return (kind, object_id) in self._copied

    def copy(self, record: EncodedObject, source: PackId) -> None:
        """Append a record of another pack."""
        header = record.header
        new = self._append(record)
        if header.kind is Kind.BLOCK:  # metadata is copied so often that its copies would be mostly about copies
            self._sources.setdefault(new, set()).add(source)
        self._copied.add((header.kind, header.object_id))
        self.bytes_copied += header.record_size

    def put(self, kind: Kind, plain: bytes) -> None:
        """Append a record of the collector's own."""
        repository = self._repository
        self._append(repository.codec.encode(kind, repository.keyring.object_id(plain), plain))

    def put_scrub(self, scrub: Scrub) -> None:
        """Append a scrub record, as several if it is too large for one."""
        for part in split_scrub(scrub):
            self.put(Kind.SCRUB, encode_scrub(part))

    def _append(self, encoded: EncodedObject) -> PackId:
        """Append a record; return the pack that it is in now."""
        repository = self._repository
        pack_type = PackType.BLOCKS if encoded.header.kind is Kind.BLOCK else PackType.META
        target = repository.file.pack_size if pack_type is PackType.BLOCKS else META_PACK_BYTES
        pack = self._open.get(pack_type)
        if pack is not None and not pack.has_room_for(encoded, target):
            self._seal(pack_type)
            pack = None
        if pack is None:
            pack = self._open[pack_type] = repository.new_pack(pack_type)
        pack.append(encoded)
        return pack.header.pack_id

    def _seal(self, pack_type: PackType) -> None:
        pack = self._open.pop(pack_type, None)
        if pack is None:
            return
        try:
            pack.seal()
        finally:
            pack.discard()
        self.packs.add(pack.header.pack_id)
        if pack_type is PackType.BLOCKS:
            self.put(Kind.DIRECTORY, pack.directory)

    def publish(self) -> None:
        """Publish what was copied so far, and have the index read it back.

        Raises:
            StorageError: it may or may not be there; nothing relies on it.
        """
        self._seal(PackType.BLOCKS)
        # Checked as lately as the least of the packs it came from: copying is not reading by a check.
        inherited = inherit_ranks(self._repository, self._sources)
        self._sources = {}
        if inherited.ranks or inherited.seen:
            self.put_scrub(inherited)
        self._seal(PackType.META)
        self._repository.refresh(NullProgress())
        metas = self._repository.index.metas()
        for pack_id in self.packs:
            state = metas.get(pack_id)
            if not self._repository.index.is_known(pack_id) or (state is not None and state.damaged):
                location = self._repository.storage.location
                raise StorageGone(f"what was just written to {location} does not read back as it was written")

    def close(self) -> None:
        """Forget what was not published."""
        for pack in self._open.values():
            pack.discard()
        self._open.clear()
