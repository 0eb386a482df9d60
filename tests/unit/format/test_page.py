"""Pages: packstore.format.page."""

import random

import pytest

from packstore.errors import FormatError
from packstore.format.page import NO_FINGERPRINT, Page, decode_page, differing, encode_page
from packstore.format.strictmsgpack import encode
from packstore.ids import HOLE
from packstore.limits import MAX_PAGE_BYTES, PAGE_ENTRIES


def leaf(entries: int) -> Page:
    """Return a leaf whose entry n has an id and a fingerprint of bytes n."""
    return Page(
        0,
        b"".join(bytes([number % 255 + 1]) * 64 for number in range(entries)),
        b"".join(bytes([number % 255 + 1]) * 16 for number in range(entries)),
    )


@pytest.mark.parametrize("entries", [1, 2, PAGE_ENTRIES - 1, PAGE_ENTRIES])
def test_round_trip(entries: int) -> None:
    """A page would lose entries, or a full one not fit into the limit of its record."""
    page = leaf(entries)
    data = encode_page(page)
    assert len(data) <= MAX_PAGE_BYTES
    assert decode_page(data) == page
    assert len(page) == entries
    inner = Page(1, page.ids)
    assert decode_page(encode_page(inner)) == inner


def test_too_many_entries() -> None:
    """A page with more entries than its place has would shift the blocks behind it."""
    for page in (leaf(PAGE_ENTRIES + 1), Page(1, leaf(PAGE_ENTRIES + 1).ids)):
        with pytest.raises(FormatError):
            decode_page(encode_page(page))


def test_entries() -> None:
    """An entry would be read from a neighbour's bytes."""
    page = Page(0, b"\x01" * 64 + HOLE + b"\x02" * 64, b"\x01" * 16 + NO_FINGERPRINT + b"\x02" * 16)
    assert [page.id_at(entry) for entry in range(3)] == [b"\x01" * 64, HOLE, b"\x02" * 64]
    assert [page.fingerprint_at(entry) for entry in range(3)] == [b"\x01" * 16, NO_FINGERPRINT, b"\x02" * 16]


def test_nothing_but_holes() -> None:
    """Two forms of an empty subtree would give two ids to one content."""
    for page in (Page(0, HOLE, NO_FINGERPRINT), Page(3, HOLE * PAGE_ENTRIES)):
        with pytest.raises(FormatError):
            decode_page(encode_page(page))


def test_longer_than_a_page_may_be() -> None:
    """Ignored keys would let a page grow without end."""
    page = leaf(1)
    fields = {"level": 0, "ids": page.ids, "fingerprints": page.fingerprints, "padding": bytes(MAX_PAGE_BYTES)}
    with pytest.raises(FormatError) as caught:
        decode_page(encode(fields))
    assert caught.value.failure == "oversize"


@pytest.mark.parametrize("lengths", [(256, 256), (256, 16), (1, 17), (0, 256), (33, 0)])
@pytest.mark.parametrize("changes", [0, 1, 3, 200])
def test_differing_entries(lengths: tuple[int, int], changes: int) -> None:
    """A block that changed would be taken for the one before: not shown, not counted, or not kept by a collector."""
    noise = random.Random(f"{lengths} {changes}")
    ids = [noise.randbytes(64) for _ in range(256)]
    changed = [
        noise.randbytes(64) if at in noise.sample(range(256), changes) else found for at, found in enumerate(ids)
    ]
    first, second = ids[: lengths[0]], changed[: lengths[1]]
    expected = [
        at for at in range(max(lengths)) if first[at : at + 1] != second[at : at + 1]
    ]  # where only one has an entry, the other has an empty list
    assert differing(b"".join(first), b"".join(second)) == expected
