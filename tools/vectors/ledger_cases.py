"""What checks record: scrub and damage records (section 10.1)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from packstore.format.ledger import Damage, LostObject, Place, Scrub, ScrubRun, encode_damage, encode_scrub
from packstore.format.record import Kind
from packstore.format.strictmsgpack import decode, encode
from packstore.ids import ObjectId, PackId, Uid
from packstore.limits import MAX_LEDGER_BYTES
from tools.vectors.case import Case, Group
from tools.vectors.material import DATE_MS, fixed

_SCRUB: Final = Group("scrub", "scrub")
_DAMAGE: Final = Group("damage", "damage")
_PACKS: Final = sorted(PackId(fixed(f"pack {name}", 16)) for name in "abc")
_OBJECTS: Final = [
    LostObject(Kind.BLOCK, ObjectId(fixed("lost block", 64))),
    LostObject(Kind.PAGE, ObjectId(fixed("lost page", 64))),
]
_SCRUB_RECORD: Final = Scrub(
    id=Uid(fixed("scrub", 16)),
    date_ms=DATE_MS,
    runs={7: ScrubRun(DATE_MS - 1000, 3 << 30, 7), 8: ScrubRun(DATE_MS, 4 << 30, 0)},
    ranks={_PACKS[0]: 8, _PACKS[2]: 7},
    seen={_PACKS[1]: 6},
    program="packstore 1.0",
    host="alpha",
)
_DAMAGE_RECORD: Final = Damage(
    id=Uid(fixed("damage", 16)),
    counter=42,
    date_ms=DATE_MS,
    packs=_PACKS[:2],
    places=[Place(_PACKS[0], 0), Place(_PACKS[0], 4096), Place(_PACKS[1], 96)],
    objects=_OBJECTS,
    hits={Uid(fixed("version one", 16)): [0, 1], Uid(fixed("version two", 16)): [1]},
    program="packstore 1.0",
    host="alpha",
)


def cases() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _scrubs_accepted()
    yield from _scrubs_refused()
    yield from _damages_accepted()
    yield from _damages_refused()


def _scrubs_accepted() -> Iterator[Case]:
    empty = replace(_SCRUB_RECORD, runs={}, ranks={}, seen={})
    far = replace(_SCRUB_RECORD, runs={}, ranks={_PACKS[0]: (1 << 64) - 1})
    for name, comment, scrub in (
        ("record", "Two runs, one of them cut short; two packs read, one met.", _SCRUB_RECORD),
        ("empty", "Says nothing.", empty),
        ("highest_run", "The highest number of a run.", far),
    ):
        yield _SCRUB.ok(name, "10.1", comment, encode_scrub(scrub), scrub)
    more = _fields(encode_scrub(_SCRUB_RECORD)) | {"zeal": 3}
    yield _SCRUB.ok("unknown_key", "10.1", "An unknown key is ignored.", encode(more), _SCRUB_RECORD, reencode=False)


def _scrubs_refused() -> Iterator[Case]:
    good = _fields(encode_scrub(_SCRUB_RECORD))
    for name, expect, comment, changed in (
        ("feature", "unsupported", "A feature that is unknown.", {"features": ["later"]}),
        ("runs_odd", "malformed", "Runs and a byte.", {"runs": good["runs"] + b"\x00"}),
        ("runs_order", "malformed", "The later run first.", {"runs": good["runs"][28:] + good["runs"][:28]}),
        ("ranks_odd", "malformed", "Ranks without their last byte.", {"ranks": good["ranks"][:-1]}),
        ("ranks_order", "malformed", "Packs in descending order.", {"ranks": good["ranks"][24:] + good["ranks"][:24]}),
        ("seen_twice", "malformed", "One pack twice.", {"seen": good["seen"] * 2}),
        ("id_short", "malformed", "An id of 15 bytes.", {"id": good["id"][:-1]}),
    ):
        yield _SCRUB.bad(name, expect, "10.1", comment, encode(good | changed))
    missing = {key: value for key, value in good.items() if key != "seen"}
    yield _SCRUB.bad("seen_missing", "malformed", "10.1", "A key is missing.", encode(missing))


def _damages_accepted() -> Iterator[Case]:
    cleared = replace(_DAMAGE_RECORD, places=[], objects=[], hits={})
    hits = replace(_DAMAGE_RECORD, packs=[], places=[])
    for name, comment, damage in (
        ("record", "A pack without a seal, damaged records, two lost objects.", _DAMAGE_RECORD),
        ("taken_back", "Two packs were read whole and are good.", cleared),
        ("hits_only", "What versions have lost, and nothing about packs.", hits),
    ):
        yield _DAMAGE.ok(name, "10.1", comment, encode_damage(damage), damage)
    more = _fields(encode_damage(_DAMAGE_RECORD)) | {"zeal": 3}
    comment = "An unknown key is ignored."
    yield _DAMAGE.ok("unknown_key", "10.1", comment, encode(more), _DAMAGE_RECORD, reencode=False)


def _damages_refused() -> Iterator[Case]:
    good = _fields(encode_damage(_DAMAGE_RECORD))
    (uid, numbers), *_ = good["hits"]
    places, packs = good["places"], good["packs"]
    for name, expect, comment, changed in (
        ("feature", "unsupported", "A feature that is unknown.", {"features": ["later"]}),
        ("packs_odd", "malformed", "A pack id and a half.", {"packs": packs[:24]}),
        ("packs_order", "malformed", "Packs in descending order.", {"packs": packs[16:] + packs[:16]}),
        ("places_odd", "malformed", "Places without their last byte.", {"places": places[:-1]}),
        ("places_twice", "malformed", "One place twice.", {"places": places[:20] * 2}),
        ("objects_odd", "malformed", "Objects without their last byte.", {"objects": good["objects"][:-1]}),
        ("hit_no_pair", "malformed", "A hit of three parts.", {"hits": [[uid, numbers, b""]]}),
        ("hit_uid_short", "malformed", "A uid of 15 bytes.", {"hits": [[uid[:-1], numbers]]}),
        ("hit_number_odd", "malformed", "Half a number.", {"hits": [[uid, numbers[:2]]]}),
        ("hit_number_high", "malformed", "An object that is not there.", {"hits": [[uid, b"\x02\x00\x00\x00"]]}),
    ):
        yield _DAMAGE.bad(name, expect, "10.1", comment, encode(good | changed))


def _fields(data: bytes) -> dict[str, Any]:
    found = decode(data, MAX_LEDGER_BYTES)
    assert isinstance(found, dict)
    return found
