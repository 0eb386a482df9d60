"""Compare a repository with what this host has seen of it. FORMAT.md section 18.

Before: repository.sightings. After: operations.gc, the command line.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from packstore.codec.keyring import EpochKeys, Keyring
from packstore.errors import RolledBack
from packstore.format.version import Event, EventType
from packstore.ids import Uid
from packstore.repository.sightings import Seen, Sightings


@dataclass
class Comparison:
    """What is missing without having been removed, and which epochs (by id of the data key) are new to this host.

    `retired` are key ids that were retired and are not any more.
    """

    versions: set[Uid] = field(default_factory=set)
    epochs: dict[bytes, int] = field(default_factory=dict)
    retired: set[bytes] = field(default_factory=set)
    new_epochs: list[EpochKeys] = field(default_factory=list)

    @property
    def anything_missing(self) -> bool:
        """Whether the repository is older than it was, or has lost files."""
        return bool(self.versions or self.epochs or self.retired)

    def announcements(self) -> list[str]:
        """Return what to say of epochs that this host has not seen before."""
        return [
            f"epoch {epoch.number}, made on {datetime.fromtimestamp(epoch.date_ms / 1000, UTC).date()}, is new to this "
            "host: if nobody of you ran `packstore key rotate`, `key rm` or `key change`, somebody else has a key"
            for epoch in self.new_epochs
        ]

    def error(self, location: str) -> RolledBack:
        """Return what to tell somebody about what is missing."""
        parts, ways = [], []
        if self.versions:
            shown = ", ".join(sorted(uid.hex()[:8] for uid in self.versions)[:5])
            more = ", …" if len(self.versions) > 5 else ""  # noqa: PLR2004
            noun = "version" if len(self.versions) == 1 else "versions"
            parts.append(f"{len(self.versions)} {noun} seen here before ({shown}{more})")
            ways.append("`packstore repair --from`")
        if self.epochs:
            parts.append(f"epochs seen here before ({', '.join(map(str, sorted(self.epochs.values())))})")
            ways = ["`packstore repair --from`", "`packstore key import`"]
        if self.retired:
            parts.append("the retirement of an epoch")
            ways = ways or ["`packstore key import`"]
        return RolledBack(
            f"missing from {location}, and never removed: {' and '.join(parts)}; "
            "files in meta/ or keys/ were lost, or somebody has put an older state back",
            advice=f"bring them back from another copy ({', '.join([*ways, 'rsync'])}); if it is meant to be so, "
            "say `packstore status --accept-missing`",
        )


def compare(seen: Seen | None, keyring: Keyring, versions: set[Uid], events: Iterable[Event]) -> Comparison:
    """Compare what is there now with what was seen; `events` are looked at only if versions are missing.

    The keyring learns of epochs that are missing: nothing is to be written in an older one.
    """
    found = Comparison()
    if seen is None:
        return found
    gone = seen.versions - versions
    if gone:
        found.versions = gone - _removed(events)
    found.epochs = {key_id: number for key_id, number in seen.epochs.items() if key_id not in keyring.present}
    found.retired = seen.retired - keyring.retired
    keyring.missed.update(found.epochs.values())
    if seen.epochs:
        found.new_epochs = [epoch for epoch in keyring.epochs if epoch.data.id not in seen.epochs]
    return found


def look_at_keys(sightings: Sightings, keyring: Keyring) -> Comparison:
    """Compare the epochs alone: for what opens the keys of a repository and not its versions."""
    seen = sightings.read()
    return Comparison() if seen is None else compare(replace(seen, versions=set()), keyring, set(), ())


def note_keys(sightings: Sightings, keyring: Keyring, missing: Comparison) -> None:
    """Note the epochs that are there now; what is known of versions stays."""
    seen = sightings.read()
    now = update(keyring, seen.versions if seen else set(), missing)
    if now != seen:
        sightings.write(now)


def _removed(events: Iterable[Event]) -> set[Uid]:
    """Return the versions that were removed, by a removal that nobody has taken back."""
    every = list(events)
    taken_back = {cancelled for event in every for cancelled in event.cancels}
    return {
        uid
        for event in every
        if event.type in {EventType.REMOVE, EventType.GONE} and event.id not in taken_back
        for uid in event.versions
    }


def update(keyring: Keyring, versions: set[Uid], missing: Comparison) -> Seen:
    """Return what to note now: what is there, and what is missing for as long as nobody has accepted that."""
    epochs = {data_id: number for data_id, (number, _, _) in keyring.present.items()}
    slot = None if keyring.slot is None else keyring.slot.id
    retired = keyring.retired | missing.retired
    return Seen(keyring.encrypted, missing.epochs | epochs, versions | missing.versions, slot, retired)
