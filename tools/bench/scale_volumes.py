"""How much a backup with hints costs on volumes of any size: 100 changed blocks of 1 GiB, and of 200 TiB.

The first version of each volume is not read from a device, which would take days. Its device has 257 different blocks,
which come again and again (`null://SIZE?distinct=257`); these are stored by an ordinary backup. A page of 256 entries
then begins at another of the 257 each time, so each level has 257 different pages and a backup finds other pages
wherever it looks, as in a real tree. All pages are stored, and the version is committed like any other; only that
nobody has read the blocks. What is measured is the second `packstore backup --hints` after that; of the smallest volume
the content is compared, too.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from packstore.cli.credentials import read_key_file
from packstore.codec.slots import Credential
from packstore.format.page import Page, encode_page
from packstore.ids import HOLE, ObjectId
from packstore.limits import GIB, MIB
from packstore.repository.repository import OpenOptions, Repository
from packstore.repository.runtime import Runtime
from packstore.repository.session import Session
from packstore.repository.tree import page_blocks, tree_levels
from packstore.storage.file import FileStorage
from tools.bench.many_versions import command
from tools.measure import Measured, run, tree_bytes
from tools.programs import ToolError
from tools.store import document
from tools.table import table

TIB = 1024 * GIB
SIZES = (GIB, TIB, 10 * TIB, 200 * TIB)
DISTINCT = 257
CHANGED = 100


@dataclass(frozen=True)
class Cost:
    """What one backup took: processor and wall-clock time in seconds, memory and storage in bytes."""

    size: int
    measured: Measured
    stored_bytes: int
    metadata_bytes: int
    index_bytes: int


def measure(directory: Path, size: int) -> Cost:
    """Make a volume of so many bytes, change 100 blocks of it, back it up by hints."""
    directory.mkdir(parents=True)
    run(command(directory, "init", "--reserve", "0"))
    device = f"null://{size}?distinct={DISTINCT}&round={{}}&changed={CHANGED}"
    run(command(directory, "backup", f"null://{DISTINCT * MIB}?distinct={DISTINCT}", "blocks"))
    _commit_base(directory, size, device.format(0))
    for number in (1, 2):  # the first one also has the index read what the base has stored
        before = tree_bytes(directory / "repository/meta")
        changed = device.format(number)
        measured = run(command(directory, "--json", "backup", changed, "big", "--hints", changed))
        found = document(measured)
        if not found["hints_followed"] or found["bytes_new"] != min(size // MIB, CHANGED) * MIB:
            raise ToolError(f"not the backup that was to be measured: {found}")
    if size <= GIB:
        run(command(directory, "check", "big", "--source", device.format(2)))
    metadata = tree_bytes(directory / "repository/meta") - before
    return Cost(size, measured, found["bytes_stored"], metadata, tree_bytes(directory / "index"))


def _commit_base(directory: Path, size: int, device: str) -> None:
    key = Credential.from_secret(read_key_file(directory / "key"))
    opening = OpenOptions(directory / "index", lambda _: key, expect_encrypted=True)
    repository = Repository.open(FileStorage(directory / "repository"), opening, Runtime())
    try:
        stored = repository.states()[0].version
        tree = repository.tree(stored)
        entries = [tree.entry(index) for index in range(DISTINCT)]
        runtime = repository.runtime
        with Session(repository, "backup big") as session:
            root = _Pages(session, entries, -(-size // MIB)).root()
            session.commit(
                replace(
                    stored,
                    uid=runtime.new_uid(),
                    volume="big",
                    date_ms=runtime.now_ms(),
                    counter=repository.next_counter(),
                    size=size,
                    root=root,
                    source={"type": "device", "path": device},
                )
            )
    finally:
        repository.close()


class _Pages:
    """Stores the pages of a tree whose blocks repeat: a page that begins at the same of them is the same page."""

    def __init__(self, session: Session, entries: list[tuple[ObjectId, bytes]], count: int) -> None:
        self._session = session
        self._ids = b"".join(object_id for object_id, _ in entries) * 2
        self._fingerprints = b"".join(fingerprint for _, fingerprint in entries) * 2
        self._count = count
        self._stored: dict[tuple[int, int, int], ObjectId] = {}

    def root(self) -> ObjectId:
        return self._page(tree_levels(self._count) - 1, 0) if self._count else HOLE

    def _page(self, level: int, begin: int) -> ObjectId:
        blocks = min(page_blocks(level), self._count - begin)
        key = level, begin % DISTINCT, blocks
        if key not in self._stored:
            self._stored[key] = self._session.put_page(encode_page(self._make(level, begin, blocks)))
        return self._stored[key]

    def _make(self, level: int, begin: int, blocks: int) -> Page:
        if level:
            below = page_blocks(level - 1)
            return Page(level, b"".join(self._page(level - 1, at) for at in range(begin, begin + blocks, below)))
        at = begin % DISTINCT
        return Page(0, self._ids[64 * at : 64 * (at + blocks)], self._fingerprints[16 * at : 16 * (at + blocks)])


def report(costs: list[Cost]) -> str:
    """Return the table."""
    header = ("volume", "seconds", "CPU seconds", "peak MiB", "stored KiB", "of it metadata KiB", "index MiB")
    rows = [
        (
            f"{cost.size // TIB} TiB" if cost.size >= TIB else f"{cost.size // GIB} GiB",
            f"{cost.measured.seconds:.2f}",
            f"{cost.measured.cpu_seconds:.2f}",
            f"{cost.measured.peak_rss_bytes / MIB:.0f}",
            f"{cost.stored_bytes / 1024:.0f}",
            f"{cost.metadata_bytes / 1024:.0f}",
            f"{cost.index_bytes / MIB:.1f}",
        )
        for cost in costs
    ]
    return table(header, rows)
