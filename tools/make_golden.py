"""Make a golden repository: `python -m tools.make_golden NAME`.

Run once for each released format, and never again for the same one: a golden repository is never edited.
It holds what a reader must cope with: an odd size, holes, repeated blocks, two versions that share pages,
tags, another volume.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
PASSPHRASE = "golden repository"  # noqa: S105  printed beside it
BLOCK = 64 * 1024


def run(repository: Path, *arguments: str) -> dict[str, str]:
    """Run one packstore command; return what it says."""
    with tempfile.TemporaryDirectory() as index:
        environment = os.environ | {"PACKSTORE_PASSPHRASE": PASSPHRASE, "PACKSTORE_INDEX_DIR": index}
        command = [sys.executable, "-m", "packstore", "-r", str(repository), "--json", *arguments]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    document: dict[str, str] = json.loads(done.stdout)
    return document


def contents() -> list[tuple[str, bytes, list[str]]]:
    """Return volume, content and tags of each version, in the order in which they are backed up."""
    source = random.Random(20261123)  # noqa: S311  the same content each time
    text = b"".join(b"line %d of a file that compresses\n" % number for number in range(6000))
    noise = source.randbytes(2 * BLOCK)
    first = text[: 2 * BLOCK] + bytes(300 * BLOCK) + noise + noise + text[:12345]
    second = bytearray(first)
    second[BLOCK : BLOCK + 5] = b"later"
    return [("disk", first, ["first"]), ("disk", bytes(second), []), ("empty", b"", []), ("other", noise, ["a", "b"])]


def main(name: str) -> None:
    """Make the golden repository called `name`."""
    place = GOLDEN / name
    place.mkdir(parents=True)
    repository = place / "repository"
    run(
        repository,
        "init",
        "--block-size",
        "64KiB",
        "--pack-size",
        "1MiB",
        "--encryption-version",
        "2",
        "--reserve",
        "0",
    )
    versions = {}
    with tempfile.TemporaryDirectory() as directory:
        for volume, content, tags in contents():
            image = Path(directory, f"{volume}.img")
            image.write_bytes(content)
            made = run(repository, "backup", str(image), volume, *(f"--tag={tag}" for tag in tags))
            versions[made["version"]] = {"volume": volume, "sha256": hashlib.sha256(content).hexdigest(), "tags": tags}
    (place / "passphrase").write_text(PASSPHRASE + "\n")
    (place / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")
    files = sorted(path for path in repository.rglob("*") if path.is_file())
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(place)}\n" for path in files)
    (place / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main(sys.argv[1])
