"""Fixed layouts: packstore.format.layout."""

import pytest

from packstore.errors import FormatError
from packstore.format.document import DOCUMENT_HEADER
from packstore.format.layout import Field, Layout, check_magic, check_reserved
from packstore.format.pack import PACK_HEADER, PACK_TRAILER
from packstore.format.record import RECORD_HEADER

SAMPLE = Layout("sample", Field("a", "u8"), Field("b", "u64"), Field("c", "bytes", 3), Field("d", "u16"))


def test_little_endian_without_padding() -> None:
    """Another byte order, or a compiler's padding, would make files that no other program reads."""
    assert SAMPLE.pack(1, 0x0203040506070809, b"abc", 0x0A0B).hex() == "01" + "0908070605040302" + "616263" + "0b0a"
    assert SAMPLE.size == 14
    assert [SAMPLE.offset_of(name) for name in "abcd"] == [0, 1, 9, 12]


@pytest.mark.parametrize("layout", [SAMPLE, RECORD_HEADER, PACK_HEADER, PACK_TRAILER, DOCUMENT_HEADER])
def test_short_data_is_truncated(layout: Layout) -> None:
    """A file cut inside a structure would end in an error of `struct` instead of a FormatError."""
    for length in range(layout.size):
        with pytest.raises(FormatError) as caught:
            layout.unpack(bytes(length))
        assert caught.value.failure == "truncated"
    assert len(layout.unpack(bytes(layout.size + 1))) == len(layout.fields)


def test_unknown_field() -> None:
    """A misspelt field name would be found at run time only, or not at all."""
    with pytest.raises(KeyError):
        SAMPLE.offset_of("e")


def test_magic_tells_a_newer_version_from_something_else() -> None:
    """A structure of a later version would be called damaged, or damage a later version."""
    magic = b"\x89PStest\x01"
    check_magic("sample", magic, magic)
    for place in range(8):
        changed = bytes([*magic[:place], magic[place] ^ 4, *magic[place + 1 :]])
        with pytest.raises(FormatError) as caught:
            check_magic("sample", changed, magic)
        assert caught.value.failure == ("unsupported" if place == 7 else "bad-magic")


def test_reserved_fields_are_refused() -> None:
    """A later program could never give a reserved field a meaning that old programs must not ignore."""
    check_reserved("sample", 0)
    with pytest.raises(FormatError) as caught:
        check_reserved("sample", 1)
    assert caught.value.failure == "unsupported"
