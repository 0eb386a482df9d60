"""A repository with a long list of versions, made fast, to see how long commands take to find their way in it.

    python -m tools.bench.version_list DIR [--versions 10000]

Makes DIR/repository, DIR/key and DIR/index. One small file is backed up; all other versions have its contents, each in
a file of its own in meta/, as a backup leaves it. They are written without a writer's intent, as nobody else is there:
with it each one would read all that came before.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from packstore.cli.credentials import read_key_file
from packstore.codec.slots import Credential
from packstore.format.pack import PackType
from packstore.format.record import Kind
from packstore.format.version import Version, encode_version
from packstore.repository.repository import OpenOptions, Repository
from packstore.repository.runtime import Runtime
from packstore.storage.file import FileStorage
from tools.bench.many_versions import command
from tools.measure import run
from tools.programs import ToolError

_VOLUMES = 100
"""Among which the versions are dealt out."""
_HOUR_MS = 3_600_000


def build(directory: Path, versions: int) -> None:
    """Make a repository with so many versions in an empty directory, and an index that knows them all."""
    run(command(directory, "init", "--reserve", "0"))
    source = directory / "source"
    source.write_bytes(bytes(range(256)) * 4096)
    run(command(directory, "backup", str(source), _volume(0)))
    key = Credential.from_secret(read_key_file(directory / "key"))
    opening = OpenOptions(directory / "index", lambda _: key, expect_encrypted=True)
    repository = Repository.open(FileStorage(directory / "repository"), opening, Runtime())
    try:
        first = repository.states()[0].version
        for number in range(1, versions):
            _publish(repository, first, number)
    finally:
        repository.close()
    run(command(directory, "ls"))


def _publish(repository: Repository, first: Version, number: int) -> None:
    version = replace(
        first,
        uid=repository.runtime.new_uid(),
        volume=_volume(number),
        date_ms=first.date_ms + number * _HOUR_MS // _VOLUMES,
        counter=first.counter + number,
    )
    plain = encode_version(version)
    pack = repository.new_pack(PackType.META)
    try:
        pack.append(repository.codec.encode(Kind.VERSION, repository.keyring.object_id(plain), plain))
        pack.seal()
    finally:
        pack.discard()


def _volume(number: int) -> str:
    return f"volume-{number % _VOLUMES:02}"


def main() -> int:
    """Build the repository."""
    parser = argparse.ArgumentParser(description="Make a repository with a long list of versions.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="an empty directory, or one that is not there")
    parser.add_argument("--versions", type=int, default=10_000, help="how many (default: 10000)")
    options = parser.parse_args()
    try:
        options.directory.mkdir(parents=True, exist_ok=True)
        build(options.directory.resolve(), options.versions)
    except (ToolError, OSError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
