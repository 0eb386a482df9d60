"""Show that a device goes in and comes back: `make demo`.

    python -m tools.demo [--keep] [--dir DIRECTORY]

Builds a real ext4 image, backs it up encrypted, changes files in it, backs it up twice more, checks the
repository, restores the first day and the second, and compares both byte for byte. packstore is used as
its users use it: through its command line. Exits with 0 only if everything came back.
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tools import images
from tools.measure import Measured, run
from tools.programs import ToolError
from tools.store import Store, document, forget_user_settings
from tools.table import mib, rate, table

HEADER = ("step", "seconds", "MiB/s", "read MiB", "new MiB", "stored MiB")
VOLUME = "demo"
Result = TypeVar("Result")


@dataclass
class Report:
    """The steps taken so far; each is announced while it runs, so that nobody stares at silence."""

    store: Store
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def prepare(self, step: str, work: Callable[[], Result]) -> Result:
        """Do something that is not packstore's work."""
        begin = time.monotonic()
        _announce(step)
        result = work()
        self.rows.append((step, f"{time.monotonic() - begin:.1f}", "", "", "", ""))
        return result

    def command(self, step: str, *arguments: str, size: int = 0) -> Measured:
        """Run a packstore command that works through `size` bytes."""
        _announce(step)
        measured = run(self.store.command(*arguments))
        speed = rate(size, measured.seconds) if size else ""
        self.rows.append((step, f"{measured.seconds:.1f}", speed, "", "", ""))
        return measured

    def backup(self, step: str, image: Path) -> dict[str, Any]:
        """Back up `image` and return what packstore says about it."""
        _announce(step)
        measured = run(self.store.command("backup", str(image), VOLUME))
        counts = document(measured)
        numbers = [mib(counts[key]) for key in ("bytes_read", "bytes_new", "bytes_stored")]
        speed = rate(counts["bytes_total"], measured.seconds)
        self.rows.append((step, f"{measured.seconds:.1f}", speed, *numbers))
        return counts


def demonstrate(work: Path) -> None:
    """Do everything the module's docstring promises, in `work`, and print the report."""
    report = Report(Store(work))
    image, day_1 = work / "disk.img", work / "disk-day-1.img"
    contents = report.prepare("build the image", lambda: images.build(image))
    report.command("init", "init")
    first = report.backup("backup, day 1", image)
    report.prepare("keep a copy of day 1", lambda: images.copy_sparse(image, day_1))
    changes = report.prepare("change files: day 2", lambda: images.change(image, contents))
    second = report.backup("backup, day 2", image)
    after_two = report.store.stored_bytes
    third = report.backup("backup, nothing changed", image)
    kept = report.store.stored_bytes
    report.command("check --keyless", "check", "--keyless", size=kept)
    report.command("check", "check", size=kept)
    for step, counts, original in (("day 1", first, day_1), ("day 2", second, image)):
        _restore(report, step, counts["version"], original)
    print()
    print(table(HEADER, report.rows))
    print(f"""
Image      {mib(images.IMAGE_BYTES)} MiB ext4: {mib(contents.size)} MiB in {len(contents.paths):,} files, \
{mib(contents.generated)} MiB of them generated
Day 2      {changes.files_written} files written ({mib(changes.bytes_written)} MiB), {changes.files_removed} removed
Stored     day 1: {mib(first["bytes_stored"])} MiB, {_ratio(first)}; day 2: {mib(second["bytes_stored"])} MiB more, \
for {mib(second["bytes_new"])} MiB of new blocks
Unchanged  the repository grew by {(kept - after_two) / 1024:.1f} KiB; {mib(third["bytes_unchanged"])} MiB recognised
Repository {mib(kept)} MiB for three versions of {mib(images.IMAGE_BYTES)} MiB, \
and {mib(report.store.reserve_bytes)} MiB in reserve for a full disk
Result     both days came back, byte for byte""")


def _restore(report: Report, day: str, version: str, original: Path) -> None:
    """Restore `version` and compare it with `original`; raise ToolError where they differ."""
    restored = original.with_name("restored.img")
    report.command(f"restore, {day}", "restore", version, str(restored), size=images.IMAGE_BYTES)
    where = report.prepare(f"compare, {day}", lambda: images.first_difference(original, restored))
    if where is not None:
        raise ToolError(f"{day} did not come back: {restored} differs from {original} in the MiB at byte {where}")
    restored.unlink()


def _ratio(counts: dict[str, Any]) -> str:
    """Say how much smaller than its data a version was stored."""
    data = counts["bytes_total"] - counts["bytes_hole"]
    return f"1 : {data / max(1, counts['bytes_stored']):.2f} of {mib(data)} MiB that are no holes"


def _announce(step: str) -> None:
    print(f"  {step} …", flush=True)


def main() -> int:
    """Run the demo in a directory of its own, which is removed at the end."""
    parser = argparse.ArgumentParser(description="Back up a real disk image, restore it, compare.")
    parser.add_argument("--dir", type=Path, default=Path("demo-out"), help="where to work (default: demo-out)")
    parser.add_argument("--keep", action="store_true", help="leave images and repository there")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="run-", dir=options.dir.resolve()))
    forget_user_settings()
    begin = time.monotonic()
    print(f"packstore demo on {os.cpu_count()} CPUs, Python {platform.python_version()}, in {work}", flush=True)
    try:
        images.require_space(work)
        demonstrate(work)
    except ToolError as error:
        print(f"\ndemo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo interrupted", file=sys.stderr)
        return 130
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)
    print(f"Time       {time.monotonic() - begin:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
