"""The configuration file beyond schedules: `config check`, and names of repositories in every command."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.cli.program import Program

DOCS = Path(__file__).parents[2] / "docs"
MISTAKEN = """\
[repositories.usb]
path = "relative/path"
key_file = "/k"
passphrase_file = "/p"

[repositories."a b"]
id = "5f1ae602"
path = "ftp://there"
compression = "zip"

[repositories.none]
min_free = 5

[volumes.root]
sauce = "/dev/vg/root"
repositories = ["usb", "nas"]
schedules = ["dayly"]
tags = [
  "good",
  "",
]
retention = { daily = 0, weekly = 5 }
snapshot_size = "lots"
immutable = "yes"
hooks = { first = "true" }

[volumes."web*"]
source = "-"

[volumes]
x = 3

[limits]
nice = -5
io_priority = "fast"
bandwidth_in = "0"
threads = 0

[schedules.daily]
interval = "1d"
keep = 3
"""
LINES = {
    2: "repositories.usb.path must begin with /",
    3: "repositories.usb.key_file is one of several",
    6: "repositories.a b cannot be the name of a repository",
    7: "repositories.a b.id must be the 32 hexadecimal digits",
    8: "repositories.a b.path cannot be used: unknown kind of storage",
    9: "repositories.a b.compression cannot be used",
    11: "repositories.none.path or id must say where",
    12: 'repositories.none.min_free must be a size, as "10GiB"',
    15: "volumes.root.sauce is not known",
    14: "volumes.root.source must say what to back up",
    16: "volumes.root.repositories names 'nas'",
    17: "volumes.root.schedules names 'dayly', and there is no [schedules.dayly]; there is daily",
    18: "volumes.root.tags must be a list of strings",
    22: "volumes.root.retention.daily must be a number from 1",
    23: "volumes.root.snapshot_size must be a size",
    24: "volumes.root.immutable must be true or false",
    25: "volumes.root.hooks.first is not known; known here: before, after, on_failure",
    27: "volumes.web* cannot be the name of a volume",
    28: "volumes.web*.source must say what to back up",
    31: "volumes.x must be a table",
    34: "limits.nice must be a number from 0 to 19",
    35: "limits.io_priority must be one of idle, low, normal, high",
    36: "limits.bandwidth_in must be more than nothing",
    37: "limits.threads must be a number from 1 to 64",
}


def write(program: Program, text: str) -> Path:
    """Make this the user's configuration."""
    path = program.home / ".config" / "packstore" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def configure(program: Program, *, more: str = "", name: str = "usb") -> Path:
    """Give the repository a name, and its key."""
    head = f"[repositories.{name}]\npath = {json.dumps(str(program.repo))}\nkey_file = {json.dumps(str(program.key))}\n"
    return write(program, head + more)


def test_every_mistake_is_shown_with_its_line(program: Program) -> None:
    """Who has written the file by hand would mend one mistake, run it, and be told of the next."""
    path = write(program, MISTAKEN)
    done = program.plain("config", "check").expect(70)
    shown: dict[int, list[str]] = {}
    for line in done.out.splitlines():
        match = re.fullmatch(re.escape(str(path)) + r":(\d+): (.*)", line)
        assert match, line
        shown.setdefault(int(match[1]), []).append(match[2])
    assert list(shown) == sorted(shown)
    assert set(shown) == set(LINES)
    for number, words in LINES.items():
        assert any(words in what for what in shown[number]), (number, shown[number])
    count = sum(map(len, shown.values()))
    assert f"{count} mistakes in {path}" in done.err
    found = program.plain("config", "check", "--json").expect(70).json
    assert [one["line"] for one in found["mistakes"]] == sorted(one["line"] for one in found["mistakes"])
    assert len(found["mistakes"]) == count
    assert found["error"]["name"] == "ConfigError"


def test_where_the_file_is_no_toml(program: Program) -> None:
    """A missing quote would be looked for in the whole file."""
    path = write(program, "[limits]\nnice = 1\n\nthreads = \n")
    done = program.plain("config", "check").expect(70)
    assert f"{path}:4: is not TOML" in done.out


@pytest.mark.parametrize(
    "text", ["volumes = 3\n", "[volumes]\nx = 3\n", "[volumes.x.hooks]\nbefore = 3\n", "[limitz]\n"]
)
def test_what_is_no_table(program: Program, text: str) -> None:
    """A mistake of another kind than was thought of would end in a traceback."""
    write(program, text)
    assert program.plain("config", "check").expect(70).out.count(":") >= 2


def test_without_mistakes(program: Program, device: Path) -> None:
    """What makes sense and was not meant, as a volume that is always due, would be found out by a full disk."""
    assert "the defaults count" in program.plain("config", "check").expect(0).out
    configure(
        program, more=f'[volumes.disk]\nsource = "{device}"\nsnapshot_size = "1GiB"\n[volumes.x]\nsource = "/none"\n'
    )
    done = program.plain("config", "check").expect(0)
    assert "no mistakes; 1 repository, 2 volumes, 0 schedules" in done.out
    for words in (
        f"the key file {program.key} does not exist",
        "/none is not there now",
        "disk: snapshot_size is not used",
        "disk: no schedule is for it",
        "disk: has no retention",
    ):
        assert words in done.out
    assert f"{device} is not there now" not in done.out


