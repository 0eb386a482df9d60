"""What known damage means for versions. FORMAT.md section 10.1.

Nothing is written down when something heals: a version is whole again as soon as each object that it was found
to have lost has a good copy, whoever stored it.
Before: index.standing, index.notes. After: repository.repository.
"""

from collections.abc import Iterable
from enum import Enum

from packstore.format.ledger import LostObject
from packstore.format.record import Kind
from packstore.ids import HOLE, ObjectId
from packstore.index.objectindex import ObjectIndex
from packstore.index.tables import Location
from packstore.packs.names import pack_name
from packstore.repository.history import VersionState
from packstore.storage.base import Storage


class Validity(Enum):
    """What is known of a version without reading it: damaged, not all of it here, or nothing against it."""

    VALID = "valid"
    INVALID = "invalid"
    INCOMPLETE = "incomplete"


class Judge:
    """Says what is known of versions; asks about each object once, so make one for each listing."""

    def __init__(self, storage: Storage, index: ObjectIndex) -> None:
        self._storage = storage
        self._index = index
        self._hits = self._index.standing().hits
        self._met = self._index.notes.hits()
        self._lacking = self._index.notes.lacking()
        self._lost: dict[LostObject, bool] = {}
        self._here: dict[str, bool] = {}
        self._roots: dict[ObjectId, bool] = {HOLE: True}

    def look_up(self, states: Iterable[VersionState]) -> None:
        """Find the pages that these versions begin with: all at once in a tenth of the time."""
        roots = {state.version.root for state in states} - self._roots.keys()
        self._roots |= {root: bool(places) for root, places in self._index.locate_many(Kind.PAGE, sorted(roots))}

    def validity(self, state: VersionState) -> Validity:
        """Say what is known of a version."""
        uid = state.version.uid
        if any(self._is_lost(lost) for lost in (*self._hits.get(uid, ()), *self._met.get(uid, ()))):
            return Validity.INVALID
        self.look_up([state] if state.version.root not in self._roots else [])
        if not self._roots[state.version.root]:
            return Validity.INCOMPLETE
        if any(not self.is_here(lost) for lost in self._lacking.get(uid, ())):
            return Validity.INCOMPLETE
        return Validity.VALID

    def _is_lost(self, lost: LostObject) -> bool:
        if lost not in self._lost:
            self._lost[lost] = not self._places(lost)
        return self._lost[lost]

    def is_here(self, lost: LostObject) -> bool:
        """Say whether there is a copy of an object, in a pack that exists, that nothing is known against."""
        return any(self._exists(pack_name(place.pack_type, place.pack_id)) for place in self._places(lost))

    def _exists(self, name: str) -> bool:
        if name not in self._here:
            self._here[name] = self._storage.exists(name)
        return self._here[name]

    def _places(self, lost: LostObject) -> list[Location]:
        try:
            return self._index.usable(Kind(lost.kind), lost.object_id)
        except ValueError:
            return []  # of a kind that a later packstore knows: only that one can mend it
