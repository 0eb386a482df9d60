"""Make a repository. FORMAT.md section 11.

Nothing but this creates one, so an unmounted disk is an error and never a new repository. The repository
file is written last: without it there is no repository, only files in the way.
Before: codec.slots. After: repository.opening.
"""

from dataclasses import dataclass
from pathlib import Path

from packstore.codec.key import Key
from packstore.codec.keyring import Keyring
from packstore.codec.slots import KDF_COSTS, KIND_WORDS, ROOT_BYTES, Credential, make_epoch, make_slot
from packstore.errors import NameNotFound, RepositoryExists, RepositoryNotFound, UsageError
from packstore.format.document import (
    DocumentType,
    RepositoryFile,
    SlotHeader,
    encode_repository,
)
from packstore.format.record import Encryption
from packstore.ids import Uid
from packstore.limits import (
    DEFAULT_BLOCK_BYTES,
    DEFAULT_PACK_BYTES,
    FORMAT_VERSION,
    MAX_BLOCK_BYTES,
    MAX_PACK_BYTES,
    MIN_BLOCK_BYTES,
    MIN_PACK_BYTES,
)
from packstore.repository.documents import (
    COPY_SUFFIX,
    DIRECTORIES,
    REPOSITORY_NAME,
    write_doubled,
)
from packstore.repository.keyfiles import write_epoch, write_slot
from packstore.repository.reserve import RESERVE_FILES, make_reserve
from packstore.repository.runtime import Runtime
from packstore.storage.base import Storage


@dataclass(frozen=True)
class CreateOptions:
    """What `init` is asked for; sizes in bytes. Without credentials the repository is not encrypted."""

    block_size: int = DEFAULT_BLOCK_BYTES
    pack_size: int = DEFAULT_PACK_BYTES
    credentials: tuple[Credential, ...] = ()
    encryption: Encryption = Encryption.NONE
    kdf: str = "moderate"
    reserve_bytes: int | None = None


def fastest_encryption() -> Encryption:
    """Return AEGIS-256 where the processor has AES instructions, else XChaCha20-Poly1305."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Encryption.XCHACHA20_POLY1305
    flags = {
        flag for line in text.splitlines() if line.lower().startswith(("flags", "features")) for flag in line.split()
    }
    return Encryption.AEGIS_256 if "aes" in flags else Encryption.XCHACHA20_POLY1305


def create_repository(storage: Storage, options: CreateOptions, runtime: Runtime) -> Uid:
    """Make a repository in an empty place; return its id.

    Raises:
        UsageError: sizes out of bounds.
        RepositoryExists: the place is not empty.
        RepositoryNotFound: not even the directory above it is there.
        StorageError: it cannot be written.
    """
    check_sizes(options.block_size, options.pack_size, options.reserve_bytes)
    if bool(options.credentials) != (options.encryption is not Encryption.NONE):
        raise UsageError("an encryption version needs a passphrase or key file, and the reverse")
    require_empty(storage)
    try:
        storage.prepare(DIRECTORIES)
    except NameNotFound as error:
        advice = "the directory above it must exist: is its disk mounted?"
        raise RepositoryNotFound(error.message, advice=advice) from None
    repository_id = runtime.new_uid()
    root = Key(runtime.random(ROOT_BYTES))
    encrypted = bool(options.credentials)
    keyring = Keyring(repository_id, root, encrypted=encrypted)
    if encrypted:
        _write_keys(storage, keyring, root, options, runtime)
    make_reserve(storage, runtime, options.reserve_bytes)
    file = RepositoryFile(
        format=FORMAT_VERSION,
        id=repository_id,
        date_ms=runtime.now_ms(),
        block_size=options.block_size,
        pack_size=options.pack_size,
        features={"read": [], "write": [], "delete": []},
        root=None if encrypted else root.secret,
        program=runtime.program,
    )
    write_doubled(storage, REPOSITORY_NAME, DocumentType.REPOSITORY, encode_repository(file), keyring.keys_mac)
    return repository_id


def require_empty(storage: Storage) -> None:
    """Refuse a place with anything in it.

    Raises:
        RepositoryExists: it is not empty.
    """
    try:
        empty = storage.is_empty()
    except NameNotFound:
        raise RepositoryExists(f"cannot make a repository at {storage.location}: it is not a directory") from None
    if not empty:
        made = storage.exists(REPOSITORY_NAME) or storage.exists(REPOSITORY_NAME + COPY_SUFFIX)
        what = "a repository is there already" if made else "the directory is not empty"
        advice = "" if made else "name a directory that does not exist yet; what is left of a failed `init` may go"
        raise RepositoryExists(f"cannot make a repository at {storage.location}: {what}", advice=advice)


def check_sizes(block_size: int, pack_size: int, reserve: int | None) -> None:
    """Refuse sizes that no repository can have; all in bytes.

    Raises:
        UsageError: one is out of bounds.
    """
    if not MIN_BLOCK_BYTES <= block_size <= MAX_BLOCK_BYTES or block_size & (block_size - 1):
        raise UsageError("the block size is a power of two from 64 KiB to 16 MiB")
    if not MIN_PACK_BYTES <= pack_size <= MAX_PACK_BYTES:
        raise UsageError("the pack size is from 1 MiB to 1 GiB")
    if reserve is not None and reserve > RESERVE_FILES * MAX_PACK_BYTES:
        raise UsageError("the reserve is at most 8 GiB")


def _write_keys(storage: Storage, keyring: Keyring, root: Key, options: CreateOptions, runtime: Runtime) -> None:
    headers: list[SlotHeader] = []
    for credential in options.credentials:
        slot = make_slot(
            credential,
            keyring.repository_id,
            root,
            costs=KDF_COSTS[options.kdf],
            label=KIND_WORDS[credential.kind],
            date_ms=runtime.now_ms(),
            random=runtime.random,
        )
        headers.append(slot.header)
        write_slot(storage, keyring, slot)
    epoch, secret = make_epoch(1, options.encryption, headers, date_ms=runtime.now_ms(), random=runtime.random)
    write_epoch(storage, keyring, epoch, secret)
