"""Synthetic devices of any size, for tests and measurements: `null://200TiB?seed=1&round=3&changed=100`.

    SIZE           bytes, or with K, M, G, T, P (of 1024)
    seed=N         another device for each N (0)
    round=K        its state after so many rounds of changes (0)
    change=PERCENT of the cells that each round writes anew, or changed=N of them (0)
    holes=PERCENT  of the cells that are holes until they are written (0)
    random=PERCENT of the cells that do not compress (0)
    distinct=N     as many cells differ, and come again and again; what a round writes is never equal to anything
    cell=BYTES     in which all this is counted (1MiB)

A device is a function of these words and takes no memory, so two with the same are equal, everywhere. Each cell that
is no hole differs from every other, without `distinct`. What differs between two rounds is known exactly. As a target
it forgets everything.
Before: blocks. After: sources.open.
"""

import hashlib
import math
import random
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from typing import Final
from urllib.parse import parse_qsl

from packstore.blocks import Extent, merge_extents, zeros
from packstore.errors import UsageError
from packstore.limits import KIB, MAX_DEVICE_BYTES, MIB

SCHEME: Final = "null://"
_SIZE: Final = re.compile(r"([0-9]{1,18})([kmgtp]?)(?:ib|b)?", re.IGNORECASE)
_FACTORS: Final[dict[str, int]] = {"": 1} | {letter: 1024**power for power, letter in enumerate("kmgtp", 1)}
_PIECE: Final = 256
"""Bytes that are repeated to fill a cell."""
_MAX_ROUNDS: Final = 10_000
_MAX_CELL: Final = 64 * MIB


