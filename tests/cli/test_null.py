"""`null://` in place of a device, a target and a repository."""

from dataclasses import replace
from pathlib import Path

from tests.cli.program import Program, tree_of

DEVICE = "null://2MiB?seed=4&holes=20&random=30&cell=64KiB"


def test_a_synthetic_device(repo: Program) -> None:
    """What is measured with synthetic devices would not be what happens with real ones."""
    first = repo.json("backup", DEVICE, "big")
    assert first["bytes_total"] == 2 << 20
    assert first["bytes_hole"] == 6 << 16
    changed = f"{DEVICE}&round=1&changed=5"
    second = repo.json("backup", changed, "big", "--hints", changed)
    assert second["hints_followed"] is True
    assert second["bytes_new"] == 5 << 16
    repo("check", "big", "--source", changed).expect(0)
    repo("check", "big", "--source", DEVICE).expect(68)
    repo("restore", "big", "null://").expect(0)
    repo("restore", "big~1", "null://").expect(0)


def test_used_wrongly(repo: Program) -> None:
    """A mistyped device would leave traces, or become a volume of an odd name."""
    before = tree_of(repo.repo)
    repo("backup", DEVICE).refused(2, "which volume")
    repo("backup", "null://1G?sed=4", "big").refused(2, "sed")
    repo("backup", DEVICE, "big", "--hints", "null://nothing").refused(2, "null://nothing")
    repo("restore", "big", "null://", "--resume").refused(2, "null://")
    assert tree_of(repo.repo) == before


def test_a_repository_without_blocks(program: Program, tmp_path: Path) -> None:
    """A backup into what keeps nothing would be taken for one, or its lack of blocks be recorded as damage."""
    place = tmp_path / "nothing"
    null = replace(program, repo=f"null://{place}")  # type: ignore[arg-type]
    init = [*null.bare("init", "--no-encryption", "--reserve", "0", "--pack-size", "1MiB"), "-r", str(null.repo)]
    null.run(init).expect(0)

    def run(*args: str) -> list[str]:
        return [*null.bare(*args), "-r", str(null.repo)]

    source = "null://8MiB?random=100"
    stored = null.run([*run("backup", source, "big"), "--json"]).expect(0).json
    assert stored["bytes_new"] == 8 << 20
    files = [path for path in (place / "without-blocks" / "packs").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) > 8 << 20
    assert sum(path.stat().st_blocks * 512 for path in files) < 1 << 20
    again = null.run([*run("backup", source, "big"), "--json"]).expect(0).json
    assert again["bytes_unchanged"] == 8 << 20
    null.run(run("index", "rebuild")).expect(0)
    null.run(run("restore", "big", "null://")).refused(2, "keeps no blocks")
    null.run(run("check")).refused(2, "keeps no blocks")
    assert null.run(run("ls")).expect(0).out.count("big") == 2


def test_neither_kind_of_repository_is_taken_for_the_other(repo: Program, tmp_path: Path) -> None:
    """One wrong word in a script would fill a repository with packs of nothing, which real backups then rely on."""
    device = tmp_path / "device"
    device.write_bytes(bytes(range(256)) * 8192)
    null = replace(repo, repo=f"null://{repo.repo}")  # type: ignore[arg-type]
    null.run([*null.bare("backup", str(device), "d"), "-r", str(null.repo)]).refused(11, "no repository")
    repo("backup", device, "d").expect(0)
    repo("check").expect(0)
    place = tmp_path / "nothing"
    null = replace(repo, repo=f"null://{place}")  # type: ignore[arg-type]
    null.run([*null.bare("init", "--no-encryption", "--reserve", "0"), "-r", str(null.repo)]).expect(0)
    repo.run([*repo.bare("ls"), "-r", str(place)]).refused(11, "no repository")


def test_a_device_is_known_by_all_of_its_name(repo: Program) -> None:
    """Two devices would count as one, and the checkpoint of the one be gone on with for the other."""
    names = [f"null://2MiB?seed={seed}&random=12.3456789&cell=4194304" for seed in (12345678, 12345679)]
    first = repo.json("backup", names[0], "big")
    path = repo.json("show", "big")["version"]["source"]["path"]
    assert "seed=12345678" in path
    assert repo.json("backup", path, "big")["bytes_unchanged"] == first["bytes_total"]
    assert repo.json("backup", names[1], "big")["bytes_unchanged"] == 0
