"""Backups and restores that were killed, and go on where they were."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import BLOCK
from tests.cli.program import Program, wait_until

MIB = 1024 * 1024
LEAF = 256 * BLOCK
SIZE = 3 * LEAF - 5 * BLOCK
MEMO = ".packstore-resume"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Almost three leaf pages of what cannot be compressed, but for a hole."""
    path = tmp_path_factory.mktemp("resume") / "big.img"
    data = bytearray(random.Random(11).randbytes(SIZE))
    data[20 * MIB : 22 * MIB] = bytes(2 * MIB)
    path.write_bytes(data)
    return path


@pytest.fixture
def frozen(image: Path, tmp_path: Path, mounted: Callable[..., Path]) -> Iterator[Path]:
    """The image with the immutable attribute, on a file system that has it."""
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(80 * MIB)
    subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
    path = mounted("-o", "loop", str(disk)) / "big.img"
    shutil.copyfile(image, path)
    subprocess.run(["chattr", "+i", str(path)], check=True)
    yield path
    subprocess.run(["chattr", "-i", str(path)], check=True)


def checkpoints(program: Program) -> int:
    """Meta packs: each checkpoint is one."""
    return len([path for path in program.repo.glob("meta/*") if path.suffix != ".tmp"])


def stop_backup(program: Program, source: Path, number: signal.Signals, *more: str) -> None:
    """Interrupt a backup after its first checkpoint that is due by size."""
    with program.running("backup", source, "vm", "--checkpoint-every", "1", "--threads", "1", *more) as process:
        wait_until(lambda: checkpoints(program) or process.poll() is not None, lambda: "a checkpoint")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130), err
    assert program.json("ls")["versions"] == []


def require_content(program: Program, expected: Path) -> None:
    """The version is the image, byte for byte, and the repository sound."""
    assert program("restore", "vm", "-").expect(0).raw == expected.read_bytes()
    program("check").expect(0)
    assert not list(program.repo.glob("gc/*"))


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_immutable_file_is_not_read_again(repo: Program, frozen: Path, number: signal.Signals) -> None:
    """A backup of 200 TB that was killed on its last day would read 200 TB once more."""
    stop_backup(repo, frozen, number)
    done = repo("backup", frozen, "vm", "--json").expect(0)
    found = done.json
    at = found["resumed_at"]
    assert at >= LEAF
    assert found["bytes_read"] <= SIZE - at
    holes_there = max(0, min(at, 22 * MIB) - 20 * MIB)
    assert found["bytes_resumed"] == at - holes_there
    kinds = ("hole", "unchanged", "dedup", "new", "resumed")
    assert sum(found[f"bytes_{kind}"] for kind in kinds) == found["bytes_total"] == SIZE
    assert found["bytes_new"] <= SIZE - at
    require_content(repo, frozen)
    statistics = repo.json("show", "vm")["version"]["statistics"]
    assert statistics["bytes_resumed"] == found["bytes_resumed"]


