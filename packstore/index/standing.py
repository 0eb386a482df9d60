"""Damage that all damage records speak of. FORMAT.md section 10.1. Pure.

Copies of a repository share their records, when they are merged, and do not share their damage: a place that any
record names is a suspicion, and whoever wants to rely on it reads it.
Before: format.ledger. After: index.objectindex, repository.damages.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from packstore.errors import FormatError
from packstore.format.ledger import Damage, LostObject, decode_damage
from packstore.ids import PackId, Uid

_NOTHING: Final[frozenset[int]] = frozenset()


@dataclass(frozen=True)
class StandingDamage:
    """Places that are not whole, by pack, and what versions were found to have lost, whether or not it still is.

    Offset 0 stands for a whole pack: nothing new relies on any record of it.
    """

    places: Mapping[PackId, frozenset[int]] = field(default_factory=dict)
    hits: Mapping[Uid, frozenset[LostObject]] = field(default_factory=dict)
    spoken: Mapping[PackId, int] = field(default_factory=dict)
    """The highest counter of a record that speaks of a pack: after a later one it is to be read again."""

    def of(self, pack_id: PackId) -> frozenset[int]:
        """Return the offsets of a pack's records that are not whole."""
        return self.places.get(pack_id, _NOTHING)

    def covers(self, pack_id: PackId, offset: int) -> bool:
        """Say whether nothing new may rely on a record."""
        offsets = self.places.get(pack_id)
        return offsets is not None and (offset in offsets or 0 in offsets)


def fold_damages(damages: Iterable[Damage]) -> StandingDamage:
    """Return all damage that was recorded, here or in a copy; the places are suspicions."""
    places: dict[PackId, set[int]] = {}
    hits: dict[Uid, set[LostObject]] = {}
    spoken: dict[PackId, int] = {}
    for damage in damages:
        for pack_id in {*damage.packs, *(place.pack_id for place in damage.places)}:
            spoken[pack_id] = max(damage.counter, spoken.get(pack_id, 0))
        for place in damage.places:
            places.setdefault(place.pack_id, set()).add(place.offset)
        for uid, numbers in damage.hits.items():
            hits.setdefault(uid, set()).update(damage.objects[number] for number in numbers)
    return StandingDamage(
        {pack_id: frozenset(offsets) for pack_id, offsets in places.items()},
        {uid: frozenset(objects) for uid, objects in hits.items()},
        spoken,
    )


def fold_records(records: Iterable[bytes]) -> StandingDamage:
    """Return the damage of all records that this program understands; the others are advice that it cannot take."""
    damages = []
    for plain in records:
        try:
            damages.append(decode_damage(plain))
        except FormatError:
            continue
    return fold_damages(damages)
