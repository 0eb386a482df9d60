"""What holds for every command: global options, output, start-up."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from packstore import __version__
from tests.cli.program import Program

COMMANDS = [
    ["ls"],
    ["show", "disk.img"],
    ["check"],
    ["index", "status"],
    ["index", "rebuild"],
    ["restore", "disk.img", "out.img"],
    ["backup", "source.img"],
]
NAMES = [" ".join(command[:2]) for command in COMMANDS]


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_global_options_before_and_after(stored: Program, command: list[str]) -> None:
    """An option that works before the command would be unknown after it, or the reverse."""
    (stored.home / "source.img").write_bytes(b"content")
    options = ["-r", str(stored.repo), "--key-file", str(stored.key), "--index-dir", "elsewhere", "--json"]
    before = stored.plain(*options, *command).expect(0)
    (stored.home / "out.img").unlink(missing_ok=True)
    after = stored.plain(*command, *options).expect(0)
    assert set(before.json) == set(after.json)
    assert (stored.home / "elsewhere").is_dir()


def test_options_between_group_and_subcommand(stored: Program) -> None:
    """`index --json status` would be a mistake, although options may stand before a command."""
    stored.plain("index", "--json", "-r", stored.repo, "--key-file", stored.key, "status").expect(0).json  # noqa: B018


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_one_document_on_success_and_on_failure(stored: Program, command: list[str]) -> None:
    """A script would have to parse two documents, or none, or text."""
    (stored.home / "source.img").write_bytes(b"content")
    found = stored(*command, "--json").expect(0)
    assert "error" not in found.json
    assert not found.err
    failed = stored.plain(*command, "--json", "-r", stored.home / "nowhere").expect(11)
    assert failed.json["error"]["exit_code"] == 11
    assert failed.json["error"]["name"] == "RepositoryNotFound"
    assert failed.json["error"]["message"] in failed.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "nonsense"],
        ["ls", "--nonsense", "--json"],
        ["restore", "--json"],
        ["--json"],
        ["ls", "--json", "-qv"],
    ],
)
def test_one_document_on_wrong_usage(program: Program, arguments: list[str]) -> None:
    """A script would get no document just when it made a mistake."""
    done = program.plain(*arguments).expect(2)
    assert done.json["error"]["name"] == "UsageError"
    assert done.json["error"]["message"]


def test_repository_from_the_environment(stored: Program) -> None:
    """PACKSTORE_REPO or PACKSTORE_KEY_FILE would be ignored, or beat what the command line says."""
    env = {"PACKSTORE_REPO": str(stored.repo), "PACKSTORE_KEY_FILE": str(stored.key)}
    stored.plain("ls", env=env).expect(0)
    stored.plain("ls", "-r", stored.home / "nowhere", env=env).refused(11)
    stored.plain("ls", "-r", f"file://{stored.repo}", env=env).expect(0)


def test_no_repository(program: Program) -> None:
    """A command without a repository would use some other directory."""
    program.plain("ls").refused(2, "PACKSTORE_REPO")


def test_unknown_storage(program: Program) -> None:
    """A typing error in a URL would make a directory of that name."""
    program.plain("ls", "-r", "ftp://backup").refused(2, "ftp")


def test_quiet(stored: Program, device: Path) -> None:
    """A cron job would send mail every night."""
    for command in (["backup", device], ["ls"], ["check"]):
        done = stored(*command, "-q").expect(0)
        assert (done.raw, done.err) == (b"", "")


def test_quiet_still_warns(stored: Program) -> None:
    """A cron job would never hear of an empty stream."""
    assert "empty" in stored("backup", "-", "web1", "-q", data=b"").expect(0).err


def test_verbose(stored: Program, device: Path) -> None:
    """-v would say no more than without."""
    assert "processor time" in stored("backup", device, "-v").expect(0).out


def test_version(program: Program) -> None:
    """A report of a mistake could not name the version."""
    assert program.plain("--version").expect(0).out == f"packstore, version {__version__}\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_start_up_is_light(arguments: list[str]) -> None:
    """Completion and --help would wait for libraries that they do not need."""
    code = (
        "import sys; sys.argv = ['packstore', *sys.argv[1:]]\n"
        "from packstore.cli.main import main\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'lmdb', 'nacl', 'zstandard', 'rich', 'msgpack', 'xxhash'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)


def test_names_cannot_command_the_terminal(repo: Program, tmp_path: Path) -> None:
    """A file name with escape sequences in it would clear the screen, or hide lines, of whoever lists it."""
    path = tmp_path / "red\x1b[31m.img"
    path.write_bytes(b"x")
    repo("backup", path, "odd").expect(0)
    done = repo("show", "odd").expect(0)
    assert "\x1b" not in done.out
    assert "red\\x1b[31m.img" in done.out
    assert "\x1b" not in repo("restore", "odd", tmp_path / "no\x1bsuch" / "x").expect(55).err


def test_terminal_of_another_alphabet(stored: Program, device: Path) -> None:
    """A volume whose name the terminal cannot show would stop `ls`."""
    stored("backup", device, "größe").expect(0)
    done = stored("ls", env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert done.code == 0
    assert "gr\\xf6\\xdfe" in done.out


def test_unforeseen_failure(stored: Program) -> None:
    """A mistake in packstore would greet people with a traceback, and scripts without a document."""
    code = (
        "import os, sys; from packstore.cli import main\nfrom packstore.repository import repository\n"
        "def fail(*_): raise ZeroDivisionError('of course')\n"
        "repository.Repository.states = fail\nsys.exit(main.run(sys.argv[1:], os.environ))"
    )
    command = [sys.executable, "-c", code, "ls", "-r", str(stored.repo), "--key-file", str(stored.key)]
    done = stored.run([*command, "--json"])
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "ZeroDivisionError: of course" in done.err
    assert done.json["error"]["exit_code"] == 1
    assert re.search(r"Traceback.*in fail", stored.run([*command, "-v"]).err, re.DOTALL)


def test_document_is_utf8_and_plain(stored: Program, device: Path) -> None:
    """A name outside ASCII would make the document unreadable in some locale."""
    stored("backup", device, "größe").expect(0)
    raw = stored("ls", "größe", "--json").expect(0).raw
    assert raw.isascii()
    assert json.loads(raw)["versions"][0]["volume"] == "größe"
