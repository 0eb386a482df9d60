"""How far a restore has come: noted beside the target, so that an interrupted one goes on where it was.

A range counts as finished only in a note that was written after the target had been told to make it durable. So a
note may know less than what is there, and never more, whenever the process or the machine is killed.
Before: sources. After: operations.restore.
"""

import json
from dataclasses import dataclass, field
from typing import Final

from packstore.blocks import Extent, merge_extents
from packstore.errors import TargetError, TargetWriteFailed
from packstore.format.version import Version
from packstore.ids import Uid
from packstore.limits import MIB
from packstore.progress import Progress
from packstore.sources.base import ResumableTarget

_FIRST_BYTES: Final = 8 * MIB
_MOST_BYTES: Final = 256 * MIB
"""Between two notes: as much as is done already, within these bounds. So much is written again at most."""
_SCHEMA: Final = 1


@dataclass
class Finished:
    """What an interrupted restore has finished, and what it had to say of it; sizes in bytes."""

    extents: list[Extent] = field(default_factory=list)
    damaged: list[Extent] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def length(self) -> int:
        """How many bytes are finished."""
        return sum(extent.length for extent in self.extents)


class RestoreJournal:
    """Notes how far the restore of a version to a target has come."""

    def __init__(
        self,
        target: ResumableTarget,
        repository_id: Uid,
        version: Version,
        progress: Progress,
        *,
        first_bytes: int = _FIRST_BYTES,
    ) -> None:
        self._target = target
        self._repository = repository_id.hex()
        self._version = version
        self._progress = progress
        self._first_bytes = first_bytes
        self._finished = Finished()
        self._recent: list[Extent] = []
        self._recent_bytes = 0
        self._length = 0
        self._works = True

    def go_on(self) -> Finished:
        """Open the target as it is; return what of it is finished.

        Raises:
            TargetError: there is nothing to go on with, or it was another version, or another target.
        """
        content = self._target.recall()
        if content is None:
            advice = "restore without --resume; with --force if the target is there already"
            raise TargetError("nothing is noted of an interrupted restore to this target", advice=advice)
        note = _decode(content)
        if note.repository != self._repository:
            advice = "name that repository, or begin anew with --force"
            raise TargetError("the restore that was interrupted was from another repository", advice=advice)
        if note.version != self._version.uid.hex():
            message = f"the restore that was interrupted was of version {note.version[:8]} of {note.volume}"
            advice = f"name it: `restore --resume {note.version} TARGET`; or begin anew with --force"
            raise TargetError(message, advice=advice)
        self._target.go_on(self._version.size)
        if not note.target or note.target != self._target.name:
            message = "the target is another file or device than the one that the restore was begun on"
            raise TargetError(message, advice="begin anew with --force")
        self._finished = note.finished
        self._length = self._finished.length
        return self._finished

    def done(self, extent: Extent, damaged: list[Extent], reasons: list[str]) -> None:
        """Say that a range was written, and what is damaged by now; makes a note if one is due."""
        self._recent.append(extent)
        self._recent_bytes += extent.length
        due = max(self._first_bytes, min(self._length, _MOST_BYTES))
        if self._works and self._recent_bytes >= due:
            self.note(damaged, reasons)

    def note(self, damaged: list[Extent], reasons: list[str]) -> None:
        """Make what was written durable, and note it.

        Raises:
            TargetWriteFailed: what was written may be lost.
        """
        if not self._works or not self._recent:
            return
        extents = merge_extents(self._finished.extents + self._recent)
        finished = Finished(extents, merge_extents(damaged), reasons)
        try:
            self._target.note(self._encode(finished))
        except TargetWriteFailed:
            raise
        except TargetError as error:
            self._works = False
            self._progress.warn(f"if this restore is interrupted, it has to begin anew: {error.message}")
            return
        self._finished = finished
        self._length = finished.length
        self._recent, self._recent_bytes = [], 0

    def _encode(self, finished: Finished) -> bytes:
        note = {
            "schema": _SCHEMA,
            "repository": self._repository,
            "version": self._version.uid.hex(),
            "volume": self._version.volume,
            "target": self._target.name,
            "finished": finished.extents,
            "damaged": finished.damaged,
            "reasons": finished.reasons,
        }
        return json.dumps(note).encode()


@dataclass(frozen=True)
class _Note:
    """What was noted."""

    repository: str
    version: str
    volume: str
    target: str
    finished: Finished


def _decode(content: bytes) -> _Note:
    try:
        note = json.loads(content)
        known = note["schema"] == _SCHEMA
        extents, damaged = ([Extent(*map(int, pair)) for pair in note[key]] for key in ("finished", "damaged"))
        finished = Finished(extents, damaged, [str(reason) for reason in note["reasons"]])
        repository, version, volume, target = (str(note[key]) for key in ("repository", "version", "volume", "target"))
        found = _Note(repository, version, volume, target, finished)
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        advice = "begin the restore anew, with --force"
        raise TargetError("what is noted of the interrupted restore cannot be understood", advice=advice)
    return found
