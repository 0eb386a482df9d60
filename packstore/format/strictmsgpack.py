"""Canonical msgpack, and maps with declared keys: the only module that imports msgpack.

FORMAT.md section 3. Canonical: map keys are strings in ascending byte order, every integer and length in
its shortest form, no floats, no extension types. A decoder therefore accepts exactly one encoding of each
value, which it proves by encoding again and comparing; duplicate keys cannot survive that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from packstore.errors import FormatError
from packstore.limits import MAX_MSGPACK_DEPTH, MAX_TEXT_BYTES

Value = Any
"""None, bool, int (unsigned 64 bits), str, bytes, list of values, dict from str to values."""

_PLAIN: Final = (bytes, str, bool)
"""Types of which every value is canonical."""
_TYPES: Final = frozenset({*_PLAIN, int, list, dict, type(None)})
_MAX_U64: Final = (1 << 64) - 1
_INTEGER_BITS: Final = {"u8": 8, "u16": 16, "u32": 32, "u64": 64}


@dataclass(frozen=True)
class Key:
    """One key of a map. `type`: bool, u8…u64, str, bin, binN (N bytes), array, map; `?` after it admits nil."""

    name: str
    type: str
    required: bool = True


class MapSchema:
    """The declared keys of one kind of map. Keys it does not declare are ignored."""

    def __init__(self, name: str, *keys: Key) -> None:
        self.name = name
        self.keys = keys
        self._tests = [(key, _test_of(key.type)) for key in keys]

    def check(self, value: Value) -> dict[str, Value]:
        """Return the declared keys of `value`, absent optional ones as None.

        Raises:
            FormatError: not a map, a required key is absent, or a value has another type.
        """
        if not isinstance(value, dict):
            raise FormatError(self.name, "not a map")
        found: dict[str, Value] = {}
        for key, has_type in self._tests:
            if key.name not in value:
                if key.required:
                    raise FormatError(self.name, f"key {key.name!r} is missing")
                found[key.name] = None
            elif not has_type(value[key.name]):
                raise FormatError(self.name, f"key {key.name!r} is not of type {key.type}")
            else:
                found[key.name] = value[key.name]
        return found


def _test_of(declared: str) -> Callable[[Value], bool]:
    """Return what says whether a value is of a declared type; made once, for there are many values."""
    if declared.endswith("?"):
        test = _test_of(declared[:-1])
        return lambda value: value is None or test(value)
    if declared in _INTEGER_BITS:
        bits = _INTEGER_BITS[declared]
        return lambda value: type(value) is int and value >> bits == 0
    if declared.startswith("bin") and declared != "bin":
        length = int(declared[3:])
        return lambda value: type(value) is bytes and len(value) == length
    if declared == "str":
        return lambda value: type(value) is str and len(value.encode()) <= MAX_TEXT_BYTES
    wanted = {"bool": bool, "array": list, "map": dict, "bin": bytes}[declared]
    return lambda value: type(value) is wanted


def encode(value: Value) -> bytes:
    """Return the canonical encoding of `value`.

    Raises:
        FormatError: the value cannot be encoded canonically (a float, a negative integer, a string that
            is not Unicode, too deep …).
    """
    try:
        packed: bytes = msgpack.packb(_canonical(value, 0), use_bin_type=True)
    except UnicodeEncodeError as error:
        raise FormatError("msgpack", f"a string is not Unicode: {error}") from None
    return packed


def _canonical(value: Value, depth: int) -> Value:
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, int):
        if not 0 <= value <= _MAX_U64:
            raise FormatError("msgpack", f"integer {value} is not an unsigned 64-bit number")
        return value
    if value and depth == MAX_MSGPACK_DEPTH:
        raise FormatError("msgpack", f"nested deeper than {MAX_MSGPACK_DEPTH}", failure="oversize")
    if isinstance(value, list | tuple):
        # Most of a directory is ids and numbers: not one call for each.
        return [
            item
            if type(item) is bytes or (type(item) is int and 0 <= item <= _MAX_U64)
            else _canonical(item, depth + 1)
            for item in value
        ]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise FormatError("msgpack", "a map key is not a string")
        return {key: _canonical(value[key], depth + 1) for key in sorted(value, key=str.encode)}
    raise FormatError("msgpack", f"type {type(value).__name__} is not part of the format")


def decode_shortest(data: bytes, max_bytes: int) -> Value:
    """Decode one msgpack value in which every number and length has its shortest form, and that fills `data`.

    For large values of a known shape: that is fast, and half of what `decode` proves. Whoever calls this proves the
    rest, that nothing but strings, bytes and numbers that are not negative is in it and that keys are in order, or
    leaves it to `decode`.

    Raises:
        FormatError: longer than `max_bytes`, not msgpack, trailing bytes, or something has a shorter form.
    """
    if len(data) > max_bytes:
        raise FormatError("msgpack", f"{len(data)} bytes, more than {max_bytes}", failure="oversize")
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True, use_list=True)
        again = msgpack.packb(value, use_bin_type=True)
    except (ValueError, TypeError, RecursionError, UnicodeError, msgpack.UnpackException) as error:
        raise FormatError("msgpack", f"cannot be decoded: {error}") from None
    if again != data:
        raise FormatError("msgpack", "not the canonical encoding of its value")
    return value


def decode(data: bytes, max_bytes: int) -> Value:
    """Decode one canonical msgpack value that fills `data`.

    Raises:
        FormatError: longer than `max_bytes`, not msgpack, trailing bytes, or not canonical.
    """
    value = decode_shortest(data, max_bytes)
    _require_canonical(value, 0)
    return value


def _require_canonical(value: Value, depth: int) -> None:
    """See that a value, of which all has its shortest form, is of the types of the format, with keys in order."""
    kind = type(value)
    if (kind is int and value < 0) or kind not in _TYPES:
        raise FormatError("msgpack", f"{kind.__name__} is not part of the format, or a negative number")
    if kind is not list and kind is not dict:
        return
    if value and depth == MAX_MSGPACK_DEPTH:
        raise FormatError("msgpack", f"nested deeper than {MAX_MSGPACK_DEPTH}", failure="oversize")
    if kind is dict:
        # The order of code points is that of UTF-8.
        if set(map(type, value)) - {str} or list(value) != sorted(value):
            raise FormatError("msgpack", "map keys are not strings in ascending order")
        value = value.values()
    for item in value:
        if type(item) not in _PLAIN:
            _require_canonical(item, depth + 1)
