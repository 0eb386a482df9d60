"""Measure packstore next to its peers: `make bench`.

    python -m tools.bench [--rounds 3] [--dir bench-out] [--image FILE] [--write] [PEER …]

Prints the report as Markdown; --write stores it as docs/BENCHMARKS.md too.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tools import images
from tools.bench.peer import Peer
from tools.bench.peers import PEERS
from tools.bench.report import Report
from tools.bench.rounds import Sample, measure_all
from tools.programs import ToolError, install_missing
from tools.store import forget_user_settings

WRITTEN = Path(__file__).resolve().parents[2] / "docs" / "BENCHMARKS.md"


def bench(options: argparse.Namespace, work: Path) -> None:
    """Build the image, measure, report."""
    skipped = []
    peers: list[type[Peer]] = []
    for peer in PEERS:
        if peer is not PEERS[0] and options.peers and peer.name not in options.peers:
            continue
        lacking = install_missing(dict(peer.programs))
        if lacking:
            print(f"\n*** {peer.name} SKIPPED: cannot install {' '.join(lacking)} ***\n", file=sys.stderr, flush=True)
            skipped.append(peer.name)
        else:
            print(f"  {peer.name}: {peer.version()}", flush=True)
            peers.append(peer)
    samples = []
    image = options.image.resolve() if options.image else _build(work)
    for sample in measure_all(peers, image, work, options.rounds):
        print(_line(sample), flush=True)
        samples.append(sample)
    text = Report(samples, peers, image, skipped).text()
    print(f"\n{text}")
    if options.write:
        WRITTEN.write_text(text, encoding="utf-8")


def _build(work: Path) -> Path:
    print("  build the image …", flush=True)
    image = work / "disk.img"
    images.build(image)
    return image


def _line(sample: Sample) -> str:
    measured = sample.measured
    return f"  {sample.peer:10} {sample.operation:17} {measured.seconds:6.2f} s, CPU {measured.cpu_seconds:6.2f} s"


def main() -> int:
    """Run the benchmark in a directory of its own, which is removed at the end."""
    names = [peer.name for peer in PEERS[1:]]
    parser = argparse.ArgumentParser(description="Measure packstore next to its peers.")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"only these of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure everything (default: 3)")
    parser.add_argument("--dir", type=Path, default=Path("bench-out"), help="where to work (default: bench-out)")
    parser.add_argument("--image", type=Path, help="measure with this image instead of building one")
    parser.add_argument("--write", action="store_true", help="write docs/BENCHMARKS.md as well")
    options = parser.parse_args()
    if unknown := set(options.peers) - set(names):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    options.dir.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="run-", dir=options.dir.resolve()))
    forget_user_settings()
    try:
        images.require_space(work)
        bench(options, work)
    except ToolError as error:
        print(f"bench failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench interrupted", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
