"""spec/FORMAT.md against the code: a specification that nothing holds to the code is wrong within a year."""

import ast
import enum
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

import packstore.format
from packstore import limits
from packstore.codec import key
from packstore.codec.secret import format_secret, parse_secret
from packstore.codec.sodium import AEADS
from packstore.errors import FormatError
from packstore.format.layout import Layout
from packstore.format.pack import Entry, PackType
from packstore.format.record import MAX_OVERHEAD_BYTES, MAX_PLAIN_BYTES, Encryption, Kind
from packstore.format.strictmsgpack import Key, MapSchema
from packstore.format.version import volume_name_fault
from packstore.packs.reader import check_place

ROOT = Path(__file__).resolve().parent.parent.parent
SPEC = (ROOT / "spec" / "FORMAT.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "packstore").rglob("*.py"))
SECTIONS = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)[. ]", SPEC, re.MULTILINE))
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_PARTS_OF_UNITS = {"KIB", "MIB", "GIB"}

T = TypeVar("T")


class Table(NamedTuple):
    """A marked table: what its marker says beside the name, and its rows by column."""

    name: str
    size: int | None
    rows: list[dict[str, str]]


def tables(marker: str, text: str = SPEC) -> dict[str, Table]:
    """Return the tables between `<!-- marker: NAME -->` and `<!-- /marker -->`, by name."""
    pattern = rf"<!-- {marker}(?:: (\w+))?(?: size=(\d+))? -->\n(.*?)<!-- /{marker} -->"
    found = {}
    for name, size, body in re.findall(pattern, text, re.DOTALL):
        assert name not in found, f"two tables {marker}: {name}"
        found[name] = Table(name, int(size) if size else None, _rows(body))
    return found


def _rows(body: str) -> list[dict[str, str]]:
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in body.strip().splitlines()]
    head, rule, *rows = cells
    assert all(set(cell) <= {"-", ":"} for cell in rule)
    assert all(len(row) == len(head) for row in rows), f"a row of another length in {head}"
    return [dict(zip(head, row, strict=True)) for row in rows]


def code(text: str) -> str:
    """Return what stands in backticks."""
    match = re.match(r"`([^`]+)`", text)
    assert match, text
    return match[1]


def amount(text: str) -> int:
    """Return the number that a table writes as 65,536 or 64 KiB or 2^56."""
    number, _, unit = text.replace(",", "").partition(" ")
    base, _, exponent = number.partition("^")
    power: int = int(base) ** int(exponent or 1)
    return power * _UNITS.get(unit, 1)


def format_modules() -> list[object]:
    """Return every module of packstore.format."""
    names = [module.name for module in pkgutil.iter_modules(packstore.format.__path__)]
    return [importlib.import_module(f"packstore.format.{name}") for name in names]


def declared(wanted: type[T]) -> list[T]:
    """Return what the modules of packstore.format hold of a type."""
    return [value for module in format_modules() for value in vars(module).values() if isinstance(value, wanted)]


def registries() -> dict[str, list[tuple[str, object]]]:
    """Return names and values of the enumerations of packstore.format."""
    found: dict[str, list[tuple[str, object]]] = {}
    for registry in declared(enum.EnumMeta):
        if registry.__module__.startswith("packstore.format"):
            members: Mapping[str, enum.Enum] = registry.__members__
            found[registry.__name__] = [(name, member.value) for name, member in members.items()]
    return found


def layout_faults(table: Table, layout: Layout) -> Iterator[str]:
    """Yield what is wrong with a byte table: gaps, overlaps, sum, and differences from the code."""
    offset = 0
    for row in table.rows:
        if int(row["Offset"]) != offset:
            yield f"{row['Field']} at {row['Offset']} where {offset} is due"
        offset = int(row["Offset"]) + int(row["Size"])
    if offset != table.size or layout.size != table.size:
        yield f"rows add up to {offset}, the marker says {table.size}, the code {layout.size}"
    in_text = [(row["Field"], row["Type"], int(row["Size"])) for row in table.rows]
    in_code = [(field.name, field.type, field.length) for field in layout.fields]
    if in_text != in_code:
        yield f"{set(in_text) ^ set(in_code)}"


LAYOUTS = {layout.name: layout for layout in declared(Layout)}
SCHEMAS = {schema.name: schema for schema in declared(MapSchema)}


def test_every_layout_has_a_table_and_every_table_a_layout() -> None:
    """Otherwise a structure is stored that is not specified, or the reverse."""
    assert tables("layout").keys() == LAYOUTS.keys()


@pytest.mark.parametrize("name", LAYOUTS)
def test_byte_table_is_the_layout(name: str) -> None:
    """Otherwise a reader written from the table reads other bytes than the program writes."""
    assert not list(layout_faults(tables("layout")[name], LAYOUTS[name]))


