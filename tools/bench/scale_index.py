"""How long an index takes to be made anew, by the number of objects.

Makes a repository whose `meta/` has the directories of so many packs, as backups in blocks of 1 MiB leave them: each
compressed and encrypted, with a record of 150 blocks with random ids. The packs themselves are not there: nothing that
is measured here reads one.
"""

import os
import random
from dataclasses import dataclass
from pathlib import Path

from packstore.cli.credentials import read_key_file
from packstore.codec.slots import Credential
from packstore.format.pack import PACK_HEADER, Entry, encode_directory
from packstore.format.record import HEADER_BYTES, Compression, Encryption, Kind
from packstore.ids import ObjectId
from packstore.limits import MIB
from packstore.repository.repository import OpenOptions, Repository
from packstore.repository.runtime import Runtime
from packstore.repository.session import Session
from packstore.storage.file import FileStorage
from tools.bench.many_versions import command
from tools.measure import Measured, run
from tools.store import document
from tools.table import table

_RECORDS = 150
"""A pack of 128 MiB with blocks of 1 MiB that compress a little."""


@dataclass(frozen=True)
class Rebuilt:
    """What `index rebuild` took."""

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
    draw = random.Random(objects)  # noqa: S311 (nothing secret)
    try:
        with Session(repository, "bench") as session:
            for _ in range(-(-objects // _RECORDS)):
                session.put_record(Kind.DIRECTORY, _directory(repository, draw))
            session.keep()
    finally:
        repository.close()


def _directory(repository: Repository, draw: random.Random) -> bytes:
    ids, key_id = os.urandom(64 * _RECORDS), repository.keyring.writing_key(Kind.BLOCK).id
    entries, offset = [], PACK_HEADER.size
    for number in range(_RECORDS):
        size = draw.randrange(MIB // 2, MIB)
        object_id = ObjectId(ids[64 * number : 64 * number + 64])
        entries.append(Entry(Kind.BLOCK, object_id, offset, size, MIB, Compression.ZSTD, Encryption.AEGIS_256, key_id))
        offset += HEADER_BYTES + size
    return encode_directory(repository.runtime.new_pack_id(), entries)


def measure(directory: Path, objects: int) -> Rebuilt:
    """Make the index of the repository anew."""
    measured = run(command(directory, "--json", "index", "rebuild"))
    found = document(measured)
    assert found["objects"] >= objects
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
