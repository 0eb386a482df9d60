"""Volumes that change between their backups: writes, moves from volume to volume, holes, growth, truncation."""

import hashlib
import random
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools.programs import find

KIB: Final = 1024
MIB: Final = 1024 * KIB
_PIECE: Final = 1 * MIB


class Market:
    """Pieces taken out of one volume for another to put in: block moves."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque(maxlen=16)
        self._lock = threading.Lock()

    def give(self, piece: bytes) -> None:
        """Offer a piece."""
        with self._lock:
            self._pieces.append(piece)

    def take(self) -> bytes:
        """Take the piece that has waited longest; nothing if there is none."""
        with self._lock:
            return self._pieces.popleft() if self._pieces else b""


class Volume:
    """A file that is edited by one thread, never while a backup of it runs; sizes in bytes."""

    def __init__(self, path: Path, rng: random.Random, market: Market, sizes: tuple[int, int]) -> None:
        self.path = path
        self._rng = rng
        self._market = market
        self._least, self._most = sizes
        with path.open("wb") as file:
            for _ in range(rng.randint(self._least, self._most) // _PIECE):
                file.write(self._content(_PIECE))
            file.write(self._content(rng.randrange(64 * KIB)))

    @property
    def size(self) -> int:
        """Its size."""
        return self.path.stat().st_size

    def edit(self) -> str:
        """Change it in one or several ways; return how."""
        ways: tuple[Callable[[], str], ...] = (
            self._write,
            self._write,
            self._give,
            self._take,
            self._punch,
            self._grow,
            self._cut,
            self._zero,
        )
        if not self._rng.randrange(5):
            ways = (self._rewrite,)
        return ", ".join(self._rng.choice(ways)() for _ in range(self._rng.randint(1, 6)))

    def digest(self) -> str:
        """Return what tells its bytes, and how many they are, from all others."""
        return digest_of(self.path)

    def _content(self, size: int) -> bytes:
        """Bytes of which some compress well, some not at all, and some are the same in all volumes."""
        kind = self._rng.randrange(4)
        if kind == 0:
            line = b"%d packs, %d blocks\n" % (self._rng.randrange(9), self._rng.randrange(9))
            return (line * (size // len(line) + 1))[:size]
        if kind == 1:
            return random.Random(self._rng.randrange(8)).randbytes(size)  # noqa: S311  to be repeated, not to be secret
        return self._rng.randbytes(size)

    def _place(self, size: int) -> int:
        """Draw an offset, mostly one where blocks begin, since file systems align what they move."""
        offset = self._rng.randrange(max(self.size - size, 1))
        return offset if not self._rng.randrange(3) else offset // (64 * KIB) * 64 * KIB

    def _put(self, offset: int, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(offset)
            file.write(data[: max(self._most - offset, 0)])

    def _write(self) -> str:
        size = self._rng.choice((1, 512, 4 * KIB, 64 * KIB, 700 * KIB))
        offset = self._place(size)
        self._put(offset, self._content(size))
        return f"{size} written at {offset}"

    def _rewrite(self) -> str:
        size = 64 * KIB * self._rng.randint(16, 100)
        offset = self._place(size)
        self._put(offset, self._rng.randbytes(size))
        return f"{size} written at {offset}"

    def _give(self) -> str:
        size = 64 * KIB * self._rng.randint(1, 8)
        offset = self._place(size)
        with self.path.open("rb") as file:
            file.seek(offset)
            self._market.give(file.read(size))
        self._punch_hole(offset, size)
        return f"{size} moved away from {offset}"

    def _take(self) -> str:
        piece = self._market.take()
        offset = self._place(len(piece))
        self._put(offset, piece)
        return f"{len(piece)} of another moved to {offset}"

    def _punch(self) -> str:
        size = self._rng.choice((4 * KIB, 64 * KIB, 300 * KIB, 2 * MIB))
        offset = self._place(size)
        self._punch_hole(offset, size)
        return f"hole of {size} at {offset}"

    def _zero(self) -> str:
        size = self._rng.choice((4 * KIB, 64 * KIB, 300 * KIB))
        offset = self._place(size)
        self._put(offset, bytes(size))
        return f"{size} zeros at {offset}"

    def _grow(self) -> str:
        size = self._rng.choice((1, 64 * KIB, 3 * MIB))
        if self.size + size > self._most:
            return self._cut()
        if self._rng.randrange(2):
            self._resize(self.size + size)
            return f"grown by a hole of {size}"
        self._put(self.size, self._content(size))
        return f"grown by {size}"

    def _cut(self) -> str:
        size = self._rng.choice((1, 64 * KIB, 3 * MIB))
        if self.size - size < self._least:
            return self._write()
        self._resize(self.size - size)
        return f"cut by {size}"

    def _resize(self, size: int) -> None:
        with self.path.open("r+b") as file:
            file.truncate(size)

    def _punch_hole(self, offset: int, size: int) -> None:
        length = min(size, self.size - offset)
        if length > 0:
            fallocate = find("fallocate", "util-linux")
            command = [fallocate, "--punch-hole", "-o", str(offset), "-l", str(length), str(self.path)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def digest_of(path: Path) -> str:
    """Return what tells a file's bytes, and how many they are, from all others."""
    with path.open("rb") as file:
        return f"{path.stat().st_size}:{hashlib.file_digest(file, 'sha512').hexdigest()}"
