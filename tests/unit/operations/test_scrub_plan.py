"""Partial checks, one after another, read everything."""

import math
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from packstore.format.ledger import Scrub, ScrubRun
from packstore.ids import PackId, Uid
from packstore.operations.scrub_plan import Amount, Candidate, plan_scrub
from packstore.repository.scrubs import ScrubMemory, fold_scrubs, split_scrub

Sizes = st.lists(st.integers(1, 1000), min_size=1, max_size=30)
Change = st.one_of(
    st.tuples(st.just("add"), st.lists(st.integers(1, 2000), min_size=1, max_size=4)),
    st.tuples(st.just("delete"), st.lists(st.integers(0, 60), min_size=1, max_size=3)),
    st.tuples(st.just("merge"), st.lists(st.integers(0, 60), min_size=1, max_size=5)),
    st.tuples(st.just("other check"), st.lists(st.integers(1, 100), min_size=1, max_size=2)),
    st.tuples(st.just("cut short"), st.lists(st.integers(0, 5), min_size=1, max_size=2)),
    st.tuples(st.just("fold"), st.just([0])),
)
Changes = st.lists(st.lists(Change, max_size=4), max_size=12)


@dataclass
class Model:
    """Packs made of bytes with names, checks that read some, and a collector that moves bytes between packs."""

    packs: dict[PackId, list[tuple[int, int]]] = field(default_factory=dict)
    memory: ScrubMemory = field(default_factory=ScrubMemory)
    records: int = 0
    pieces: int = 0
    read: set[int] = field(default_factory=set)

    def add(self, sizes: list[int]) -> None:
        """Store new packs, each of one piece."""
        for size in sizes:
            self.pieces += 1
            self.packs[self.new_id()] = [(self.pieces, size)]

    def new_id(self) -> PackId:
        """Return an id that sorts anywhere."""
        self.records += 1
        return PackId((self.records * 7919 % 65_521).to_bytes(16, "big"))

    def present(self, numbers: list[int]) -> list[PackId]:
        """Return some of the packs."""
        ordered = sorted(self.packs)
        return sorted({ordered[number % len(ordered)] for number in numbers}) if ordered else []

    def change(self, what: str, numbers: list[int]) -> None:
        """Do what others do between two checks."""
        if what == "add":
            self.add(numbers)
        elif what == "delete":
            for pack_id in self.present(numbers):
                del self.packs[pack_id]
        elif what == "merge":
            self._merge(self.present(numbers))
        elif what == "other check":
            for percent in numbers:
                self.run(Amount(percent))
        elif what == "cut short":
            for count in numbers:
                self.run(Amount(50, seconds=1), most=count)
        else:
            self._fold()

    def _merge(self, old: list[PackId]) -> None:
        """Repack as a collector does: the new pack inherits the lowest rank."""
        known = [(rank, each not in self.memory.ranks) for each in old if (rank := self.memory.rank(each)) is not None]
        if not old:
            return
        new = self.new_id()
        self.packs[new] = [piece for pack_id in old for piece in self.packs.pop(pack_id)]
        if known:
            table = self.memory.seen if any(unread for _, unread in known) else self.memory.ranks
            table[new] = min(rank for rank, _ in known)

    def _fold(self) -> None:
        """Write the memory as records, fold them, and remember only that."""
        memory = self.memory
        scrub = Scrub(Uid(bytes(16)), 0, memory.runs, memory.ranks, memory.seen, "", "")
        folded = fold_scrubs(reversed(split_scrub(scrub, 100)), self.packs)
        self.memory = ScrubMemory()
        self.memory.add(folded)

    def run(self, amount: Amount, most: int | None = None) -> set[int]:
        """Check; return the pieces that were read. `most`: so many packs, then it is interrupted."""
        number = 1 + self.memory.last_run
        for pack_id in self.packs:
            if self.memory.rank(pack_id) is None:
                self.memory.seen[pack_id] = number - 1
        candidates = [
            Candidate(pack_id, sum(size for _, size in pieces), self.memory.rank(pack_id) or 0)
            for pack_id, pieces in self.packs.items()
        ]
        chosen = plan_scrub(candidates, amount, self.memory.runs)[:most]
        self.memory.ranks.update(dict.fromkeys(chosen, number))
        total = sum(candidate.size for candidate in candidates)
        self.memory.runs[number] = ScrubRun(0, total, amount.round if most is None else 0)
        read = {piece for pack_id in chosen for piece, _ in self.packs[pack_id]}
        self.read |= read
        return read