@pytest.mark.root
def test_a_file_on_a_read_only_file_system(
    repo: Program, frozen: Path, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    """A snapshot that is mounted read-only would be read twice; or a file of a writable disk be taken for one."""
    subprocess.run(["chattr", "-i", str(frozen)], check=True)
    point = frozen.parent
    seen_through = mounted("--bind", str(point))
    subprocess.run(["mount", "-o", "remount,bind,ro", str(seen_through)], check=True)
    stop_backup(repo, seen_through / frozen.name, signal.SIGINT)
    through_mount = repo.json("backup", seen_through / frozen.name, "vm")
    assert through_mount["resumed_at"] == 0, "a read-only mount of a writable file system proves nothing"
    subprocess.run(["umount", str(seen_through)], check=True)
    subprocess.run(["mount", "-o", "remount,ro", str(point)], check=True)
    _make_again(repo)
    stop_backup(repo, frozen, signal.SIGKILL)
    assert repo.json("backup", frozen, "vm")["resumed_at"] >= LEAF
    require_content(repo, frozen)
    subprocess.run(["mount", "-o", "remount,rw", str(point)], check=True)


def _make_again(program: Program) -> None:
    shutil.rmtree(program.repo, ignore_errors=True)
    program.key.unlink(missing_ok=True)
    program("init", "--reserve", "0", "--block-size", "64KiB", "--pack-size", "1MiB").expect(0)


@pytest.mark.root
@pytest.mark.parametrize("where", [0, 20 * MIB, SIZE - 100])
def test_a_file_that_was_changed_in_between(repo: Program, frozen: Path, where: int) -> None:
    """A version would be made of a state that never was."""
    stop_backup(repo, frozen, signal.SIGKILL)
    subprocess.run(["chattr", "-i", str(frozen)], check=True)
    status = frozen.stat()
    with frozen.open("r+b") as file:
        file.seek(where)
        file.write(b"changed")
    os.utime(frozen, ns=(status.st_atime_ns, status.st_mtime_ns))
    subprocess.run(["chattr", "+i", str(frozen)], check=True)
    found = repo.json("backup", frozen, "vm")
    assert found["resumed_at"] == 0
    assert found["bytes_unchanged"] > LEAF - 2 * BLOCK, "nothing was compared with the checkpoint"
    require_content(repo, frozen)


def test_by_somebodys_word(repo: Program, image: Path) -> None:
    """A snapshot of a kind that packstore does not know would be read again from its begin."""
    stop_backup(repo, image, signal.SIGTERM, "--immutable")
    without = repo.json("ls")
    assert without["versions"] == []
    done = repo("backup", image, "vm", "--immutable").expect(0)
    assert "resumed at" in done.out
    require_content(repo, image)


def test_without_anybodys_word(repo: Program, image: Path) -> None:
    """An ordinary file, which may have changed, would not be read."""
    stop_backup(repo, image, signal.SIGTERM)
    found = repo.json("backup", image, "vm")
    assert found["resumed_at"] == found["bytes_resumed"] == 0
    assert found["bytes_read"] >= SIZE - 2 * MIB
    require_content(repo, image)


@pytest.mark.root
def test_a_loop_device_is_immutable_only_by_word(repo: Program, image: Path, loop: Callable[..., Path]) -> None:
    """A device behind which a file may be written to would be taken for one that cannot change."""
    device = loop(image, "--read-only")
    stop_backup(repo, device, signal.SIGKILL)
    assert repo.json("backup", device, "vm")["resumed_at"] == 0
    _make_again(repo)
    stop_backup(repo, device, signal.SIGKILL, "--immutable")
    assert repo.json("backup", device, "vm", "--immutable")["resumed_at"] >= LEAF
    require_content(repo, image)
    _make_again(repo)
    stop_backup(repo, device, signal.SIGKILL, "--immutable")
    subprocess.run(["losetup", "--detach", str(device)], check=True)
    again = loop(image, "--read-only")
    assert repo.json("backup", again, "vm", "--immutable")["resumed_at"] == 0, "another device of the same number"


def test_standard_input_is_never_immutable(stored: Program) -> None:
    """A promise would be accepted that cannot be kept."""
    stored("backup", "-", "vm", "--immutable", data=b"x").refused(2, "standard input")


@pytest.fixture(scope="module")
def stored_image(tmp_path_factory: pytest.TempPathFactory, image: Path) -> tuple[Path, Path]:
    """A repository with the image in it, to be copied, and its key."""
    root = tmp_path_factory.mktemp("stored")
    maker = Program(root, root / "repository", root / "key")
    maker("init", "--reserve", "0", "--block-size", "64KiB", "--pack-size", "1MiB").expect(0)
    maker("backup", image, "vm").expect(0)
    return maker.repo, maker.key


@pytest.fixture
def big(program: Program, stored_image: tuple[Path, Path]) -> Program:
    """A repository with the image in it."""
    shutil.copytree(stored_image[0], program.repo)
    shutil.copy2(stored_image[1], program.key)
    program("ls").expect(0)
    return program


def memo_of(target: Path) -> Path:
    """Where is noted how far a restore to a file has come."""
    return target.with_name(target.name + MEMO)


def noted(memo: Path) -> list[tuple[int, int]]:
    """The finished ranges."""
    pairs: list[tuple[int, int]] = json.loads(memo.read_bytes()[8:])["finished"]
    return pairs


def kill_restore(program: Program, target: Path, memo: Path, number: signal.Signals, *more: str) -> None:
    """Interrupt a restore once something is noted."""
    with program.running("restore", "vm", target, "--threads", "1", *more) as process:
        wait_until(lambda: memo.exists() or process.poll() is not None, lambda: "a note")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130), err
    if number != signal.SIGKILL:
        assert b"--resume" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("sparse", [(), ("--no-sparse",)], ids=["sparse", "full"])
