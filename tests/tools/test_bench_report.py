"""What the benchmark says about what it measured."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tools.bench import targets
from tools.bench.provide import mirror_in
from tools.bench.report import CPU_PLOT, DISK_PLOT, SECONDS_PLOT, SIZE_PLOT, Report
from tools.bench.results import (
    DAY2,
    DD,
    DISK,
    FIRST,
    LS_MANY,
    MEMORY,
    READ_IMAGE,
    START,
    UNCHANGED,
    Image,
    Program,
    Results,
    Sample,
)
from tools.measure import MIB
from tools.programs import ToolError

OURS = targets.OURS


def sample(program: str, operation: str, seconds: float, *, place: str = MEMORY, others: float = 0.0) -> Sample:
    """Return a sample whose other figures follow from its seconds."""
    return Sample(place, program, operation, seconds, 2 * seconds, int(100 * MIB), int(seconds * MIB), others)


@pytest.fixture
def results() -> Results:
    """Two peers; the second is the faster one at the first backup, and was not measured at the next."""
    samples = [
        *(sample(OURS, FIRST, seconds) for seconds in (10.0, 12.0, 11.0)),
        sample("slow", FIRST, 40.0),
        sample("fast", FIRST, 22.0),
        sample(OURS, UNCHANGED, 3.0),
        sample("slow", UNCHANGED, 2.0),
        sample(DD, READ_IMAGE, 1.5),
        sample(OURS, START, 0.075),
    ]
    programs = [Program(name, f"{name} 1.0", "nothing", "all") for name in (OURS, "slow", "fast", "never")]
    images = [Image("debian.img", 8192 * MIB, 3626 * MIB)]
    return Results(
        "a machine", "2026-11-24", "abc", programs, images, "images", 10_000, {"never": "not to\n be had"}, samples
    )


def row(text: str, title: str) -> list[str]:
    """Return the cells of the first row of a table that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_disturbed_samples_count_only_where_there_are_no_others(results: Results) -> None:
    """A neighbour's work would be taken for packstore's slowness; or nothing would be said at all."""
    results.samples.append(sample(OURS, FIRST, 100.0, others=0.9))
    assert results.median(MEMORY, FIRST, OURS) == 11.0
    results.samples.append(sample(OURS, DAY2, 5.0, others=0.9))
    assert results.median(MEMORY, DAY2, OURS) == 5.0
    text = Report(results).text()
    assert r"5.00\*" in text
    assert "1 of 11 commands" in text, "those that do not count"
    assert "**1 commands" in text, "those that count all the same"


def test_targets_compare_with_the_fastest_peer(results: Results) -> None:
    """Being faster than the slowest peer would pass for being fast."""
    text = Report(results).text()
    assert row(text, "first backup") == ["first backup", "≥ 2.20 x", "2.00 x", "fast", "**no**"]
    assert row(text, "unchanged backup") == ["unchanged backup", "≥ 6.00 x", "0.67 x", "slow", "**no**"]
    assert row(text, "unchanged backup, against reading")[2:4] == ["0.50 x", "dd: read the image"]
    results.samples.append(sample("fast", FIRST, 28.6))
    assert row(Report(results).text(), "first backup")[2:] == ["2.30 x", "fast", "yes"], "a median of 25.3"
    assert row(text, "`packstore --version`")[2:] == ["75 ms", "", "yes"]
    assert row(text, "random data")[2:] == ["not measured", "", "-"]


def test_a_short_list_is_not_taken_for_a_long_one(results: Results) -> None:
    """The quick benchmark lists few versions: that would be shown as reaching the target for 10,000."""
    results.samples.append(sample(OURS, LS_MANY, 0.2))
    assert row(Report(results).text(), "`ls` of 10,000 versions")[2] == "200 ms"
    results.versions = 200
    assert row(Report(results).text(), "`ls` of 10,000 versions")[2] == "not measured"


def test_targets_leave_out_who_does_less(results: Results) -> None:
    """A program that neither compresses nor encrypts would be the one to beat."""
    results.programs[2] = replace(results.programs[2], counts=False)
    assert row(Report(results).text(), "first backup")[3] == "slow"


def test_ratios_are_to_packstore(results: Results) -> None:
    """A reader would take 0.5 for twice as fast where it is twice as slow."""
    seconds = Report(results).text().split("### Seconds")[1]
    assert row(seconds, OURS)[:4] == [OURS, "3", "11.00", "3.00"]
    assert row(seconds, "fast")[:4] == ["fast", "1", "22.00 (2.00)", "-"]


def test_what_is_missing_is_said(results: Results) -> None:
    """A peer that could not be measured would look as if nobody had thought of it."""
    text = Report(results).text()
    assert "**never is missing here, at least in part**: not to be had" in text
    assert "## On a disk" not in text
    results.samples.append(sample(OURS, FIRST, 20.0, place=DISK))
    assert row(Report(results).text().split("## On a disk")[1], OURS)[2] == "20.00"


def test_results_survive_their_file(results: Results, tmp_path: Path) -> None:
    """The report written again would say something else than the one written after measuring."""
    saved = tmp_path / "results.json"
    results.save(saved)
    assert Results.load(saved) == results
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_measuring_again_replaces_only_that(results: Results) -> None:
    """The run on the disk would throw away what was measured in memory, or old figures mix with new ones."""
    results.samples.append(sample("slow", FIRST, 60.0, place=DISK))
    results.drop(DISK)
    assert len(results.samples) == 9
    assert results.fastest_peer(MEMORY, FIRST) == (22.0, "fast")
    results.drop(MEMORY)
    assert results.fastest_peer(MEMORY, FIRST) is None


def test_the_text_shows_each_picture_that_is_made(results: Results) -> None:
    """The page would have a picture that is not there."""
    plots = Report(results).plots()
    assert set(plots) == {SECONDS_PLOT, CPU_PLOT, SIZE_PLOT}
    assert all(f"({name})" in Report(results).text() for name in plots)
    assert plots[SIZE_PLOT][2][OURS] == [11.0, None]
    results.samples.append(sample(OURS, FIRST, 20.0, place=DISK))
    assert f"({DISK_PLOT})" in Report(results).text()
    assert DISK_PLOT in Report(results).plots()


def test_pictures_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    """Each run of the benchmark would change files that show the same."""
    made = []
    for number in range(2):
        path = tmp_path / f"{number}.svg"
        code = (
            "import sys; from pathlib import Path; from tools.bench import plots;"
            "plots.bars(Path(sys.argv[1]), 'Seconds', ['a', 'b'], {'one': [1.0, None], 'other': [2.5, 3.0]})"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
        made.append(path.read_bytes())
    assert made[0] == made[1]
    assert b">other<" in made[0], "text is text"
    assert len(made[0]) < 20_000


def test_the_mirror_is_debians_own() -> None:
    """Another vendor's mirror, or that of security updates, has no newest suite: restic would be skipped."""
    listed = "Vendor main http://vendor.example/\nDebian main http://one.example/debian-security/\n\n"
    assert mirror_in(listed + "Debian contrib http://a/\nDebian main http://two.example/debian/\n").endswith("debian/")
    with pytest.raises(ToolError):
        mirror_in(listed)
