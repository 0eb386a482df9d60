"""What checks have found: which packs were read when, which records are damaged. FORMAT.md section 10.1.

Scrub and damage records speak about packs, events about versions. Neither is ever changed: a later record
says more, and folding all of them gives the state.
Before: format.record. After: repository.scrubs, index.standing.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from packstore.errors import FormatError
from packstore.format.layout import Field, Layout
from packstore.format.strictmsgpack import Key, MapSchema, decode, encode
from packstore.format.version import check_features
from packstore.ids import ObjectId, PackId, Uid
from packstore.limits import MAX_LEDGER_BYTES, PACK_ID_BYTES, UID_BYTES

SCRUB: Final = MapSchema(
    "scrub",
    Key("features", "array"),
    Key("id", "bin16"),
    Key("date_ms", "u64"),
    Key("runs", "bin"),
    Key("ranks", "bin"),
    Key("seen", "bin"),
    Key("program", "str"),
    Key("host", "str"),
)
DAMAGE: Final = MapSchema(
    "damage",
    Key("features", "array"),
    Key("id", "bin16"),
    Key("counter", "u64"),
    Key("date_ms", "u64"),
    Key("packs", "bin"),
    Key("places", "bin"),
    Key("objects", "bin"),
    Key("hits", "array"),
    Key("program", "str"),
    Key("host", "str"),
)
SCRUB_RUN: Final = Layout(
    "scrub_run", Field("run", "u64"), Field("date_ms", "u64"), Field("total", "u64"), Field("round", "u32")
)
SCRUB_RANK: Final = Layout("scrub_rank", Field("pack_id", "bytes", PACK_ID_BYTES), Field("run", "u64"))
DAMAGE_PLACE: Final = Layout("damage_place", Field("pack_id", "bytes", PACK_ID_BYTES), Field("offset", "u32"))
DAMAGE_OBJECT: Final = Layout("damage_object", Field("kind", "u8"), Field("object_id", "bytes", 64))
_INDEX: Final = struct.Struct("<I")


class ScrubRun(NamedTuple):
    """One run of check: when it ended, the bytes of all packs at its begin, and how many like it read everything.

    `round` is 0 for a run that was cut short, or that had another measure than a percentage.
    """

    date_ms: int
    total: int
    round: int


class Place(NamedTuple):
    """Where a damaged record lies; offset 0 stands for a pack without a valid seal."""

    pack_id: PackId
    offset: int


class LostObject(NamedTuple):
    """An object of which no good copy was left; the kind is a number, for it may be one unknown here."""

    kind: int
    object_id: ObjectId


@dataclass(frozen=True, slots=True)
class Scrub:
    """One run of check, or several folded into one.

    `ranks` maps packs to the last run that has read them; `seen` those that none has, to the run before the first
    that has met them.
    """

    id: Uid
    date_ms: int
    runs: dict[int, ScrubRun]
    ranks: dict[PackId, int]
    seen: dict[PackId, int]
    program: str
    host: str
    features: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Damage:
    """Damage that a check has found where it ran; `packs` were read whole there, so that `places` has all of theirs.

    `hits` maps each version that was hit to numbers of `objects`: those of its objects that were lost.
    """

    id: Uid
    counter: int
    date_ms: int
    packs: list[PackId]
    places: list[Place]
    objects: list[LostObject]
    hits: dict[Uid, list[int]]
    program: str
    host: str
    features: list[str] = field(default_factory=list)


def encode_scrub(scrub: Scrub) -> bytes:
    """Return the bytes of a scrub record: the plaintext of a scrub object."""
    return encode(
        {
            "features": scrub.features,
            "id": scrub.id,
            "date_ms": scrub.date_ms,
            "runs": _join(SCRUB_RUN, ((number, *run) for number, run in sorted(scrub.runs.items()))),
            "ranks": _join(SCRUB_RANK, sorted(scrub.ranks.items())),
            "seen": _join(SCRUB_RANK, sorted(scrub.seen.items())),
            "program": scrub.program,
            "host": scrub.host,
        }
    )


def decode_scrub(data: bytes) -> Scrub:
    """Decode a scrub record.

    Raises:
        FormatError: it is not one, or needs a feature unknown here.
    """
    found = _open(SCRUB, data)
    rows = _split(SCRUB_RUN, found["runs"])
    _require_ascending("scrub", "runs", [row[0] for row in rows])
    runs = {row[0]: ScrubRun(*row[1:]) for row in rows}
    return Scrub(**(found | {"runs": runs, "ranks": _ranks(found, "ranks"), "seen": _ranks(found, "seen")}))


def _ranks(found: dict[str, Any], key: str) -> dict[PackId, int]:
    rows = _split(SCRUB_RANK, found[key])
    _require_ascending("scrub", key, [row[0] for row in rows])
    return {PackId(pack_id): run for pack_id, run in rows}


def encode_damage(damage: Damage) -> bytes:
    """Return the bytes of a damage record: the plaintext of a damage object."""
    hits = [[uid, b"".join(_INDEX.pack(number) for number in numbers)] for uid, numbers in sorted(damage.hits.items())]
    return encode(
        {
            "features": damage.features,
            "id": damage.id,
            "counter": damage.counter,
            "date_ms": damage.date_ms,
            "packs": b"".join(sorted(damage.packs)),
            "places": _join(DAMAGE_PLACE, sorted(damage.places)),
            "objects": _join(DAMAGE_OBJECT, damage.objects),
            "hits": hits,
            "program": damage.program,
            "host": damage.host,
        }
    )


def decode_damage(data: bytes) -> Damage:
    """Decode a damage record.

    Raises:
        FormatError: it is not one, or needs a feature unknown here.
    """
    found = _open(DAMAGE, data)
    packs = _slices("packs", found["packs"], PACK_ID_BYTES)
    places = [Place(PackId(pack_id), offset) for pack_id, offset in _split(DAMAGE_PLACE, found["places"])]
    objects = [LostObject(kind, ObjectId(object_id)) for kind, object_id in _split(DAMAGE_OBJECT, found["objects"])]
    _require_ascending("damage", "packs", packs)
    _require_ascending("damage", "places", places)
    hits = dict(_hit(row, len(objects)) for row in found["hits"])
    decoded = {"packs": [PackId(pack_id) for pack_id in packs], "places": places, "objects": objects, "hits": hits}
    return Damage(**(found | decoded))


def _hit(row: object, object_count: int) -> tuple[Uid, list[int]]:
    if not isinstance(row, list) or len(row) != 2 or any(not isinstance(part, bytes) for part in row):  # noqa: PLR2004
        raise FormatError("damage", "a hit is not a pair of uid and numbers")
    uid, numbers = row
    found = [_INDEX.unpack(piece)[0] for piece in _slices("hits", numbers, _INDEX.size)]
    if len(uid) != UID_BYTES or any(number >= object_count for number in found):
        raise FormatError("damage", "a hit names no version, or an object that is not there")
    return Uid(uid), found


def _open(schema: MapSchema, data: bytes) -> dict[str, Any]:
    value = decode(data, MAX_LEDGER_BYTES)
    check_features(schema.name, value)
    return schema.check(value)


def _join(layout: Layout, rows: Iterable[tuple[Any, ...]]) -> bytes:
    return b"".join(layout.pack(*row) for row in rows)


def _split(layout: Layout, data: bytes) -> list[tuple[Any, ...]]:
    return [layout.unpack(piece) for piece in _slices(layout.name, data, layout.size)]


def _slices(what: str, data: bytes, size: int) -> list[bytes]:
    if len(data) % size:
        raise FormatError(what, f"{len(data)} bytes are not rows of {size}")
    return [data[at : at + size] for at in range(0, len(data), size)]


def _require_ascending(what: str, key: str, values: Sequence[Any]) -> None:
    if any(first >= second for first, second in pairwise(values)):
        raise FormatError(what, f"{key} are not in ascending order")