def test_a_wrong_byte_table_is_noticed() -> None:
    """Otherwise the test above passes whatever the tables say."""
    layout = LAYOUTS["record_header"]
    for good, wrong in (("| 9 | 1 | u8 |", "| 9 | 2 | u16 |"), ("size=104", "size=108"), ("| kind |", "| sort |")):
        assert good in SPEC
        assert list(layout_faults(tables("layout", SPEC.replace(good, wrong))["record_header"], layout))


def test_magic_values_stand_in_the_tables() -> None:
    """Otherwise a reader written from the tables recognises no file of ours."""
    in_code = {
        value.hex(" ")
        for module in format_modules()
        for name, value in vars(module).items()
        if name.endswith("_MAGIC") and isinstance(value, bytes)
    }
    rules = [row["Rule"] for table in tables("layout").values() for row in table.rows if row["Field"] == "magic"]
    assert {rule.partition("`")[2].partition("`")[0] for rule in rules} == in_code


def test_every_map_has_a_table_and_every_table_a_map() -> None:
    """Otherwise a msgpack map is stored that is not specified, or the reverse."""
    assert tables("keys").keys() == SCHEMAS.keys()


@pytest.mark.parametrize("name", SCHEMAS)
def test_key_table_is_the_schema(name: str) -> None:
    """Otherwise a reader written from the table refuses our maps, or misses one of their keys."""
    rows = tables("keys")[name].rows
    assert [Key(code(row["Key"]), row["Type"], row["Required"] == "yes") for row in rows] == list(SCHEMAS[name].keys)
    assert all(row["Meaning"] for row in rows)


def test_directory_entry_table_is_the_entry() -> None:
    """Otherwise a reader takes one field of a directory entry for another."""
    rows = tables("entry")["directory"].rows
    assert [(int(row["Position"]), row["Name"]) for row in rows] == list(enumerate(Entry._fields))
    types = {"object_id": f"bin{limits.OBJECT_ID_BYTES}", "key_id": f"bin{limits.KEY_ID_BYTES}"}
    assert [row["Type"] for row in rows] == [types.get(name, "u32") for name in Entry._fields]


def test_every_registry_has_a_table_and_every_table_a_registry() -> None:
    """Otherwise a number is stored whose meaning is nowhere written down."""
    assert tables("registry").keys() == registries().keys()


@pytest.mark.parametrize("name", registries())
def test_registry_table_is_the_enumeration(name: str) -> None:
    """Otherwise a kind, cipher, compression or type is read as another one."""
    rows = tables("registry")[name].rows
    if name == "EventType":
        assert [code(row["Type"]) for row in rows] == [value for _, value in registries()[name]]
    else:
        assert [(row["Name"], int(row["Number"])) for row in rows] == registries()[name]


def test_kinds_have_their_sizes_and_their_packs() -> None:
    """Otherwise readers refuse objects that the program writes, or look for them in the wrong place."""
    for row in tables("registry")["Kind"].rows:
        kind = Kind[row["Name"]]
        assert amount(row["Largest plaintext"]) == MAX_PLAIN_BYTES[kind]
        assert row["Key"] == ("data key" if kind is Kind.BLOCK else "meta key")
        for pack_type in PackType:
            if row["In packs of type"] == pack_type.name:
                check_place(kind, pack_type)
            else:
                with pytest.raises(FormatError):
                    check_place(kind, pack_type)


def test_encryption_versions_have_their_sizes() -> None:
    """Otherwise a reader cuts nonce and tag in the wrong places and decrypts nothing."""
    for row in tables("registry")["Encryption"].rows:
        encryption = Encryption[row["Name"]]
        sizes = AEADS[encryption][:2] if encryption else (0, 0)
        assert (int(row["Nonce"]), int(row["Tag"])) == sizes
        assert int(row["Payload is longer than body by"]) == sum(sizes) <= MAX_OVERHEAD_BYTES


def test_limits_are_those_of_the_code() -> None:
    """Otherwise a reader refuses what we write, or allocates more than it should."""
    rows = tables("limits")[""].rows
    in_code = {
        name: value for name, value in vars(limits).items() if isinstance(value, int) and name not in _PARTS_OF_UNITS
    }
    assert {code(row["Name"]): amount(row["Value"]) for row in rows} == in_code
    assert {row["Binds"] for row in rows} == {"reader", "default"}


