"""Write a version's tree anew with the keys of another repository: pages from the leaves up, blocks where unknown.

Ids and fingerprints depend on a repository's secrets, so each block has to be read to be named anew. That is
saved where the answer is known: below pages and at entries that are the same as in the base, a version that both
repositories have, and for what was transcribed before in the same run.
Before: repository.tree, operations.pipeline. After: operations.sync.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from packstore.blocks import Geometry, is_zero
from packstore.codec.objectcodec import EncodedObject
from packstore.errors import DamageError, FormatError
from packstore.format.page import NO_FINGERPRINT, Page, decode_page, encode_page
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import HOLE, ObjectId
from packstore.limits import FINGERPRINT_BYTES, OBJECT_ID_BYTES, PAGE_ENTRIES
from packstore.operations.pipeline import ordered_map, window_items
from packstore.progress import Progress, StopRequest
from packstore.repository.repository import Repository
from packstore.repository.session import Session
from packstore.repository.tree import check_shape, page_blocks, tree_levels

Key = TypeVar("Key")
Value = TypeVar("Value")

_KEPT_PAGES: Final = 200_000
_KEPT_BLOCKS: Final = 100_000
"""Entries of half a kilobyte at the most; twice as many are held for a moment."""


class Memo(Generic[Key, Value]):
    """Remembers what was asked for last: at least `limit` answers, at most twice as many."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """Return the answer, None if it is not remembered."""
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Key, value: Value) -> None:
        """Remember an answer."""
        if len(self._young) >= self._limit:
            self._young, self._old = {}, self._young
        self._young[key] = value


class Pair(NamedTuple):
    """The same page, or no page, in both repositories: its id in the source's, its id in the destination's."""

    source: ObjectId
    destination: ObjectId


class Base(NamedTuple):
    """A version that both repositories have: its roots, and its size in bytes."""

    roots: Pair
    size: int


_NO_PAIR: Final = Pair(HOLE, HOLE)
PageKey = tuple[ObjectId, int, int]
"""Id of a source's page, its level, and how many bytes are below it where it stands."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A page begins: what is known of its entries, holes elsewhere."""

    level: int
    ids: bytearray
    fingerprints: bytearray


@dataclass(frozen=True, slots=True)
class _Known:
    """A page whose id in the destination is known."""

    entry: int
    page_id: ObjectId
    blocks: range


@dataclass(frozen=True, slots=True)
class _Block:
    """A block to be read; `name` and what follows are found out by a worker."""

    entry: int
    source_id: ObjectId
    length: int
    object_id: ObjectId = HOLE
    fingerprint: bytes = NO_FINGERPRINT
    encoded: EncodedObject | None = None


@dataclass(frozen=True, slots=True)
class _Close:
    """A page ends; it is the entry `entry` of the page above."""

    entry: int
    key: PageKey
    blocks: range


_Step = _Open | _Known | _Block | _Close


@dataclass
class Tally:
    """Bytes of blocks that had to be read, and bytes of those that were new in the destination."""

    read: int = 0
    new: int = 0