@dataclass(frozen=True)
class NullDevice:
    """What a URL says: sizes in bytes, shares in percent."""

    size: int
    seed: int = 0
    round: int = 0
    change: float = 0.0
    changed: int = 0
    holes: float = 0.0
    random: float = 0.0
    distinct: int = 0
    cell: int = MIB

    @classmethod
    def parse(cls, url: str) -> "NullDevice":
        """Read a URL.

        Raises:
            UsageError: it says something else, or more than there can be.
        """
        size, _, query = url.removeprefix(SCHEME).partition("?")
        words: dict[str, int | float] = {}
        try:
            for name, value in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)):
                if name in words or name not in _WORDS:
                    raise UsageError(f"{url}: {name!r} is not one of {', '.join(_WORDS)}, once each")
                words[name] = _WORDS[name](value)
            device = cls(_bytes(size), **words)  # type: ignore[arg-type]
        except ValueError as error:
            raise UsageError(f"{url} is no synthetic device: {error}", advice="null://1TiB?seed=1&changed=10") from None
        device._check(url)
        return device

    def _check(self, url: str) -> None:
        if self.size > MAX_DEVICE_BYTES or not 4 * KIB <= self.cell <= _MAX_CELL or self.round > _MAX_ROUNDS:
            raise UsageError(f"{url}: at most {MAX_DEVICE_BYTES} bytes, {_MAX_ROUNDS} rounds, cells of 4KiB to 64MiB")
        if self.change and self.changed:
            raise UsageError(f"{url}: change=PERCENT or changed=N, not both")

    def __str__(self) -> str:
        """Return the URL, with all that is not as usual."""
        words = asdict(self)
        usual = asdict(NullDevice(0))
        query = "&".join(f"{name}={words[name]}" for name in _WORDS if words[name] != usual[name])
        return f"{SCHEME}{self.size}{'?' if query else ''}{query}"

    @property
    def cells(self) -> int:
        """How many cells it has."""
        return -(-self.size // self.cell)


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no size")
    return int(match[1]) * _FACTORS[match[2].lower()]


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004
        raise ValueError(f"{text!r} is no number")
    return int(text)


def _percent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:  # noqa: PLR2004
        raise ValueError(f"{text!r} is not from 0 to 100")
    return value


_WORDS: Final = {
    "seed": _count,
    "round": _count,
    "change": _percent,
    "changed": _count,
    "holes": _percent,
    "random": _percent,
    "distinct": _count,
    "cell": _bytes,
}


class _Choice:
    """A fixed choice of so many of the numbers below `total`: asked for one, or listed, without a list."""

    def __init__(self, total: int, count: int, seed: str) -> None:
        draw = random.Random(seed)  # noqa: S311 (nothing secret)
        self._total = total
        self._count = min(count, total)
        self._step = 1
        if total > 3:  # noqa: PLR2004 (below that there is no other step)
            self._step = draw.randrange(2, total - 1)
            while math.gcd(self._step, total) != 1:
                self._step = draw.randrange(1, total)
        self._shift = draw.randrange(total)
        self._inverse = pow(self._step, -1, total)

    def __contains__(self, number: int) -> bool:
        return (number - self._shift) * self._inverse % self._total < self._count

    def __iter__(self) -> Iterator[int]:
        return ((place * self._step + self._shift) % self._total for place in range(self._count))


@dataclass
class NullSource:
    """A synthetic device as a source."""

    device: NullDevice
    _last: tuple[int, bytes] = field(default=(-1, b""), repr=False)

    @property
    def size(self) -> int | None:
        """Bytes."""
        return self.device.size

    @property
    def description(self) -> dict[str, str | int]:
        """A device; its URL says all there is to know."""
        return {"type": "device", "path": str(self.device)}

    @property
    def immutable_id(self) -> str:
        """The URL: nothing else decides what it holds."""
        return str(self.device)

    def extents(self) -> Iterator[Extent]:
        """Yield the ranges that are not holes."""
        device = self.device
        if not device.holes:
            if device.size:
                yield Extent(0, device.size)
            return
        pending: Extent | None = None
        for number in range(device.cells):
            if self._generation(number) is None:
                continue
            here = self._extent(number)
            if pending is not None and pending.end == here.offset:
                here = Extent(pending.offset, here.end - pending.offset)
            elif pending is not None:
                yield pending
            pending = here
        if pending is not None:
            yield pending

    def changed(self) -> list[Extent]:
        """Return what the last round has written: exact hints, relative to the round before."""
        return merge_extents(map(self._extent, self._rounds[-1])) if self._rounds else []

    @cached_property
    def _rounds(self) -> list[_Choice]:
        device = self.device
        count = device.changed or round(device.cells * device.change / 100)
        if not count or not device.cells:
            return []
        return [_Choice(device.cells, count, f"{device.seed} {number}") for number in range(1, device.round + 1)]

    @cached_property
    def _holes(self) -> _Choice | None:
        return self._share("holes", self.device.holes)

    @cached_property
    def _random(self) -> _Choice | None:
        return self._share("random", self.device.random)

    def _share(self, name: str, percent: float) -> _Choice | None:
        device = self.device
        count = round(device.cells * percent / 100)
        return _Choice(device.cells, count, f"{device.seed} {name}") if count else None

    def _extent(self, number: int) -> Extent:
        offset = number * self.device.cell
        return Extent(offset, min(self.device.cell, self.device.size - offset))

    def _generation(self, number: int) -> int | None:
        """Return the last round that has written a cell, 0 if none has, None for a hole."""
        for index in range(len(self._rounds) - 1, -1, -1):
            if number in self._rounds[index]:
                return index + 1
        return None if self._holes is not None and number in self._holes else 0

    def _cell(self, number: int) -> bytes:
        last, data = self._last
        if last != number:
            data = self._make(number)
            self._last = number, data
        return data

    def _make(self, number: int) -> bytes:
        device = self.device
        generation = self._generation(number)
        if generation is None:
            return zeros(device.cell)
        if device.distinct and not generation:
            number %= device.distinct
        name = f"{device.seed} {number} {generation}".encode()
        piece = hashlib.shake_128(name).digest(_PIECE)
        if self._random is not None and number in self._random:
            begin = int.from_bytes(piece[:2], "big") % _PIECE
            return piece + _noise(device.seed, device.cell)[begin : begin + device.cell - _PIECE]
        return piece * (device.cell // _PIECE) + piece[: device.cell % _PIECE]

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer`."""
        done, cell = 0, self.device.cell
        while done < len(buffer):
            number, at = divmod(offset + done, cell)
            step = min(cell - at, len(buffer) - done)
            buffer[done : done + step] = memoryview(self._cell(number))[at : at + step]
            done += step
        return done

    def finish(self) -> list[str]:
        """Nothing can have happened to it."""
        return []

    def close(self) -> None:
        """Nothing is open."""


@lru_cache(maxsize=2)
def _noise(seed: int, length: int) -> bytes:
    """Return bytes that do not compress; cells have different parts of them."""
    return random.Random(f"noise {seed}").randbytes(length + _PIECE)  # noqa: S311 (nothing secret)


class NullTarget:
    """A target that forgets what is written to it: a restore that only verifies."""

    in_order = False

    def begin(self, size: int) -> None:
        """Do nothing: there is room for everything."""

    def write(self, offset: int, data: bytes) -> None:
        """Forget it."""

    def zero(self, offset: int, length: int) -> None:
        """Forget it."""

    def finish(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
