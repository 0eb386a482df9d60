"""How long an index takes to be made anew, by the number of objects.

Makes a repository whose `meta/` has the directories of so many packs, as backups in blocks of 1 MiB leave them: each
compressed and encrypted, of 150 blocks with random ids. The packs themselves are not there: nothing that is measured
here reads one. What is measured is the first command after the index was deleted.
"""

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from packstore.cli.credentials import read_key_file
from packstore.codec.slots import Credential
from packstore.format.pack import PACK_HEADER, Entry, PackType, encode_directory
from packstore.format.record import HEADER_BYTES, Compression, Encryption, Kind
from packstore.ids import ObjectId, PackId
from packstore.limits import META_PACK_BYTES, MIB, OBJECT_ID_BYTES
from packstore.repository.repository import OpenOptions, Repository
from packstore.repository.runtime import Runtime
from packstore.storage.file import FileStorage
from tools.bench.many_versions import command
from tools.measure import Measured, run
from tools.programs import ToolError
from tools.store import document
from tools.table import table

_RECORDS = 150
"""A pack of 128 MiB with blocks of 1 MiB that compress a little."""


@dataclass(frozen=True)
class Rebuilt:
    """What making the index anew took."""

    objects: int
    measured: Measured
    index_bytes: int


def build(directory: Path, objects: int) -> None:
    """Make the repository, unless it is there."""
    if (directory / "repository").exists():
        return
    directory.mkdir(parents=True)
    run(command(directory, "init", "--reserve", "0"))
    key = Credential.from_secret(read_key_file(directory / "key"))
    opening = OpenOptions(directory / "index", lambda _: key, expect_encrypted=True)
    repository = Repository.open(FileStorage(directory / "repository"), opening, Runtime())
    try:
        left = -(-objects // _RECORDS)
        while left:
            count = min(left, META_PACK_BYTES // (110 * _RECORDS))
            _write_pack(repository, count)
            left -= count
    finally:
        repository.close()


def _write_pack(repository: Repository, directories: int) -> None:
    pieces = _pieces(repository)
    pack = repository.new_pack(PackType.META)
    for _ in range(directories):
        ids = os.urandom(OBJECT_ID_BYTES * _RECORDS)
        parts = [pieces[0], repository.runtime.new_pack_id()]
        for number, piece in enumerate(pieces[1:-1]):
            parts += (piece, ids[OBJECT_ID_BYTES * number : OBJECT_ID_BYTES * (number + 1)])
        plain = b"".join((*parts, pieces[-1]))
        object_id = repository.keyring.object_id(plain)
        pack.append(repository.codec.encode(Kind.DIRECTORY, object_id, plain))
    pack.seal()


def _pieces(repository: Repository) -> list[bytes]:
    """Return what stands between the ids in a directory: that of the pack first, then those of the blocks."""
    key_id = repository.keyring.writing_key(Kind.BLOCK).id
    draw = random.Random(1)  # noqa: S311 (nothing secret)
    entries, offset = [], PACK_HEADER.size
    block, own = ObjectId(bytes(OBJECT_ID_BYTES - 1) + b"!"), PackId(b"pack" * 4)
    for _ in range(_RECORDS):
        size = draw.randrange(MIB // 2, MIB)
        entries.append(Entry(Kind.BLOCK, block, offset, size, MIB, Compression.ZSTD, Encryption.AEGIS_256, key_id))
        offset += HEADER_BYTES + size
    before, after = encode_directory(own, entries).split(own)
    return [before, *after.split(block)]


def measure(directory: Path, objects: int) -> Rebuilt:
    """Make the index of the repository anew."""
    shutil.rmtree(directory / "index", ignore_errors=True)
    measured = run(command(directory, "--json", "index", "status"))
    found = document(measured)
    if found["objects"] < objects:
        raise ToolError(f"{found['objects']} objects, not {objects}")
    return Rebuilt(found["objects"], measured, found["bytes"])


def report(found: list[Rebuilt]) -> str:
    """Return the table."""
    header = ("objects", "seconds", "CPU seconds", "peak MiB", "index MiB", "bytes an object")
    rows = [
        (
            f"{each.objects:,}",
            f"{each.measured.seconds:.0f}",
            f"{each.measured.cpu_seconds:.0f}",
            f"{each.measured.peak_rss_bytes / MIB:.0f}",
            f"{each.index_bytes / MIB:.0f}",
            f"{each.index_bytes / each.objects:.0f}",
        )
        for each in found
    ]
    return table(header, rows)
