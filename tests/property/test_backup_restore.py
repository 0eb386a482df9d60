"""Random devices and random changes to them restore exactly, every version of them."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from packstore.format.record import Encryption
from packstore.operations.backup import BackupOptions, backup
from packstore.progress import NullProgress, StopRequest
from tests.support.devices import BLOCK, BytesSource, noise
from tests.support.worlds import PlaceStorage, World, restore_bytes

Edit = tuple[str, int, int, int]

_LENGTHS = st.sampled_from([0, 1, 511, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 7 * BLOCK + 13, 20 * BLOCK])
_EDITS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "zero", "grow", "shrink", "repeat"]),
            st.integers(0, 20 * BLOCK),
            st.sampled_from([1, 100, BLOCK, 2 * BLOCK + 1, 5 * BLOCK]),
            st.integers(0, 3),
        ),
        max_size=3,
    ),
    min_size=1,
    max_size=4,
)


def edit(device: bytes, change: Edit) -> bytes:
    """Return a device after one change."""
    what, at, length, seed = change
    at = min(at, len(device))
    if what == "grow":
        return device + (bytes(length) if seed == 0 else noise(seed, length))
    if what == "shrink":
        return device[: max(0, len(device) - length)]
    filling = {"write": noise(seed, length), "zero": bytes(length), "repeat": noise("same", BLOCK) * (length // BLOCK)}
    new = filling[what][: len(device) - at]
    return device[:at] + new + device[at + len(new) :]


@settings(max_examples=40)
@given(
    st.sampled_from(list(Encryption)),
    _LENGTHS,
    _EDITS,
    st.booleans(),
    st.booleans(),
)
def test_every_version_restores_exactly(
    encryption: Encryption, length: int, sessions: list[list[Edit]], sparse: bool, paranoid: bool
) -> None:
    """A backup would not be one."""
    with tempfile.TemporaryDirectory() as place:
        world = World(PlaceStorage(), Path(place), encryption).create()
        device = noise("device", length)
        kept: dict[bytes, bytes] = {}
        with world.open() as repository:
            for changes in sessions:
                for change in changes:
                    device = edit(device, change)
                source = BytesSource(device, sparse=sparse)
                options = BackupOptions("volume", paranoid=paranoid, threads=2)
                result = backup(repository, source, options, StopRequest(), NullProgress())
                counters = result.counters
                assert counters.hole + counters.unchanged + counters.dedup + counters.new == len(device)
                kept[result.version.uid] = device
            for state in repository.states():
                for in_order in (False, True):
                    data, found = restore_bytes(repository, state.version, in_order=in_order)
                    assert data == kept.get(state.version.uid)
                    assert not found.bad_ranges
            assert len(repository.states()) == len(kept)
        assert world.check().clean
