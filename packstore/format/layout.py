"""Fixed layouts, declared once: packing, unpacking, the dump and the test of FORMAT.md derive from it.

FORMAT.md section 2 (conventions). All integers are little-endian and unsigned.
After: record, pack, document.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

from packstore.errors import FormatError

_INTEGERS: Final = {"u8": ("B", 1), "u16": ("H", 2), "u32": ("I", 4), "u64": ("Q", 8)}


@dataclass(frozen=True)
class Field:
    """One field: `type` is u8, u16, u32, u64 or bytes; `size` is in bytes."""

    name: str
    type: str
    size: int = 0

    @property
    def code(self) -> str:
        """The letter of the `struct` module for this field."""
        return f"{self.size}s" if self.type == "bytes" else _INTEGERS[self.type][0]

    @property
    def length(self) -> int:
        """The field's size in bytes."""
        return self.size if self.type == "bytes" else _INTEGERS[self.type][1]


class Layout:
    """A fixed structure: named fields, one after another, without padding."""

    def __init__(self, name: str, *fields: Field) -> None:
        self.name = name
        self.fields = fields
        self._struct = struct.Struct("<" + "".join(field.code for field in fields))
        self.size = self._struct.size

    def pack(self, *values: Any) -> bytes:  # noqa: ANN401  the types are those of the fields
        """Return the bytes of the values, in the order of the fields."""
        return self._struct.pack(*values)

    def unpack(self, data: bytes | memoryview) -> tuple[Any, ...]:
        """Return the values at the start of `data`.

        Raises:
            FormatError: `data` is shorter than the layout.
        """
        if len(data) < self.size:
            reason = f"{len(data)} bytes where {self.size} are needed"
            raise FormatError(self.name, reason, failure="truncated")
        return self._struct.unpack_from(data)

    def offset_of(self, name: str) -> int:
        """Return where the field called `name` begins."""
        offset = 0
        for field in self.fields:
            if field.name == name:
                return offset
            offset += field.length
        raise KeyError(name)


def check_magic(what: str, found: bytes, expected: bytes) -> None:
    """Compare an 8-byte magic; its last byte is the version of the structure.

    Raises:
        FormatError: "unsupported" if only the version differs, else "bad-magic".
    """
    if found == expected:
        return
    if found[:-1] == expected[:-1]:
        raise FormatError(what, f"version {found[-1]} is newer than this program", failure="unsupported")
    raise FormatError(what, f"magic is {found.hex()}, not {expected.hex()}", failure="bad-magic")


def check_reserved(what: str, value: int) -> None:
    """Refuse a reserved field that is not zero.

    Raises:
        FormatError: it is not zero.
    """
    if value:
        raise FormatError(what, "a reserved field is not zero", failure="unsupported")
