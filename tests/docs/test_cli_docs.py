"""Every command explains itself: a sentence, examples that work, every option."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from packstore.cli.main import COMMANDS, group
from packstore.cli.options import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()
CONTRACT = {
    "init": {"--block-size", "--pack-size", "--no-encryption", "--encryption-version", "--key-file"},
    "backup": {
        "--from",
        "--paranoid",
        "--compression",
        "--threads",
        "--tag",
        "--no-auto-tags",
        "--expire",
        "--immutable",
        "--min-free",
    },
    "restore": {"--force", "--no-sparse", "--resume"},
    "ls": {"--tag", "--snapshot-name", "--since", "--expired", "--invalid", "--removed", "--fields"},
    "show": set(),
    "tag": set(),
    "untag": set(),
    "protect": {"--reason"},
    "unprotect": set(),
    "expire": set(),
    "rm": {"--force", "--dry-run"},
    "undelete": set(),
    "prune": {
        "--keep-last",
        "--keep-hourly",
        "--keep-daily",
        "--keep-weekly",
        "--keep-monthly",
        "--keep-yearly",
        "--keep-tag",
        "--keep-within",
        "--expired",
        "--force",
        "--dry-run",
    },
    "due": {"--schedule"},
    "sla": {"--schedule"},
    "gc": {"--dry-run", "--threshold", "--max-duration"},
    "hold": set(),
    "status": {"--declare-dead", "--accept-missing"},
    "diff": set(),
    "du": set(),
    "stats": set(),
    "export": {"--force"},
    "import": set(),
    "sync": {"--src-key-file", "--dst-key-file", "--dry-run"},
    "check": {"--percent", "--bytes", "--max-duration", "--status", "--source", "--keyless", "--no-record"},
    "repair": {"--apply", "--from"},
    "config": set(),
    "config check": set(),
    "repos": set(),
    "run": {"--now", "--dry-run"},
    "key": set(),
    "key ls": set(),
    "key add": {"--passphrase", "--key-file", "--recovery", "--label", "--kdf"},
    "key rm": set(),
    "key change": {"--key-file", "--kdf"},
    "key test": {"--ask"},
    "key rotate": {"--encryption-version"},
    "key migrate": {"--max-duration"},
    "key retire": set(),
    "key export": {"--output", "--paper", "--slot"},
    "key import": set(),
    "index": set(),
    "index rebuild": set(),
    "index status": set(),
}
GLOBAL = {"-r", "--repo-id", "--json", "-q", "-v"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and subcommand by its name."""
    context = click.Context(group, info_name="packstore")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        yield name, command
        if isinstance(command, click.Group):
            for below in command.list_commands(context):
                subcommand = command.get_command(context, below)
                assert subcommand
                yield f"{name} {below}", subcommand


ALL = dict(commands())


def help_of(name: str) -> str:
    """What --help prints."""
    context = click.Context(ALL[name], info_name=f"packstore {name}", obj=Settings())
    return ALL[name].get_help(context)


def options(name: str) -> Iterator[click.Option]:
    """Every option of a command."""
    for parameter in ALL[name].params:
        if isinstance(parameter, click.Option):
            yield parameter


def test_names_are_those_promised() -> None:
    """A command that scripts rely on would be gone, or a new one be promised nowhere."""
    assert set(ALL) == set(CONTRACT)


@pytest.mark.parametrize("name", ALL)
def test_options_are_those_promised(name: str) -> None:
    """An option that scripts rely on would be gone, or not be taken after the command."""
    have = {spelling for option in options(name) for spelling in option.opts}
    assert CONTRACT[name] | GLOBAL <= have


@pytest.mark.parametrize("name", ALL)
def test_help_begins_with_a_sentence(name: str) -> None:
    """Somebody who asks for help would get a list of options and no idea."""
    first = (ALL[name].help or "").split("\n\n")[0]
    assert first.endswith(".")
    assert len(first.split()) >= 3


@pytest.mark.parametrize("name", ALL)
def test_every_option_says_what_it_does(name: str) -> None:
    """An option would be a riddle."""
    text = help_of(name)
    for option in options(name):
        if not option.hidden:
            assert option.help, option.name
            assert option.help.endswith(".") or option.help.endswith(")")
            assert option.opts[-1] in text


def examples(name: str) -> list[str]:
    """The command lines in a command's help."""
    lines = (ALL[name].help or "").splitlines()
    return [line.strip() for line in lines if "packstore " in line and line.startswith(("  ", "packstore "))]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(name: str) -> None:
    """Somebody in a hurry would have to work out the order of the arguments."""
    assert len(examples(name)) >= 2


def _parse(line: str) -> None:
    """Parse one example, also behind a pipe, without running it."""
    words = shlex.split(re.sub(r"^.*\| *(?=packstore )|(?<=\S) +[|>].*$", "", line))
    assert words.pop(0) == "packstore"
    context = group.make_context("packstore", words, obj=Settings())
    name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
    assert command
    below = command.make_context(name, rest, parent=context)
    if isinstance(command, click.Group):
        name, subcommand, rest = command.resolve_command(below, [*below._protected_args, *below.args])
        assert subcommand
        subcommand.make_context(name, rest, parent=below)


@pytest.mark.parametrize("line", [line for name in COMMANDS for line in examples(name)])
def test_examples_parse(line: str) -> None:
    """An example from the help would be refused when it is typed."""
    _parse(line)


@pytest.mark.parametrize("line", re.findall(r"^    (packstore .*)$", group.help or "", re.MULTILINE))
def test_examples_of_the_program_parse(line: str) -> None:
    """The first example that anybody sees would be refused."""
    _parse(line)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_commands_say(name: str) -> None:
    """`packstore --help` would list another command than it has."""
    assert COMMANDS[name].endswith(".")
    assert f"`{name}" in README