def test_the_manual(program: Program) -> None:
    """Whoever copies an example from docs/CONFIGURATION.md would get an error, or miss a key that it does not show."""
    text = (DOCS / "CONFIGURATION.md").read_text()
    full = text.split("```toml\n")[1].split("```")[0]
    write(program, full)
    found = program.plain("config", "check", "--json").expect(0).json
    assert (found["repositories"], found["volumes"]) == (["usb", "offsite"], ["root", "vm"])
    assert not [note for note in found["notes"] if "schedule" in note and "root" in note]
    smallest = text.split("the smallest that is of use:\n")[1].split("`packstore config check`")[0]
    write(program, "\n".join(line.removeprefix("       ") for line in smallest.splitlines()))
    assert program.plain("config", "check", "--json").expect(0).json["volumes"] == ["root"]
    shown = tomllib.loads(full)
    write(
        program,
        "[repositories.x]\ny = 1\n[volumes.x]\ny = 1\n[volumes.x.hooks]\ny = 1\n[limits]\ny = 1\n[retention]\ny = 1\n",
    )
    known = {
        one["key"]: set(one["message"].split("known here: ")[1].split(", "))
        for one in program.plain("config", "check", "--json").expect(70).json["mistakes"]
        if "known here" in one["message"]
    }
    assert known["limits.y"] == set(shown["limits"])
    assert known["volumes.x.hooks.y"] == set(shown["volumes"]["vm"]["hooks"])
    assert known["retention.y"] <= set(shown["retention"]) | set(shown["volumes"]["root"]["retention"]) | {"hourly"}
    for section in ("repositories", "volumes"):
        have = {key for entry in shown[section].values() for key in entry}
        undocumented = {key for key in known[f"{section}.x.y"] - have if f"`{key}`" not in text and key not in full}
        assert not undocumented


def test_a_name_stands_for_path_and_key(stored: Program, tmp_path: Path) -> None:
    """Whoever has named a repository would still have to remember where it is and what opens it."""
    configure(stored)
    for command in (
        ["ls"],
        ["check"],
        ["show", "disk.img"],
        ["status"],
        ["check", "--keyless"],
        ["key", "ls"],
        ["repair"],
    ):
        stored.plain(*command, "-r", "usb").expect(0)
    stored.plain("ls", env={"PACKSTORE_REPO": "usb"}).expect(0)
    stored.plain("restore", "disk.img", tmp_path / "out.img", "-r", "usb").expect(0)
    stored.plain("ls", "-r", "nas").refused(11, "there is no repository at")
    other = tmp_path / "other"
    stored.plain("init", "-r", other, "--no-encryption", "--reserve", "0").expect(0)
    write(stored, configure(stored).read_text() + f'[repositories.other]\npath = "{other}"\n')
    stored.plain("sync", "usb", "other").expect(0)
    assert len(stored.plain("ls", "-r", "other", "--json").expect(0).json["versions"]) == 1
    stored.plain("repair", "--from", "other", "-r", "usb").refused(2, "is another repository")


def test_a_name_comes_before_the_environment(stored: Program, tmp_path: Path) -> None:
    """A passphrase set for another repository would be tried on this one, and refused."""
    configure(stored)
    stored.plain("ls", "-r", "usb", env={"PACKSTORE_PASSPHRASE": "another one"}).expect(0)
    (tmp_path / "wrong").write_text("no key")
    stored.plain("ls", "-r", "usb", "--key-file", tmp_path / "wrong").refused(23, "is not a key file")


def test_a_passphrase_of_its_own(program: Program, tmp_path: Path) -> None:
    """Two repositories with two passphrases could not be backed up to in one run."""
    (tmp_path / "passphrase").write_text("correct horse\n")
    by_file = f'path = "{tmp_path}/a"\npassphrase_file = "{tmp_path}/passphrase"\n'
    by_command = f'path = "{tmp_path}/a"\npassphrase_command = "cat {tmp_path}/passphrase"\n'
    write(program, f"[repositories.file]\n{by_file}[repositories.command]\n{by_command}")
    program.plain("init", "-r", "file", "--reserve", "0", "--no-recovery-key").expect(0)
    for name in ("file", "command"):
        program.plain("ls", "-r", name, env={"PACKSTORE_PASSPHRASE": "another one"}).expect(0)


def test_a_file_that_others_may_write(program: Program) -> None:
    """Anybody could have root run a command of theirs, at the next backup."""
    write(program, "").chmod(0o666)
    assert "others may write to" in program.plain("config", "check").expect(0).out


def test_a_directory_of_the_same_name(stored: Program) -> None:
    """A path that was used before the file was written could not be used any more."""
    configure(stored, name="copy")
    stored.repo.rename(stored.home / "copy")
    stored.plain("ls", "-r", "copy").refused(11, str(stored.repo))
    stored.plain("ls", "-r", "./copy", "--key-file", stored.key).expect(0)


def test_another_repository_at_the_path(stored: Program) -> None:
    """The disk of somebody else, mounted where ours used to be, would be written to."""
    configure(stored, more=f'id = "{"0" * 32}"\n')
    stored.plain("ls", "-r", "usb").refused(11, "no repository with the id 00000000")
