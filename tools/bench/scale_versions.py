"""How long commands take where there are many versions: `ls` of ten thousand, each in a meta pack of its own."""

from dataclasses import dataclass
from pathlib import Path

from packstore.cli.credentials import read_key_file
from packstore.codec.slots import Credential
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.format.version import Version, encode_version
from packstore.ids import HOLE
from packstore.limits import GIB, MIB
from packstore.repository.repository import OpenOptions, Repository
from packstore.repository.runtime import Runtime
from packstore.storage.file import FileStorage
from tools.bench.many_versions import command
from tools.measure import run
from tools.table import table

VERSIONS = 10_000
_ROUNDS = 5
_COMMANDS = (("--version",), ("ls",), ("ls", "volume-7"), ("show", "volume-7"), ("stats", "volume-7"))


@dataclass(frozen=True)
class Taken:
    """The least that a command took in several rounds: seconds of processor time and of the clock, bytes of memory."""

    words: tuple[str, ...]
    cpu_seconds: float
    seconds: float
    peak_rss_bytes: int


def build(directory: Path, versions: int = VERSIONS) -> None:
    """Make the repository, unless it is there: versions of a hundred volumes, an hour apart."""
    if (directory / "repository").exists():
        return
    directory.mkdir(parents=True)
    run(command(directory, "init", "--reserve", "0"))
    key = Credential.from_secret(read_key_file(directory / "key"))
    opening = OpenOptions(directory / "index", lambda _: key, expect_encrypted=True)
    repository = Repository.open(FileStorage(directory / "repository"), opening, Runtime())
    try:
        for number in range(versions):
            plain = encode_version(_version(repository, number))
            pack = repository.new_pack(PackType.META)
            object_id = repository.keyring.object_id(plain)
            pack.append(repository.codec.encode(Kind.VERSION, object_id, plain))
            pack.seal()
    finally:
        repository.close()
    run(command(directory, "ls"))


def _version(repository: Repository, number: int) -> Version:
    runtime = repository.runtime
    return Version(
        uid=runtime.new_uid(),
        volume=f"volume-{number % 100}",
        date_ms=1_700_000_000_000 + number * 3_600_000,
        counter=number + 1,
        size=100 * GIB,
        block_size=MIB,
        root=HOLE,
        source={"type": "device", "path": f"/dev/vg/volume-{number % 100}"},
        unreadable=[],
        trusted_runs=number // 100 % 30,
        statistics={"bytes_total": 100 * GIB, "bytes_read": 100 * GIB, "bytes_new": number * MIB, "duration_ms": 1000},
        tags=["b_daily"],
        base=None,
        program=runtime.program,
        host=runtime.hostname,
    )


def measure(directory: Path) -> list[Taken]:
    """Run each command some times."""
    found = []
    for words in _COMMANDS:
        runs = [run(command(directory, *words)) for _ in range(_ROUNDS)]
        least = (min(each.cpu_seconds for each in runs), min(each.seconds for each in runs))
        found.append(Taken(words, *least, max(each.peak_rss_bytes for each in runs)))
    return found


def report(found: list[Taken]) -> str:
    """Return the table."""
    header = ("command", "CPU ms", "ms", "peak MiB")
    rows = [
        (
            f"`packstore {' '.join(each.words)}`",
            f"{1000 * each.cpu_seconds:.0f}",
            f"{1000 * each.seconds:.0f}",
            f"{each.peak_rss_bytes / MIB:.0f}",
        )
        for each in found
    ]
    return table(header, rows)
