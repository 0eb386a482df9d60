"""Every decoder against arbitrary bytes, almost valid bytes, and values of every kind.

A decoder raises FormatError and nothing else, whatever the bytes; what it accepts it would have written itself.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packstore.checksum import checksum64
from packstore.codec.compression import CompressionSpec, Compressor
from packstore.codec.key import Key
from packstore.codec.secret import SECRET_BYTES, format_secret, parse_secret
from packstore.codec.sodium import AEADS, box_open, unseal
from packstore.errors import FormatError, KeyFileUnusable
from packstore.format import checkpoint, document, intent, ledger, pack, page, record, version
from packstore.format.describe import describe
from packstore.format.document import DocumentType, decode_document, encode_document
from packstore.format.record import RecordHeader
from packstore.format.strictmsgpack import MapSchema, decode, encode
from packstore.limits import MIB
from tests.support import strategies, vectors
from tools.vectors.case import FAILURES, Case
from tools.vectors.document_cases import rechecked as rechecked_document
from tools.vectors.material import rechecked as rechecked_record


@dataclass(frozen=True)
class Coding:
    """One decoder, the encoder that belongs to it, and values that both must agree on."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    values: st.SearchStrategy[Any]
    schema: MapSchema | None = None
    inner: tuple[str, MapSchema] | None = None


def _record(data: bytes) -> tuple[RecordHeader, bytes]:
    header, payload = record.decode_record(data)
    return header, bytes(payload)


def _trailer_bytes(found: pack.Trailer) -> bytes:
    return pack.PACK_TRAILER.pack(
        pack.TRAILER_MAGIC,
        found.directory_offset,
        found.directory_size,
        found.record_count,
        found.pack_id,
        found.domain,
        found.mac,
        found.checksum,
    )


def _slots() -> st.SearchStrategy[document.Slot]:
    def build(header: document.SlotHeader, commitment: bytes, nonce: bytes, sealed: bytes) -> document.Slot:
        return document.Slot(header, document.encode_slot_header(header), commitment, nonce, sealed)

    return st.builds(build, strategies.slot_headers(), strategies.uids(32), strategies.uids(24), strategies.uids(80))


CODINGS: dict[str, Coding] = {
    "msgpack": Coding(lambda data: decode(data, MIB), encode, strategies.VALUES),
    "record": Coding(
        _record,
        lambda value: record.encode_header(value[0], value[1]) + value[1],
        strategies.record_headers().map(lambda header: (header, bytes(header.payload_size))),
    ),
    "pack header": Coding(pack.decode_pack_header, pack.encode_pack_header, strategies.PACK_HEADERS),
    "pack trailer": Coding(
        pack.decode_trailer,
        _trailer_bytes,
        st.builds(
            pack.Trailer,
            strategies.U64,
            st.integers(0, 16 * MIB),
            st.integers(0, 65_536),
            strategies.uids(),
            strategies.uids(8),
            strategies.uids(32),
            strategies.U64,
        ),
    ),
    "directory": Coding(
        pack.decode_directory,
        lambda value: pack.encode_directory(*value),
        st.tuples(strategies.uids(), strategies.directories()),
        pack.DIRECTORY,
    ),
    "repository": Coding(
        document.decode_repository,
        document.encode_repository,
        strategies.REPOSITORIES,
        document.REPOSITORY,
        ("features", document.FEATURES),
    ),
    "slot": Coding(document.decode_slot, document.encode_slot, _slots(), document.SLOT),
    "epoch": Coding(document.decode_epoch, document.encode_epoch, strategies.EPOCHS, document.EPOCH),
    "intent": Coding(intent.decode_intent, intent.encode_intent, strategies.INTENTS, intent.INTENT),
    "list": Coding(intent.decode_list, intent.encode_list, strategies.LISTS, intent.LIST),
    "page": Coding(page.decode_page, page.encode_page, strategies.pages(), page.PAGE),
    "version": Coding(version.decode_version, version.encode_version, strategies.versions(), version.VERSION),
    "checkpoint": Coding(
        checkpoint.decode_checkpoint, checkpoint.encode_checkpoint, strategies.checkpoints(), checkpoint.CHECKPOINT
    ),
    "scrub": Coding(ledger.decode_scrub, ledger.encode_scrub, strategies.SCRUBS, ledger.SCRUB),
    "damage": Coding(ledger.decode_damage, ledger.encode_damage, strategies.damages(), ledger.DAMAGE),
    "event": Coding(version.decode_event, version.encode_event, strategies.EVENTS, version.EVENT),
}
MAPS = [name for name, coding in CODINGS.items() if coding.schema]


