"""Checkpoint records: section 10.2."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from packstore.format.checkpoint import Checkpoint, encode_checkpoint
from packstore.format.strictmsgpack import encode
from packstore.ids import HOLE, ObjectId, Uid
from packstore.limits import MIB
from tools.vectors.case import Case, Group
from tools.vectors.material import DATE_MS, fixed

_CHECKPOINT: Final = Group("checkpoint", "checkpoint")
_FULL: Final = Checkpoint(
    id=Uid(fixed("checkpoint", 16)),
    volume="vm 100 disk 0",
    date_ms=DATE_MS,
    counter=41,
    size=10 * MIB + 512,
    block_size=MIB,
    covered=8 * MIB,
    root=ObjectId(fixed("root page", 64)),
    source={"type": "device", "path": "/dev/vg/snap"},
    immutable_id="dm LVM-0123456789abcdef 10486272",
    unreadable=[(0, 512), (8 * MIB - 4096, 4096)],
    trusted_runs=3,
    program="packstore vectors",
    host="backup.example",
)


def cases() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _accepted()
    yield from _refused()


def _record(**changed: Any) -> dict[str, Any]:  # noqa: ANN401  whatever a record may wrongly hold
    return {item.name: getattr(_FULL, item.name) for item in fields(Checkpoint)} | changed


def _accepted() -> Iterator[Case]:
    yield _CHECKPOINT.ok("full", "10.2", "Every key has something to say.", encode_checkpoint(_FULL), _FULL)
    nothing: dict[str, Any] = {"source": {}, "immutable_id": "", "unreadable": [], "trusted_runs": 0}
    for name, comment, found in (
        ("holes_only", "What is covered is one hole.", _record(covered=MIB, root=HOLE, **nothing)),
        ("all_covered", "Everything is covered.", _record(size=8 * MIB, **nothing)),
        ("largest", "The largest device.", _record(size=1 << 56, covered=1 << 56, block_size=16 * MIB, **nothing)),
    ):
        yield _CHECKPOINT.ok(name, "10.2", comment, encode(found), found)
    comment = "An unknown key is ignored."
    yield _CHECKPOINT.ok("unknown_key", "10.2", comment, encode(_record(colour="green")), _FULL, reencode=False)


def _refused() -> Iterator[Case]:
    short = _record()
    del short["covered"]
    for name, expect, comment, found in (
        ("feature", "unsupported", "Needs a feature that is not known.", _record(features=["striped"])),
        ("size_over", "oversize", "More than 2^56 bytes.", _record(size=(1 << 56) + 1)),
        ("block_size_small", "oversize", "Blocks of 32 KiB.", _record(block_size=32 << 10)),
        ("block_size_large", "oversize", "Blocks of 32 MiB.", _record(block_size=32 * MIB)),
        ("block_size_odd", "malformed", "Blocks of 1.5 MiB, no power of two.", _record(block_size=3 << 19)),
        ("covered_nothing", "malformed", "Covers no byte.", _record(covered=0, unreadable=[])),
        ("covered_part", "malformed", "Covers a part of a block.", _record(covered=8 * MIB + 512)),
        ("covered_tail", "malformed", "Covers the last block, which is not whole.", _record(covered=10 * MIB + 512)),
        ("covered_over", "malformed", "Covers more than there is.", _record(covered=11 * MIB)),
        ("covered_missing", "malformed", "Does not say how much is covered.", short),
        ("root_short", "malformed", "A root of 63 bytes.", _record(root=bytes(63))),
        ("id_long", "malformed", "An id of 17 bytes.", _record(id=bytes(17))),
        ("volume", "malformed", "A volume's name with a slash.", _record(volume="../etc")),
        ("immutable_bytes", "malformed", "An identity that is not text.", _record(immutable_id=b"dm")),
        (
            "unreadable_past",
            "malformed",
            "An unreadable range behind what is covered.",
            _record(unreadable=[[8 * MIB, 512]]),
        ),
        (
            "unreadable_disorder",
            "malformed",
            "The second range before the first.",
            _record(unreadable=[[4096, 512], [0, 1]]),
        ),
        ("source_text", "malformed", "A source that is text.", _record(source="/dev/sda")),
        ("not_a_map", "malformed", "Not a map.", []),
    ):
        yield _CHECKPOINT.bad(name, expect, "10.2", comment, encode(found))
    yield _CHECKPOINT.bad("cut", "malformed", "10.2", "The last byte is missing.", encode(_record())[:-1])
