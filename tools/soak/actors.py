"""The actors of a soak. Each is a thread that runs one command after another until the time is over."""

import random
import signal
from collections.abc import Callable
from typing import Any, Final

from tools.soak.commands import DONE, Ended
from tools.soak.ledger import Fate
from tools.soak.sources import Volume
from tools.soak.world import World

_MANY: Final = 14
"""Versions; beyond that they are pruned, for each has to be restored in the end."""


def back_up(world: World, who: str, host: str, rng: random.Random, volume: Volume) -> None:
    """Edit a volume and back it up, if need be again and again; then the same once more."""
    name = volume.path.name
    while not world.clock.is_over():
        world.story.tell(who, f"edit: {volume.edit()}")
        digest = volume.digest()
        how = _how(rng)
        while not world.clock.is_over():
            attempt = world.ledger.begin_backup(name, digest)
            kill = world.commands.draw_kill(rng, "backup", 0.35, signal.SIGKILL, signal.SIGTERM)
            ended = world.commands.run(who, host, ("backup", str(volume.path), name, *how), kill=kill)
            if ended.code:
                world.story.count(backups_killed=1)
                continue
            made = ended.document
            world.ledger.made(attempt, made["version"])
            world.story.tell(who, f"version {made['version']} of {name}: {digest[:24]}…")
            world.story.count(
                backups=1,
                backups_resumed=bool(made["resumed_at"]),
                bytes_backed_up=made["bytes_total"],
                bytes_stored=made["bytes_stored"],
            )
            break


def _how(rng: random.Random) -> list[str]:
    """Draw options; with --immutable a backup goes on from a checkpoint: the file does not change until it is done."""
    options = ["--immutable", "--checkpoint-every", "128KiB"] if rng.randrange(2) else []
    options += ["--paranoid"] if not rng.randrange(10) else []
    return options + (["--threads", "1"] if not rng.randrange(3) else [])


def check(world: World, who: str, host: str, rng: random.Random) -> None:
    """Check in all ways, and now and then collect garbage beside the one whose task that is."""
    ways: list[tuple[str, ...]] = [
        *[("check", "--percent", "16")] * 4,
        ("check",),
        ("check", "--keyless"),
        ("check", "--keyless", "--percent", "16"),
    ]
    while not world.clock.is_over():
        if not rng.randrange(7):
            world.collect(who, host, rng, *rng.choice(((), ("--beside",))), kills=0.3)
            continue
        ended = world.commands.run(who, host, rng.choice(ways))
        world.story.count(checks=1, bytes_checked=ended.document["bytes_checked"])


def restore(world: World, who: str, host: str, rng: random.Random) -> None:
    """Restore random versions."""
    while not world.clock.is_over():
        since = world.ledger.now()
        if listed := world.look(who, host):
            kills = rng.choice((0.0, 0.7))

            def draw(probability: float = kills) -> Any:  # noqa: ANN401
                return world.commands.draw_kill(rng, "restore", probability, signal.SIGKILL, signal.SIGTERM)

            world.restore(who, host, rng.choice(listed), draw, since)


