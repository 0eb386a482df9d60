"""From an object to its record and back, always checked. FORMAT.md section 6.

Out: compress, encrypt, then undo both and compare, before anything enters a pack: a memory error found
years later is found too late. Back: decrypt, decompress, and compare the id, on every read.
Before: codec.keyring, codec.compression. After: packs.writer, repository.objects.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from packstore.blocks import same_bytes
from packstore.checksum import Buffer
from packstore.codec.compression import Compressor
from packstore.codec.keyring import Keyring
from packstore.codec.sodium import AEADS, seal, unseal
from packstore.codec.stages import Stages
from packstore.errors import FormatError, PackstoreError
from packstore.format.page import NO_FINGERPRINT
from packstore.format.record import Compression, Encryption, Kind, RecordHeader, check_fields, encode_header
from packstore.ids import ObjectId


@dataclass(frozen=True, slots=True)
class EncodedObject:
    """A record, ready for a pack: its header, as value and bytes, and its payload."""

    header: RecordHeader
    header_bytes: bytes
    payload: bytes


class ObjectCodec:
    """Encodes and decodes objects with the keys of one repository. Safe to use from many threads."""

    def __init__(
        self, keyring: Keyring, compressor: Compressor, stages: Stages, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._keyring = keyring
        self._compressor = compressor
        self.stages = stages
        self._random = random

    def encode(self, kind: Kind, object_id: ObjectId, plain: Buffer) -> EncodedObject:
        """Return the record of an object, proven to decode to `plain`, of which it keeps nothing.

        Raises:
            FormatError: `plain` is empty or larger than its kind may be: nobody could read the record.
            PackstoreError: it does not: this machine's memory or processor is faulty.
        """
        with self.stages.time("compress"):
            frame = self._compressor.compress(plain)
        body = bytes(plain) if frame is None else frame
        key = self._keyring.writing_key(kind)
        overhead = sum(AEADS[key.encryption][:2]) if key.encryption else 0
        header = RecordHeader(
            kind=kind,
            compression=Compression.RAW if frame is None else Compression.ZSTD,
            encryption=key.encryption,
            plain_size=len(plain),
            payload_size=len(body) + overhead,
            key_id=key.id,
            object_id=object_id,
        )
        check_fields("object", header)
        payload = body
        if key.encryption is not Encryption.NONE:
            with self.stages.time("encrypt"):
                nonce = self._random(AEADS[key.encryption].nonce_size)
                payload = seal(key.encryption, key.key, nonce, body, header.authenticated())
        encoded = EncodedObject(header, encode_header(header, payload), payload)
        with self.stages.time("verify"):
            self._verify(encoded, plain)
        return encoded

    def renew(self, header: RecordHeader, payload: bytes) -> EncodedObject:
        """Return a record for another pack: as it stands, or encrypted anew if there is a newer epoch than its own.

        The compressed bytes stay what they are. The caller has decoded the record.

        Raises:
            FormatError: it does not open.
            PackstoreError: what was encrypted does not decode: this machine's memory or processor is faulty.
        """
        key = self._keyring.writing_key(header.kind)
        if header.key_id == key.id:
            return EncodedObject(header, encode_header(header, payload), payload)
        old = self._keyring.reading_key(header.kind, header.key_id, header.encryption)
        body = unseal(old.encryption, old.key, payload, header.authenticated())
        aead = AEADS[key.encryption]
        size = len(body) + aead.nonce_size + aead.tag_size
        new = replace(header, encryption=key.encryption, key_id=key.id, payload_size=size)
        sealed = seal(key.encryption, key.key, self._random(aead.nonce_size), body, new.authenticated())
        encoded = EncodedObject(new, encode_header(new, sealed), sealed)
        self._verify(encoded, self._open(header, payload))
        return encoded

    def _verify(self, encoded: EncodedObject, plain: Buffer) -> None:
        try:
            same = same_bytes(self._open(encoded.header, encoded.payload), plain)
        except FormatError:
            same = False
        if not same:
            raise PackstoreError(
                "an object that was just encoded does not decode to itself: "
                "this machine has a hardware or software fault; nothing was committed",
                advice="test its memory before you trust it with anything",
            )

    def decode(self, header: RecordHeader, payload: Buffer, fingerprint: bytes = NO_FINGERPRINT) -> bytes:
        """Return the plaintext of a record, proven to be the object that its header names.

        Its id is the proof. With the `fingerprint` that a version has for the block, where the encryption tells who
        wrote the record, and for which id, an equal fingerprint is: it costs a thirtieth of the id.

        Raises:
            FormatError: it does not open, does not decompress, or is another object ("wrong-id").
        """
        with self.stages.time("decode"):
            plain = self._open(header, payload)
        if fingerprint != NO_FINGERPRINT and self._keyring.only_owners and header.encryption is not Encryption.NONE:
            with self.stages.time("fingerprint"):
                if self._keyring.fingerprint(plain) == fingerprint:
                    return plain
        with self.stages.time("hash"):
            if self._keyring.object_id(plain) != header.object_id:
                raise FormatError("record", "the content is not what its id says", failure="wrong-id")
        return plain

    def _open(self, header: RecordHeader, payload: Buffer) -> bytes:
        key = self._keyring.reading_key(header.kind, header.key_id, header.encryption)
        if key.encryption is Encryption.NONE:
            body = bytes(payload)
        else:
            body = unseal(key.encryption, key.key, memoryview(payload), header.authenticated())
        if header.compression is Compression.ZSTD:
            return self._compressor.decompress(body, header.plain_size)
        if len(body) != header.plain_size:
            reason = f"{len(body)} bytes where {header.plain_size} are due"
            raise FormatError("payload", reason, failure="decompress-failed")
        return body
