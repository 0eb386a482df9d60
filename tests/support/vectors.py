"""Run a vector of spec/vectors through packstore's own decoders and encoders. spec/vectors/README.md."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from packstore.codec.compression import CompressionSpec, Compressor
from packstore.codec.derivation import kdf, prf
from packstore.codec.key import Key
from packstore.codec.keyring import Keyring, derive_epoch
from packstore.codec.objectcodec import ObjectCodec
from packstore.codec.secret import format_secret, parse_secret
from packstore.codec.slots import Credential, OpenSlot, make_slot, open_epoch, open_slot
from packstore.codec.sodium import AEADS, argon2id
from packstore.codec.stages import Stages
from packstore.errors import FormatError, KeyFileUnusable
from packstore.format.checkpoint import decode_checkpoint, encode_checkpoint
from packstore.format.document import (
    Document,
    DocumentType,
    SlotKind,
    check_document_mac,
    decode_document,
    decode_epoch,
    decode_repository,
    decode_slot,
    encode_document,
    encode_epoch,
    encode_repository,
    encode_slot,
)
from packstore.format.export import decode_export, encode_export, from_lines, to_lines
from packstore.format.intent import decode_intent, decode_list, encode_intent, encode_list
from packstore.format.ledger import decode_damage, decode_scrub, encode_damage, encode_scrub
from packstore.format.pack import (
    PACK_HEADER,
    PackType,
    encode_directory,
    encode_pack_header,
    encode_trailer,
    entry_of,
)
from packstore.format.page import decode_page, encode_page
from packstore.format.record import Encryption, Kind, RecordHeader, decode_record
from packstore.format.strictmsgpack import Value, decode, encode
from packstore.format.version import decode_event, decode_version, encode_event, encode_version
from packstore.ids import PackId, Uid
from packstore.packs.names import pack_name
from packstore.packs.reader import Owner, read_seal
from packstore.storage.memory import MemoryStorage
from tools.vectors.case import Case, jsonable, parse

DIRECTORY = Path(__file__).resolve().parent.parent.parent / "spec" / "vectors"

Result = tuple[Value, Callable[[], bytes] | None]
"""What a decoder found, as JSON, and a function that encodes it again."""


def load() -> Iterator[Case]:
    """Yield every vector, by name."""
    for path in sorted(DIRECTORY.glob("*.txt")):
        yield parse(path.stem, path.read_text(encoding="utf-8"))


def run(case: Case) -> tuple[str, Result]:
    """Return the class that a vector ends in, and if that is "ok" its result."""
    try:
        return "ok", RUNNERS[case.what](case)
    except FormatError as error:
        return error.failure, (None, None)
    except KeyFileUnusable:
        return "malformed", (None, None)


def repository_id(case: Case) -> Uid:
    """Return the repository id that a vector names."""
    return Uid(bytes.fromhex(case.inputs["repository_id"]))


def keyring(case: Case) -> Keyring:
    """Return the keyring that a vector gives."""
    root = Key(bytes.fromhex(case.inputs["root"]))
    ring = Keyring(repository_id(case), root, encrypted=case.inputs.get("encrypted", "yes") == "yes")
    for name, line in case.inputs.items():
        if name.startswith("epoch_"):
            number, encryption, _, secret = line.split()
            ring.add_epoch(int(number), Key(bytes.fromhex(secret)), Encryption(int(encryption)))
    return ring


def replay(*pieces: bytes) -> Callable[[int], bytes]:
    """Return a source of "random" bytes that gives the pieces, in this order."""
    left = iter(pieces)

    def random(size: int) -> bytes:
        piece = next(left)
        assert len(piece) == size
        return piece

    return random


def raw_codec(ring: Keyring, random: Callable[[int], bytes] = os.urandom) -> ObjectCodec:
    """Return a codec that stores everything raw, with nonces from `random`."""
    return ObjectCodec(ring, Compressor(CompressionSpec(None)), Stages(), random)


def _encode_raw(ring: Keyring, header: RecordHeader, payload: bytes, plain: bytes) -> bytes:
    random = replay(payload[: AEADS[header.encryption].nonce_size]) if header.encryption else replay()
    encoded = raw_codec(ring, random).encode(header.kind, header.object_id, plain)
    return encoded.header_bytes + encoded.payload


def _msgpack(case: Case) -> Result:
    value = decode(case.data, int(case.inputs["limit"]))
    return jsonable(value), lambda: encode(value)


def _derivation(case: Case) -> Result:
    answer = DERIVATIONS[case.inputs["derivation"]](case)
    assert answer == case.data
    return None, lambda: answer


def _record_value(header: RecordHeader, plain: bytes) -> dict[str, Value]:
    names = ("kind", "compression", "encryption", "plain_size", "payload_size", "key_id", "object_id")
    return jsonable({name: getattr(header, name) for name in names} | {"plain": plain})


def _record(case: Case) -> Result:
    ring = keyring(case)
    header, payload = decode_record(case.data)
    plain = raw_codec(ring).decode(header, payload)
    return _record_value(header, plain), lambda: _encode_raw(ring, header, bytes(payload), plain)


def _pack(case: Case) -> Result:
    ring = keyring(case)
    pack_type, pack_id = PackType(int(case.inputs["pack_type"])), PackId(bytes.fromhex(case.inputs["pack_id"]))
    storage = MemoryStorage()
    storage.put(pack_name(pack_type, pack_id), case.data)
    seal = read_seal(storage, pack_type, pack_id, Owner(ring.repository_id, ring.domain, ring.pack_mac))
    records, rows = [], []
    for entry in seal.entries:
        header, payload = decode_record(case.data[entry.offset :])
        if entry != entry_of(header, entry.offset):
            raise FormatError("record", "is not what the directory says")
        plain = raw_codec(ring).decode(header, payload)
        rows.append({"offset": entry.offset, **_record_value(header, plain)})
        records.append(_encode_raw(ring, header, bytes(payload), plain))

    def again() -> bytes:
        directory = encode_directory(pack_id, seal.entries)
        before = encode_pack_header(seal.header) + b"".join(records)
        return before + directory + encode_trailer(seal.header, directory, len(before), len(records), ring.pack_mac)

    assert PACK_HEADER.size + sum(len(record) for record in records) == seal.trailer.directory_offset
    shown = {"pack_type": seal.header.pack_type, "pack_id": seal.header.pack_id, "domain": seal.header.domain}
    return jsonable(shown) | {"records": rows}, again


def _require_mac(document: Document, mac: Callable[[bytes], bytes]) -> None:
    if not check_document_mac(document, mac):
        raise FormatError(document.type.name.lower(), "its MAC is wrong", failure="bad-mac")


def _repository(case: Case) -> Result:
    ring = keyring(case)
    document = decode_document(case.data, DocumentType.REPOSITORY)
    file = decode_repository(document.body)
    if file.root is not None and ring.encrypted:
        raise FormatError("repository", "claims to be unencrypted", failure="unencrypted")
    _require_mac(document, ring.keys_mac)
    return jsonable(file), lambda: encode_document(document.type, encode_repository(file), ring.keys_mac)


def _credential(case: Case, kind: SlotKind) -> Credential:
    if "passphrase" in case.inputs:
        return Credential.from_passphrase(bytes.fromhex(case.inputs["passphrase"]).decode())
    return Credential.from_secret(parse_secret(case.inputs["secret"]), max(kind, SlotKind.KEY_FILE))


def _slot(case: Case) -> Result:
    document = decode_document(case.data, DocumentType.SLOT)
    slot = decode_slot(document.body)
    credential = _credential(case, slot.header.kind)
    opened = open_slot(slot, credential, repository_id(case))
    if opened is None:
        raise FormatError("slot", "another passphrase or secret", failure="unknown-key")
    ring = Keyring(repository_id(case), opened.root, encrypted=True)
    _require_mac(document, ring.keys_mac)
    header = slot.header

    def again() -> bytes:
        made = make_slot(
            credential,
            repository_id(case),
            opened.root,
            costs=(header.passes, header.memory),
            label=header.label,
            date_ms=header.date_ms,
            random=replay(opened.box_secret.secret, header.id, header.salt, slot.nonce),
        )
        return encode_document(DocumentType.SLOT, encode_slot(made), ring.keys_mac)

    return jsonable(header) | jsonable({"root": opened.root.secret, "box_secret": opened.box_secret.secret}), again


def _epoch(case: Case) -> Result:
    ring = keyring(case)
    document = decode_document(case.data, DocumentType.EPOCH)
    epoch = decode_epoch(document.body)
    _require_mac(document, ring.keys_mac)
    slot_id, box_secret = bytes.fromhex(case.inputs["slot_id"]), bytes.fromhex(case.inputs["box_secret"])
    secret = open_epoch(epoch, OpenSlot(Uid(slot_id), Key(bytes.fromhex(case.inputs["root"])), Key(box_secret)))
    if secret is None:
        raise FormatError("epoch", "not sealed to this slot", failure="unknown-key")
    ring.add_epoch(epoch.number, secret, epoch.encryption)
    keys = {"data_key_id": ring.epochs[0].data.id, "meta_key_id": ring.epochs[0].meta.id, "secret": secret.secret}
    return jsonable(epoch) | jsonable(keys), lambda: encode_document(document.type, encode_epoch(epoch), ring.keys_mac)


def _intent(case: Case) -> Result:
    ring = keyring(case)
    document = decode_document(case.data, DocumentType.INTENT)
    intent = decode_intent(document.body)
    _require_mac(document, ring.keys_mac)
    return jsonable(intent), lambda: encode_document(document.type, encode_intent(intent), ring.keys_mac)


def _list(case: Case) -> Result:
    ring = keyring(case)
    document = decode_document(case.data, DocumentType.LIST)
    condemned = decode_list(document.body)
    _require_mac(document, ring.pack_mac)
    return jsonable(condemned), lambda: encode_document(document.type, encode_list(condemned), ring.pack_mac)


def _plain(decoder: Callable[[bytes], Any], encoder: Callable[[Any], bytes]) -> Callable[[Case], Result]:
    def run_plain(case: Case) -> Result:
        found = decoder(case.data)
        return jsonable(found), lambda: encoder(found)

    return run_plain


def _secret(case: Case) -> Result:
    found = parse_secret(case.data.decode(errors="replace"))
    return {"secret": found.secret.hex()}, lambda: format_secret(found).encode()


def _export(case: Case) -> Result:
    ring = keyring(case)
    document = decode_document(from_lines(case.data.decode(errors="replace")), DocumentType.EXPORT)
    _require_mac(document, ring.keys_mac)
    export = decode_export(document.body)

    def again() -> bytes:
        data = encode_document(DocumentType.EXPORT, encode_export(export), ring.keys_mac)
        return ("\n".join(to_lines(data)) + "\n").encode()

    return jsonable(export), again


RUNNERS: dict[str, Callable[[Case], Result]] = {
    "msgpack": _msgpack,
    "derivation": _derivation,
    "record": _record,
    "pack": _pack,
    "document/repository": _repository,
    "document/slot": _slot,
    "document/epoch": _epoch,
    "document/intent": _intent,
    "document/list": _list,
    "page": _plain(decode_page, encode_page),
    "version": _plain(decode_version, encode_version),
    "event": _plain(decode_event, encode_event),
    "checkpoint": _plain(decode_checkpoint, encode_checkpoint),
    "scrub": _plain(decode_scrub, encode_scrub),
    "damage": _plain(decode_damage, encode_damage),
    "secret": _secret,
    "export": _export,
}


def _hex(case: Case, name: str) -> bytes:
    return bytes.fromhex(case.inputs[name])


def _key(case: Case, name: str) -> Key:
    return Key(_hex(case, name))


def _epoch_key(case: Case) -> bytes:
    context = int(case.inputs["number"]).to_bytes(4, "little") + _hex(case, "secret")
    return kdf(_key(case, "root"), "epoch", repository_id(case), context).secret


def _record_key(case: Case, kind: Kind) -> tuple[bytes, bytes]:
    number, secret = int(case.inputs["number"]), _key(case, "secret")
    keys = derive_epoch(_key(case, "root"), repository_id(case), number, secret, Encryption.AEGIS_256)
    key = keys[0] if kind is Kind.BLOCK else keys[1]
    return key.key.secret, key.id


def _kek(case: Case) -> bytes:
    credential = Credential.from_passphrase(_hex(case, "passphrase").decode())
    return argon2id(
        credential.material, _hex(case, "salt"), int(case.inputs["passes"]), int(case.inputs["memory"])
    ).secret


DERIVATIONS: dict[str, Callable[[Case], bytes]] = {
    "prf": lambda case: prf(_key(case, "key"), case.inputs["label"], repository_id(case), _hex(case, "context")),
    "pack_mac": lambda case: keyring(case).pack_mac(_hex(case, "message")),
    "keys_mac": lambda case: keyring(case).keys_mac(_hex(case, "message")),
    "id_key": lambda case: keyring(case)._id_key.secret,
    "seed": lambda case: keyring(case)._seed.to_bytes(8, "little"),
    "pack_key": lambda case: keyring(case)._pack_key.secret,
    "keys_key": lambda case: keyring(case)._keys_key.secret,
    "domain": lambda case: keyring(case).domain,
    "epoch_key": _epoch_key,
    "data_key": lambda case: _record_key(case, Kind.BLOCK)[0],
    "meta_key": lambda case: _record_key(case, Kind.PAGE)[0],
    "data_key_id": lambda case: _record_key(case, Kind.BLOCK)[1],
    "meta_key_id": lambda case: _record_key(case, Kind.PAGE)[1],
    "object_id": lambda case: keyring(case).object_id(_hex(case, "plain")),
    "fingerprint": lambda case: keyring(case).fingerprint(_hex(case, "plain")),
    "kek": _kek,
    "slot_key": lambda case: prf(_key(case, "key"), "slot", repository_id(case), _hex(case, "header"))[:32],
    "slot_commitment": lambda case: prf(_key(case, "key"), "slot", repository_id(case), _hex(case, "header"))[32:],
}
