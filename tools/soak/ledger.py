"""What was promised: which versions were made of which bytes, which of them are there, removed, or either.

Told before a command begins and after it has ended, so that at any moment the truth is among what it allows.
"""

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


class Fate(Enum):
    """What is known of a version: EITHER while it is being removed or brought back, and after that was killed."""

    THERE = auto()
    REMOVED = auto()
    EITHER = auto()


@dataclass
class Attempt:
    """One run of a backup, and the bytes that its source had."""

    volume: str
    digest: str
    begun: int
    uid: str | None = None


@dataclass(frozen=True)
class Known:
    """What is known at a moment: uids by what became of them, and those that are surely protected."""

    there: set[str]
    removed: set[str]
    either: set[str]
    protected: set[str]


@dataclass
class Ledger:
    """Everything promised so far. Safe to use from many threads."""

    _attempts: list[Attempt] = field(default_factory=list)
    _by_uid: dict[str, Attempt] = field(default_factory=dict)
    _volumes: dict[str, str] = field(default_factory=dict)
    _fates: dict[str, Fate] = field(default_factory=dict)
    _touched: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _swept: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _sweeping: set[str] = field(default_factory=set)
    _protected: set[str] = field(default_factory=set)
    _ticks: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def now(self) -> int:
        """Return a number for this moment: moments are compared, and no clock is asked."""
        return next(self._ticks)

    def begin_backup(self, volume: str, digest: str) -> Attempt:
        """Say that a backup of these bytes is about to begin."""
        with self._lock:
            attempt = Attempt(volume, digest, self.now())
            self._attempts.append(attempt)
            return attempt

    def made(self, attempt: Attempt, uid: str) -> None:
        """Say that a backup has printed the version that it has made."""
        with self._lock:
            attempt.uid = uid
            self._by_uid[uid] = attempt
            self._volumes[uid] = attempt.volume
            if attempt.volume in self._sweeping or self._swept[attempt.volume] > attempt.begun:
                self._fates.setdefault(uid, Fate.EITHER)  # a prune may have been quicker than the news
            else:
                self._fates.setdefault(uid, Fate.THERE)

    def contents(self, uid: str, volume: str) -> set[str]:
        """Return the digests that a version may have: one, or those of backups that never printed their version."""
        with self._lock:
            if uid in self._by_uid:
                return {self._by_uid[uid].digest}
            return {one.digest for one in self._attempts if one.volume == volume and one.uid is None}

    def is_nameless(self, uid: str) -> bool:
        """Say whether no backup has printed this version."""
        with self._lock:
            return uid not in self._by_uid

    def touch(self, uid: str, fate: Fate) -> None:
        """Say what becomes of a version: EITHER before a command begins, what it is after it has ended."""
        with self._lock:
            self._fates[uid] = fate
            self._touched[uid] = self.now()

    def begin_sweep(self, volumes: Iterable[str]) -> None:
        """Say that a prune of whole volumes is about to begin."""
        with self._lock:
            for volume in volumes:
                self._sweeping.add(volume)
                for uid in self._of_volume(volume):
                    if self._fates[uid] is Fate.THERE:
                        self.touch(uid, Fate.EITHER)

    def end_sweep(self, volumes: Iterable[str], decided: list[dict[str, Any]]) -> None:
        """Say that it has ended, and what it has said of each version: nothing if it was killed."""
        with self._lock:
            for one in decided:
                self._volumes[one["uid"]] = one["volume"]
                self.touch(one["uid"], Fate.THERE if one["keep"] else Fate.REMOVED)
            for volume in volumes:
                self._sweeping.discard(volume)
                self._swept[volume] = self.now()

    def protect(self, uid: str, *, sure: bool) -> None:
        """Say that a version is protected, or, if not `sure`, that it may be either."""
        with self._lock:
            (self._protected.add if sure else self._protected.discard)(uid)

    def known(self) -> "Known":
        """Return what is known as of now."""
        with self._lock:
            by_fate = {fate: {uid for uid, one in self._fates.items() if one is fate} for fate in Fate}
            return Known(by_fate[Fate.THERE], by_fate[Fate.REMOVED], by_fate[Fate.EITHER], set(self._protected))

    def settle(self, before: "Known", listed: dict[str, str]) -> None:
        """Take what `ls` shows (uid: volume) as the truth about what was either way `before` it was asked.

        To be called by whoever removes and brings back, with nothing of that under way.
        """
        with self._lock:
            self._volumes.update(listed)
            for uid in before.either:
                self.touch(uid, Fate.THERE if uid in listed else Fate.REMOVED)
            for uid in listed.keys() - self._fates.keys():
                self.touch(uid, Fate.THERE)

    def is_there(self, uid: str, since: int) -> bool:
        """Say whether nobody has removed a version, or tried to, since a moment at which it was listed."""
        with self._lock:
            return self._fates.get(uid) is Fate.THERE and self._touched[uid] < since

    def _of_volume(self, volume: str) -> list[str]:
        return [uid for uid in self._fates if self._volumes[uid] == volume]