def has_unknown_keys(coding: Coding, data: bytes) -> bool:
    """Say whether `data` has keys that a reader ignores, and so cannot write again."""
    if coding.schema is None:
        return False
    value = decode(data, MIB)
    if coding.inner and set(value[coding.inner[0]]) - {key.name for key in coding.inner[1].keys}:
        return True
    return bool(set(value) - {key.name for key in coding.schema.keys})


def attempt(decoder: Callable[[], Any]) -> tuple[str, Any]:
    """Return "ok" and what a decoder found, or the class of its FormatError; any other exception gets through."""
    try:
        return "ok", decoder()
    except FormatError as error:
        assert error.failure in FAILURES, error  # noqa: PT017  which exception is the question here
        return error.failure, None


def check_strict(coding: Coding, data: bytes) -> None:
    """Decode `data`: it is refused with a FormatError, or accepted and written again as it is."""
    outcome, found = attempt(lambda: coding.decode(data))
    if outcome != "ok":
        return
    again = coding.encode(found)
    assert coding.decode(again) == found
    assert again == data[: len(again)] or has_unknown_keys(coding, data)


@pytest.mark.parametrize("name", CODINGS)
@given(data=st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    """Something that packstore writes could not be read again, or not as what it was."""
    coding = CODINGS[name]
    value = data.draw(coding.values)
    encoded = coding.encode(value)
    assert coding.decode(encoded) == value
    assert coding.encode(coding.decode(encoded)) == encoded


@pytest.mark.parametrize("name", CODINGS)
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes(name: str, data: bytes) -> None:
    """A damaged or hostile file would end the program with another error than FormatError."""
    check_strict(CODINGS[name], data)


@pytest.mark.parametrize("name", CODINGS)
@given(data=st.data())
def test_mutated_bytes(name: str, data: st.DataObject) -> None:
    """Almost valid bytes would be accepted, and written again in another way, or raise something else."""
    coding = CODINGS[name]
    encoded = coding.encode(data.draw(coding.values))
    check_strict(coding, data.draw(strategies.mutated(encoded)))


@pytest.mark.parametrize("name", MAPS)
@given(data=st.data())
def test_any_value_under_any_key(name: str, data: st.DataObject) -> None:
    """A canonical map with a wrong value would pass the checks, or break them."""
    coding = CODINGS[name]
    fields = decode(coding.encode(data.draw(coding.values)), MIB)
    key = data.draw(st.sampled_from(sorted(fields)) | strategies.TEXT)
    if data.draw(st.booleans()):
        fields[key] = data.draw(strategies.VALUES)
    else:
        fields.pop(key, None)
    check_strict(coding, encode(fields))


@pytest.mark.parametrize("name", MAPS)
@given(data=st.data())
def test_any_item_in_any_list(name: str, data: st.DataObject) -> None:
    """A wrong item deep inside a list would pass the checks, or break them."""
    coding = CODINGS[name]
    fields = decode(coding.encode(data.draw(coding.values)), MIB)
    lists = [value for value in fields.values() if isinstance(value, list)]
    lists += [row for rows in lists for row in rows if isinstance(row, list)]
    if lists:
        chosen = data.draw(st.sampled_from(lists))
        at = data.draw(st.integers(0, len(chosen)))
        chosen[at : at + data.draw(st.integers(0, 1))] = [data.draw(strategies.VALUES)]
    check_strict(coding, encode(fields))


@given(
    value=st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.binary(), inner),
        max_leaves=10,
    )
)
def test_encoder_writes_canonically_or_not_at_all(value: Any) -> None:
    """A value would be written that its own decoder refuses."""
    try:
        data = encode(value)
    except FormatError:
        return
    assert decode(data, MIB) == value


