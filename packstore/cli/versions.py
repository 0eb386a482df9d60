"""Versions as people and programs read them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from packstore.cli.output import size
from packstore.repository.history import VersionState
from packstore.repository.repository import Repository
from packstore.repository.validity import Judge, Validity


def iso_date(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def local_date(state: VersionState) -> str:
    """Return a version's date as a person expects it: local time, to the second."""
    return local_time(state.date)


def local_time(moment: datetime) -> str:
    """Return a time as a person expects it: local, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def state_word(judge: Repository | Judge, state: VersionState) -> str:
    """Return valid, invalid (damaged), incomplete (not all of it is here) or partial (parts of the source were bad)."""
    validity = judge.validity(state)
    return validity.value if validity is not Validity.VALID or state.complete else "partial"


def summary(judge: Repository | Judge, state: VersionState) -> dict[str, Any]:
    """Return what `ls --json` says about a version; of many, `judge` is best made once."""
    version = state.version
    word = state_word(judge, state)
    return {
        "uid": version.uid.hex(),
        "volume": version.volume,
        "snapshot": snapshot_of(state),
        "date": iso_date(state.date),
        "size": version.size,
        "valid": word == Validity.VALID.value,
        "state": word,
        "protected": state.protected,
        "expires": state.expires,
        "removed": state.removed,
        "collected": state.gone,
        "tags": sorted(state.tags),
    }


def snapshot_of(state: VersionState) -> str | None:
    """Return the name of the source's snapshot that a version was made from, if it was."""
    source = state.version.source
    name = source.get("snapshot_name", source.get("snapshot"))
    return None if name is None else str(name)


def expiry(state: VersionState) -> str:
    """Return when a version expires, in local time; as it stands where it is no date; empty: never."""
    moment = state.expires_at
    return state.expires or "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")


def condition(found: dict[str, Any]) -> str:
    """Return what is special about a version, from its summary; empty if nothing is."""
    words = {
        found["state"]: not found["valid"],
        "protected": found["protected"],
        "removed": found["removed"] and not found["collected"],
        "collected": found["collected"],
    }
    return ", ".join(word for word, holds in words.items() if holds)


Cell = Callable[[VersionState, dict[str, Any]], str]
"""Makes the text of a field from a version and its summary."""

FIELDS: Final[dict[str, Cell]] = {
    "uid": lambda _, found: found["uid"],
    "volume": lambda _, found: found["volume"],
    "snapshot": lambda _, found: found["snapshot"] or "",
    "date": lambda state, _: local_date(state),
    "size": lambda _, found: size(found["size"]),
    "valid": lambda _, found: "yes" if found["valid"] else "no",
    "state": lambda _, found: found["state"],
    "protected": lambda _, found: "yes" if found["protected"] else "no",
    "expires": lambda state, _: expiry(state),
    "removed": lambda _, found: "yes" if found["removed"] else "no",
    "collected": lambda _, found: "yes" if found["collected"] else "no",
    "tags": lambda _, found: ", ".join(found["tags"]),
}
"""The fields of a summary that `ls --fields` can show."""
