"""Checkpoint records: how far a backup that has not committed yet has come. FORMAT.md section 10.2.

Its tree covers the first `covered` bytes of the device. It keeps what it refers to from being collected,
and a later backup of the volume starts from it; it is not a version, and is never restored.
Before: format.version. After: repository.checkpoints.
"""

from dataclasses import asdict, dataclass, field
from typing import Final

from packstore.errors import FormatError
from packstore.format.strictmsgpack import Key, MapSchema, Value, decode, encode
from packstore.format.version import check_features, check_ranges, check_volume
from packstore.ids import ObjectId, Uid
from packstore.limits import MAX_BLOCK_BYTES, MAX_DEVICE_BYTES, MAX_EVENT_BYTES, MIN_BLOCK_BYTES

CHECKPOINT: Final = MapSchema(
    "checkpoint",
    Key("features", "array"),
    Key("id", "bin16"),
    Key("volume", "str"),
    Key("date_ms", "u64"),
    Key("counter", "u64"),
    Key("size", "u64"),
    Key("block_size", "u32"),
    Key("covered", "u64"),
    Key("root", "bin64"),
    Key("source", "map"),
    Key("immutable_id", "str"),
    Key("unreadable", "array"),
    Key("trusted_runs", "u32"),
    Key("program", "str"),
    Key("host", "str"),
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `covered` bytes of a device of `size` bytes; whole blocks.

    `immutable_id` names a state of the source that cannot change any more, empty if nobody can prove that.
    `unreadable` are ranges of what is covered that the source could not deliver: who takes the rest over tries them
    again. `trusted_runs` is 0 if every covered block was hashed; else what a version made of it would have.
    """

    id: Uid
    volume: str
    date_ms: int
    counter: int
    size: int
    block_size: int
    covered: int
    root: ObjectId
    source: dict[str, Value]
    immutable_id: str
    program: str
    host: str
    unreadable: list[tuple[int, int]] = field(default_factory=list)
    trusted_runs: int = 0
    features: list[str] = field(default_factory=list)


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the bytes of a checkpoint record: the plaintext of a checkpoint object."""
    return encode(asdict(checkpoint))


def decode_checkpoint(data: bytes) -> Checkpoint:
    """Decode a checkpoint record.

    Raises:
        FormatError: it is not one, breaks a limit, or needs a feature unknown here.
    """
    value = decode(data, MAX_EVENT_BYTES)
    check_features("checkpoint", value)
    found = CHECKPOINT.check(value)
    check_volume(found["volume"])
    if found["size"] > MAX_DEVICE_BYTES:
        raise FormatError("checkpoint", f"device of {found['size']} bytes", failure="oversize")
    block_size = found["block_size"]
    if not MIN_BLOCK_BYTES <= block_size <= MAX_BLOCK_BYTES:
        raise FormatError("checkpoint", f"block size {block_size}", failure="oversize")
    if block_size & (block_size - 1) or found["covered"] % block_size or not 0 < found["covered"] <= found["size"]:
        raise FormatError("checkpoint", f"covers {found['covered']} bytes in blocks of {block_size}")
    found["unreadable"] = check_ranges("checkpoint", found["unreadable"], found["covered"])
    return Checkpoint(**found)
