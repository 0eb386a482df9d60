"""The command `packstore`: finds the subcommand, turns exceptions into exit codes."""

import os
import signal
import sys
import traceback
from collections.abc import Mapping
from types import FrameType
from typing import Final

import click

from packstore import __version__
from packstore.cli.hardening import harden, take_environment
from packstore.cli.lazy import LazyGroup
from packstore.cli.malloc import keep_large_blocks
from packstore.cli.options import Settings, common_options
from packstore.errors import Interrupted, PackstoreError, RolledBack, UsageError

COMMANDS: Final = {
    "backup": "Store a file, a device or standard input as a new version of a volume.",
    "check": "Verify what is stored, and say what damage means for each version.",
    "config": "Look at the configuration file: repositories, volumes, schedules.",
    "diff": "Show which byte ranges differ between two versions.",
    "du": "Show how much space versions take in the repository.",
    "due": "Say for which volumes a backup is due.",
    "expire": "Say when a version may be removed.",
    "export": "Write the metadata of a version as JSON.",
    "gc": "Free the space that only removed versions need.",
    "hold": "Keep everything from being deleted while a command runs.",
    "import": "Publish a version again from its exported metadata.",
    "index": "Look at the index, a local cache, or make it anew.",
    "init": "Make a repository.",
    "key": "Look after the keys: passphrases, key files, epochs.",
    "ls": "List versions.",
    "protect": "Protect a version from being removed.",
    "prune": "Remove the versions that no rule keeps.",
    "repair": "Save what can be saved of a damaged repository; shows its plan first.",
    "repos": "List the repositories that are mounted, and those of the configuration.",
    "restore": "Write a version to a file, a device or standard output.",
    "rm": "Remove versions.",
    "run": "Do what the configuration says is due: backup, prune, check, gc.",
    "show": "Show all there is to know about a version.",
    "sla": "Say where backups are not as promised.",
    "stats": "Show what each backup took.",
    "status": "Show who is writing, holding or collecting garbage.",
    "sync": "Copy versions into a repository with other keys.",
    "tag": "Give a version tags.",
    "undelete": "Bring removed versions back.",
    "unprotect": "Take the protection of a version back.",
    "untag": "Take tags from a version.",
}


SECRET_VARIABLES: Final = (
    "PACKSTORE_PASSPHRASE",
    "PACKSTORE_NEW_PASSPHRASE",
    "PACKSTORE_SRC_PASSPHRASE",
    "PACKSTORE_DST_PASSPHRASE",
)
"""Variables that are secrets themselves, and do not only say where one is: no child of this process sees them."""


@click.group(
    cls=LazyGroup,
    summaries=COMMANDS,
    prefix="cmd",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="packstore")
@common_options
def group() -> None:
    """Back up block devices: deduplicated, compressed, encrypted.

    \b
    packstore -r /mnt/usb/backup init
    packstore -r /mnt/usb/backup backup /dev/vg/root root
    packstore -r /mnt/usb/backup restore root root.img

    What opens the repository is looked for in this order: --key-file; what the configuration says of a repository that
    -r calls by its name; PACKSTORE_KEY_FILE; PACKSTORE_PASSPHRASE,
    PACKSTORE_PASSPHRASE_FILE, PACKSTORE_PASSPHRASE_COMMAND, PACKSTORE_PASSPHRASE_KEYRING (a key of the kernel); the
    credentials packstore.key and packstore.passphrase of systemd; a prompt. A recovery key is taken wherever a
    passphrase is. The repository also comes from PACKSTORE_REPO.
    """  # noqa: D301  \b is click's mark for a paragraph that keeps its lines


def run(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one command line with the variables it was given; return its exit code."""
    settings = Settings(environment=environment)
    code = _run(arguments, settings)
    if code == 0 and settings.rolled_back is not None:
        settings.output().fail(settings.rolled_back)
        code = RolledBack.exit_code
    try:
        settings.output().close()
    except PackstoreError as error:
        settings.output().fail(error)
        return error.exit_code
    return code


def _run(arguments: list[str], settings: Settings) -> int:
    try:
        code = group.main(args=arguments, prog_name="packstore", standalone_mode=False, obj=settings)
    except click.ClickException as error:
        settings.json = settings.json or "--json" in arguments  # it may stand behind what was wrong
        settings.output().fail(_usage_error(error))
        return UsageError.exit_code
    except (click.Abort, KeyboardInterrupt, _Stopped):
        settings.output().fail(Interrupted("interrupted"))
        return Interrupted.exit_code
    except PackstoreError as error:
        settings.output().fail(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the one place: no traceback at 3 am unless it is asked for
        if settings.verbose:
            traceback.print_exc()
        message = f"internal error: {type(error).__name__}: {error}"
        advice = "this is a mistake in packstore; -v shows where it happened"
        settings.output().fail(PackstoreError(message, advice=advice))
        return PackstoreError.exit_code
    return code if isinstance(code, int) else 0  # what a command ended with by click's Exit


def _usage_error(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "packstore"
    return UsageError(error.format_message().removesuffix("."), advice=f"`{path} --help` shows how it is used")


def main() -> None:
    """Run the command line of this process."""
    harden()
    environment = take_environment(SECRET_VARIABLES)
    _occupy_descriptors()
    keep_large_blocks()
    try:
        sys.unraisablehook = _come_again
        signal.signal(signal.SIGALRM, lambda _number, _frame: signal.raise_signal(signal.SIGTERM))
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _stop)
        code = run(sys.argv[1:], environment)
        _ignore_signals()  # the exit code stands; a late signal must not replace it
    except (KeyboardInterrupt, _Stopped):  # between two steps of the above
        _ignore_signals()
        code = Interrupted.exit_code
    sys.exit(code)


_MOMENT: Final = 0.02
"""Seconds, by which a callback is over."""


class _Stopped(BaseException):
    """SIGTERM or SIGHUP has asked this process to end.

    Not a KeyboardInterrupt: once that has passed through code compiled from a string, as in every dataclass, Python
    ends the process by SIGINT, whoever has caught it and whatever the exit code was to be.
    """


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


def _come_again(swallowed: "sys.UnraisableHookArgs") -> None:
    """Have a request to end come again: what is raised in a callback, as while a module is imported, goes nowhere."""
    if isinstance(swallowed.exc_value, _Stopped | KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _MOMENT)
    else:
        sys.__unraisablehook__(swallowed)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _occupy_descriptors() -> None:
    """Give 0, 1 and 2 to /dev/null where they are closed: else a pack might be opened as 2, and warnings go into it."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:  # noqa: PLR2004
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
