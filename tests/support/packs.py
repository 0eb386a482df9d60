"""Small sealed packs, made without a repository."""

from dataclasses import dataclass

from packstore.codec.compression import DEFAULT_COMPRESSION, CompressionSpec, Compressor
from packstore.codec.key import Key
from packstore.codec.keyring import Keyring
from packstore.codec.objectcodec import ObjectCodec
from packstore.codec.stages import Stages
from packstore.format.pack import Entry, PackHeader, PackType
from packstore.format.record import Encryption, Kind
from packstore.ids import PackId, Uid
from packstore.packs.names import pack_name
from packstore.packs.reader import Owner
from packstore.packs.writer import PackWriter
from packstore.storage.base import Storage
from packstore.storage.memory import MemoryStorage

REPOSITORY_ID = Uid(b"R" * 16)


@dataclass(frozen=True)
class SmallPack:
    """A sealed pack and what is in it."""

    name: str
    pack_type: PackType
    pack_id: PackId
    data: bytes
    entries: list[Entry]
    plains: list[bytes]


def make_keyring(encryption: Encryption) -> Keyring:
    """Return keys made of constants."""
    keyring = Keyring(REPOSITORY_ID, Key(b"r" * 32), encrypted=bool(encryption))
    if encryption:
        keyring.add_epoch(1, Key(b"x" * 32), encryption)
    return keyring


def make_codec(keyring: Keyring) -> ObjectCodec:
    """Return a codec with the default compression."""
    return ObjectCodec(keyring, Compressor(CompressionSpec.parse(DEFAULT_COMPRESSION)), Stages())


def make_owner(keyring: Keyring, *, keyless: bool = False) -> Owner:
    """Return whose packs these are, as somebody with or without keys knows it."""
    return Owner(REPOSITORY_ID, None, None) if keyless else Owner(REPOSITORY_ID, keyring.domain, keyring.pack_mac)


def make_pack(
    keyring: Keyring,
    plains: list[bytes],
    *,
    storage: Storage | None = None,
    number: int = 1,
    pack_type: PackType = PackType.BLOCKS,
    kind: Kind = Kind.BLOCK,
) -> SmallPack:
    """Write and seal a pack of these objects; return its bytes."""
    storage = storage or MemoryStorage()
    pack_id = PackId(number.to_bytes(16, "big"))
    codec = make_codec(keyring)
    writer = PackWriter(storage, PackHeader(pack_type, pack_id, REPOSITORY_ID, keyring.domain), keyring.pack_mac)
    for plain in plains:
        writer.append(codec.encode(kind, keyring.object_id(plain), plain))
    writer.seal()
    name = pack_name(pack_type, pack_id)
    return SmallPack(name, pack_type, pack_id, storage.read(name), writer.entries, plains)
