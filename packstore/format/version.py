"""Version records and event records: the roots of everything. FORMAT.md sections 9 and 10.

A version record is written once, at the commit, and never changes. Whatever is said about a version
afterwards is an event, and an event that takes something back names the events it takes back: no rule
depends on a clock.
Before: format.page. After: repository.history.
"""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from typing import Final

from packstore.errors import FormatError
from packstore.format.strictmsgpack import Key, MapSchema, Value, decode, encode
from packstore.ids import HOLE, ObjectId, Uid
from packstore.limits import (
    MAX_BLOCK_BYTES,
    MAX_DEVICE_BYTES,
    MAX_EVENT_BYTES,
    MAX_TAG_BYTES,
    MAX_TAGS,
    MAX_UNREADABLE_RANGES,
    MAX_VERSION_BYTES,
    MAX_VOLUME_NAME_BYTES,
    MIN_BLOCK_BYTES,
    UID_BYTES,
)

VERSION: Final = MapSchema(
    "version",
    Key("features", "array"),
    Key("uid", "bin16"),
    Key("volume", "str"),
    Key("date_ms", "u64"),
    Key("counter", "u64"),
    Key("size", "u64"),
    Key("block_size", "u32"),
    Key("root", "bin64"),
    Key("source", "map"),
    Key("unreadable", "array"),
    Key("trusted_runs", "u32"),
    Key("statistics", "map"),
    Key("tags", "array"),
    Key("base", "bin16?"),
    Key("program", "str"),
    Key("host", "str"),
)
EVENT: Final = MapSchema(
    "event",
    Key("features", "array"),
    Key("id", "bin16"),
    Key("type", "str"),
    Key("date_ms", "u64"),
    Key("counter", "u64"),
    Key("versions", "array"),
    Key("cancels", "array"),
    Key("value", "str?"),
    Key("program", "str"),
    Key("host", "str"),
)


class EventType(StrEnum):
    """What an event says about the versions it names."""

    REMOVE = "remove"
    UNDELETE = "undelete"
    PROTECT = "protect"
    UNPROTECT = "unprotect"
    TAG = "tag"
    UNTAG = "untag"
    EXPIRE = "expire"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Version:
    """One committed backup of one volume. Times in milliseconds since 1970 UTC, sizes in bytes."""

    uid: Uid
    volume: str
    date_ms: int
    counter: int
    size: int
    block_size: int
    root: ObjectId
    source: dict[str, Value]
    unreadable: list[tuple[int, int]]
    trusted_runs: int
    statistics: dict[str, int]
    tags: list[str]
    base: Uid | None
    program: str
    host: str
    features: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Event:
    """One statement about versions. `type` is a string, so that an unknown one survives being read."""

    id: Uid
    type: str
    date_ms: int
    counter: int
    versions: list[Uid]
    cancels: list[Uid]
    value: str | None
    program: str
    host: str
    features: list[str] = field(default_factory=list)


def encode_version(version: Version) -> bytes:
    """Return the bytes of a version record: the plaintext of a version object."""
    return encode(asdict(version))


def decode_version(data: bytes) -> Version:
    """Decode a version record.

    Raises:
        FormatError: it is not a version, or breaks a limit, or needs a feature unknown here.
    """
    value = decode(data, MAX_VERSION_BYTES)
    check_features("version", value)
    found = VERSION.check(value)
    check_volume(found["volume"])
    _check_strings("version", "tags", found["tags"], MAX_TAGS)
    _check_counters(found["statistics"])
    if found["size"] > MAX_DEVICE_BYTES:
        raise FormatError("version", f"device of {found['size']} bytes", failure="oversize")
    if not MIN_BLOCK_BYTES <= found["block_size"] <= MAX_BLOCK_BYTES:
        raise FormatError("version", f"block size {found['block_size']}", failure="oversize")
    if found["block_size"] & (found["block_size"] - 1):
        raise FormatError("version", f"block size {found['block_size']} is not a power of two")
    if found["size"] == 0 and found["root"] != HOLE:
        raise FormatError("version", "an empty device with blocks")
    found["unreadable"] = check_ranges("version", found["unreadable"], found["size"])
    return Version(**found)


def encode_event(event: Event) -> bytes:
    """Return the bytes of an event record: the plaintext of an event object."""
    return encode(asdict(event))


def decode_event(data: bytes) -> Event:
    """Decode an event record.

    Raises:
        FormatError: it is not an event, or needs a feature unknown here.
    """
    value = decode(data, MAX_EVENT_BYTES)
    check_features("event", value)
    found = EVENT.check(value)
    for key in ("versions", "cancels"):
        if any(not isinstance(uid, bytes) or len(uid) != UID_BYTES for uid in found[key]):
            raise FormatError("event", f"{key} holds something that is not an id")
    return Event(**found)


def volume_name_fault(name: str) -> str:
    """Say what makes `name` unfit for a new volume; empty if nothing does. Stricter than what a reader accepts."""
    if not name or len(name.encode(errors="surrogatepass")) > MAX_VOLUME_NAME_BYTES:
        return f"it must have 1 to {MAX_VOLUME_NAME_BYTES} bytes"
    if name in {".", ".."} or name[0] in "-~":
        return "it must not begin with - or ~, nor be . or .."
    if any(letter in "/@~" or not letter.isprintable() for letter in name):
        return "it must not contain / @ ~ or anything that cannot be printed"
    return ""


def check_volume(name: str) -> None:
    """Refuse what could leave a directory when mounted; what merely looks odd must stay readable for ever."""
    unsafe = (
        name in {"", ".", ".."} or "/" in name or any(ord(letter) < ord(" ") or letter == "\x7f" for letter in name)
    )
    if unsafe or len(name.encode()) > MAX_VOLUME_NAME_BYTES:
        raise FormatError("version", f"{name!r} cannot be the name of a volume")


def check_features(what: str, value: Value) -> None:
    """Refuse a record with an unknown feature, before its other keys: a feature may change what they mean."""
    features = _features_of(what).check(value)["features"]
    _check_strings(what, "features", features, MAX_TAGS)
    if features:
        raise FormatError(what, f"needs the unknown feature {features[0]!r}", failure="unsupported")


@cache
def _features_of(what: str) -> MapSchema:
    return MapSchema(what, Key("features", "array"))


def _check_strings(what: str, key: str, values: Value, limit: int) -> None:
    if len(values) > limit or any(
        not isinstance(value, str) or len(value.encode()) > MAX_TAG_BYTES for value in values
    ):
        raise FormatError(what, f"{key} is not a list of at most {limit} strings of at most {MAX_TAG_BYTES} bytes")


def _check_counters(statistics: Value) -> None:
    if any(type(value) is not int for value in statistics.values()):
        raise FormatError("version", "a statistic is not a number")


def check_ranges(what: str, rows: Value, size: int) -> list[tuple[int, int]]:
    """Return the ranges of a device of `size` bytes; refuse those out of order, empty, or out of the device."""
    if len(rows) > MAX_UNREADABLE_RANGES:
        raise FormatError(what, f"{len(rows)} unreadable ranges", failure="oversize")
    ranges = []
    end = 0
    for row in rows:
        if not isinstance(row, list) or len(row) != 2 or any(type(number) is not int for number in row):  # noqa: PLR2004
            raise FormatError(what, "an unreadable range is not a pair of numbers")
        offset, length = row
        if offset < end or length == 0 or offset + length > size:
            raise FormatError(what, f"unreadable range {offset}+{length} is out of order or out of the device")
        end = offset + length
        ranges.append((offset, length))
    return ranges