def calls(function: str) -> Iterator[ast.Call]:
    """Yield every call of a function of this name in packstore."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
                yield node


def test_failure_classes_are_those_of_the_code() -> None:
    """Otherwise a vector or a message names a class that is explained nowhere, or a class is never told."""
    given = [keyword.value for call in calls("FormatError") for keyword in call.keywords if keyword.arg == "failure"]
    assert all(isinstance(value, ast.Constant) for value in given), "a class that cannot be read off the code"
    used = {value.value for value in given if isinstance(value, ast.Constant)} | {FormatError("", "").failure}
    in_text = {code(row["Class"]) for row in tables("failures")[""].rows}
    assert in_text - {"ok"} == used


@pytest.mark.parametrize("path", sorted((ROOT / "spec" / "vectors").glob("*.txt")), ids=lambda path: path.stem)
def test_vectors_speak_of_this_specification(path: Path) -> None:
    """Otherwise a vector expects a class, or tests a section, that a reader cannot look up."""
    lines = dict(line.partition(": ")[::2] for line in path.read_text(encoding="utf-8").splitlines()[:4])
    assert lines["expect"] in {code(row["Class"]) for row in tables("failures")[""].rows}
    assert lines["section"] in SECTIONS
    described = SPEC[SPEC.index("| `what` |") :].partition("\n")[0]
    assert f"`{lines['what']}`" in described


def test_derivation_labels_are_those_of_the_code() -> None:
    """Otherwise a reader derives other keys than the writer, and opens nothing."""
    labels = {
        call.args[1].value
        for function in ("prf", "kdf")
        for call in calls(function)
        if isinstance(call.args[1], ast.Constant)
    }
    assert {code(row["Label"]) for row in tables("labels")[""].rows} == labels


def test_sections_are_numbered_without_gaps() -> None:
    """Otherwise the section numbers in the code lead nowhere."""
    top = [int(number) for number in re.findall(r"^## (\d+)\. ", SPEC, re.MULTILINE)]
    assert top == list(range(1, 22))
    assert re.findall(r"^## Appendix ([A-Z])", SPEC, re.MULTILINE) == ["A", "B"]


def cited(text: str) -> set[str]:
    """Return the section numbers after the word section or sections, or in brackets on their own."""
    found = re.findall(r"[Ss]ections? ((?:\d+(?:\.\d+)?(?:, | and )?)+)", text) + re.findall(
        r"\((\d+\.\d+(?:, \d+\.\d+)*)\)", text
    )
    return {number for group in found for number in re.findall(r"\d+(?:\.\d+)?", group)}


def test_references_inside_the_specification_exist() -> None:
    """Otherwise a reader is sent to a section that is not there."""
    assert cited(SPEC) <= SECTIONS


def test_format_modules_cite_a_section() -> None:
    """Otherwise somebody who reads the code cannot find what it is meant to do."""
    for path in SOURCES:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        numbers = cited(docstring) if "FORMAT.md" in docstring else set()
        assert numbers <= SECTIONS, path
        assert numbers or path.parent.name != "format" or path.name == "__init__.py", path


def test_shape_of_the_tree_is_worked_out_right() -> None:
    """Otherwise the worked arithmetic of section 9.3 teaches a wrong tree."""
    body = SPEC[SPEC.index("| Device | Block size |") : SPEC.index("For example, byte 290,000,000")]
    sizes = {
        "1 byte": 1,
        "256 MiB + 1": (256 << 20) + 1,
        "300 MiB + 5": (300 << 20) + 5,
        "200 · 10^12 bytes": 200 * 10**12,
    }
    for row in _rows(body):
        size = sizes.get(row["Device"]) or amount(row["Device"])
        block = amount(row["Block size"])
        count = -(-size // block)
        height = next(h for h in range(1, limits.MAX_TREE_LEVELS + 1) if limits.PAGE_ENTRIES**h >= count)
        pages = [-(-count // limits.PAGE_ENTRIES ** (level + 1)) for level in range(height)]
        assert amount(row["N"]) == count
        assert int(row["h"]) == height
        assert [amount(number) for number in row["Pages by level, from the leaves"].split(", ")] == pages
        assert row["Last leaf"].split()[0] == str(count - limits.PAGE_ENTRIES * (pages[0] - 1))
        assert amount(row["Last block"]) == size - (count - 1) * block


def test_secret_example_is_right() -> None:
    """Otherwise the one secret that the specification shows is refused by the program."""
    secret = key.Key(bytes(range(20)))
    assert f"is written `{format_secret(secret)}`" in SPEC
    assert parse_secret(format_secret(secret).lower().replace("0", "o").replace("1", "l")) == secret


def test_volume_names_are_refused_as_specified() -> None:
    """Otherwise a version that one reader shows is malformed for another."""
    assert not volume_name_fault("a b.c-d_é")
    for name in ("", ".", "..", "-a", "~a", "a/b", "a@b", "a~1", "a\n", "a\x7f", "a\u200b", "a\u00a0b", "a" * 256):
        assert volume_name_fault(name), name
