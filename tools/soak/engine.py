"""The soak: begin, let the actors work until the time is over, and look at what they leave."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.soak.actors import Pruner, back_up, check, restore
from tools.soak.commands import Commands
from tools.soak.ledger import Ledger
from tools.soak.sources import MIB, Market, Volume
from tools.soak.story import SoakFailureError, Story
from tools.soak.world import Clock, World

VOLUMES: Final = 4
_LAST: Final = "verdict"


@dataclass(frozen=True)
class SoakOptions:
    """How long the actors work, what they decide by, and how large their volumes are."""

    seconds: float
    seed: int
    sizes: tuple[int, int] = (10 * MIB, 40 * MIB)


def soak(directory: Path, options: SoakOptions) -> dict[str, int]:
    """Do it in an empty directory; return the numbers.

    Raises:
        SoakFailureError: something is not as promised.
    """
    story = Story(directory / "story.txt")
    story.tell("soak", f"seed {options.seed}, {options.seconds:g} s")
    world = _begin(directory, options, story)
    _work(world, options)
    _judge(world)
    return dict(sorted(story.numbers.items()))


def _begin(directory: Path, options: SoakOptions, story: Story) -> World:
    encrypted = options.seed % 4 != 0
    commands = Commands(directory, encrypted, story)
    commands.hurry()
    sizes = ("--reserve", "0", "--block-size", "64KiB", "--pack-size", "1MiB")
    commands.run("soak", "a", ("init", *sizes, *(() if encrypted else ("--no-encryption",))))
    market = Market()
    sources = directory / "sources"
    sources.mkdir()
    volumes = [
        Volume(sources / f"volume-{number}", _rng(options, f"edits {number}"), market, options.sizes)
        for number in range(VOLUMES)
    ]
    return World(commands, story, Ledger(), volumes, Clock(time.monotonic() + options.seconds))


def _rng(options: SoakOptions, what: str) -> random.Random:
    return random.Random(f"{options.seed} {what}")  # noqa: S311  to be repeated, not to be secret


def _work(world: World, options: SoakOptions) -> None:
    """Let all actors work; two hosts, so that some share an index and some do not."""
    actors: dict[str, Callable[[], None]] = {}
    for number, volume in enumerate(world.volumes):
        who, host = f"backup-{number}", "ab"[number % 2]
        actors[who] = lambda who=who, host=host, volume=volume: back_up(world, who, host, _rng(options, who), volume)  # type: ignore[misc]
    actors["check"] = lambda: check(world, "check", "b", _rng(options, "check"))
    actors["restore"] = lambda: restore(world, "restore", "a", _rng(options, "restore"))
    actors["prune"] = Pruner(world, "prune", "b", _rng(options, "prune"))
    failures: list[BaseException] = []

    def act(actor: Callable[[], None]) -> None:
        try:
            actor()
        except BaseException as error:  # noqa: BLE001  raised again by the main thread
            failures.append(error)
            world.clock.failed.set()

    threads = [threading.Thread(target=act, args=(actor,), name=who) for who, actor in actors.items()]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        world.clock.failed.set()
        raise
    if failures:
        raise failures[0]


def _judge(world: World) -> None:
    """See that everything is there that should be, that it is right, and that nothing else is left.

    Raises:
        SoakFailureError: it is not.
    """
    story, commands = world.story, world.commands
    listed = Pruner(world, _LAST, "c", random.Random(0)).look()  # noqa: S311
    since = world.ledger.now()
    with ThreadPoolExecutor(2, "verify") as pool:
        done = [
            pool.submit(world.restore, f"verify-{number}", "abc"[number % 3], version, lambda: None, since)
            for number, version in enumerate(listed)
        ]
        for one in done:
            one.result()
    if story.numbers["restores_too_late"] and not all(world.ledger.is_there(one["uid"], since) for one in listed):
        raise story.failure(_LAST, "versions went while nobody removed any")
    story.count(versions_at_the_end=len(listed))
    for _ in range(2):
        waiting = commands.run(_LAST, "b", ("gc",)).document["waiting_for"]
        if waiting:
            raise story.failure(_LAST, f"gc waits for processes that have ended: {waiting}")
    require_swept(world)
    for words in (("check",), ("check", "--keyless")):
        commands.run(_LAST, "c", words)
    for number, version in enumerate(listed[:3]):
        world.restore(f"{_LAST}", "abc"[number], version, lambda: None, since)


def require_swept(world: World) -> None:
    """See that no list, no intent and no temporary file is left.

    Raises:
        SoakFailureError: something is.
    """
    repository = world.commands.repository
    left = [*repository.glob("gc/*"), *repository.rglob("*.tmp")]
    if left:
        names = ", ".join(sorted({str(path.relative_to(repository)) for path in left}))
        raise world.story.failure(_LAST, f"gc has left behind: {names}")


__all__ = ["SoakFailureError", "SoakOptions", "soak"]