@pytest.mark.parametrize("document_type", list(DocumentType))
@given(body=st.binary(max_size=200), data=st.data())
def test_document_frames(document_type: DocumentType, body: bytes, data: st.DataObject) -> None:
    """A changed frame would be accepted, or raise something else."""
    framed = encode_document(document_type, body, lambda _: bytes(32))
    assert decode_document(framed, document_type).body == body
    changed = data.draw(strategies.mutated(framed) | st.binary(max_size=200))
    for candidate in (changed, rechecked_document(changed) if len(changed) > 32 else changed):
        outcome, found = attempt(lambda data=candidate: decode_document(data, document_type))
        if outcome == "ok":
            assert encode_document(document_type, found.body, lambda _, mac=found.mac: mac) == candidate


@given(header=strategies.PACK_HEADERS, entries=strategies.directories(), data=st.data())
def test_seals(header: pack.PackHeader, entries: list[pack.Entry], data: st.DataObject) -> None:
    """A seal would hold for another header, directory or trailer than those it was made for."""
    directory = pack.encode_directory(header.pack_id, entries)
    trailer = pack.encode_trailer(
        header, directory, 64, len(entries), lambda message: checksum64([message]).to_bytes(32)
    )
    parts = [pack.encode_pack_header(header), directory, trailer]
    place = data.draw(st.integers(0, 2))
    changed = list(parts)
    changed[place] = data.draw(strategies.mutated(parts[place]))

    def check() -> None:
        head, tail = pack.decode_pack_header(changed[0]), pack.decode_trailer(changed[2])
        pack.check_seal(head, changed[1], tail, changed[2][: pack.PACK_TRAILER.size])

    if attempt(check)[0] == "ok":
        sizes = (pack.PACK_HEADER.size, len(changed[1]), pack.PACK_TRAILER.size)
        assert [part[:size] for part, size in zip(changed, sizes, strict=True)] == parts


@given(text=st.text(max_size=60) | st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ-OIL ", min_size=30, max_size=50))
def test_secrets_from_any_text(text: str) -> None:
    """A file that is no key would be taken for one, or fail with another error than KeyFileUnusable."""
    try:
        secret = parse_secret(text)
    except KeyFileUnusable:
        return
    assert parse_secret(format_secret(secret)) == secret


@given(secret=st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES), data=st.data())
def test_secrets(secret: bytes, data: st.DataObject) -> None:
    """A recovery key would not give back its secret, or a mistyped one be accepted."""
    text = format_secret(Key(secret))
    assert parse_secret(text) == Key(secret)
    typed = data.draw(strategies.mutated(text.encode())).decode(errors="replace")
    try:
        found = parse_secret(typed)
    except KeyFileUnusable:
        return
    assert found == Key(secret)


COMPRESSOR = Compressor(CompressionSpec(3))


@given(plain=st.binary(min_size=1, max_size=2000).map(lambda data: data * 3), data=st.data())
def test_frames(plain: bytes, data: st.DataObject) -> None:
    """A damaged frame would give another number of bytes than its header says, or raise something else."""
    frame = COMPRESSOR.compress(plain)
    if frame is None:
        return
    assert COMPRESSOR.decompress(frame, len(plain)) == plain
    changed = data.draw(strategies.mutated(frame) | st.binary(max_size=100))
    size = data.draw(st.just(len(plain)) | st.integers(0, MIB))
    outcome, found = attempt(lambda: COMPRESSOR.decompress(changed, size))
    assert outcome in {"ok", "decompress-failed"}
    assert outcome != "ok" or len(found) == size


