"""The set of record numbers in which a collector notes what is needed."""

from hypothesis import given
from hypothesis import strategies as st

from packstore.operations.gc_mark import Bits

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 60)),
        st.tuples(st.just("extend"), st.integers(0, 60)),
        st.tuples(st.just("clear"), st.just(0)),
    ),
    max_size=30,
)


@given(STEPS, st.integers(0, 50), st.integers(1, 20))
def test_bits_are_a_set_in_which_what_is_new_is(steps: list[tuple[str, int]], first: int, count: int) -> None:
    """What came into the index while a collection ran would be garbage to it, or end it."""
    bits, size, taken = Bits(), 0, set()
    for step, number in steps:
        if step == "add":
            bits.add(number)
            taken.discard(number)
        elif step == "extend":
            bits.extend(number)
            size = max(size, number)
        else:
            bits.clear()
            taken = set(range(size))
    for one in (bits, bits.copy()):
        assert {number for number in range(80) if number not in one} == taken
        assert one.count(first, count) == count - len(taken & set(range(first, first + count)))