@dataclass
class Transcriber:
    """Writes trees of one repository into another, under one session, so that what was written once stays."""

    source: Repository
    destination: Repository
    session: Session
    stop: StopRequest
    progress: Progress
    threads: int
    tally: Tally = field(default_factory=Tally)
    _pages: Memo[PageKey, ObjectId] = field(default_factory=lambda: Memo(_KEPT_PAGES), init=False)
    _blocks: Memo[tuple[ObjectId, int], tuple[ObjectId, bytes]] = field(
        default_factory=lambda: Memo(_KEPT_BLOCKS), init=False
    )
    _comparable: int = field(default=0, init=False)
    """So many blocks of the version are as long as they are in the base."""

    def tree(self, version: Version, base: Base | None) -> ObjectId:
        """Write the tree of a version, block by block as the base has it where that is the same; return its root.

        Raises:
            DamageError: part of the version cannot be read; what was written so far may stay.
            StorageError: either storage failed.
            Interrupted: it was asked to stop.
        """
        geometry = Geometry(version.size, version.block_size)
        roots = _NO_PAIR
        if base is not None:
            count = Geometry(base.size, version.block_size).count
            self._comparable = min(count, geometry.count) - (base.size != version.size)
            roots = base.roots if tree_levels(count) == tree_levels(geometry.count) else _NO_PAIR
        steps = self._steps(geometry, tree_levels(geometry.count) - 1, 0, version.root, roots)
        stack = [_Open(-1, bytearray(HOLE), bytearray())]
        window = window_items(self.threads, version.block_size)
        with closing(ordered_map(self._work, steps, threads=self.threads, window=window)) as done:
            for step in done:
                self.stop.check()
                self._take(step, stack, geometry)
        return ObjectId(bytes(stack[0].ids))

    def _steps(
        self, geometry: Geometry, level: int, number: int, page_id: ObjectId, base: Pair, entry: int = 0
    ) -> Iterator[_Step]:
        """Yield what has to be done for page `number` of `level`, and below it."""
        begin = number * page_blocks(level)
        blocks = range(begin, min(begin + page_blocks(level), geometry.count))
        key = (page_id, level, geometry.span(blocks).length)
        known = HOLE if page_id == HOLE else self._pages.get(key)
        if known is None and page_id == base.source and blocks.stop <= self._comparable:
            known = base.destination
        if known is not None:
            yield _Known(entry, known, blocks)
            return
        page = decode_page(self.source.read_object(Kind.PAGE, page_id))
        check_shape(page, level, number, geometry.count)
        pair = self._base_pages(base, level)
        if level == 0:
            yield from self._leaf_steps(geometry, page, blocks, pair)
        else:
            yield _Open(level, bytearray(HOLE * len(page)), bytearray())
            for at in range(len(page)):
                below = Pair(pair[0].id_at(at), pair[1].id_at(at)) if pair and at < len(pair[0]) else _NO_PAIR
                yield from self._steps(geometry, level - 1, number * PAGE_ENTRIES + at, page.id_at(at), below, at)
        yield _Close(entry, key, blocks)

    def _base_pages(self, base: Pair, level: int) -> tuple[Page, Page] | None:
        """Return the base's page as both repositories have it, None if there is none or it is of no use."""
        if HOLE in (base.source, base.destination):
            return None
        try:
            first = decode_page(self.source.read_object(Kind.PAGE, base.source))
            second = decode_page(self.destination.read_object(Kind.PAGE, base.destination))
        except DamageError:
            return None
        fits = first.level == second.level == level and len(first) == len(second)
        return (first, second) if fits else None

    def _leaf_steps(
        self, geometry: Geometry, page: Page, blocks: range, pair: tuple[Page, Page] | None
    ) -> Iterator[_Step]:
        opened = _Open(0, bytearray(HOLE * len(page)), bytearray(NO_FINGERPRINT * len(page)))
        unknown = []
        for at, index in enumerate(blocks):
            object_id = page.id_at(at)
            if object_id == HOLE:
                continue
            length = geometry.length(index)
            if pair and index < self._comparable and pair[0].id_at(at) == object_id:
                _set(opened, at, pair[1].id_at(at), pair[1].fingerprint_at(at))
            elif known := self._blocks.get((object_id, length)):
                _set(opened, at, *known)
            else:
                unknown.append(_Block(at, object_id, length))
        yield opened
        yield from unknown

    def _work(self, step: _Step) -> _Step:
        """Read a block and name it anew; runs in the workers."""
        if not isinstance(step, _Block):
            return step
        data = self.source.read_object(Kind.BLOCK, step.source_id)
        if len(data) != step.length:
            raise FormatError("block", f"{len(data)} bytes where {step.length} are due")
        if is_zero(data):
            return step
        keyring = self.destination.keyring
        object_id, fingerprint = keyring.object_id(data), keyring.fingerprint(data)
        known = self.session.is_known(Kind.BLOCK, object_id)
        encoded = None if known else self.destination.codec.encode(Kind.BLOCK, object_id, data)
        return _Block(step.entry, step.source_id, step.length, object_id, fingerprint, encoded)

    def _take(self, step: _Step, stack: list[_Open], geometry: Geometry) -> None:
        """Do the next step, in order."""
        if isinstance(step, _Open):
            stack.append(step)
        elif isinstance(step, _Block):
            self._take_block(step, stack[-1])
        elif isinstance(step, _Known):
            _set(stack[-1], step.entry, step.page_id)
            self.progress.advance(geometry.span(step.blocks).length)
        else:
            page = stack.pop()
            _set(stack[-1], step.entry, self._close(step, page))
            self.progress.advance(geometry.span(step.blocks).length if page.level == 0 else 0)

    def _take_block(self, block: _Block, leaf: _Open) -> None:
        self.tally.read += block.length
        if block.encoded is not None and self.session.put_block(block.encoded):
            self.tally.new += block.length
        if block.object_id != HOLE:
            _set(leaf, block.entry, block.object_id, block.fingerprint)
            self._blocks.put((block.source_id, block.length), (block.object_id, block.fingerprint))

    def _close(self, step: _Close, page: _Open) -> ObjectId:
        ids = bytes(page.ids)
        if ids == HOLE * (len(ids) // OBJECT_ID_BYTES):
            return HOLE
        page_id = self.session.put_page(encode_page(Page(page.level, ids, bytes(page.fingerprints))))
        self._pages.put(step.key, page_id)
        return page_id


def _set(page: _Open, at: int, object_id: ObjectId, fingerprint: bytes = b"") -> None:
    page.ids[at * OBJECT_ID_BYTES : (at + 1) * OBJECT_ID_BYTES] = object_id
    if page.level == 0:
        page.fingerprints[at * FINGERPRINT_BYTES : (at + 1) * FINGERPRINT_BYTES] = fingerprint
