"""Bodies of intents and lists: how writers and collectors of garbage keep out of each other's way.

FORMAT.md section 8.5. The frame around them is that of every document.
Before: format.document. After: repository.coordination.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from packstore.errors import FormatError
from packstore.format.strictmsgpack import Key, MapSchema, Value, decode, encode
from packstore.ids import PackId, Uid
from packstore.limits import MAX_DOCUMENT_BYTES, MAX_LIST_BYTES, UID_BYTES


class IntentRole(IntEnum):
    """What the holder of an intent is about."""

    WRITER = 1
    HOLD = 2
    COLLECTOR = 3


INTENT: Final = MapSchema(
    "intent",
    Key("id", "bin16"),
    Key("honours", "array"),
    Key("versions", "array"),
    Key("host", "str"),
    Key("boot", "str"),
    Key("pid_namespace", "str"),
    Key("pid", "u32"),
    Key("process_start", "u64"),
    Key("role", "u8"),
    Key("purpose", "str"),
    Key("date_ms", "u64"),
)
LIST: Final = MapSchema("list", Key("id", "bin16"), Key("packs", "array"), Key("versions", "array"))


@dataclass(frozen=True, slots=True)
class Intent:
    """A writer's notice: who writes, which lists it honours, which versions it reads."""

    id: Uid
    honours: list[Uid]
    versions: list[Uid]
    host: str
    boot: str
    pid_namespace: str
    pid: int
    process_start: int
    role: IntentRole
    purpose: str
    date_ms: int


@dataclass(frozen=True, slots=True)
class CondemnedList:
    """A collector's list: packs and versions that nothing new may build on."""

    id: Uid
    packs: list[PackId]
    versions: list[Uid]


def encode_intent(intent: Intent) -> bytes:
    """Return the body of an intent."""
    return encode({key.name: getattr(intent, key.name) for key in INTENT.keys})


def decode_intent(body: bytes) -> Intent:
    """Decode the body of an intent.

    Raises:
        FormatError: malformed.
    """
    found = INTENT.check(decode(body, MAX_DOCUMENT_BYTES))
    _check_uids("intent", found["honours"] + found["versions"])
    if found["role"] not in tuple(IntentRole):
        raise FormatError("intent", f"unknown role {found['role']}", failure="unsupported")
    return Intent(**(found | {"role": IntentRole(found["role"])}))


def encode_list(condemned: CondemnedList) -> bytes:
    """Return the body of a list."""
    return encode({"id": condemned.id, "packs": condemned.packs, "versions": condemned.versions})


def decode_list(body: bytes) -> CondemnedList:
    """Decode the body of a list.

    Raises:
        FormatError: malformed.
    """
    found = LIST.check(decode(body, MAX_LIST_BYTES))
    _check_uids("list", found["packs"] + found["versions"])
    return CondemnedList(**found)


def _check_uids(what: str, values: list[Value]) -> None:
    if any(not isinstance(value, bytes) or len(value) != UID_BYTES for value in values):
        raise FormatError(what, "something that is not an id of 16 bytes")
