"""Hypothesis strategies: values of the format, and bytes that are almost valid."""

from typing import Any

from hypothesis import strategies as st

from packstore.format.checkpoint import Checkpoint
from packstore.format.document import Epoch, RepositoryFile, SlotHeader, SlotKind
from packstore.format.intent import CondemnedList, Intent, IntentRole
from packstore.format.ledger import Damage, LostObject, Place, Scrub, ScrubRun
from packstore.format.pack import PACK_HEADER, Entry, PackHeader, PackType, entry_of
from packstore.format.page import Page
from packstore.format.record import MAX_PLAIN_BYTES, NO_KEY, Compression, Encryption, Kind, RecordHeader
from packstore.format.version import Event, EventType, Version, volume_name_fault
from packstore.ids import HOLE
from packstore.limits import GIB, KIB, MAX_DEVICE_BYTES, MIB

U32 = st.integers(0, (1 << 32) - 1)
U64 = st.integers(0, (1 << 64) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
BLOCK_SIZES = st.sampled_from([(64 * KIB) << shift for shift in range(9)])


def uids(size: int = 16) -> st.SearchStrategy[bytes]:
    """Return a strategy of ids."""
    return st.binary(min_size=size, max_size=size)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | U64 | TEXT | st.binary(max_size=100),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=12,
)
"""Whatever canonical msgpack can say, down to depth 8 at most by the number of leaves."""


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Return `data` after one to four small changes."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(changed)))
        length = draw(st.integers(0, 16))
        match draw(st.sampled_from(["flip", "set", "insert", "delete", "cut", "repeat"])):
            case "flip" if at < len(changed):
                changed[at] ^= 1 << draw(st.integers(0, 7))
            case "set" if at < len(changed):
                changed[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xC0, 0xC4, 0xDD, 0xFF]))
            case "insert":
                changed[at:at] = draw(st.binary(max_size=length))
            case "delete":
                del changed[at : at + length]
            case "cut":
                del changed[at:]
            case "repeat":
                changed[at:at] = changed[at : at + length]
            case _:
                pass
    return bytes(changed)


@st.composite
def record_headers(draw: st.DrawFn) -> RecordHeader:
    """Return a header that a reader accepts."""
    kind = draw(st.sampled_from(Kind))
    encryption = draw(st.sampled_from(Encryption))
    plain_size = draw(st.integers(1, MAX_PLAIN_BYTES[kind]))
    return RecordHeader(
        kind=kind,
        compression=draw(st.sampled_from(Compression)),
        encryption=encryption,
        plain_size=plain_size,
        payload_size=draw(st.integers(1, min(plain_size + 64, 4096))),
        key_id=NO_KEY if encryption is Encryption.NONE else draw(uids(8).filter(any)),
        object_id=draw(uids(64)),
    )


PACK_HEADERS = st.builds(PackHeader, st.sampled_from(PackType), uids(), uids(), uids(8))


@st.composite
def directories(draw: st.DrawFn) -> list[Entry]:
    """Return the entries of a pack, one after another."""
    entries: list[Entry] = []
    offset = PACK_HEADER.size
    for header in draw(st.lists(record_headers(), max_size=6)):
        entries.append(entry_of(header, offset))
        offset += header.record_size
    return entries


FEATURES = st.fixed_dictionaries({key: st.lists(TEXT, max_size=3) for key in ("read", "write", "delete")})
REPOSITORIES = st.builds(
    RepositoryFile,
    format=st.just(1),
    id=uids(),
    date_ms=U64,
    block_size=BLOCK_SIZES,
    pack_size=st.integers(MIB, GIB),
    features=FEATURES,
    root=st.none() | uids(32),
    program=TEXT,
)


@st.composite
def slot_headers(draw: st.DrawFn) -> SlotHeader:
    """Return the header of a slot with costs that are allowed."""
    kind = draw(st.sampled_from(SlotKind))
    paid = kind is SlotKind.PASSPHRASE
    return SlotHeader(
        id=draw(uids()),
        kind=kind,
        salt=draw(uids()),
        passes=draw(st.integers(1, 20)) if paid else 0,
        memory=draw(st.integers(8 * MIB, 2 * GIB)) if paid else 0,
        public_key=draw(uids(32)),
        date_ms=draw(U64),
        label=draw(TEXT),
    )


