"""A repository with many versions of one large volume, and how long commands take on it.

    python -m tools.bench.many_versions DIR [--versions 200] [--size-gib 100] [--changed 1.0] [--run 1]
                                        [--time "ls" --time "diff big~1 big" …]

Makes DIR/repository, DIR/key and DIR/index, unless they are there, and times commands on them, each as a
process of its own. Every block is a megabyte of its own, with its true id, and compresses to almost nothing; so 300 GiB
are written in two minutes and take the disk space of their metadata. `--run` is how many neighbouring blocks
change together: 1 is the worst case, a change in almost every leaf page.
"""

import argparse
import hashlib
import hmac
import os
import random
import shlex
import statistics
import sys
import time
from pathlib import Path

from packstore.cli.credentials import read_key_file
from packstore.codec.slots import Credential
from packstore.format.page import NO_FINGERPRINT, Page, encode_page
from packstore.format.record import Kind
from packstore.format.version import Version
from packstore.ids import HOLE, ObjectId, Uid
from packstore.limits import FINGERPRINT_BYTES, MIB, OBJECT_ID_BYTES, PAGE_ENTRIES
from packstore.repository.repository import OpenOptions, Repository
from packstore.repository.runtime import Runtime
from packstore.repository.session import Session
from packstore.storage.file import FileStorage
from tools.measure import Command, run, tree_bytes
from tools.programs import ToolError

VOLUME = "big"
_COMMANDS = (
    "ls",
    f"ls {VOLUME}",
    f"show {VOLUME}",
    f"diff {VOLUME}~1 {VOLUME}",
    f"diff {VOLUME}~100 {VOLUME}~99",
    f"stats {VOLUME}",
)


