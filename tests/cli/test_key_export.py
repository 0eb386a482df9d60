"""`key export` and `key import`: the way back for somebody whose `keys/` is lost."""

import base64
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import Program, tree_of

ZBARIMG = shutil.which("zbarimg")


def export(program: Program, *options: str | Path) -> Path:
    """Write an export; return its file."""
    path = program.home / "keys.out"
    program("key", "export", "-o", path, *options).expect(0)
    return path


def lose_keys(program: Program) -> None:
    """Lose `keys/`, the directory too."""
    shutil.rmtree(program.repo / "keys")
    program("ls").refused(24, "no key slot", "key import")


def scan(page: Path) -> str:
    """What a telephone reads from the codes on a page."""
    assert ZBARIMG
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page.read_text(encoding="utf-8"))
    assert images
    for number, image in enumerate(images):
        page.with_name(f"code{number:03}.png").write_bytes(base64.b64decode(image))
    names = sorted(str(path) for path in page.parent.glob("code*.png"))
    done = subprocess.run([ZBARIMG, "-q", "--raw", *names], capture_output=True, text=True, check=True)
    return done.stdout


def test_text(stored: Program, device: Path) -> None:
    """Whoever has lost `keys/` with all copies of it would have lost everything."""
    before = tree_of(stored.repo / "keys")
    text = export(stored).read_text()
    assert text == stored("key", "export").expect(0).out
    assert text == stored.json("key", "export")["text"]
    lose_keys(stored)
    stored("key", "import", "-", data=text.encode()).expect(0)
    assert tree_of(stored.repo / "keys") == before
    assert stored("restore", "disk.img", "-").expect(0).raw == device.read_bytes()
    assert stored.json("key", "import", stored.home / "keys.out")["written"] == []
    assert "nothing was missing" in stored("key", "import", stored.home / "keys.out").expect(0).out


def test_the_repository_file_comes_back_too(stored: Program, device: Path) -> None:
    """Both copies of one small file lost, and the packs would be of no use."""
    before = tree_of(stored.repo)
    path = export(stored)
    for name in ("packstore", "packstore.copy"):
        (stored.repo / name).unlink()
    assert set(stored.json("key", "import", path)["written"]) == {"packstore", "packstore.copy"}
    assert tree_of(stored.repo) == before
    assert stored("restore", "disk.img", "-").expect(0).raw == device.read_bytes()


@pytest.mark.skipif(not ZBARIMG, reason="needs zbarimg")
def test_paper(stored: Program, device: Path) -> None:
    """A printed page would have codes that no telephone reads, or that bring nothing back."""
    page = export(stored, "--paper")
    html = page.read_text(encoding="utf-8")
    assert "recovery key" in html
    assert "http" not in html, "a page that fetches something shows somebody else that it was opened"
    scanned = scan(page)
    for name, content in (
        ("scanned", scanned),
        ("page", html),
        ("typed", re.sub(r"(?<=[:-])[-0-9A-Z]+", lambda found: found[0].lower().replace("0", "o"), scanned)),
    ):
        path = stored.home / name
        path.write_text(content)
        lose_keys(stored)
        stored("key", "import", path).expect(0)
        assert stored("restore", "disk.img", "-").expect(0).raw == device.read_bytes()


def test_one_slot(stored: Program, device: Path) -> None:
    """The short page for the safe would not open anything."""
    path = export(stored, "--slot", "key file")
    lose_keys(stored)
    stored("key", "import", path).expect(0)
    assert [slot["kind"] for slot in stored.json("key", "ls")["slots"]] == ["key_file"]
    assert stored("restore", "disk.img", "-").expect(0).raw == device.read_bytes()


def test_export_overwrites_nothing(stored: Program) -> None:
    """The only export of another repository would be gone."""
    path = export(stored)
    before = path.read_bytes()
    stored("key", "export", "-o", path).refused(56, "exists already")
    assert path.read_bytes() == before
    stored("key", "export", "-o", "/nonexistent/x").refused(59, "/nonexistent/x")
    stored("key", "export", "--slot", "nonesuch").refused(27, "key ls")


