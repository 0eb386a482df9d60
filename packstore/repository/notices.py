"""All that lies in `gc/`, at one moment: who writes, who holds, who collects, what is condemned.

FORMAT.md section 13.5. A list is ripe when every intent honours it; an intent that cannot be read honours
nothing, and so holds everything.
Before: repository.coordination. After: operations.gc, the command line.
"""

from dataclasses import dataclass, field

from packstore.codec.keyring import Keyring
from packstore.errors import AmbiguousVersion, FormatError, NameNotFound, VersionNotFound
from packstore.format.document import DocumentType, check_document_mac, decode_document, encode_document
from packstore.format.intent import CondemnedList, Intent, IntentRole, decode_intent, encode_list
from packstore.ids import PackId, Uid
from packstore.repository.coordination import INTENT_PREFIX, is_dead, list_names, read_list
from packstore.repository.documents import GC_PREFIX, intent_name
from packstore.repository.runtime import ProcessIdentity
from packstore.storage.base import Storage


@dataclass(frozen=True)
class Notice:
    """An intent as it lies there; `intent` is None if it cannot be read or is forged."""

    name: str
    intent: Intent | None
    dead: bool

    @property
    def collects(self) -> bool:
        """Whether it only says who is collecting garbage."""
        return self.intent is not None and self.intent.role is IntentRole.COLLECTOR

    @property
    def holds_all(self) -> bool:
        """Whether nothing at all may be deleted while it is there."""
        if self.collects:
            return False
        return self.intent is None or self.intent.role is IntentRole.HOLD or not self.intent.honours

    def honours(self, list_id: Uid) -> bool:
        """Say whether its writer keeps away from what a list names."""
        return self.intent is not None and self.intent.role is IntentRole.WRITER and list_id in self.intent.honours


@dataclass
class Survey:
    """The intents and lists of one moment."""

    notices: list[Notice] = field(default_factory=list)
    lists: dict[Uid, CondemnedList] = field(default_factory=dict)

    def ripe(self) -> set[Uid]:
        """Return the lists that every intent honours; a collector's notice does not count."""
        counting = [notice for notice in self.notices if not notice.collects]
        return {list_id for list_id in self.lists if all(notice.honours(list_id) for notice in counting)}

    def condemned_packs(self) -> set[PackId]:
        """Return the packs that any list names."""
        return {pack_id for condemned in self.lists.values() for pack_id in condemned.packs}

    def kept_versions(self) -> set[Uid]:
        """Return the versions that somebody reads."""
        return {uid for notice in self.notices if notice.intent for uid in notice.intent.versions}


def survey(storage: Storage, keyring: Keyring, process: ProcessIdentity, own: str = "") -> Survey:
    """Read everything in `gc/`, but the caller's own notice.

    Raises:
        FormatError: a list cannot be read: nobody may begin to write, and nothing may be deleted.
        StorageError: the storage cannot be read.
    """
    # Lists first: a writer whose intent the second listing does not show has seen them all before it began.
    names = list_names(storage)
    found = Survey()
    for listed in storage.list_files(GC_PREFIX):
        if listed.name.startswith(INTENT_PREFIX) and listed.name != own:
            try:
                notice = _read_notice(storage, keyring, process, listed.name)
            except NameNotFound:
                continue  # withdrawn since it was listed
            found.notices.append(notice)
    found.lists = read_lists(storage, keyring, names)
    return found


def read_lists(storage: Storage, keyring: Keyring, names: set[str]) -> dict[Uid, CondemnedList]:
    """Read lists. Raises FormatError, StorageError."""
    lists = [read_list(storage, keyring, name) for name in sorted(names)]
    return {condemned.id: condemned for condemned in lists}


def drop_unreadable_lists(storage: Storage, keyring: Keyring, process: ProcessIdentity, own: str = "") -> list[str]:
    """Delete the lists that cannot be read, unless a collector may be at work for them; return their names.

    A list is work to do. Without anybody who does it, it only keeps writers from packs that are there.
    """
    for listed in storage.list_files(GC_PREFIX):
        if listed.name.startswith(INTENT_PREFIX) and listed.name != own:
            try:
                notice = _read_notice(storage, keyring, process, listed.name)
            except NameNotFound:
                continue  # withdrawn since it was listed
            if not notice.dead and (notice.collects or notice.intent is None):
                return []
    dropped = []
    for name in sorted(list_names(storage)):
        try:
            read_list(storage, keyring, name)
        except FormatError:
            storage.delete(name)
            dropped.append(name)
    return dropped


def _read_notice(storage: Storage, keyring: Keyring, process: ProcessIdentity, name: str) -> Notice:
    data = storage.read(name)
    dead = is_dead(storage, name, process)
    try:
        document = decode_document(data, DocumentType.INTENT)
        intent = decode_intent(document.body)
    except FormatError:
        return Notice(name, None, dead)
    genuine = check_document_mac(document, keyring.keys_mac) and name == intent_name(intent.id)
    return Notice(name, intent if genuine else None, dead)


def list_name(list_id: Uid) -> str:
    """Return the name of a list."""
    return f"{GC_PREFIX}/list-{list_id.hex()}"


def publish_list(storage: Storage, keyring: Keyring, condemned: CondemnedList) -> None:
    """Publish a list: from now on nothing new builds on what it names.

    Raises:
        StorageError: it may or may not be there; it does no harm.
    """
    storage.put(list_name(condemned.id), encode_document(DocumentType.LIST, encode_list(condemned), keyring.pack_mac))


def find_notice(found: Survey, prefix: str) -> Notice:
    """Find an intent by its id or the beginning of it.

    Raises:
        VersionNotFound: there is none.
        AmbiguousVersion: there are several.
    """
    matching = [notice for notice in found.notices if notice.name.startswith(INTENT_PREFIX + prefix)]
    if not prefix or not matching:
        raise VersionNotFound(f"no process has announced itself as {prefix!r}", advice="`packstore status` lists them")
    if len(matching) > 1:
        raise AmbiguousVersion(f"{prefix} is the beginning of several ids", advice="give more of it")
    return matching[0]
