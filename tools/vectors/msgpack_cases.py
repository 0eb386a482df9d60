"""Canonical msgpack: section 3. Written by hand, byte by byte, since the point is what an encoder would not write."""

from collections.abc import Iterator
from typing import Final

from tools.vectors.case import Case, Group

_GROUP: Final = Group("msgpack", "msgpack", {"limit": "16384"})
_SECTION: Final = "3"

_ACCEPTED: Final = {
    "nil": ("Nil.", "c0", None),
    "booleans": ("The two booleans.", "92c2c3", [False, True]),
    "integers": (
        "The smallest and the largest integer of each width.",
        "9a007fcc80ccffcd0100cdffffce00010000ceffffffffcf0000000100000000cfffffffffffffffff",
        [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1],
    ),
    "str_31": ("The longest fixstr.", "bf" + "61" * 31, "a" * 31),
    "str_32": ("The shortest str 8.", "d920" + "61" * 32, "a" * 32),
    "str_256": ("The shortest str 16.", "da0100" + "61" * 256, "a" * 256),
    "str_utf8": ("Text outside ASCII.", "a7c3a4e282ac3f7f", "ä\u20ac?\x7f"),
    "bin_0": ("No bytes.", "c400", ""),
    "bin_255": ("The longest bin 8.", "c4ff" + "ab" * 255, "ab" * 255),
    "bin_256": ("The shortest bin 16.", "c50100" + "ab" * 256, "ab" * 256),
    "array_15": ("The longest fixarray.", "9f" + "01" * 15, [1] * 15),
    "array_16": ("The shortest array 16.", "dc0010" + "01" * 16, [1] * 16),
    "map_empty": ("A map without keys.", "80", {}),
    "map_order": (
        "Keys ascend by their UTF-8 bytes: a shorter one before its extensions, capitals first, ASCII before the rest.",
        "85a001a14102a16103a2616204a2c3a405",
        {"": 1, "A": 2, "a": 3, "ab": 4, "ä": 5},
    ),
    "depth_8_of_maps": (
        "Eight maps, one in another, and a value.",
        "81a161" * 8 + "00",
        {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 0}}}}}}}},
    ),
    "depth_8": ("The innermost value has depth 8.", "91" * 8 + "00", [[[[[[[[0]]]]]]]]),
}

_REFUSED: Final = {
    "empty": ("malformed", "No bytes are no value.", ""),
    "int_as_u8": ("malformed", "5 has a shorter form.", "cc05"),
    "int_as_u16": ("malformed", "255 has a shorter form.", "cd00ff"),
    "int_as_u32": ("malformed", "65535 has a shorter form.", "ce0000ffff"),
    "int_as_u64": ("malformed", "4294967295 has a shorter form.", "cf00000000ffffffff"),
    "int_as_i8": ("malformed", "5 as a signed integer.", "d005"),
    "int_as_i64": ("malformed", "2^32 as a signed integer.", "d30000000100000000"),
    "negative_fixint": ("malformed", "-1.", "ff"),
    "negative_i16": ("malformed", "-32768.", "d18000"),
    "float_32": ("malformed", "A float, of whatever value.", "ca3f800000"),
    "float_64": ("malformed", "A float, of whatever value.", "cb3ff0000000000000"),
    "ext": ("malformed", "An extension type.", "d40100"),
    "timestamp": ("malformed", "A timestamp is an extension type.", "d6ff00000000"),
    "never_used_byte": ("malformed", "c1 begins nothing.", "c1"),
    "str_long_form": ("malformed", "A str 8 where a fixstr is enough.", "d90161"),
    "str_16_long_form": ("malformed", "A str 16 where a str 8 is enough.", "da0020" + "61" * 32),
    "str_as_utf16": ("malformed", "Not UTF-8.", "a2ff61"),
    "str_surrogate": ("malformed", "A surrogate in UTF-8.", "a3eda080"),
    "str_overlong": ("malformed", "An overlong form of / in UTF-8.", "a2c0af"),
    "str_cut": ("malformed", "Says five bytes and has four.", "a561626364"),
    "bin_long_form": ("malformed", "A bin 16 where a bin 8 is enough.", "c50001ab"),
    "bin_cut": ("malformed", "Says 2^32 - 1 bytes and has one.", "c6ffffffffab"),
    "array_long_form": ("malformed", "An array 16 where a fixarray is enough.", "dc000101"),
    "array_huge": ("malformed", "Says 2^32 - 1 items and has one; nothing may be allocated for them.", "ddffffffff01"),
    "map_long_form": ("malformed", "A map 16 where a fixmap is enough.", "de0001a16101"),
    "map_duplicate_key": ("malformed", "The same key twice, with the same value.", "82a16101a16101"),
    "map_unsorted": ("malformed", "b before a.", "82a16201a16102"),
    "map_sorted_by_length": ("malformed", "b before aa, as some canonical forms demand.", "82a16201a2616102"),
    "map_integer_key": ("malformed", "A key that is an integer.", "810102"),
    "map_binary_key": ("malformed", "A key that is binary.", "81c4016101"),
    "map_nil_key": ("malformed", "A key that is nil.", "81c001"),
    "trailing_byte": ("malformed", "A second value follows the first.", "0000"),
    "trailing_garbage": ("malformed", "A byte that begins nothing follows the value.", "80c1"),
    "depth_9": ("oversize", "The innermost value has depth 9.", "91" * 9 + "00"),
    "depth_9_of_maps": ("oversize", "Nine maps, one in another, and a value.", "81a161" * 9 + "00"),
}


def cases() -> Iterator[Case]:
    """Yield the cases of this module."""
    for name, (comment, digits, value) in _ACCEPTED.items():
        yield _GROUP.ok(name, _SECTION, comment, bytes.fromhex(digits), value)
    for name, (expect, comment, digits) in _REFUSED.items():
        yield _GROUP.bad(name, expect, _SECTION, comment, bytes.fromhex(digits))
    comment = "A correct value of 17 bytes where at most 16 are allowed."
    data = bytes.fromhex("b0" + "61" * 16)
    yield _GROUP.given({"limit": "16"}).bad("over_limit", "oversize", _SECTION, comment, data)
    comment = "A correct value of exactly the 17 bytes that are allowed."
    yield _GROUP.given({"limit": "17"}).ok("at_limit", _SECTION, comment, data, "a" * 16)