def test_a_restore_goes_on(
    big: Program, image: Path, tmp_path: Path, number: signal.Signals, sparse: tuple[str, ...]
) -> None:
    """A restore of days that was interrupted would begin anew, or leave out what was not written."""
    target = tmp_path / "out"
    kill_restore(big, target, memo_of(target), number, *sparse)
    finished = noted(memo_of(target))
    # What counts as finished is not written again: it would not stay as it is made here.
    mark = next(offset for offset, length in finished if length >= BLOCK)
    with target.open("r+b") as file:
        file.seek(mark)
        file.write(b"a mark that is left alone")
    found = big.json("restore", "vm", target, "--resume", *sparse)
    assert found["bytes_skipped"] == sum(length for _, length in finished) >= 8 * MIB
    assert found["bytes_skipped"] + found["bytes_data"] + found["bytes_hole"] == SIZE
    with target.open("r+b") as file:
        file.seek(mark)
        assert file.read(25) == b"a mark that is left alone"
        file.seek(mark)
        file.write(image.read_bytes()[mark : mark + 25])
    assert target.read_bytes() == image.read_bytes()
    assert not list(tmp_path.glob(f"*{MEMO}*"))
    allocated = target.stat().st_blocks * 512
    assert (allocated >= SIZE) == bool(sparse)


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.01, 0.03, 0.1])
def test_killed_again_and_again(big: Program, image: Path, tmp_path: Path, delay: float) -> None:
    """A kill at a bad moment would leave a note of what was never written."""
    target = tmp_path / "out"
    before = 0
    for more in itertools.chain([()], itertools.repeat(("--resume",))):
        with big.running("restore", "vm", target, "--threads", "1", *more) as process:
            wait_for_note(target, process)
            time.sleep(delay)
            process.kill()
            process.communicate(timeout=60)
        if not memo_of(target).exists():
            break  # it is forgotten last of all
        now = sum(length for _, length in noted(memo_of(target)))
        assert now > before, "the restore came to nothing"
        before = now
    assert before > 0
    assert target.read_bytes() == image.read_bytes()


