"""What the meta packs hold: pages and version records (section 9), event records (section 10)."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from packstore.format.page import Page, encode_page
from packstore.format.strictmsgpack import encode
from packstore.format.version import Event, Version, encode_event, encode_version
from packstore.ids import HOLE, ObjectId, Uid
from packstore.limits import MIB
from tools.vectors.case import Case, Group
from tools.vectors.material import DATE_MS, fixed

_PAGE: Final = Group("page", "page")
_VERSION: Final = Group("version", "version")
_EVENT: Final = Group("event", "event")


def cases() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _pages_accepted()
    yield from _pages_refused()
    yield from _versions_accepted()
    yield from _versions_refused()
    yield from _volumes()
    yield from _unreadable_ranges()
    yield from _events_accepted()
    yield from _events_refused()


def _pages_accepted() -> Iterator[Case]:
    leaf = Page(0, fixed("a", 64) + HOLE + fixed("b", 64), fixed("a", 16) + bytes(16) + fixed("b", 16))
    for name, comment, page in (
        ("leaf", "A leaf: a block, a hole, a block.", leaf),
        ("leaf_one_entry", "The smallest leaf.", Page(0, fixed("a", 64), fixed("a", 16))),
        ("inner", "An inner page: a page, an empty subtree.", Page(1, fixed("p", 64) + HOLE)),
        ("inner_highest", "The highest level.", Page(7, HOLE + fixed("p", 64))),
    ):
        yield _PAGE.ok(name, "9.2", comment, encode_page(page), page)
    comment = "An unknown key is ignored."
    more = {"level": 0, "ids": leaf.ids, "fingerprints": leaf.fingerprints, "colour": "green"}
    yield _PAGE.ok("unknown_key", "9.2", comment, encode(more), leaf, reencode=False)


def _pages_refused() -> Iterator[Case]:
    one, print_of_one = fixed("a", 64), fixed("a", 16)
    good = {"level": 0, "ids": one, "fingerprints": print_of_one}
    inner = {"level": 1, "ids": one, "fingerprints": b""}
    for name, expect, comment, page in (
        ("empty", "malformed", "No entry.", good | {"ids": b"", "fingerprints": b""}),
        ("ids_odd", "malformed", "One id and a byte.", good | {"ids": one + b"\x01"}),
        ("fingerprint_missing", "malformed", "A leaf without fingerprints.", good | {"fingerprints": b""}),
        ("fingerprint_more", "malformed", "Two fingerprints, one id.", good | {"fingerprints": print_of_one * 2}),
        ("inner_fingerprint", "malformed", "An inner page with one.", inner | {"fingerprints": print_of_one}),
        ("hole_only", "malformed", "Nothing but a hole.", good | {"ids": HOLE, "fingerprints": bytes(16)}),
        ("inner_hole_only", "malformed", "Nothing but empty subtrees.", inner | {"ids": HOLE * 2}),
        ("level_8", "oversize", "A level too high.", inner | {"level": 8}),
        ("level_256", "malformed", "A level that is no u8.", inner | {"level": 256}),
        ("ids_text", "malformed", "Ids that are text.", good | {"ids": "a" * 64}),
        ("ids_array", "malformed", "Ids in an array.", good | {"ids": [one]}),
        ("level_missing", "malformed", "No level.", {"ids": one, "fingerprints": print_of_one}),
        ("array", "malformed", "Not a map.", [0, one, print_of_one]),
    ):
        yield _PAGE.bad(name, expect, "9.2", comment, encode(page))
    cut = encode(good)[:-1]
    yield _PAGE.bad("cut", "malformed", "9.2", "The last byte is missing.", cut)


_FULL: Final = Version(
    uid=Uid(fixed("version", 16)),
    volume="vm 100 disk 0",
    date_ms=DATE_MS,
    counter=42,
    size=10 * MIB + 512,
    block_size=MIB,
    root=ObjectId(fixed("root page", 64)),
    source={"type": "file", "path": "/srv/images/ä.img", "size": 10 * MIB + 512, "mtime_ns": 1 << 60, "inode": 7},
    unreadable=[(0, 512), (512, 4096), (10 * MIB, 512)],
    trusted_runs=3,
    statistics={"bytes_total": 10 * MIB + 512, "bytes_new": 0},
    tags=["b_daily", "prüfen"],
    base=Uid(fixed("base", 16)),
    program="packstore vectors",
    host="backup.example",
)


def _version(**changed: Any) -> dict[str, Any]:  # noqa: ANN401  whatever a record may wrongly hold
    return {item.name: getattr(_FULL, item.name) for item in fields(Version)} | changed


def _versions_accepted() -> Iterator[Case]:
    yield _VERSION.ok("full", "9.1", "Every key has something to say.", encode_version(_FULL), _FULL)
    nothing: dict[str, Any] = {"source": {}, "unreadable": [], "statistics": {}, "tags": [], "base": None}
    empty = _version(size=0, root=HOLE, **nothing)
    yield _VERSION.ok("empty_device", "9.1", "A device of no bytes.", encode(empty), empty)
    zeros = _version(root=HOLE, **nothing)
    yield _VERSION.ok("zeros_only", "9.1", "A device of nothing but zeros.", encode(zeros), zeros)
    largest = _version(size=1 << 56, block_size=16 * MIB, counter=(1 << 64) - 1, **nothing)
    yield _VERSION.ok("largest", "9.1", "The largest device, block size and counter.", encode(largest), largest)
    named = _version(volume="ä" * 127 + "x", **nothing)
    yield _VERSION.ok("volume_255", "9.1", "A volume's name of 255 bytes.", encode(named), named)
    comment = "An unknown key is ignored."
    yield _VERSION.ok("unknown_key", "9.1", comment, encode(_version(colour="green")), _FULL, reencode=False)


def _versions_refused() -> Iterator[Case]:
    short = _version()
    del short["root"]
    for name, expect, comment, version in (
        ("feature", "unsupported", "Needs a feature that is not known.", _version(features=["striped"])),
        ("feature_number", "malformed", "A feature that is a number.", _version(features=[1])),
        ("size_over", "oversize", "More than 2^56 bytes.", _version(size=(1 << 56) + 1)),
        ("block_size_small", "oversize", "Blocks of 32 KiB.", _version(block_size=32 << 10)),
        ("block_size_large", "oversize", "Blocks of 32 MiB.", _version(block_size=32 * MIB)),
        ("block_size_odd", "malformed", "Blocks of 1.5 MiB, no power of two.", _version(block_size=3 << 19)),
        ("root_missing", "malformed", "No root.", short),
        ("root_nil", "malformed", "A root of nil.", _version(root=None)),
        ("root_short", "malformed", "A root of 63 bytes.", _version(root=bytes(63))),
        ("empty_with_root", "malformed", "No bytes, and a root.", _version(size=0, unreadable=[])),
        ("uid_long", "malformed", "A uid of 17 bytes.", _version(uid=bytes(17))),
        ("base_text", "malformed", "A base that is text.", _version(base="0123456789abcdef")),
        ("tag_number", "malformed", "A tag that is a number.", _version(tags=[1])),
        ("tag_256", "malformed", "A tag of 256 bytes.", _version(tags=["t" * 256])),
        ("tags_1025", "malformed", "1,025 tags.", _version(tags=[""] * 1025)),
        ("statistic_text", "malformed", "A statistic that is text.", _version(statistics={"bytes_new": "0"})),
        ("source_text", "malformed", "A source that is text.", _version(source="/dev/sda")),
        ("trusted_runs_bool", "malformed", "A boolean for a number.", _version(trusted_runs=True)),
        ("date_nil", "malformed", "A date that is nil.", _version(date_ms=None)),
        ("not_a_map", "malformed", "Not a map.", []),
    ):
        yield _VERSION.bad(name, expect, "9.1", comment, encode(version))
    yield _VERSION.bad("cut", "malformed", "9.1", "The last byte is missing.", encode(_version())[:-1])


def _volumes() -> Iterator[Case]:
    for name, comment, volume in (
        ("empty", "no character", ""),
        ("256_bytes", "256 bytes", "ä" * 128),
        ("dot", "a dot alone", "."),
        ("dots", "two dots alone", ".."),
        ("slash", "a slash", "../etc"),
        ("line_feed", "a line feed", "vm\n"),
        ("nul", "a NUL", "vm\0"),
        ("escape", "an escape sequence of a terminal", "\x1b[2J"),
        ("delete", "U+007F", "vm\x7f"),
    ):
        data = encode(_version(volume=volume))
        yield _VERSION.bad(f"volume_{name}", "malformed", "9.1", f"A volume's name with {comment}.", data)
    for name, comment, volume in (
        ("option", "a hyphen first", "-rf"),
        ("tilde", "a tilde", "vm~1"),
        ("at", "an at sign", "vm@today"),
        ("override", "a right-to-left override", "vm\u202etxt"),
        ("three_dots", "three dots alone", "..."),
    ):
        odd = _version(volume=volume)
        comment_of_odd = f"A volume's name with {comment}: no writer gives it, a reader accepts it."
        yield _VERSION.ok(f"volume_{name}", "9.1", comment_of_odd, encode(odd), odd)


def _unreadable_ranges() -> Iterator[Case]:
    size = _FULL.size
    for name, comment, ranges in (
        ("disorder", "The second before the first.", [[4096, 512], [0, 512]]),
        ("overlap", "Two ranges share a byte.", [[0, 513], [512, 512]]),
        ("twice", "The same range twice.", [[0, 512], [0, 512]]),
        ("empty", "A range of no bytes.", [[0, 0]]),
        ("past_end", "A range ends a byte behind the device.", [[size - 512, 513]]),
        ("huge", "A range whose end does not fit into 64 bits.", [[1, (1 << 64) - 1]]),
        ("triple", "Three numbers.", [[0, 512, 0]]),
        ("number", "A number where a pair is due.", [512]),
        ("bool", "A boolean for a number.", [[False, True]]),
        ("text", "A length that is text.", [[0, "512"]]),
    ):
        data = encode(_version(unreadable=ranges))
        yield _VERSION.bad(f"unreadable_{name}", "malformed", "9.1", comment, data)


_REMOVE: Final = Event(
    id=Uid(fixed("event", 16)),
    type="remove",
    date_ms=DATE_MS,
    counter=43,
    versions=[Uid(fixed("version", 16)), Uid(fixed("another version", 16))],
    cancels=[],
    value=None,
    program="packstore vectors",
    host="backup.example",
)


def _event(**changed: Any) -> dict[str, Any]:  # noqa: ANN401
    return {item.name: getattr(_REMOVE, item.name) for item in fields(Event)} | changed


def _events_accepted() -> Iterator[Case]:
    yield _EVENT.ok("remove", "10", "Two versions are removed.", encode_event(_REMOVE), _REMOVE)
    for name, comment, event in (
        ("tag", "A tag is the value.", _event(type="tag", value="b_daily")),
        ("undelete", "Takes back two events.", _event(type="undelete", cancels=[fixed("e", 16), fixed("f", 16)])),
        ("expire_never", "Never expires.", _event(type="expire", value=None)),
        ("expire", "Expires at a date.", _event(type="expire", value="2026-12-24T00:00:00Z")),
        ("unknown_type", "An unknown type is read; whoever collects garbage must not go on.", _event(type="paint")),
        ("about_nothing", "Speaks of no version.", _event(versions=[])),
    ):
        yield _EVENT.ok(name, "10", comment, encode(event), event)


def _events_refused() -> Iterator[Case]:
    short = _event()
    del short["counter"]
    for name, expect, comment, event in (
        ("feature", "unsupported", "Needs a feature that is not known.", _event(features=["striped"])),
        ("counter_missing", "malformed", "No counter.", short),
        ("type_number", "malformed", "A type that is a number.", _event(type=1)),
        ("version_short", "malformed", "A uid of 15 bytes.", _event(versions=[bytes(15)])),
        ("version_text", "malformed", "A uid that is text.", _event(versions=["0123456789abcdef"])),
        ("cancels_number", "malformed", "Takes back a number.", _event(cancels=[7])),
        ("cancels_nil", "malformed", "Nil where an array is due.", _event(cancels=None)),
        ("value_number", "malformed", "A value that is a number.", _event(value=30)),
        ("value_long", "malformed", "A value of 4097 bytes.", _event(value="v" * 4097)),
        ("id_short", "malformed", "An id of 15 bytes.", _event(id=bytes(15))),
    ):
        yield _EVENT.bad(name, expect, "10", comment, encode(event))
    yield _EVENT.bad("trailing", "malformed", "10", "A byte follows.", encode(_event()) + b"\x00")
