"""`packstore hold`."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import click

from packstore.cli.live import LiveProgress
from packstore.cli.opening import open_keys
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.errors import UsageError
from packstore.operations.hold import hold_everything
from packstore.repository.runtime import Runtime

_SIGNAL_BASE: Final = 128
"""A shell's exit code for a command that was killed: this and the number of the signal."""


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command_line", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARGUMENT]...", required=True)
@common_options
@pass_settings
def command(settings: Settings, command_line: tuple[str, ...]) -> None:
    """Keep everything from being deleted while COMMAND runs; end with its exit code.

    Backups, restores and `rm` go on meanwhile. A collection of garbage that is under way ends at its next step, and
    only then COMMAND starts. The output is that of COMMAND.

    COMMAND does not see PACKSTORE_PASSPHRASE, and nothing else that is started from here does. A backup inside it needs
    PACKSTORE_PASSPHRASE_FILE, PACKSTORE_PASSPHRASE_COMMAND, PACKSTORE_PASSPHRASE_KEYRING or PACKSTORE_KEY_FILE, which
    are handed on and open the repository for `hold` as well, or asks.

    \b
    Examples:
      packstore -r REPO hold -- rsync -a --ignore-existing --exclude='gc/intent-*' --exclude=reserve REPO/ COPY/
      packstore -r REPO hold -- sleep 3600
    """  # noqa: D301
    output = settings.output(stdout_is_data=True)
    storage, keyring = open_keys(settings)
    purpose = f"hold for {Path(command_line[0]).name}"
    progress = LiveProgress(output)
    with settings.stoppable() as stop, hold_everything(storage, keyring, Runtime(), purpose, stop, progress):
        code = _run(command_line)
    raise click.exceptions.Exit(code)


def _run(command_line: tuple[str, ...]) -> int:
    """Run the command to its end; a signal to end is handed on, and it decides."""
    try:
        process = subprocess.Popen(command_line, close_fds=False)  # noqa: S603  running what the user names is what this is for
    except OSError as error:
        raise UsageError(f"cannot run {command_line[0]}: {error.strerror}") from error
    with _handing_on(process):
        code = process.wait()
    return code if code >= 0 else _SIGNAL_BASE - code


@contextmanager
def _handing_on(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    def hand_on(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:  # Ctrl-C in a terminal goes to the command as well
            process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
