"""Identifiers: packstore.ids."""

import pytest

from packstore.errors import UsageError
from packstore.ids import HOLE, make_pack_id, parse_uid, show


def test_pack_id() -> None:
    """Pack ids would not sort by time for people, or not be unique."""
    assert make_pack_id(0x010203040506, bytes(range(10))).hex() == "010203040506" + "00010203040506070809"
    assert len(make_pack_id(0, bytes(range(32)))) == 16
    assert make_pack_id(1, b"\xff" * 10) < make_pack_id(2, bytes(10)) < make_pack_id(256, bytes(10))


def test_text_form() -> None:
    """An id that packstore shows could not be given back to it."""
    uid = bytes(range(16))
    assert parse_uid(show(uid)) == uid
    assert show(uid) == show(uid).lower()


@pytest.mark.parametrize("text", ["", "00" * 15, "00" * 17, "0g" * 16, "00 " * 10 + "00", " " * 32, "0" * 31, "é" * 32])
def test_what_is_no_id(text: str) -> None:
    """A mistyped id would name something else."""
    with pytest.raises(UsageError):
        parse_uid(text)


def test_hole() -> None:
    """A hole would be looked up as an object."""
    assert bytes(64) == HOLE
