"""The dump: packstore.format.describe. What it says of whole files is shown, and tested, in FORMAT.md section 19."""

from typing import Any

import pytest

from packstore.format import document, export, intent, pack, page, version
from packstore.format.describe import describe
from packstore.format.document import DocumentType, encode_document
from packstore.format.pack import PACK_HEADER, PackType, encode_directory, encode_pack_header, encode_trailer, entry_of
from packstore.format.record import Kind
from packstore.format.strictmsgpack import MapSchema, encode
from packstore.ids import PackId
from tests.support import vectors
from tools.vectors.case import Case
from tools.vectors.material import CLEAR, make_record

CASES = [case for case in vectors.load() if case.what == "pack" or case.what.startswith("document/")]
WRONG: tuple[Any, ...] = (None, True, 0, (1 << 64) - 1, "", "text", b"", bytes(65), [], [None, [b""]], {}, {"a": {}})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_any_file_can_be_described(case: Case) -> None:
    """A person who looks at a damaged file at night would get a traceback instead of its fields."""
    assert describe("file", case.data).startswith(f"file: {len(case.data)} bytes\n")


@pytest.mark.parametrize("document_type", list(DocumentType))
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_documents_with_wrong_values(document_type: DocumentType, wrong: Any) -> None:
    """A key with a value of another type, in a document that is otherwise whole, would end the dump."""
    schema: MapSchema = {**vars(document), **vars(intent), **vars(export)}[document_type.name]
    bodies = [{key.name: wrong} for key in schema.keys]
    for body in (*bodies, wrong):
        assert describe("file", encode_document(document_type, encode(body), lambda _: bytes(32)))


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (Kind.PAGE, page.PAGE),
        (Kind.VERSION, version.VERSION),
        (Kind.EVENT, version.EVENT),
        (Kind.DIRECTORY, pack.DIRECTORY),
    ],
)
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_plaintexts_with_wrong_values(kind: Kind, schema: MapSchema, wrong: Any) -> None:
    """The same in what an unencrypted pack holds."""
    header = pack.PackHeader(PackType.META, PackId(bytes(16)), CLEAR.repository_id, bytes(8))
    for key in schema.keys:
        record = make_record(CLEAR, kind, encode({key.name: wrong}))
        before = encode_pack_header(header) + record.data
        directory = encode_directory(header.pack_id, [entry_of(record.header, PACK_HEADER.size)])
        assert describe("file", before + directory + encode_trailer(header, directory, len(before), 1, bytes))
