"""The protocol of intents and lists as a model: every order of steps, searched exhaustively.

One object; a version v0 that has it, which may be removed; writers that take v0 as a base, or find the object
in a pack, or store it again; collectors that condemn, copy and delete. Lost is a version that is there and not
removed when no pack holds the object any more.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

State = tuple[Any, ...]
BASE: Final = "v0"


class Model:
    """The steps of `writers` writers and `collectors` collectors; `broken` names a rule that is left out."""

    def __init__(self, writers: int, collectors: int, packs: set[str], broken: str = "") -> None:
        self.broken = broken
        self.begin: State = (
            frozenset(packs),
            frozenset({BASE}),
            frozenset(),  # removed versions
            frozenset(),  # lists: (id, pack, versions)
            frozenset(),  # intents: (writer, ids of lists)
            ((0, frozenset(), None),) * writers,
            ((0, None, None, None),) * collectors,
        )

    def search(self) -> tuple[int, list[str]]:
        """Return how many states there are, and the steps that lead to a loss, none if there is none."""
        came_from: dict[State, tuple[str, State] | None] = {self.begin: None}
        pending = deque([self.begin])
        while pending:
            state = pending.popleft()
            packs, versions, removed = state[:3]
            if versions - removed and not packs:
                return len(came_from), self._path(came_from, state)
            for step, after in self._steps(state):
                if after not in came_from:
                    came_from[after] = step, state
                    pending.append(after)
        return len(came_from), []

    @staticmethod
    def _path(came_from: dict[State, tuple[str, State] | None], state: State) -> list[str]:
        steps: list[str] = []
        while (before := came_from[state]) is not None:
            step, state = before
            steps.insert(0, step)
        return steps

    def _steps(self, state: State) -> Iterator[tuple[str, State]]:
        packs, versions, removed, lists, intents, writers, collectors = state
        if BASE not in removed:
            yield "rm v0", (packs, versions, removed | {BASE}, lists, intents, writers, collectors)
        for number in range(len(writers)):
            yield from self._writer(state, number)
        for number in range(len(collectors)):
            yield from self._collector(state, number)

    def _writer(self, state: State, number: int) -> Iterator[tuple[str, State]]:  # noqa: C901  one branch a step
        packs, versions, removed, lists, intents, writers, collectors = state
        at, seen, choice = writers[number]
        name = f"w{number}"

        def put(own: State, packs: Any = packs, versions: Any = versions, intents: Any = intents) -> State:
            others = (*writers[:number], own, *writers[number + 1 :])
            return packs, versions, removed, lists, intents, others, collectors

        honours = frozenset(found[0] for found in seen)
        if at == 0:
            yield f"{name} lists", put((1, lists, None))
        elif at == 1:
            yield f"{name} publishes its intent", put((2, seen, None), intents=intents | {(name, honours)})
        elif at == 2 and lists - seen and self.broken != "second listing":
            yield f"{name} begins again", put((1, lists, None), intents=intents - {(name, honours)})
        elif at == 2:
            yield f"{name} settles", put((3, seen, None))
        elif at == 3:
            condemned = frozenset(uid for found in seen for uid in found[2])
            if BASE not in removed and (self.broken == "versions in lists" or BASE not in condemned):
                yield f"{name} takes v0 as base", put((4, seen, "base"))
            for pack in packs - {found[1] for found in seen}:
                yield f"{name} relies on {pack}", put((4, seen, pack))
            yield f"{name} stores", put((4, seen, "new"), packs=packs | {f"N{name}"})
        elif at == 4:
            yield f"{name} commits", put((5, seen, choice), versions=versions | {name})
        elif at == 5:
            left = frozenset(found for found in intents if found[0] != name)
            yield f"{name} withdraws", put((6, frozenset(), None), intents=left)

    def _collector(self, state: State, number: int) -> Iterator[tuple[str, State]]:  # noqa: C901  one branch a step
        packs, versions, removed, lists, intents, writers, collectors = state
        at, ripe, live, seen = collectors[number]
        name = f"g{number}"

        def put(own: State, packs: Any = packs, lists: Any = lists) -> State:
            others = (*collectors[:number], own, *collectors[number + 1 :])
            return packs, versions, removed, lists, intents, writers, others

        over = (9, None, None, None)
        if at == 0:
            for pack in packs - {found[1] for found in lists}:
                yield f"{name} lists {pack}", put((1, None, None, None), lists=lists | {(name, pack, removed)})
            if lists:
                yield f"{name} takes over", put((1, None, None, None))
            yield f"{name} dies", put(over)
        elif at == 1:
            found = frozenset(item for item in lists if all(item[0] in honoured for _, honoured in intents))
            if found:
                yield f"{name} notes what is ripe", put((2, found, None, None))
            yield f"{name} leaves", put(over)
        elif at == 2:
            condemned = frozenset(uid for item in ripe for uid in item[2])
            dead = removed if self.broken == "versions in lists" else removed & condemned
            yield f"{name} marks", put((3, ripe, bool(versions - dead), None))
        elif at == 3:
            looked = packs if self.broken == "gc before packs" else frozenset(item[1] for item in lists)
            yield f"{name} lists", put((4, ripe, live, looked))
        elif at == 4:
            named = frozenset(item[1] for item in lists)
            good = seen - named if self.broken == "gc before packs" else packs - seen
            copied = packs | {f"C{name}"} if live and not good and packs else packs
            if not (live and not good and not packs):
                yield f"{name} secures", put((5, ripe, live, None), packs=copied)
        elif at == 5:
            victims = packs & {item[1] for item in ripe}
            for pack in victims:
                yield f"{name} deletes {pack}", put((5, ripe, live, None), packs=packs - {pack})
            if not victims:
                yield f"{name} deletes its lists", put(over, lists=lists - ripe)
            yield f"{name} dies", put(over)
