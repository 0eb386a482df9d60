"""What this host has seen of a repository at one place: so that it notices when it is shown an older one.

Whoever holds the storage can bring old files back, or keep new ones from us; from the storage alone that cannot be
told. So the epochs and the versions that were there are noted in the user's state directory, which unlike the cache
is not deleted lightly. An older copy of a repository is another place. FORMAT.md section 18.
Before: sources.memo. After: repository.repository.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from packstore.errors import FormatError, TamperedRepository, TargetError
from packstore.format.document import RepositoryFile
from packstore.format.strictmsgpack import Key, MapSchema, decode, encode
from packstore.ids import Uid
from packstore.limits import KEY_ID_BYTES, MIB, UID_BYTES
from packstore.sources.memo import Memo
from packstore.storage.base import Storage

_SEEN = MapSchema(
    "seen",
    Key("location", "str"),
    Key("encrypted", "bool"),
    Key("epochs", "map"),
    Key("versions", "bin"),
    Key("slot", "bin16", required=False),
    Key("retired", "bin", required=False),
)
_MAX_BYTES = 64 * MIB


@dataclass
class Seen:
    """What was there: epochs (id of the data key, number), versions never removed, and the slot that opened it."""

    encrypted: bool = False
    epochs: dict[bytes, int] = field(default_factory=dict)
    versions: set[Uid] = field(default_factory=set)
    slot: Uid | None = None
    retired: set[bytes] = field(default_factory=set)


def place_of(storage: Storage) -> str:
    """Return a short name for where a repository lies."""
    return hashlib.sha512(storage.identity.encode(errors="surrogateescape")).hexdigest()[:16]


class Sightings:
    """The note about one repository at one place. Without a directory nothing is noted."""

    def __init__(self, directory: Path | None, repository_id: Uid, storage: Storage) -> None:
        self._location = storage.location
        name = f"{repository_id.hex()}-{place_of(storage)}"
        self._memo = Memo(directory / "seen" / name, suffix=f".{os.getpid()}.tmp") if directory else None
        self.fault = ""
        """Why nothing could be read or written; empty: all is well."""

    def read(self) -> Seen | None:
        """Return what was noted; None: nothing yet, or it cannot be read."""
        try:
            data = self._memo.read() if self._memo else None
            return None if data is None else _decode(data)
        except (TargetError, FormatError) as error:
            self.fault = error.message
            return None

    def slot(self) -> Uid | None:
        """Return the slot that opened the repository the last time: each other one may cost a derivation."""
        seen = self.read()
        return None if seen is None else seen.slot

    def write(self, seen: Seen) -> None:
        """Note what is there now."""
        if self._memo is None:
            return
        value = {
            "location": self._location.encode(errors="replace").decode()[:1024],
            "encrypted": seen.encrypted,
            "epochs": {key_id.hex(): number for key_id, number in seen.epochs.items()},
            "versions": b"".join(sorted(seen.versions)),
            "retired": b"".join(sorted(seen.retired)),
        } | ({} if seen.slot is None else {"slot": seen.slot})
        try:
            self._memo.write(encode(value))
        except TargetError as error:
            self.fault = error.message


def refuse_downgrade(directory: Path | None, file: RepositoryFile, storage: Storage) -> None:
    """Refuse a repository that claims not to be encrypted where this host has seen an encrypted one.

    Also wherever else the same repository was seen: it may have been looked for by its id, which everybody can read.

    Raises:
        TamperedRepository: it has.
    """
    if file.root is None or directory is None:
        return
    for path in [*_notes(directory, f"*-{place_of(storage)}"), *_notes(directory, f"{file.id.hex()}-*")]:
        try:
            data = Memo(path).read()
            encrypted = data is not None and _decode(data).encrypted
        except (TargetError, FormatError):
            continue
        if encrypted:
            message = (
                f"the repository at {storage.location} claims not to be encrypted, and was when it was last used here"
            )
            raise TamperedRepository(message, advice=f"if it is meant to be another one now, delete {path}")


def forget_place(directory: Path | None, storage: Storage) -> None:
    """Forget what was seen at a place: a new repository is made there."""
    for path in _notes(directory, f"*-{place_of(storage)}") if directory else []:
        try:
            Memo(path).remove()
        except TargetError:
            continue  # it speaks about another repository id, and stands in the way of an unencrypted one only


def _notes(directory: Path, pattern: str) -> list[Path]:
    try:
        return sorted((directory / "seen").glob(pattern))
    except OSError:
        return []


def _decode(data: bytes) -> Seen:
    found = _SEEN.check(decode(data, _MAX_BYTES))
    versions, epochs = found["versions"], found["epochs"]
    if len(versions) % UID_BYTES or any(not isinstance(number, int) for number in epochs.values()):
        raise FormatError("seen", "is not what was written")
    try:
        numbers = {bytes.fromhex(key_id): number for key_id, number in epochs.items()}
    except ValueError:
        raise FormatError("seen", "an epoch's id is not hexadecimal") from None
    if any(len(key_id) != KEY_ID_BYTES for key_id in numbers):
        raise FormatError("seen", "an epoch's id has the wrong length")
    uids = {Uid(versions[at : at + UID_BYTES]) for at in range(0, len(versions), UID_BYTES)}
    retired = found["retired"] or b""
    if len(retired) % KEY_ID_BYTES:
        raise FormatError("seen", "an epoch's id has the wrong length")
    gone = {retired[at : at + KEY_ID_BYTES] for at in range(0, len(retired), KEY_ID_BYTES)}
    return Seen(found["encrypted"], numbers, uids, None if found["slot"] is None else Uid(found["slot"]), gone)
