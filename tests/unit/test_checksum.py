"""XXH3: packstore.checksum. The known answers are those of xxHash's own specification."""

from packstore.checksum import checksum64, fingerprint128


def test_known_answers() -> None:
    """Another variant, seed or byte order would call every stored file damaged."""
    assert checksum64([]) == 0x2D06800538D394C2
    assert checksum64([b"abc"]) == 0x78AF5F94892F3950
    assert fingerprint128(0, b"").hex() == "99aa06d3014798d86001c324468d497f"


def test_parts_are_one_sequence() -> None:
    """A checksum over header and payload would depend on how they lie in memory."""
    whole = bytes(range(256)) * 20
    for cut in (0, 1, 100, len(whole)):
        assert checksum64((whole[:cut], memoryview(whole)[cut:])) == checksum64((bytearray(whole),))


def test_seed_matters() -> None:
    """Whoever knows XXH3 could compute a block's fingerprint, and another block with the same."""
    block = bytes(1000)
    seeds = (0, 1, 1 << 32, (1 << 64) - 1)
    assert len({fingerprint128(seed, block) for seed in seeds}) == len(seeds)
    assert fingerprint128(5, memoryview(block)) == fingerprint128(5, block)
