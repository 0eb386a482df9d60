"""Versions as people and programs read them."""

from datetime import UTC, datetime
from typing import Any

from packstore.repository.history import VersionState
from packstore.repository.repository import Repository
from packstore.repository.validity import Validity


def iso_date(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def local_date(state: VersionState) -> str:
    """Return a version's date as a person expects it: local time, to the second."""
    return state.date.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def state_word(repository: Repository, state: VersionState) -> str:
    """Return valid, invalid (damaged), incomplete (not all of it is here) or partial (parts of the source were bad)."""
    validity = repository.validity(state)
    return validity.value if validity is not Validity.VALID or state.complete else "partial"


def summary(repository: Repository, state: VersionState) -> dict[str, Any]:
    """Return what `ls --json` says about a version."""
    version = state.version
    return {
        "uid": version.uid.hex(),
        "volume": version.volume,
        "date": iso_date(state.date),
        "size": version.size,
        "valid": repository.is_readable(state),
        "state": state_word(repository, state),
        "protected": state.protected,
        "expires": state.expires,
        "tags": sorted(state.tags),
    }
