"""Partial checks, one after another, read everything."""

import math

from hypothesis import given
from hypothesis import strategies as st

from packstore.ids import PackId
from packstore.operations.scrub_plan import Candidate, plan_scrub

Sizes = st.lists(st.integers(1, 1000), min_size=1, max_size=30)


def _pack_id(number: int) -> PackId:
    return PackId((number * 7919 % 65_521).to_bytes(16, "big"))


@given(
    Sizes,
    st.integers(1, 100),
    st.lists(st.tuples(st.lists(st.integers(1, 2000), max_size=4), st.lists(st.integers(0, 60), max_size=3))),
    st.lists(st.integers(1, 99), max_size=4),
)
def test_enough_runs_cover_all_that_was_there_at_the_first(
    sizes: list[int], percent: int, changes: list[tuple[list[int], list[int]]], earlier: list[int]
) -> None:
    """Bytes would never be read, although the promised number of checks has run."""
    packs = {_pack_id(number): size for number, size in enumerate(sizes)}
    ledger: dict[PackId, int] = {}
    totals: list[int] = []
    for share in earlier:
        _run(packs, ledger, totals, share)
    first = set(packs)
    read: set[PackId] = set()
    for number in range(math.ceil(100 / percent)):
        read |= _run(packs, ledger, totals, percent)
        if number < len(changes):
            added, removed = changes[number]
            for index, size in enumerate(added):
                packs[_pack_id(1000 + 10 * number + index)] = size
            for index in removed:
                packs.pop(_pack_id(index), None)
    assert first & set(packs) <= read


def _run(packs: dict[PackId, int], ledger: dict[PackId, int], totals: list[int], percent: int) -> set[PackId]:
    run = 1 + len(totals)
    candidates = [Candidate(pack_id, size, ledger.get(pack_id, run - 1)) for pack_id, size in packs.items()]
    chosen = plan_scrub(candidates, percent, totals)
    for candidate in candidates:
        ledger.setdefault(candidate.pack_id, run - 1)
    ledger.update(dict.fromkeys(chosen, run))
    totals.append(sum(packs.values()))
    return set(chosen)


@given(Sizes, st.floats(0.1, 100))
def test_a_run_reads_at_least_its_share_and_not_much_more(sizes: list[int], percent: float) -> None:
    """A nightly check would read too little to be worth it, or far more than was asked for."""
    candidates = [Candidate(_pack_id(number), size, 0) for number, size in enumerate(sizes)]
    chosen = set(plan_scrub(candidates, percent, []))
    found = sum(candidate.size for candidate in candidates if candidate.pack_id in chosen)
    assert found >= sum(sizes) * percent / 100 - 1e-6
    assert found <= sum(sizes) * percent / 100 + max(sizes) + 1
