"""Measure packstore next to its peers: `make bench`.

    python -m tools.bench [--dir bench-out] [--rounds 3] [--disk | --report] [--quick] [--all | PEER …] [--docs DIR]

The images, the peers' programs and results.json stay in --dir and are used again. A run replaces all results of
its place: those in memory and those on the disk (--disk) come from two runs.
"""

import argparse
import datetime as dt
import os
import platform
import signal
import sys
from pathlib import Path

from tools.bench import places
from tools.bench.data import Data, prepare
from tools.bench.peer import Peer
from tools.bench.peers import PEERS
from tools.bench.places import Place
from tools.bench.provide import Provider
from tools.bench.report import Report
from tools.bench.results import DISK, MEMORY, Image, Program, Results, Sample
from tools.bench.rounds import Rounds
from tools.bench.targets import VERSIONS
from tools.measure import MIB, Command, run
from tools.programs import ToolError
from tools.store import forget_user_settings

_QUICK_VERSIONS = 200


def bench(options: argparse.Namespace, directory: Path, saved: Path) -> Results:
    """Prepare data and programs, measure, and keep every result as soon as there is one."""
    data = prepare(directory, quick=options.quick, mirror=options.mirror)
    results = Results.load(saved) if saved.exists() else Results()
    name = DISK if options.disk else MEMORY
    peers = _prepare_peers(_chosen(options), Provider(options.dir.resolve() / "peers", dict(options.source)), results)
    results.drop(name)
    _describe(results, data, peers)
    used = sum(image.stat().st_blocks * 512 for image in (data.day1, data.day2))
    with places.disk(directory) if options.disk else places.memory(directory, used) as place:
        _measure(place, data, peers, options, results, saved)
    return results


def _measure(
    place: Place, data: Data, peers: list[type[Peer]], options: argparse.Namespace, results: Results, saved: Path
) -> None:
    results.versions = _QUICK_VERSIONS if options.quick else VERSIONS
    rounds = Rounds(place, data, peers, options.rounds, results.versions)
    for sample in rounds.measure():
        print(_line(sample), flush=True)
        results.samples.append(sample)
        results.skipped |= rounds.failed
        results.save(saved)
    results.skipped |= rounds.failed
    results.save(saved)


def _chosen(options: argparse.Namespace) -> list[type[Peer]]:
    if options.peers or options.all:
        return [peer for peer in PEERS if peer is PEERS[0] or options.all or peer.name in options.peers]
    return [peer for peer in PEERS if peer.default]


def _prepare_peers(chosen: list[type[Peer]], provider: Provider, results: Results) -> list[type[Peer]]:
    """Return those that can be had here; note the others, loudly."""
    ready = []
    for peer in chosen:
        results.skipped.pop(peer.name, None)
        try:
            peer.prepare(provider)
            print(f"  {peer.name}: {peer.version()}", flush=True)
        except ToolError as error:
            print(f"\n*** {peer.name} SKIPPED: {error} ***\n", file=sys.stderr, flush=True)
            results.skipped[peer.name] = str(error)
        else:
            ready.append(peer)
    return ready


def _describe(results: Results, data: Data, peers: list[type[Peer]]) -> None:
    """Note what the report has to say besides figures."""
    results.date = str(dt.datetime.now(tz=dt.UTC).date())
    results.machine = _machine()
    results.packstore = _source_state()
    results.about = data.about
    results.images = [Image(path.name, path.stat().st_size, path.stat().st_blocks * 512) for path in data.all()]
    known = {program.name: program for program in results.programs}
    known |= {peer.name: Program(peer.name, peer.version(), peer.differs, peer.verifies, peer.counts) for peer in peers}
    results.programs = [known[peer.name] for peer in PEERS if peer.name in known]


def _machine() -> str:
    models = (
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MIB / 1024
    model = next(models, platform.machine())
    system = f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    return f"{os.cpu_count()} CPUs ({model}), {memory:.0f} GiB RAM, {system}"


def _source_state() -> str:
    """Return the commit that is measured, and whether the program was changed since."""
    try:
        commit = run(Command(("git", "describe", "--always"))).stdout.strip()
        changed = run(Command(("git", "status", "--porcelain", "--", "packstore"))).stdout.strip()
    except ToolError:
        return "of no known commit"
    return f"{commit}, with changes" if changed else commit


def _line(sample: Sample) -> str:
    busy = f", others {sample.others:.2f}" if sample.others else ""
    return f"  {sample.program:14} {sample.operation:26} {sample.seconds:7.2f} s, CPU {sample.cpu_seconds:7.2f} s{busy}"


def write(results: Results, directory: Path) -> None:
    """Write the report and its pictures into a directory."""
    from tools.bench import plots  # noqa: PLC0415 (its library is there only after `make bench`)

    report = Report(results)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "BENCHMARKS.md").write_text(report.text(), encoding="utf-8")
    for name, (title, groups, series) in report.plots().items():
        plots.bars(directory / name, title, groups, series)
    print(f"  written: {directory / 'BENCHMARKS.md'}")


def _source(text: str) -> tuple[str, Path]:
    project, _, path = text.partition("=")
    if not path or not Path(path).is_dir():
        raise argparse.ArgumentTypeError(f"{text}: write PROJECT=DIRECTORY, as in benji=../benji")
    return project, Path(path)


def _options() -> argparse.Namespace:
    names = [peer.name for peer in PEERS[1:]]
    parser = argparse.ArgumentParser(prog="tools.bench", description="Measure packstore next to its peers.")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"only these of: {', '.join(names)}")
    parser.add_argument("--all", action="store_true", help="all of them, also those that are slow or hard to get")
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure everything (default: 3)")
    parser.add_argument("--dir", type=Path, default=Path("bench-out"), help="what is kept (default: bench-out)")
    parser.add_argument("--disk", action="store_true", help="on the disk of --dir with nothing cached, not in memory")
    parser.add_argument("--quick", action="store_true", help="small images, for which nobody needs to be root")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the report again")
    parser.add_argument("--docs", type=Path, help="where to write BENCHMARKS.md and images/ (default: --dir)")
    parser.add_argument("--mirror", help="where debootstrap finds Debian's packages (default: its own default)")
    parser.add_argument(
        "--source", type=_source, action="append", default=[], metavar="PROJECT=DIR", help="install from here, not PyPI"
    )
    options = parser.parse_args()
    if unknown := set(options.peers) - set(names):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    """Measure, and write the report."""
    options = _options()
    directory = options.dir / "quick" if options.quick else options.dir
    saved = directory / "results.json"
    forget_user_settings()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was mounted goes again then too
    try:
        results = Results.load(saved) if options.report else bench(options, directory, saved)
        write(results, options.docs or directory)
    except (ToolError, OSError) as error:
        print(f"bench failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