@given(Sizes, st.integers(1, 100), Changes, Changes)
def test_enough_runs_cover_all_that_was_there_at_the_first(
    sizes: list[int],
    percent: int,
    before: list[list[tuple[str, list[int]]]],
    between: list[list[tuple[str, list[int]]]],
) -> None:
    """Bytes would never be read, although the promised number of checks has run."""
    model = Model()
    model.add(sizes)
    for changes in before:
        for what, numbers in changes:
            model.change(what, numbers)
    first = {piece for pieces in model.packs.values() for piece, _ in pieces}
    model.read.clear()
    for number in range(math.ceil(100 / percent)):
        model.run(Amount(percent))
        for what, numbers in between[number] if number < len(between) else []:
            model.change(what, numbers)
    left = {piece for pieces in model.packs.values() for piece, _ in pieces}
    assert first & left <= model.read


@given(Sizes, st.floats(0.1, 100))
def test_a_run_reads_at_least_its_share_and_not_much_more(sizes: list[int], percent: float) -> None:
    """A nightly check would read too little to be worth it, or far more than was asked for."""
    candidates = [Candidate(PackId(bytes([number]) * 16), size, 0) for number, size in enumerate(sizes)]
    chosen = set(plan_scrub(candidates, Amount(percent), {}))
    found = sum(candidate.size for candidate in candidates if candidate.pack_id in chosen)
    assert found >= sum(sizes) * percent / 100 - 1e-6
    assert found <= sum(sizes) * percent / 100 + max(sizes) + 1


@given(Sizes, st.integers(1, 50))
def test_the_work_is_spread_evenly(sizes: list[int], percent: int) -> None:
    """After a few light runs one would read nearly everything."""
    model = Model()
    model.add(sizes)
    for _ in range(3 * math.ceil(100 / percent)):
        read = model.run(Amount(percent))
        size_of = {piece: size for pieces in model.packs.values() for piece, size in pieces}
        share = math.ceil(sum(sizes) * percent / 100)
        assert sum(size_of[piece] for piece in read) <= share + max(sizes)


@given(Sizes, st.integers(1, 3000))
def test_a_number_of_bytes_goes_on_where_the_last_run_ended(sizes: list[int], budget: int) -> None:
    """Runs of so many bytes would read the same packs again and never the others."""
    model = Model()
    model.add(sizes)
    read: set[int] = set()
    for _ in range(math.ceil(sum(sizes) / budget)):
        read |= model.run(Amount(bytes=budget))
    assert read == {piece for pieces in model.packs.values() for piece, _ in pieces}


def test_a_run_that_may_be_cut_short_begins_with_the_lowest_ranks() -> None:
    """A check of an hour each night would read the oldest packs each night."""
    candidates = [Candidate(PackId(bytes([number]) * 16), 10, 9 - number) for number in range(6)]
    timed = plan_scrub(candidates, Amount(seconds=5), {})
    assert timed == [candidate.pack_id for candidate in reversed(candidates)]
    assert plan_scrub(candidates, Amount(), {}) == sorted(timed)


def test_records_fold_in_any_order() -> None:
    """What hosts have read would depend on whose record came first."""

    def record(number: int, ranks: dict[int, int], seen: dict[int, int]) -> Scrub:
        runs = {number: ScrubRun(number, 100, 2)}
        tables = [{PackId(bytes([key]) * 16): run for key, run in table.items()} for table in (ranks, seen)]
        return Scrub(Uid(bytes([number]) * 16), number, runs, *tables, "", "")

    records = [record(1, {1: 1}, {2: 0, 3: 0}), record(2, {2: 2}, {4: 1}), record(3, {1: 3}, {3: 2})]
    folded = fold_scrubs(records)
    assert folded == fold_scrubs(reversed(records))
    assert {key[0]: run for key, run in folded.ranks.items()} == {1: 3, 2: 2}
    assert {key[0]: run for key, run in folded.seen.items()} == {3: 0, 4: 1}
    assert sorted(folded.runs) == [1, 2, 3]
    only = fold_scrubs(records, [PackId(bytes([4]) * 16)])
    assert not only.ranks
    assert len(only.seen) == 1