@pytest.mark.parametrize("encryption", list(AEADS))
@given(sealed=st.binary(max_size=200), associated=st.binary(max_size=100))
def test_nothing_opens_by_chance(encryption: record.Encryption, sealed: bytes, associated: bytes) -> None:
    """Arbitrary bytes would decrypt to something, or raise something else than FormatError."""
    assert attempt(lambda: unseal(encryption, Key(bytes(32)), sealed, associated))[0] == "decrypt-failed"
    assert attempt(lambda: box_open(sealed, Key(b"\x01" * 32)))[0] == "decrypt-failed"


CORPUS = [case for case in vectors.load() if case.expect == "ok" and case.what not in {"derivation", "secret"}]
FILES = [case for case in CORPUS if case.what == "pack" or case.what.startswith("document/")]


@given(data=st.data())
def test_description_of_damaged_files(data: st.DataObject) -> None:
    """The dump, with which a person looks at a damaged file, would itself end in an error."""
    case = data.draw(st.sampled_from(FILES))
    changed = data.draw(strategies.mutated(case.data))
    for candidate in (case.data, changed, REPAIRS["document"](changed)):
        assert describe(case.name, candidate).startswith(f"{case.name}: {len(candidate)} bytes\n")


@pytest.mark.parametrize("name", ["repository", "slot", "epoch", "intent", "list"])
@given(data=st.data())
def test_description_of_any_value(name: str, data: st.DataObject) -> None:
    """A document with a wrong type or a huge number in it could not be looked at."""
    coding = CODINGS[name]
    fields = decode(coding.encode(data.draw(coding.values)), MIB)
    fields[data.draw(st.sampled_from(sorted(fields)) | strategies.TEXT)] = data.draw(strategies.VALUES)
    body = data.draw(st.sampled_from([encode(fields), encode(data.draw(strategies.VALUES))]))
    assert describe("file", encode_document(DocumentType[name.upper()], body, lambda _: bytes(32)))


@given(header=strategies.PACK_HEADERS, directory=strategies.VALUES | strategies.directories(), number=strategies.U64)
def test_description_of_any_directory(header: pack.PackHeader, directory: Any, number: int) -> None:
    """A pack with a directory of another shape could not be looked at."""
    body = pack.encode_pack_header(header)
    written = encode({"pack": header.pack_id, "records": directory})
    for offset in (len(body), number):
        trailer = pack.encode_trailer(header, written, offset, 1, lambda _: bytes(32))
        assert describe("file", body + written + trailer)


REPAIRS: dict[str, Callable[[bytes], bytes]] = {
    "record": lambda data: rechecked_record(data) if len(data) >= record.HEADER_BYTES else data,
    "document": lambda data: rechecked_document(data) if len(data) > 32 else data,
}


@pytest.mark.parametrize("what", sorted({case.what for case in CORPUS}))
@settings(max_examples=settings.default.max_examples // 2)
@given(data=st.data())
def test_mutated_vectors(what: str, data: st.DataObject) -> None:
    """Almost valid records, packs and keys would get through decryption and checks, or break them."""
    case = data.draw(st.sampled_from([case for case in CORPUS if case.what == what]))
    changed = data.draw(strategies.mutated(case.data))
    repair = REPAIRS.get(what.partition("/")[0], lambda data: data)
    for candidate in {changed, repair(changed)}:
        check_vector(replace(case, data=candidate), case)


def check_vector(changed: Case, original: Case) -> None:
    """Run a changed vector: it fails in a declared class, or what was changed did not matter."""
    outcome, (value, again) = vectors.run(changed)
    assert outcome in {"ok", *FAILURES}
    if outcome != "ok":
        return
    coding = CODINGS.get(changed.what)
    if coding and coding.schema and has_unknown_keys(coding, changed.data):
        return
    if again is not None and original.reencode:
        assert again() == changed.data[: len(again())]
    else:
        assert value == original.value or asdict(changed)["inputs"]["encrypted"] == "no"
