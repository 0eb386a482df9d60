"""Read packs from their first byte to their last and say what is wrong with them. FORMAT.md section 14.

Without keys every stored byte is verified by checksum; with them each record is also decrypted,
decompressed and compared with its id.
Before: packs.scanner. After: operations.check.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from packstore.codec.objectcodec import ObjectCodec
from packstore.codec.stages import FETCH, Stages
from packstore.errors import FormatError, NameNotFound, StorageError
from packstore.format.pack import PACK_HEADER, Entry, PackType, entry_of
from packstore.ids import PackId
from packstore.operations.pipeline import ordered_map, window_items
from packstore.packs.reader import Owner, Seal, check_place, read_seal
from packstore.packs.scanner import Foreign, Gap, PackWindow, Scanned, scan_records
from packstore.packs.segments import Segment, records_of, segments_of
from packstore.progress import Progress, StopRequest
from packstore.storage.base import Listed, Storage

Found = Scanned | Foreign | Gap


@dataclass(frozen=True, slots=True)
class Damage:
    """Something wrong with a stored file: where, and what. `length` 0: with the file as a whole."""

    name: str
    offset: int
    length: int
    reason: str


@dataclass
class PackReport:
    """What reading one pack found; `good` and `foreign` are the offsets of whole records.

    `bad` are the offsets of those that are not; 0 where the pack has no valid seal.
    """

    pack_type: PackType
    pack_id: PackId
    bytes_read: int = 0
    records: int = 0
    vanished: bool = False
    damage: list[Damage] = field(default_factory=list)
    foreign: set[int] = field(default_factory=set)
    bad: set[int] = field(default_factory=set)
    good: dict[int, Entry] = field(default_factory=dict)


class PackChecker:
    """Checks packs one after another, the records of each in parallel."""

    def __init__(
        self,
        storage: Storage,
        owner: Owner,
        codec: ObjectCodec | None,
        stop: StopRequest,
        progress: Progress,
        *,
        threads: int,
    ) -> None:
        """Check with keys if `codec` is given, else by checksums only."""
        self.stages = Stages() if codec is None else codec.stages
        self._storage = storage
        self._owner = owner
        self._codec = codec
        self._stop = stop
        self._progress = progress
        self._threads = threads
        self._position = "", 0

    def check(self, pack_type: PackType, pack_id: PackId, listed: Listed) -> PackReport:
        """Read one pack whole.

        Raises:
            StorageGone: the storage is out of reach.
            Interrupted: between two records.
        """
        report = PackReport(pack_type, pack_id, bytes_read=listed.size)
        try:
            seal = self._seal(report, listed)
            if seal and self._is_sound(report, listed, seal):
                return report
            end = seal.trailer.directory_offset if seal else listed.size
            if listed.size > PACK_HEADER.size:
                self._records(report, listed, end)
            if seal:
                self._compare(report, listed, seal)
        except NameNotFound:
            report.vanished = True  # collected since it was listed; if it is missed, the versions say so
        except StorageError as error:
            report.damage.append(Damage(listed.name, 0, 0, error.message))
            report.bad.add(0)
        return report

    def _seal(self, report: PackReport, listed: Listed) -> Seal | None:
        try:
            return read_seal(self._storage, report.pack_type, report.pack_id, self._owner, listed.size)
        except FormatError as error:
            report.damage.append(Damage(listed.name, error.offset or 0, 0, error.message))
            report.bad.add(0)
            return None

    def _is_sound(self, report: PackReport, listed: Listed, seal: Seal) -> bool:
        """Read the pack as its directory says; report on it only if all of it is so, and good."""
        try:
            segments = segments_of(seal.entries, seal.trailer.directory_offset)
        except FormatError:
            return False
        window = window_items(self._threads, 4 << 20)
        results = ordered_map(
            lambda segment: self._is_good(listed.name, segment), segments, threads=self._threads, window=window
        )
        with closing(results):
            for segment, good in zip(segments, results, strict=True):
                self._stop.check()
                if not good:
                    return False
                self._advance(listed, segment.offset + segment.length)
        report.records = len(seal.entries)
        report.good = {entry.offset: entry for entry in seal.entries}
        self._advance(listed, listed.size)
        return True

    def _is_good(self, name: str, segment: Segment) -> bool:
        """Verify each record of a segment, and open it if there are keys; runs in the workers."""
        try:
            with self.stages.time(FETCH):
                data = self._storage.read(name, segment.offset, segment.length)
            for header, payload in records_of(segment, data):
                if self._codec is not None:
                    self._codec.decode(header, payload)
        except FormatError:
            return False
        except StorageError as error:
            if isinstance(error, NameNotFound):
                raise
            return False
        return True

    def _advance(self, listed: Listed, position: int) -> None:
        """Report that a pack was read up to here, in bytes; a part that is read again counts once."""
        if self._position[0] != listed.name:
            self._position = listed.name, 0
        self._progress.advance(max(position - self._position[1], 0))
        self._position = listed.name, max(position, self._position[1])

    def _records(self, report: PackReport, listed: Listed, end: int) -> None:
        found = scan_records(PackWindow(self._storage, listed.name), end)
        window = window_items(self._threads, 4 << 20)
        results = ordered_map(
            lambda item: self._judge(report, item), self._steps(found, listed), threads=self._threads, window=window
        )
        with closing(results):
            self._collect(report, listed, results)
        self._advance(listed, listed.size)

    def _collect(self, report: PackReport, listed: Listed, results: Iterator[tuple[Found, str]]) -> None:
        for item, fault in results:
            if isinstance(item, Gap):
                # Without a valid trailer nobody can say where the records end and the directory begins.
                report.damage.append(Damage(listed.name, item.offset, item.length, item.reason))
            elif isinstance(item, Foreign):
                report.foreign.add(item.offset)
            elif fault:
                report.damage.append(Damage(listed.name, item.offset, item.header.record_size, fault))
            else:
                report.records += 1
                report.good[item.offset] = entry_of(item.header, item.offset)

    def _steps(self, found: Iterator[Found], listed: Listed) -> Iterator[Found]:
        for item in found:
            self._stop.check()
            self._advance(listed, item.offset)
            yield item

    def _judge(self, report: PackReport, item: Found) -> tuple[Found, str]:
        """Open a record, if there are keys; runs in the workers."""
        if not isinstance(item, Scanned):
            return item, ""
        try:
            check_place(item.header.kind, report.pack_type)
            if self._codec is not None:
                self._codec.decode(item.header, item.payload)
        except FormatError as error:
            return item, error.message
        # The payload has been judged; what is kept from here on is small.
        return Scanned(item.offset, item.header, b""), ""

    def _compare(self, report: PackReport, listed: Listed, seal: Seal) -> None:
        """Hold the directory against the records that were found."""
        known = {damage.offset for damage in report.damage}
        for entry in seal.entries:
            found = report.good.get(entry.offset)
            if entry.offset in report.foreign:
                continue
            if found != entry:
                report.bad.add(entry.offset)
            if found is None and not any(
                damage.offset <= entry.offset < damage.offset + damage.length for damage in report.damage
            ):
                reason = "the directory names a record that is not there"
                report.damage.append(Damage(listed.name, entry.offset, entry.record_size, reason))
            elif found is not None and found != entry and entry.offset not in known:
                reason = "the directory says something else than the record"
                report.damage.append(Damage(listed.name, entry.offset, entry.record_size, reason))
                del report.good[entry.offset]