EPOCHS = st.builds(
    Epoch,
    id=uids(),
    number=st.integers(1, (1 << 32) - 1),
    encryption=st.sampled_from([Encryption.XCHACHA20_POLY1305, Encryption.AEGIS_256]),
    date_ms=U64,
    sealed=st.dictionaries(uids(), uids(80), max_size=4),
)
INTENTS = st.builds(
    Intent,
    id=uids(),
    honours=st.lists(uids(), max_size=4),
    versions=st.lists(uids(), max_size=4),
    host=TEXT,
    boot=TEXT,
    pid_namespace=TEXT,
    pid=U32,
    process_start=U64,
    role=st.sampled_from(IntentRole),
    purpose=TEXT,
    date_ms=U64,
)
LISTS = st.builds(CondemnedList, uids(), st.lists(uids(), max_size=4), st.lists(uids(), max_size=4))


@st.composite
def pages(draw: st.DrawFn) -> Page:
    """Return a page with at least one entry that is no hole."""
    ids = draw(
        st.lists(uids(64) | st.just(bytes(HOLE)), min_size=1, max_size=8).filter(lambda rows: any(map(any, rows)))
    )
    level = draw(st.integers(0, 7))
    fingerprints = b"".join(draw(uids()) if any(row) else bytes(16) for row in ids) if level == 0 else b""
    return Page(level, b"".join(ids), fingerprints)


@st.composite
def ranges(draw: st.DrawFn, size: int) -> list[tuple[int, int]]:
    """Return ranges inside a device, in order."""
    cuts = sorted(draw(st.sets(st.integers(0, size), max_size=8)))
    return [(begin, end - begin) for begin, end in zip(cuts[::2], cuts[1::2], strict=False)]


@st.composite
def versions(draw: st.DrawFn) -> Version:
    """Return a version that a writer might commit."""
    size = draw(st.integers(0, MAX_DEVICE_BYTES))
    name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
    return Version(
        uid=draw(uids()),
        volume=draw(name.filter(lambda text: not volume_name_fault(text))),
        date_ms=draw(U64),
        counter=draw(U64),
        size=size,
        block_size=draw(BLOCK_SIZES),
        root=draw(uids(64)) if size else HOLE,
        source=draw(st.dictionaries(TEXT, TEXT | U64, max_size=4)),
        unreadable=draw(ranges(size)),
        trusted_runs=draw(U32),
        statistics=draw(st.dictionaries(TEXT, U64, max_size=4)),
        tags=draw(st.lists(TEXT, max_size=4)),
        base=draw(st.none() | uids()),
        program=draw(TEXT),
        host=draw(TEXT),
    )


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    """Return a checkpoint that a writer might publish."""
    version = draw(versions())
    block_size = version.block_size
    blocks = draw(st.integers(1, MAX_DEVICE_BYTES // block_size))
    return Checkpoint(
        id=version.uid,
        volume=version.volume,
        date_ms=version.date_ms,
        counter=version.counter,
        size=draw(st.integers(blocks * block_size, MAX_DEVICE_BYTES)),
        block_size=block_size,
        covered=blocks * block_size,
        root=draw(uids(64)),
        source=version.source,
        immutable_id=draw(TEXT),
        program=version.program,
        host=version.host,
        unreadable=draw(ranges(blocks * block_size)),
        trusted_runs=version.trusted_runs,
    )


SCRUBS = st.builds(
    Scrub,
    id=uids(),
    date_ms=U64,
    runs=st.dictionaries(U64, st.builds(ScrubRun, U64, U64, st.integers(0, (1 << 32) - 1)), max_size=4),
    ranks=st.dictionaries(uids(), U64, max_size=4),
    seen=st.dictionaries(uids(), U64, max_size=4),
    program=TEXT,
    host=TEXT,
    features=st.just([]),
)


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """Return a damage record that a check might publish."""
    objects = draw(st.lists(st.builds(LostObject, st.integers(0, 255), uids(64)), max_size=4, unique=True))
    numbers = st.lists(st.integers(0, max(len(objects) - 1, 0)), max_size=len(objects), unique=True)
    return Damage(
        id=draw(uids()),
        counter=draw(U64),
        date_ms=draw(U64),
        packs=sorted(draw(st.sets(uids(), max_size=4))),
        places=sorted(draw(st.sets(st.builds(Place, uids(), st.integers(0, (1 << 32) - 1)), max_size=4))),
        objects=objects,
        hits=draw(st.dictionaries(uids(), numbers, max_size=4)),
        program=draw(TEXT),
        host=draw(TEXT),
    )


EVENTS = st.builds(
    Event,
    id=uids(),
    type=st.sampled_from([str(event) for event in EventType]) | TEXT,
    date_ms=U64,
    counter=U64,
    versions=st.lists(uids(), max_size=4),
    cancels=st.lists(uids(), max_size=4),
    value=st.none() | TEXT,
    program=TEXT,
    host=TEXT,
    features=st.just([]),
)