class Pruner:
    """Removes, brings back, protects, collects: the only one who says anything about versions."""

    def __init__(self, world: World, who: str, host: str, rng: random.Random) -> None:
        self._world = world
        self._who = who
        self._host = host
        self._rng = rng
        self._ledger = world.ledger

    def __call__(self) -> None:
        """Do one thing after another."""
        ways: list[Callable[[list[dict[str, Any]]], None]] = [
            *[self._remove] * 3,
            *[self._prune] * 2,
            *[self._undelete] * 3,
            self._protect,
            self._unprotect,
            *[self._collect] * 6,
        ]
        while not self._world.clock.is_over():
            listed = self.look()
            if len(listed) > _MANY:
                self._prune(listed, all_of_them=True)
                self._collect(listed)
            elif listed:
                self._rng.choice(ways)(listed)
        if listed := self.look():
            self._prune(listed, all_of_them=True)

    def look(self) -> list[dict[str, Any]]:
        """Return what is listed, after comparing it with what is known: nothing of one's own is under way."""
        before = self._ledger.known()
        listed = self._world.look(self._who, self._host)
        uids = {one["uid"]: one["volume"] for one in listed}
        if lost := before.there - uids.keys():
            raise self._world.story.failure(self._who, f"versions that nobody removed are not listed: {sorted(lost)}")
        if back := before.removed & uids.keys():
            raise self._world.story.failure(self._who, f"removed versions are listed again: {sorted(back)}")
        protected = {one["uid"] for one in listed if one["protected"]}
        if open_ := before.protected - protected:
            raise self._world.story.failure(self._who, f"these have lost their protection: {sorted(open_)}")
        self._ledger.settle(before, uids)
        return listed

    def _run(self, *words: str, kills: float = 0.2, **expected: str) -> Ended:
        allowed = DONE | {int(code[1:]): why for code, why in expected.items()}
        kill = self._world.commands.draw_kill(self._rng, words[0], kills, signal.SIGKILL)
        ended = self._world.commands.run(self._who, self._host, words, expected=allowed, kill=kill)
        self._world.story.count(marks=not ended.code, marks_killed=ended.was_killed)
        return ended

    def _remove(self, listed: list[dict[str, Any]]) -> None:
        """Remove a version, or be refused because it is protected."""
        one = self._rng.choice(listed)
        if one["protected"]:
            ended = self._run("rm", "--force", one["uid"], kills=0, x61="it is protected")
            if ended.code == 0:
                raise self._world.story.failure(self._who, f"protected version {one['uid']} was removed")
            return
        self._ledger.touch(one["uid"], Fate.EITHER)
        if self._run("rm", "--force", one["uid"]).code == 0:
            self._ledger.touch(one["uid"], Fate.REMOVED)

    def _prune(self, listed: list[dict[str, Any]], *, all_of_them: bool = False) -> None:
        """Prune one volume or all, so that few versions stay."""
        volumes = sorted({one["volume"] for one in listed})
        chosen = [self._rng.choice(volumes)]
        # Without a volume's name all are pruned: also one that has got its first version since.
        every = [volume.path.name for volume in self._world.volumes] if all_of_them else chosen
        words = ("prune", *(() if all_of_them else chosen), "--force", "--keep-last", "2")
        self._ledger.begin_sweep(every)
        ended = self._run(*words)
        self._ledger.end_sweep(every, ended.document["versions"] if ended.code == 0 else [])

    def _undelete(self, _: list[dict[str, Any]]) -> None:
        """Bring a removed version back, unless it is too late."""
        removed = [one for one in self._world.look(self._who, self._host, "--removed") if not one["collected"]]
        if not removed:
            return
        one = self._rng.choice(removed)
        self._ledger.touch(one["uid"], Fate.EITHER)
        ended = self._run("undelete", one["uid"], x63="a collector has listed it", x14="collected and forgotten since")
        if not ended.was_killed:
            self._ledger.touch(one["uid"], Fate.REMOVED if ended.code else Fate.THERE)
            self._world.story.count(undeletes=not ended.code, undeletes_too_late=bool(ended.code))

    def _protect(self, listed: list[dict[str, Any]]) -> None:
        """Protect a version; not many, for they stay to the end."""
        if sum(one["protected"] for one in listed) < 4:  # noqa: PLR2004
            uid = self._rng.choice(listed)["uid"]
            if self._run("protect", uid, "--reason", "soak").code == 0:
                self._ledger.protect(uid, sure=True)

    def _unprotect(self, listed: list[dict[str, Any]]) -> None:
        """Take a protection back."""
        if protected := [one["uid"] for one in listed if one["protected"]]:
            uid = self._rng.choice(protected)
            self._ledger.protect(uid, sure=False)
            self._run("unprotect", uid)

    def _collect(self, _: list[dict[str, Any]]) -> None:
        """Collect garbage, sometimes killed in the middle."""
        options = self._rng.choice(((), (), ("--beside",), ("--max-duration", "1s")))
        self._world.collect(self._who, self._host, self._rng, *options, kills=0.4)