class Volume:
    """A volume in memory: the ids and fingerprints of its blocks, and the pages made of them."""

    def __init__(self, repository: Repository, blocks: int) -> None:
        self._repository = repository
        self._ids = bytearray(HOLE * blocks)
        self._fingerprints = bytearray(NO_FINGERPRINT * blocks)
        self._pages = bytearray(HOLE * -(-blocks // PAGE_ENTRIES))
        # All blocks but for their last bytes are equal, and so is the state of the hash up to there.
        self._prefix = bytes(MIB - 16)
        keyring = repository.keyring
        self._hash = hmac.new(keyring._id_key.secret, self._prefix, hashlib.sha512) if keyring.encrypted else None  # noqa: SLF001
        self._plain_hash = hashlib.sha512(self._prefix)
        self.bytes_new = 0

    def change(self, session: Session, index: int, version: int) -> None:
        """Store another block at `index`."""
        suffix = version.to_bytes(8, "big") + index.to_bytes(8, "big")
        block = self._prefix + suffix
        state = (self._hash or self._plain_hash).copy()
        state.update(suffix)
        object_id = ObjectId(state.digest())
        session.put_block(self._repository.codec.encode(Kind.BLOCK, object_id, block))
        self._ids[index * OBJECT_ID_BYTES : (index + 1) * OBJECT_ID_BYTES] = object_id
        fingerprint = self._repository.keyring.fingerprint(block)
        self._fingerprints[index * FINGERPRINT_BYTES : (index + 1) * FINGERPRINT_BYTES] = fingerprint
        self.bytes_new += MIB

    def store(self, session: Session, changed: set[int]) -> ObjectId:
        """Store the pages that are new; return the root."""
        for number in sorted({index // PAGE_ENTRIES for index in changed}):
            ids = _slice(self._ids, number, OBJECT_ID_BYTES)
            page = Page(0, ids, _slice(self._fingerprints, number, FINGERPRINT_BYTES))
            object_id = session.put_page(encode_page(page))
            self._pages[number * OBJECT_ID_BYTES : (number + 1) * OBJECT_ID_BYTES] = object_id
        level, ids = 0, bytes(self._pages)
        while len(ids) > OBJECT_ID_BYTES:
            level += 1
            ids = b"".join(
                session.put_page(encode_page(Page(level, _slice(ids, number, OBJECT_ID_BYTES))))
                for number in range(-(-len(ids) // (PAGE_ENTRIES * OBJECT_ID_BYTES)))
            )
        return ObjectId(ids)


def _slice(data: bytes | bytearray, number: int, width: int) -> bytes:
    return bytes(data[number * PAGE_ENTRIES * width : (number + 1) * PAGE_ENTRIES * width])


def build(directory: Path, options: argparse.Namespace) -> None:
    """Make the repository and its versions."""
    begin = time.monotonic()
    run(command(directory, "init", "--reserve", "0"))
    key = Credential.from_secret(read_key_file(directory / "key"))
    opening = OpenOptions(directory / "index", lambda _: key, expect_encrypted=True)
    repository = Repository.open(FileStorage(directory / "repository"), opening, Runtime())
    blocks = options.size_gib * 1024
    volume, chance, base = Volume(repository, blocks), random.Random(options.seed), None  # noqa: S311  not a secret
    try:
        for number in range(options.versions):
            changed = set(range(blocks)) if base is None else _choose(chance, blocks, options)
            base = _commit(repository, volume, number, changed, base, blocks * MIB)
            print(f"\r  version {number + 1} of {options.versions}", end="", file=sys.stderr, flush=True)
    finally:
        repository.close()
    size = tree_bytes(directory / "repository")
    print(f"\nbuilt in {time.monotonic() - begin:.0f} s, {size / MIB:.0f} MiB", file=sys.stderr)


def _choose(chance: random.Random, blocks: int, options: argparse.Namespace) -> set[int]:
    runs = max(1, round(blocks * options.changed / 100 / options.run))
    return {
        (first * options.run + at) % blocks
        for first in chance.sample(range(-(-blocks // options.run)), runs)
        for at in range(options.run)
    }


def _commit(repository: Repository, volume: Volume, number: int, changed: set[int], base: Uid | None, size: int) -> Uid:
    begin, volume.bytes_new = time.monotonic(), 0
    runtime = repository.runtime
    with Session(repository, f"backup {VOLUME}") as session:
        for index in sorted(changed):
            volume.change(session, index, number)
        root = volume.store(session, changed)
        session.flush()
        version = Version(
            uid=runtime.new_uid(),
            volume=VOLUME,
            date_ms=runtime.now_ms(),
            counter=repository.next_counter(),
            size=size,
            block_size=MIB,
            root=root,
            source={"type": "device", "path": "/dev/example/big"},
            unreadable=[],
            trusted_runs=0,
            statistics={
                "bytes_total": size,
                "bytes_read": size,
                "bytes_hole": 0,
                "bytes_unchanged": size - volume.bytes_new,
                "bytes_dedup": 0,
                "bytes_new": volume.bytes_new,
                "bytes_stored": session.bytes_stored,
                "duration_ms": int(1000 * (time.monotonic() - begin)),
            },
            tags=[],
            base=base,
            program=runtime.program,
            host=runtime.hostname,
        )
        session.commit(version)
    return version.uid


def command(directory: Path, *arguments: str) -> Command:
    """Return a packstore command on the repository in `directory`."""
    where = ("-r", str(directory / "repository"), "--key-file", str(directory / "key"))
    environment = {"PACKSTORE_INDEX_DIR": str(directory / "index"), "LC_ALL": "C.UTF-8"}
    return Command((sys.executable, "-m", "packstore", *where, *arguments), environment)


def main() -> int:
    """Build and measure."""
    parser = argparse.ArgumentParser(description="Time commands on a repository with many versions.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="where to work; what is there is used again")
    parser.add_argument("--versions", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--size-gib", type=int, default=100, help="size of the volume in GiB (default: 100)")
    parser.add_argument("--changed", type=float, default=1.0, help="per cent of blocks that change (default: 1)")
    parser.add_argument("--run", type=int, default=1, help="neighbouring blocks that change together (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure each command (default: 3)")
    parser.add_argument("--seed", type=int, default=1, help="of what changes (default: 1)")
    parser.add_argument("--time", action="append", metavar="COMMAND", help="measure this, not ls, diff and others")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("PACKSTORE_")]:
        del os.environ[name]
    directory = options.directory.resolve()
    try:
        if not (directory / "repository").exists():
            directory.mkdir(parents=True, exist_ok=True)
            build(directory, options)
        for text in options.time or _COMMANDS:
            measured = [run(command(directory, *shlex.split(text))) for _ in range(options.rounds)]
            seconds = [each.seconds for each in measured]
            peak = max(each.peak_rss_bytes for each in measured) / MIB
            print(f"{text:28} median {statistics.median(seconds):6.2f} s, best {min(seconds):6.2f} s, {peak:5.0f} MiB")
    except ToolError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
