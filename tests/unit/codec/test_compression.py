"""Compression: packstore.codec.compression. A frame is a claim by whoever wrote it."""

import random
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard

from packstore.codec.compression import MAX_LEVEL, MIN_LEVEL, CompressionSpec, Compressor
from packstore.errors import FormatError, UsageError
from packstore.limits import MAX_BLOCK_BYTES, MIB
from tools.vectors.material import rle_frame

TEXT = b"a block that can be compressed. " * 1000
NOISE = random.Random(1).randbytes(10_000)
COMPRESSOR = Compressor(CompressionSpec(3))


@pytest.mark.parametrize(
    ("text", "level"), [("none", None), ("zstd", 3), ("zstd:1", 1), ("zstd:22", 22), ("zstd:03", 3)]
)
def test_spec(text: str, level: int | None) -> None:
    """`--compression` would mean something else than its documentation says."""
    assert CompressionSpec.parse(text) == CompressionSpec(level)


@pytest.mark.parametrize(
    "text",
    ["", "zstd:", "zstd:0", "zstd:23", "zstd:-1", "zstd: 3", "zstd:3.5", "zstd:x", "gzip", "none:3", ":3", "ZSTD"],
)
def test_spec_refused(text: str) -> None:
    """A misspelt compression would silently be another one."""
    with pytest.raises(UsageError):
        CompressionSpec.parse(text)


@pytest.mark.parametrize("level", [MIN_LEVEL, 3, 19, MAX_LEVEL])
def test_round_trip(level: int) -> None:
    """What was compressed at some level could not be decompressed."""
    frame = Compressor(CompressionSpec(level)).compress(TEXT)
    assert frame is not None
    assert len(frame) < len(TEXT)
    assert COMPRESSOR.decompress(frame, len(TEXT)) == TEXT
    assert COMPRESSOR.decompress(memoryview(frame), len(TEXT)) == TEXT


def test_one_frame_with_its_size_and_without_checksum() -> None:
    """A frame that does not say its size would be refused by every reader."""
    frame = COMPRESSOR.compress(TEXT)
    assert frame is not None
    found = zstandard.get_frame_parameters(frame)
    assert (found.content_size, found.has_checksum, found.dict_id) == (len(TEXT), False, 0)


def test_what_does_not_shrink_is_stored_raw() -> None:
    """Noise would grow, and a reader would expect a frame where there is none."""
    assert COMPRESSOR.compress(NOISE) is None
    assert COMPRESSOR.compress(b"a") is None
    assert Compressor(CompressionSpec(None)).compress(TEXT) is None


def test_raw_repositories_still_read_frames() -> None:
    """`--compression none` would make older compressed blocks unreadable."""
    frame = COMPRESSOR.compress(TEXT)
    assert frame is not None
    assert Compressor(CompressionSpec(None)).decompress(frame, len(TEXT)) == TEXT


def test_every_cut() -> None:
    """A frame that is not whole would give fewer bytes than were stored."""
    frame = COMPRESSOR.compress(TEXT)
    assert frame is not None
    for length in range(len(frame)):
        with pytest.raises(FormatError) as caught:
            COMPRESSOR.decompress(frame[:length], len(TEXT))
        assert caught.value.failure == "decompress-failed"


@pytest.mark.parametrize("wrong", [0, 1, len(TEXT) - 1, len(TEXT) + 1, MAX_BLOCK_BYTES])
def test_another_size_than_the_header_says(wrong: int) -> None:
    """Header and frame could disagree about how long a block is."""
    frame = COMPRESSOR.compress(TEXT)
    assert frame is not None
    with pytest.raises(FormatError):
        COMPRESSOR.decompress(frame, wrong)


def _bomb(declared: int, single_segment: bool) -> bytes:
    """Return a frame that declares a size and holds 800 blocks of 128 KiB, 100 MiB in all."""
    size = 128 << 10
    block, last = ((size << 3 | 0b010 | final).to_bytes(3, "little") + b"\0" for final in (0, 1))
    head = b"\xa0" if single_segment else b"\x80\x80"
    return bytes.fromhex("28b52ffd") + head + declared.to_bytes(4, "little") + block * 799 + last


@pytest.mark.parametrize("declared", [1000, MIB, 100 * MIB, (1 << 32) - 1])
@pytest.mark.parametrize("single_segment", [True, False])
def test_bombs(declared: int, single_segment: bool) -> None:
    """A few kilobytes that unpack to 100 MiB, whatever they say of themselves, would take the memory of a restore."""
    frame = _bomb(declared, single_segment)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            COMPRESSOR.decompress(frame, MIB)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("declared", [1 << 31, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 3])
def test_frames_that_claim_terabytes(declared: int) -> None:
    """A frame that claims 1 TiB would be believed before a byte of it is decompressed."""
    frame = bytes.fromhex("28b52ffde0") + declared.to_bytes(8, "little") + rle_frame(b"\0", 1000)[9:]
    for plain_size in (1000, MAX_BLOCK_BYTES):
        with pytest.raises(FormatError) as caught:
            COMPRESSOR.decompress(frame, plain_size)
        assert caught.value.failure == "decompress-failed"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x28\xb5\x2f\xfd",
        NOISE,
        rle_frame(b"a", 1000) + b"\0",
        rle_frame(b"a", 500) + rle_frame(b"a", 500),
        rle_frame(b"a", 1000) + rle_frame(b"a", 1000),
        bytes.fromhex("502a4d1800000000") + rle_frame(b"a", 1000),
        rle_frame(b"a", 1000) + bytes.fromhex("502a4d1800000000"),
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000)),
        zstandard.ZstdCompressor(dict_data=zstandard.ZstdCompressionDict(NOISE[:1000])).compress(NOISE[:1000]),
    ],
)
def test_what_is_not_one_whole_frame(frame: bytes) -> None:
    """Two payloads could decode to the same block, or hide something behind it."""
    with pytest.raises(FormatError):
        COMPRESSOR.decompress(frame, 1000)


def test_threads_do_not_share_a_state() -> None:
    """The workers of a backup would overwrite each other's states, and blocks be damaged before they are stored."""
    barrier = threading.Barrier(4)

    def work(seed: int) -> bool:
        blocks = [random.Random(seed * 100 + number).randbytes(500) * 200 for number in range(20)]
        barrier.wait(timeout=30)
        frames = [COMPRESSOR.compress(block) for block in blocks]
        return all(
            frame is not None and COMPRESSOR.decompress(frame, len(block)) == block
            for frame, block in zip(frames, blocks, strict=True)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