def test_typing_errors_are_named(stored: Program) -> None:
    """Somebody who has typed fifty lines would not know which one to look at."""
    lines = export(stored).read_text().splitlines()
    lose_keys(stored)
    before = tree_of(stored.repo)
    swapped = [*lines[:3], lines[3][:4] + lines[3][5] + lines[3][4] + lines[3][6:], *lines[4:]]
    assert swapped != lines
    for text, word in (
        (swapped, "line 3: the check digits"),
        ([*lines[:5], lines[5][:-3], *lines[6:]], "line 5"),
        ([*lines[:7], *lines[8:]], "lines are missing: 7"),
        (lines[:1], "is this an export?"),
        (["hello"], "is this an export?"),
        ([*lines[:2], lines[3].replace("3:", "2:", 1), *lines[3:]], "line 2"),
    ):
        done = stored("key", "import", "-", data="\n".join(text).encode()).refused(41, word)
        assert "lines may come in any order" in done.err or "look at that line" in done.err
    stored("key", "import", "/nonexistent", data=b"").refused(51, "/nonexistent")
    stored("key", "import", stored.home).refused(52, "cannot be read")
    assert tree_of(stored.repo) == before
    stored("key", "import", "-", data="\n".join(reversed(lines)).encode()).expect(0)


def test_what_does_not_belong_here(stored: Program, tmp_path: Path) -> None:
    """A stranger's slot would be among ours, and be given every key that is made from then on."""
    own = export(stored)
    stranger = Program(tmp_path / "stranger", tmp_path / "other", tmp_path / "other.key")
    stranger.home.mkdir()
    stranger("init", "--reserve", "0").expect(0)
    theirs = export(stranger)
    # Another repository with the same key: what it wraps is another root secret.
    twin = Program(stored.home, tmp_path / "twin", stored.key)
    twin("init", "--reserve", "0").expect(0)
    twins = tmp_path / "twins"
    twin("key", "export", "-o", twins).expect(0)
    for whole in (True, False):
        if not whole:
            lose_keys(stored)
        before = tree_of(stored.repo)
        stored("key", "import", theirs).refused(22, "no slot of the export", "nothing was written")
        done = stored.plain("key", "import", theirs, "-r", stored.repo, env={"PACKSTORE_KEY_FILE": str(stranger.key)})
        done.refused(10, "this is an export of repository", "-r")
        stored("key", "import", twins).refused(10, "this is an export of repository", "-r")
        env = {"PACKSTORE_PASSPHRASE": "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-3FFP"}
        stored.plain("key", "import", own, "-r", stored.repo, env=env).refused(22, "no slot of the export")
        stored.plain("key", "import", own, "-r", tmp_path / "empty", "--key-file", stored.key).refused(
            11, "is its disk mounted"
        )
        assert tree_of(stored.repo) == before
    assert not (tmp_path / "empty").exists()


def test_removed_slots_stay_removed(stored: Program, tmp_path: Path, device: Path) -> None:
    """Whoever was shut out would be let in again by an old page from the safe."""
    second = tmp_path / "second"
    env = {"PACKSTORE_KEY_FILE": str(stored.key)}
    stored.plain("key", "add", "--key-file", second, "--label", "second", "-r", stored.repo, env=env).expect(0)
    old = export(stored)
    stored("key", "rm", "second").expect(0)
    assert stored.json("key", "import", old)["written"] == []
    stored("backup", device).expect(0)
    assert [slot["label"] for slot in stored.json("key", "ls")["slots"] if slot["label"] == "second"] == []
    stored.plain("ls", "-r", stored.repo, env={"PACKSTORE_KEY_FILE": str(second)}).refused(22, "does not open")


def test_damaged_and_forged_files_are_moved_aside(stored: Program) -> None:
    """What is damaged would stand in the way of what is brought back, or be deleted where somebody may need it."""
    before = tree_of(stored.repo / "keys")
    path = export(stored)
    files = sorted(stored.repo.glob("keys/*"))
    damaged = files[0].read_bytes()[:-1]
    files[0].write_bytes(damaged)
    stranger = Program(stored.home, stored.home / "other", stored.home / "other.key")
    stranger("init", "--reserve", "0").expect(0)
    forged = next(iter(sorted(stranger.repo.glob("keys/*")))).read_bytes()
    files[1].write_bytes(forged)
    assert set(stored.json("key", "import", path)["written"]) == {f"keys/{each.name}" for each in files[:2]}
    assert tree_of(stored.repo / "keys") == before
    aside = {each.read_bytes() for each in stored.repo.glob("quarantine/*")}
    assert aside == {damaged, forged}
