"""What all actors of a soak share, and what two of them do: look at the versions, restore one."""

import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools.soak.commands import DONE, Commands, Ended, Kill
from tools.soak.ledger import Ledger
from tools.soak.sources import Volume, digest_of
from tools.soak.story import Story

GONE: Final = {
    14: "removed, or also collected, since the look: readers announce nothing (FORMAT.md section 13.5)",
}


@dataclass
class Clock:
    """When the actors go home: when the time is over, or when one of them has failed."""

    ends: float
    failed: threading.Event = field(default_factory=threading.Event)

    def is_over(self) -> bool:
        """Say whether it is time to go home."""
        return self.failed.is_set() or time.monotonic() >= self.ends


@dataclass
class Collectors:
    """When each collector ran: one that meets another may be refused with exit code 82, and only then."""

    _ran: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    def begin(self, who: str, now: int) -> None:
        """Say that `who` is about to collect."""
        self._ran[who] = (now, None)

    def end(self, who: str, now: int) -> bool:
        """Say that it has ended; return whether another one ran at any moment since it began."""
        begun, _ = self._ran[who]
        self._ran[who] = (begun, now)
        others = [ended for name, (_, ended) in self._ran.items() if name != who]
        return any(ended is None or ended > begun for ended in others)


@dataclass
class World:
    """One repository, its volumes, and what is known of them."""

    commands: Commands
    story: Story
    ledger: Ledger
    volumes: list[Volume]
    clock: Clock
    collectors: Collectors = field(default_factory=Collectors)

    def look(self, who: str, host: str, *more: str) -> list[dict[str, Any]]:
        """Return what `ls` shows."""
        listed: list[dict[str, Any]] = self.commands.run(who, host, ("ls", *more)).document["versions"]
        return listed

    def collect(self, who: str, host: str, rng: random.Random, *options: str, kills: float = 0.0) -> None:
        """Collect garbage, maybe until killed."""
        kill = self.commands.draw_kill(rng, "gc", kills, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
        self.collectors.begin(who, self.ledger.now())
        expected = DONE | {82: "another collector is at work"}
        ended = self.commands.run(who, host, ("gc", "--threshold", "5", *options), expected=expected, kill=kill)
        met_another = self.collectors.end(who, self.ledger.now())
        if ended.code == 82 and (not met_another or "--beside" in options):  # noqa: PLR2004
            raise self.story.failure(who, "gc met another collector, and there was none")
        if ended.code:
            self.story.count(collections_killed=ended.was_killed, collections_refused=not ended.was_killed)
            return
        document = ended.document
        if document["kept"]:
            raise self.story.failure(who, f"gc found damage: {document['kept']}")
        self.story.count(
            collections=1, packs_deleted=document["packs_deleted"], bytes_collected=document["bytes_freed"]
        )

    def restore(
        self, who: str, host: str, version: dict[str, Any], draw: Callable[[], Kill | None], since: int
    ) -> None:
        """Restore a version that was listed after `since`, however often it is killed; compare."""
        target = self.commands.home(host) / f"{who}.img"
        uid, volume = version["uid"], version["volume"]
        ended = self.commands.run(who, host, ("restore", uid, str(target)), expected=DONE | GONE, kill=draw())
        while ended.was_killed and not self.clock.failed.is_set():
            self.story.count(restores_killed=1)
            ended = self._again(who, host, uid, target, draw)
        if ended.code in GONE:
            if self.ledger.is_there(uid, since):
                raise self.story.failure(who, f"version {uid} of {volume} cannot be restored, and nobody removed it")
            self.story.count(restores_too_late=1)
        elif ended.code == 0:
            self._compare(who, uid, volume, target)
            if _memo(target).exists():
                raise self.story.failure(who, f"{_memo(target)} is left of a restore that has succeeded")
        target.unlink(missing_ok=True)
        _memo(target).unlink(missing_ok=True)

    def _again(self, who: str, host: str, uid: str, target: Path, draw: Callable[[], Kill | None]) -> Ended:
        """Go on with a restore that was killed, if it had come so far as to note anything; else begin anew."""
        if _memo(target).exists():
            self.story.count(restores_resumed=1)
            words = ("restore", "--resume", uid, str(target))
            return self.commands.run(who, host, words, expected=DONE | GONE, kill=draw())
        words = ("restore", "--resume", uid, str(target))
        refused = {55: "killed before it noted anything, or after it was done with the note"} | GONE
        self.commands.run(who, host, words, expected={code: why for code, why in refused.items() if code != 40})  # noqa: PLR2004
        return self.commands.run(who, host, ("restore", "--force", uid, str(target)), expected=DONE | GONE, kill=draw())

    def _compare(self, who: str, uid: str, volume: str, target: Path) -> None:
        found = digest_of(target)
        contents = self.ledger.contents(uid, volume)
        if found not in contents:
            kept = target.with_name(f"wrong-{uid}.img")
            target.rename(kept)
            what = f"version {uid} of {volume} restores to other bytes than it was made from: {found[:24]}…, "
            raise self.story.failure(who, f"{what}not one of {[one[:24] for one in contents]}; they are in {kept}")
        self.story.count(restores=1, bytes_restored=target_size(found), restores_nameless=self.ledger.is_nameless(uid))


def target_size(digest: str) -> int:
    """Return the size that a digest speaks of."""
    return int(digest.partition(":")[0])


def _memo(target: Path) -> Path:
    return target.with_name(target.name + ".packstore-resume")
