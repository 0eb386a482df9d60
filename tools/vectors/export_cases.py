"""Exports of keys, as lines of text. Section 8.6."""

from collections.abc import Iterator
from typing import Final

from packstore.format.checked import format_checked
from packstore.format.document import DocumentType
from packstore.format.export import to_lines
from packstore.limits import MAX_EPOCHS, MAX_SLOTS
from tools.vectors.case import Case, Group
from tools.vectors.document_cases import frame, rechecked
from tools.vectors.material import AEGIS, fixed, flip

_EXPORT: Final = Group("export", "export", AEGIS.inputs())
_REPOSITORY: Final = fixed("exported repository file", 100)
_KEYS: Final = [fixed("exported slot", 90), fixed("exported epoch", 70)]


def _document(**changed: object) -> bytes:
    return frame(DocumentType.EXPORT, {"repository": _REPOSITORY, "keys": _KEYS} | changed)


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def cases() -> Iterator[Case]:
    """Yield the cases of this module."""
    yield from _accepted()
    yield from _lines_refused()
    yield from _bodies_refused()


def _accepted() -> Iterator[Case]:
    lines = list(to_lines(_document()))
    value = {"repository": _REPOSITORY, "keys": _KEYS}
    yield _EXPORT.ok("canonical", "8.6", "One line after the other.", _text(lines), value)
    for name, comment, text in (
        ("any_order", "The lines in another order, some twice.", _text([*lines[::-1], lines[2], lines[0]])),
        ("one_line", "Separated by spaces, as in a QR code.", " ".join(lines).encode()),
        ("lower_case", "In lower case, O for zero, L for one.", _typed(lines)),
        ("among_others", "Inside of a page.", b"<p>1234: no line\n<pre>" + _text(lines) + b"</pre> 7:30 am"),
    ):
        yield _EXPORT.ok(name, "8.6", comment, text, value, reencode=False)


def _typed(lines: list[str]) -> bytes:
    """Return lines as people type them: in lower case, with O for zero and L for one, but not in the numbers."""
    typed = []
    for line in lines:
        number, _, text = line.partition(":")
        typed.append(f"{number}:{text.lower().replace('0', 'O').replace('1', 'l')}")
    return _text(typed)


def _lines_refused() -> Iterator[Case]:
    lines = list(to_lines(_document()))
    wrong = lines[1][:7] + ("0" if lines[1][7] != "0" else "1") + lines[1][8:]
    renumbered = "3" + lines[1][1:]
    long = f"2:{format_checked(bytes(35), b'packstore/1/line' + (2).to_bytes(4, 'little'))}"
    for name, expect, comment, changed in (
        ("typing_error", "bad-checksum", "One character is wrong.", [lines[0], wrong, *lines[2:]]),
        (
            "wrong_number",
            "bad-checksum",
            "A line with the number of another.",
            [*lines[:2], renumbered, *lines[3:]],
        ),
        ("line_missing", "truncated", "A line in the middle is missing.", [*lines[:2], *lines[3:]]),
        ("first_missing", "truncated", "The first line is missing.", lines[1:]),
        ("last_missing", "truncated", "The last line is missing.", lines[:-1]),
        ("nothing", "truncated", "No line at all.", ["the keys are in the safe"]),
        ("group_missing", "malformed", "A line without its last group.", [lines[0], lines[1][:-5], *lines[2:]]),
        ("line_long", "malformed", "A line of 35 bytes.", [lines[0], long, *lines[2:]]),
    ):
        yield _EXPORT.bad(name, expect, "8.6", comment, _text(changed))


def _bodies_refused() -> Iterator[Case]:
    many = [b""] * (MAX_SLOTS + MAX_EPOCHS + 1)
    for name, expect, comment, document in (
        ("mac", "bad-mac", "The MAC changed, the checksum right.", rechecked(flip(_document(), -40))),
        ("bit", "bad-checksum", "One bit of the document changed.", flip(_document(), 30)),
        ("not_an_export", "malformed", "Another document.", frame(DocumentType.INTENT, {})),
        ("key_text", "malformed", "A slot that is text.", _document(keys=["slot"])),
        ("keys_map", "malformed", "The slots and epochs are a map.", _document(keys={})),
        ("no_repository", "malformed", "Without a repository file.", frame(DocumentType.EXPORT, {"keys": []})),
        ("too_many", "oversize", "More than a repository can have.", _document(keys=many)),
    ):
        yield _EXPORT.bad(name, expect, "8.6", comment, _text(list(to_lines(document))))
