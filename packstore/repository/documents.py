"""The small files of a repository: where they lie, and reading those that are stored twice.

FORMAT.md sections 8 and 11. Either copy of a doubled document serves; one bad sector must not lose a
repository.
Before: format.document. After: repository.creation, repository.opening.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from packstore.errors import FormatError, NameNotFound, StorageError, StorageGone
from packstore.format.document import Document, DocumentType, decode_document, encode_document
from packstore.format.pack import Mac
from packstore.ids import Uid
from packstore.packs.names import FAN_OUT, META_PREFIX
from packstore.storage.base import Storage

REPOSITORY_NAME: Final = "packstore"
KEYS_PREFIX: Final = "keys"
GC_PREFIX: Final = "gc"
RESERVE_PREFIX: Final = "reserve"
QUARANTINE_PREFIX: Final = "quarantine"
COPY_SUFFIX: Final = ".copy"
DIRECTORIES: Final = ("packs", META_PREFIX, GC_PREFIX, KEYS_PREFIX, RESERVE_PREFIX, *FAN_OUT)

T = TypeVar("T")

_KEY_NAME: Final = re.compile(r"keys/([0-9a-f]{32})(\.copy)?")


def key_name(uid: Uid) -> str:
    """Return the name of a slot or an epoch."""
    return f"{KEYS_PREFIX}/{uid.hex()}"


def intent_name(uid: Uid) -> str:
    """Return the name of an intent."""
    return f"{GC_PREFIX}/intent-{uid.hex()}"


def write_doubled(storage: Storage, name: str, document_type: DocumentType, body: bytes, mac: Mac) -> None:
    """Write a document and its copy; the copy first, for only the name itself makes it exist."""
    data = encode_document(document_type, body, mac)
    storage.put(name + COPY_SUFFIX, data)
    storage.put(name, data)


def read_doubled(
    storage: Storage, name: str, document_type: DocumentType, decode: Callable[[bytes], T]
) -> tuple[Document, T, list[str]]:
    """Read a document from itself or from its copy; return frame, value, and what is wrong with either.

    Raises:
        NameNotFound: neither exists.
        FormatError: neither can be read; the fault of the first.
        StorageError: neither can be read, not even as bytes.
    """
    faults: list[str] = []
    errors: list[FormatError | StorageError] = []
    found: tuple[Document, T] | None = None
    for candidate in (name, name + COPY_SUFFIX):
        try:
            document = decode_document(storage.read(candidate), document_type)
            found = found or (document, decode(document.body))
        except (FormatError, StorageError) as error:  # a bad sector, too, costs one copy and not both
            faults.append(f"{candidate}: {error.message}")
            errors.append(error)
    if found is None:
        raise min(errors, key=lambda error: (not isinstance(error, FormatError), isinstance(error, NameNotFound)))
    return *found, faults


def require_reachable(storage: Storage) -> None:
    """Tell a file that is missing or unreadable, which is damage, from a disk that is gone, which is not.

    Raises:
        StorageGone: the repository file cannot be read any more, nor its copy.
    """
    for name in (REPOSITORY_NAME, REPOSITORY_NAME + COPY_SUFFIX):
        try:
            if storage.read(name):
                return
        except StorageError:
            continue
    message = f"the repository at {storage.location} is out of reach"
    raise StorageGone(message, advice="check that its disk is still connected and mounted")


def complete_directories(storage: Storage) -> None:
    """Make the directories of a repository that are missing: what copies a repository may leave empty ones out.

    Raises:
        StorageGone: there is no repository: its disk is not mounted, and nothing is made in its place.
    """
    require_reachable(storage)
    storage.prepare(DIRECTORIES)


def move_aside(storage: Storage, name: str) -> str:
    """Move a damaged file into `quarantine/`, unread and never over another one; return its new name."""
    prefix = f"{QUARANTINE_PREFIX}/{name.replace('/', '-')}"
    taken = {listed.name for listed in storage.list_files(QUARANTINE_PREFIX)}
    names = itertools.chain([prefix], (f"{prefix}.{number}" for number in itertools.count(2)))
    new_name = next(each for each in names if each not in taken)
    storage.move(name, new_name)
    return new_name


def key_uids(storage: Storage) -> Iterator[Uid]:
    """Yield the id of every slot and epoch of which at least one copy exists."""
    seen = set()
    for listed in storage.list_files(KEYS_PREFIX):
        match = _KEY_NAME.fullmatch(listed.name)
        if match and match[1] not in seen:
            seen.add(match[1])
            yield Uid(bytes.fromhex(match[1]))
