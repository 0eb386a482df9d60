"""What somebody says has changed: what is accepted, and what it means for blocks."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packstore.blocks import Extent, Geometry
from packstore.errors import UsageError
from packstore.operations.hints import MAX_HINTS_BYTES, Change, block_runs_of, parse_hints


def _row(offset: Any, length: Any, exists: Any = True) -> dict[str, Any]:
    return {"offset": offset, "length": length, "exists": exists}


def test_what_rbd_writes() -> None:
    """The output of `rbd diff --format json` could not be used as it is."""
    text = b'[{"offset":0,"length":4194304,"exists":"true"},{"offset":4194304,"length":512,"exists":"false"}]'
    assert parse_hints(text) == (Change(Extent(0, 4_194_304), True), Change(Extent(4_194_304, 512), False))
    assert parse_hints(b" [ ] ") == ()


@pytest.mark.parametrize(
    "rows",
    [
        {},
        None,
        3,
        "text",
        [3],
        [[0, 1, True]],
        [{"offset": 0, "length": 1}],
        [_row(-1, 1)],
        [_row(0, 0)],
        [_row(0, -1)],
        [_row(True, 1)],
        [_row(0.0, 1)],
        [_row("0", 1)],
        [_row(0, 1, 1)],
        [_row(0, 1, None)],
        [_row(0, 1, "yes")],
        [_row(0, 1 << 60)],
        [_row(1 << 60, 1)],
        [_row(10, 5), _row(0, 5)],
        [_row(0, 5), _row(4, 5)],
        [_row(0, 5), _row(0, 5)],
        [[_row(0, 5)]],
        [_row(0, 5), {"more": _row(5, 5)}],
    ],
)
def test_refused(rows: object) -> None:
    """A list that means nothing would be taken for one that says that little has changed."""
    with pytest.raises(UsageError):
        parse_hints(json.dumps(rows).encode())


@pytest.mark.parametrize(
    "data", [b"", b"[", b"\xff\xfe", b"[1]]", b"[" * 100_000, b'[{"offset":0,"length":1,"exists":t']
)
def test_not_json(data: bytes) -> None:
    """A cut or empty file, as a failed `rbd diff` leaves it, would end in a traceback or in a backup of nothing."""
    with pytest.raises(UsageError):
        parse_hints(data)


def test_too_long() -> None:
    """Any file that somebody names would be read into memory whole."""
    with pytest.raises(UsageError):
        parse_hints(b" " * (MAX_HINTS_BYTES + 1))


BLOCK = 8


@given(st.data())
def test_blocks_against_bytes(data: st.DataObject) -> None:
    """A block that was written would be skipped, or one that still holds data be taken for a hole."""
    before, size = (data.draw(st.integers(0, 100)) for _ in range(2))
    if data.draw(st.booleans()):
        before = size
    marks = data.draw(st.lists(st.sampled_from(["same", "written", "gone"]), min_size=size, max_size=size))
    changes = []
    at = 0
    while at < size:
        # In pieces of any length: neighbours that say the same need not come as one.
        end = data.draw(st.integers(at + 1, size))
        if marks[at] != "same":
            marks[at:end] = [marks[at]] * (end - at)
            changes.append(Change(Extent(at, end - at), marks[at] == "written"))
        else:
            end = at + 1
        at = end
    runs = block_runs_of(changes, Geometry(size, BLOCK), before)
    read = {index for run in runs.read for index in run}
    holes = {index for run in runs.holes for index in run} - read
    for index in range(-(-size // BLOCK)):
        inside = set(marks[index * BLOCK : (index + 1) * BLOCK])
        resized = before != size and index >= max(0, min(before, size) - 1) // BLOCK
        if resized or "written" in inside or inside == {"same", "gone"}:
            assert index in read
        elif inside == {"gone"}:
            assert index in holes
        else:
            assert index not in read | holes
    assert all(first.stop < second.start for first, second in zip(runs.read, runs.read[1:], strict=False))


def test_beyond_the_end() -> None:
    """Hints of another device would be followed on this one."""
    with pytest.raises(UsageError):
        block_runs_of([Change(Extent(90, 20), True)], Geometry(100, BLOCK), 100)
    with pytest.raises(UsageError):
        block_runs_of([Change(Extent(90, 200), False)], Geometry(100, BLOCK), 200)
    shrunk = block_runs_of([Change(Extent(100, 100), False)], Geometry(100, BLOCK), 200)
    assert shrunk.read == [range(12, 13)]
