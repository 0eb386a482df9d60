"""Writers and collectors in one repository: intents and lists. FORMAT.md sections 8.5 and 13.

A list names packs and versions that nothing new may build on. An intent says which lists its writer
honours. A writer lists, publishes its intent, and lists again: a list that appeared in between might have
been made by a collector that did not see the intent. Both lie in one directory, `gc/`, so that one listing
shows both.
Before: repository.documents. After: repository.session.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from packstore.codec.keyring import Keyring
from packstore.errors import FormatError, NameNotFound, StorageError
from packstore.format.document import DocumentType, check_document_mac, decode_document, encode_document
from packstore.format.intent import CondemnedList, Intent, IntentRole, decode_intent, decode_list, encode_intent
from packstore.ids import PackId, Uid
from packstore.repository.documents import GC_PREFIX, complete_directories, intent_name
from packstore.repository.runtime import ProcessIdentity, Runtime, is_gone
from packstore.storage.base import Hold, Storage

_LIST_NAME: Final = re.compile(rf"{GC_PREFIX}/list-[0-9a-f]{{32}}")
INTENT_PREFIX: Final = f"{GC_PREFIX}/intent-"
_ATTEMPTS: Final = 8
"""At publishing an intent: to be swept once takes a writer that begins in the same milliseconds."""


@dataclass
class WriterIntent:
    """A published intent, and what its writer must keep away from."""

    storage: Storage
    name: str
    hold: Hold
    condemned_packs: set[PackId] = field(default_factory=set)
    condemned_versions: set[Uid] = field(default_factory=set)

    def stands(self) -> bool:
        """Say whether nobody has declared this writer dead."""
        return self.storage.exists(self.name)

    def withdraw(self) -> None:
        """Remove the intent: the work is done, or undone."""
        self.storage.delete(self.name)
        self.hold.release()

    def leave(self) -> None:
        """Let go of the intent but leave it, so that the next writer takes in what this one has stored."""
        self.hold.release()


def publish_intent(storage: Storage, keyring: Keyring, runtime: Runtime, purpose: str) -> WriterIntent:
    """Publish an intent that honours every list there is.

    Raises:
        StorageError: the storage cannot be listed or written.
        FormatError: a list cannot be read, so it cannot be honoured.
    """
    while True:
        names = list_names(storage)
        lists = [read_list(storage, keyring, name) for name in names]
        honours = [found.id for found in lists]
        published = _publish(storage, keyring, runtime, purpose, IntentRole.WRITER, honours)
        try:
            if not list_names(storage) - names:
                published.condemned_packs.update(pack for found in lists for pack in found.packs)
                published.condemned_versions.update(uid for found in lists for uid in found.versions)
                return published
        except BaseException:
            published.leave()
            raise
        published.withdraw()


def publish_notice(
    storage: Storage, keyring: Keyring, runtime: Runtime, purpose: str, role: IntentRole
) -> WriterIntent:
    """Publish an intent that honours nothing: a hold, or a collector's notice.

    Raises:
        StorageError: the storage cannot be written.
    """
    return _publish(storage, keyring, runtime, purpose, role, [])


def _publish(
    storage: Storage, keyring: Keyring, runtime: Runtime, purpose: str, role: IntentRole, honours: list[Uid]
) -> WriterIntent:
    for attempt in range(_ATTEMPTS):
        intent = _make_intent(honours, runtime, purpose, role)
        name = intent_name(intent.id)
        data = encode_document(DocumentType.INTENT, encode_intent(intent), keyring.keys_mac)
        try:
            return WriterIntent(storage, name, storage.hold(name, data))
        except NameNotFound:
            # A writer that had seen nobody else took the file, not published yet, for a dead writer's and swept it.
            # Or `gc/` itself is not there.
            complete_directories(storage)
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def list_names(storage: Storage) -> set[str]:
    """Return the names of all lists."""
    return {listed.name for listed in storage.list_files(GC_PREFIX) if _LIST_NAME.fullmatch(listed.name)}


def read_list(storage: Storage, keyring: Keyring, name: str) -> CondemnedList:
    """Read a list; an empty one if it was finished by its collector since it was listed.

    Raises:
        FormatError: it cannot be read, or is forged.
    """
    try:
        return _decode_list(name, storage.read(name), keyring)
    except NameNotFound:
        return CondemnedList(Uid(bytes.fromhex(name[-32:])), [], [])
    except FormatError as error:
        error.message = f"{name}: {error.reason}"
        error.args = (error.message,)
        error.advice = "nobody may write before it is gone: `packstore gc` drops it if nobody else is collecting"
        raise


def _decode_list(name: str, data: bytes, keyring: Keyring) -> CondemnedList:
    document = decode_document(data, DocumentType.LIST)
    if not check_document_mac(document, keyring.pack_mac):
        raise FormatError(name, "its MAC is wrong: it is forged", failure="bad-mac")
    found = decode_list(document.body)
    if name != f"{GC_PREFIX}/list-{found.id.hex()}":
        raise FormatError(name, "is another list than its name says")
    return found


def _make_intent(honours: list[Uid], runtime: Runtime, purpose: str, role: IntentRole) -> Intent:
    process = runtime.process
    return Intent(
        id=runtime.new_uid(),
        honours=honours,
        versions=[],
        host=process.host,
        boot=process.boot,
        pid_namespace=process.pid_namespace,
        pid=process.pid,
        process_start=process.start,
        role=role,
        purpose=purpose,
        date_ms=runtime.now_ms(),
    )


@dataclass
class OtherWriters:
    """The intents of others: names of those whose writer is surely dead, and how many may be alive."""

    dead: list[str] = field(default_factory=list)
    alive: int = 0


def other_writers(storage: Storage, own: WriterIntent, process: ProcessIdentity) -> OtherWriters:
    """Look at everybody else's intent."""
    found = OtherWriters()
    for listed in storage.list_files(GC_PREFIX):
        if listed.name.startswith(INTENT_PREFIX) and listed.name != own.name:
            if is_dead(storage, listed.name, process):
                found.dead.append(listed.name)
            else:
                found.alive += 1
    return found


def is_dead(storage: Storage, name: str, process: ProcessIdentity) -> bool:
    """Say whether a writer is surely dead. Wrong guesses cost work and no data: it looks for its intent."""
    try:
        held = storage.is_held(name)
        if held is not None:
            return not held
        intent = decode_intent(decode_document(storage.read(name), DocumentType.INTENT).body)
    except (FormatError, StorageError):
        return False
    if not process.host or intent.host != process.host:
        return False
    if intent.boot != process.boot:
        return bool(intent.boot and process.boot)
    if intent.pid_namespace != process.pid_namespace:
        return False
    return is_gone(intent.pid, intent.process_start)
