"""The command `packstore`: finds the subcommand, turns exceptions into exit codes."""

import importlib
import os
import signal
import sys
from types import FrameType
from typing import Final

import click

from packstore import __version__
from packstore.cli.malloc import keep_large_blocks
from packstore.cli.options import Settings, common_options
from packstore.errors import Interrupted, PackstoreError

COMMANDS: Final = {
    "backup": "Store a file, a device or standard input as a new version of a volume.",
    "check": "Verify what is stored, and say what damage means for each version.",
    "index": "Look at the index, a local cache, or make it anew.",
    "init": "Make a repository.",
    "ls": "List versions.",
    "restore": "Write a version to a file, a device or standard output.",
    "show": "Show all there is to know about a version.",
}


class LazyGroup(click.Group):
    """Imports a command's module only when the command is used: `ls` must not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command called `cmd_name`."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"packstore.cli.cmd_{cmd_name}").command
        return command if isinstance(command, click.Group) else common_options(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="packstore")
@common_options
def group() -> None:
    """Back up block devices: deduplicated, compressed, encrypted.

    \b
    packstore -r /mnt/usb/backup init
    packstore -r /mnt/usb/backup backup /dev/vg/root root
    packstore -r /mnt/usb/backup restore root root.img

    The passphrase comes from PACKSTORE_PASSPHRASE, PACKSTORE_PASSPHRASE_FILE, PACKSTORE_PASSPHRASE_COMMAND, or a
    prompt; the repository also from PACKSTORE_REPO.
    """  # noqa: D301  \b is click's mark for a paragraph that keeps its lines


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    settings = Settings()
    try:
        group.main(args=arguments, prog_name="packstore", standalone_mode=False, obj=settings)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        settings.output().error("Interrupted", Interrupted.exit_code, "interrupted", "")
        return Interrupted.exit_code
    except PackstoreError as error:
        settings.output().error(type(error).__name__, error.exit_code, error.message, error.advice)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def main() -> None:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, _terminate)
    keep_large_blocks()
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
