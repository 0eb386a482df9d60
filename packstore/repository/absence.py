"""What has not arrived, told from what is damaged: after an rsync that is still going on, packs are only not here yet.

Before: repository.repository. After: operations.check_walk, operations.repair.
"""

from collections.abc import Container

from packstore.format.ledger import LostObject
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.ids import PackId
from packstore.index.tables import Location
from packstore.packs.names import pack_name
from packstore.repository.repository import Repository


class Absence:
    """Says of objects that cannot be had whether they may still arrive; asks about each of them once."""

    def __init__(
        self, repository: Repository, *, any_damage: bool, listed: Container[tuple[PackType, PackId]] = ()
    ) -> None:
        """`any_damage`: objects whose place nobody knows may have been in packs that are damaged; `listed` are here."""
        self._repository = repository
        self._any_damage = any_damage
        self._listed = listed
        self._hit = {lost for objects in repository.index.standing().hits.values() for lost in objects}
        self._lacking: dict[LostObject, bool] = {}

    def is_lacking(self, lost: LostObject) -> bool:
        """Say whether an object that cannot be had may only not have come yet."""
        if lost not in self._lacking:
            nothing_known = not self._places(lost) and not self._any_damage and lost not in self._hit
            self._lacking[lost] = bool(self.missing_packs(lost)) or nothing_known
        return self._lacking[lost]

    def missing_packs(self, lost: LostObject) -> list[str]:
        """Return the names of packs that are said to hold an object and are not here."""
        standing = self._repository.index.standing()
        return [
            pack_name(place.pack_type, place.pack_id)
            for place in self._places(lost)
            # What was moved aside after damage will not come.
            if not self.is_here(place) and 0 not in standing.of(place.pack_id)
        ]

    def is_here(self, place: Location) -> bool:
        """Say whether a pack was listed, or has come since."""
        key = (place.pack_type, place.pack_id)
        return key in self._listed or self._repository.storage.exists(pack_name(*key))

    def _places(self, lost: LostObject) -> list[Location]:
        if lost.kind not in set(Kind):
            return []  # of a kind that a later packstore knows
        return self._repository.index.locate(Kind(lost.kind), lost.object_id)
