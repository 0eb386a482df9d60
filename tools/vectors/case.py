"""A vector, one success or one failure, and its text form. spec/vectors/README.md describes the form.

Knows nothing of packstore, so that other readers can take it over as it is.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Json = Any
"""None, bool, int, str, list of values, dict from str to values; bytes stand as hexadecimal strings."""

FAILURES: Final = (
    "truncated",
    "bad-magic",
    "bad-checksum",
    "unsupported",
    "oversize",
    "malformed",
    "wrong-id",
    "decrypt-failed",
    "decompress-failed",
    "unencrypted",
    "unknown-key",
    "bad-mac",
)
"""The classes of failure; "ok" is the one of success."""

_HEX_DIGITS: Final = 64
_OWN_LINES: Final = ("expect", "section", "what", "comment", "reencode", "value")


@dataclass(frozen=True)
class Case:
    """One vector. `inputs` are the keys and names that a reader needs; `value` is what it must find."""

    name: str
    expect: str
    section: str
    what: str
    comment: str
    data: bytes
    inputs: Mapping[str, str] = field(default_factory=dict)
    value: Json = None
    reencode: bool = True

    def render(self) -> str:
        """Return the text of the vector's file."""
        lines = {"expect": self.expect, "section": self.section, "what": self.what, "comment": self.comment}
        lines |= self.inputs
        if not self.reencode:
            lines["reencode"] = "no"
        if self.value is not None:
            lines["value"] = json.dumps(self.value, indent=1, ensure_ascii=True).replace("\n", "\n ")
        text = "".join(f"{name}: {value}".rstrip() + "\n" for name, value in lines.items())
        digits = self.data.hex()
        rows = [digits[at : at + _HEX_DIGITS] for at in range(0, len(digits), _HEX_DIGITS)]
        return text + "\n" + "".join(row + "\n" for row in rows)


def parse(name: str, text: str) -> Case:
    """Return the vector whose file is called `name` (without its ending) and holds `text`."""
    head, _, body = text.partition("\n\n")
    lines: dict[str, str] = {}
    for line in head.replace("\n ", "\0").split("\n"):
        key, _, value = line.partition(":")
        lines[key] = value.removeprefix(" ").replace("\0", "\n ")
    return Case(
        name=name,
        expect=lines["expect"],
        section=lines["section"],
        what=lines["what"],
        comment=lines["comment"],
        data=bytes.fromhex(body),
        inputs={key: value for key, value in lines.items() if key not in _OWN_LINES},
        value=json.loads(lines["value"]) if "value" in lines else None,
        reencode=lines.get("reencode") != "no",
    )


def jsonable(value: Json) -> Json:
    """Return `value` as JSON can say it: bytes in hexadecimal, dataclasses and named tuples as maps."""
    if dataclasses.is_dataclass(value):
        return {item.name: jsonable(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return jsonable(value._asdict())
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {(key.hex() if isinstance(key, bytes) else str(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [jsonable(item) for item in (sorted(value) if isinstance(value, frozenset) else value)]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


@dataclass(frozen=True)
class Group:
    """Makes the cases of one `what`; `inputs` are those that all of them share."""

    what: str
    prefix: str
    inputs: Mapping[str, str] = field(default_factory=dict)

    def given(self, inputs: Mapping[str, str]) -> "Group":
        """Return a group whose cases have these inputs too."""
        return Group(self.what, self.prefix, {**self.inputs, **inputs})

    def ok(self, name: str, section: str, comment: str, data: bytes, value: Json, *, reencode: bool = True) -> Case:
        """Return a case that must succeed and give `value`."""
        full = f"{self.prefix}_{name}"
        return Case(full, "ok", section, self.what, comment, data, self.inputs, jsonable(value), reencode)

    def bad(self, name: str, expect: str, section: str, comment: str, data: bytes) -> Case:
        """Return a case that must fail, in the class `expect`."""
        return Case(f"{self.prefix}_{name}", expect, section, self.what, comment, data, self.inputs)