def wait_for_note(target: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a restore has come to another note: so each attempt finishes something."""
    before = note_state(target)
    wait_until(lambda: note_state(target) != before or process.poll() is not None, lambda: "a note")


def note_state(target: Path) -> tuple[int, int]:
    """What changes with each note."""
    try:
        status = memo_of(target).stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def test_resume_refusals(big: Program, image: Path, tmp_path: Path) -> None:
    """A restore would go on in another file, with another version, or from nothing."""
    target = tmp_path / "out"
    big("restore", "vm", target, "--resume").refused(55, "nothing is noted")
    assert not target.exists()
    big("restore", "vm", "-", "--resume").refused(2, "standard output")
    kill_restore(big, target, memo_of(target), signal.SIGKILL)
    big("restore", "vm", target).refused(56, "--resume", "--force")

    big("backup", image, "other").expect(0)
    first = big.json("show", "vm")["version"]["uid"]
    big("restore", "other", target, "--resume").refused(55, first, "--force")
    shutil.copyfile(target, tmp_path / "copy")
    shutil.copyfile(memo_of(target), memo_of(tmp_path / "copy"))
    big("restore", "vm", tmp_path / "copy", "--resume").refused(55, "another file")

    memo = bytearray(memo_of(target).read_bytes())
    memo[-3] ^= 1
    memo_of(tmp_path / "copy").write_bytes(memo)
    big("restore", "vm", tmp_path / "copy", "--resume").refused(55, "damaged")
    os.truncate(target, 1000)
    big("restore", "vm", target, "--resume").refused(55, "1000 bytes")
    target.unlink()
    big("restore", "vm", target, "--resume").refused(55, str(target))


def test_a_restore_that_begins_anew_forgets(big: Program, image: Path, tmp_path: Path) -> None:
    """What was noted of an older restore would be believed of a file that was emptied since."""
    target = tmp_path / "out"
    kill_restore(big, target, memo_of(target), signal.SIGKILL)
    with big.running("restore", "vm", target, "--force", "--threads", "1") as process:
        wait_until(lambda: not memo_of(target).exists() or process.poll() is not None, lambda: "the end of the note")
        process.kill()
        process.communicate(timeout=60)
    if memo_of(target).exists():
        big.json("restore", "vm", target, "--resume")
    else:
        big("restore", "vm", target, "--resume").refused(55, "nothing is noted")
        big("restore", "vm", target, "--force").expect(0)
    assert target.read_bytes() == image.read_bytes()


def test_damage_before_the_interruption_is_told(big: Program, image: Path, tmp_path: Path) -> None:
    """A restore that went on would say that all is well, although zeros stand where data should."""
    target = tmp_path / "out"
    pack = min(big.repo.glob("packs/*/*"), key=lambda path: path.name)
    data = bytearray(pack.read_bytes())
    data[BLOCK + BLOCK // 2] ^= 1
    pack.write_bytes(data)
    kill_restore(big, target, memo_of(target), signal.SIGINT)
    done = big("restore", "vm", target, "--resume", "--json").expect(40)
    (bad,) = done.json["damaged_ranges"]
    assert bad["offset"] + bad["length"] <= done.json["bytes_skipped"]
    assert done.json["error"]["name"] == "DamageError"
    assert f"{bad['length']} bytes at {bad['offset']}" in done.err
    content = bytearray(image.read_bytes())
    content[bad["offset"] : bad["offset"] + bad["length"]] = bytes(bad["length"])
    assert target.read_bytes() == content


@pytest.mark.root
def test_a_device(big: Program, image: Path, tmp_path: Path, loop: Callable[..., Path]) -> None:
    """A restore to a disk could not go on; or it would go on, without being asked, on another disk."""
    disks = [tmp_path / "one", tmp_path / "two"]
    for disk in disks:
        disk.write_bytes(b"\xa5" * (SIZE + MIB))
    one, two = (loop(disk) for disk in disks)
    state = tmp_path / "state"
    big.env["XDG_STATE_HOME"] = str(state)

    with big.running("restore", "vm", one, "--force", "--threads", "1") as process:
        wait_until(lambda: list(state.glob("*/restore-" + "?" * 32)) or process.poll() is not None, lambda: "a note")
        process.kill()
        process.communicate(timeout=60)
    big("restore", "vm", two, "--resume").refused(55, "nothing is noted")
    big("restore", "vm", one).refused(56, "--resume")
    assert two.read_bytes() == b"\xa5" * (SIZE + MIB)
    found = big.json("restore", "vm", one, "--resume")
    assert found["bytes_skipped"] >= 8 * MIB
    assert one.read_bytes() == image.read_bytes() + b"\xa5" * MIB
    assert not list(state.glob("*/restore-*"))


def test_where_no_note_can_be_made(big: Program, image: Path, tmp_path: Path) -> None:
    """A restore would fail because it cannot note how far it has come."""
    target = tmp_path / ("n" * 250)
    done = big("restore", "vm", target).expect(0)
    assert "begin anew" in done.err
    assert target.read_bytes() == image.read_bytes()


@pytest.mark.root
def test_power_lost(big: Program, image: Path, tmp_path: Path, mounted: Callable[..., Path]) -> None:
    """After a power cut a range would count as finished that never reached the disk."""
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(160 * MIB)
    subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
    target = mounted("-o", "loop", str(disk)) / "out"
    cuts = []
    with big.running("restore", "vm", target, "--threads", "1") as process:
        for cut in range(40):
            if process.poll() is not None:
                break
            time.sleep(0.02)
            # The file behind the file system is what a disk would hold if the power went now.
            process.send_signal(signal.SIGSTOP)
            copy = tmp_path / f"cut-{cut}"
            subprocess.run(["cp", "--sparse=always", str(disk), str(copy)], check=True)
            cuts.append(copy)
            process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
    expected = image.read_bytes()
    finished = 0
    for copy in cuts:
        found = mounted("-o", "loop", str(copy)) / "out"
        if memo_of(found).exists():
            for offset, length in noted(memo_of(found)):
                finished += 1
                assert found.read_bytes()[offset : offset + length] == expected[offset : offset + length]
    assert finished, "no cut came after a note"
