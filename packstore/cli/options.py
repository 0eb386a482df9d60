"""Options that every command takes, before or after its name.

Imports nothing that `packstore --help` does not need: what the options lead to is in cli.opening.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

import click

from packstore.cli.output import Output
from packstore.errors import Interrupted, RolledBack
from packstore.progress import StopRequest

Command = TypeVar("Command", bound=Callable[..., Any])

_SIZE: Final = re.compile(r"(\d+)\s*(?:([kmgt])(?:i?b)?|b)?", re.IGNORECASE)
_FACTORS: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATION: Final = re.compile(r"(\d{1,9})\s*([smhdw])", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MAX_DIGITS: Final = 18
"""More is beyond any disk, and beyond what Python turns into a number."""


@dataclass
class Settings:
    """What the common options say, wherever they stood."""

    repo: str | None = None
    repo_id: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    index_dir: Path | None = None
    key_file: Path | None = None
    stop: StopRequest = field(default_factory=StopRequest)
    rolled_back: RolledBack | None = None
    """What the repository lacks that this host has seen there: said at the end of a command that went well."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    """The variables with the secrets among them, which `os.environ` and so the children of the process lack."""
    _output: Output | None = None

    def output(self, *, stdout_is_data: bool = False) -> Output:
        """Return where results go; the same for the whole command."""
        if self._output is None:
            verbosity = -1 if self.quiet else int(self.verbose)
            self._output = Output(as_json=self.json, verbosity=verbosity, stdout_is_data=stdout_is_data)
        return self._output

    @contextmanager
    def stoppable(self, advice: str = "") -> Iterator[StopRequest]:
        """Let Ctrl-C and SIGTERM end an operation where it is safe; a second one ends the process at once.

        A signal that the process was started to ignore (nohup, a job in the background) stays ignored.
        """
        self.stop.advice = advice
        output = self.output()

        def request(_number: int, _frame: FrameType | None) -> None:
            if self.stop.requested:
                # What is stored survives even a SIGKILL, and threads may be waiting for a disk that does not answer.
                if output.abandon(Interrupted("interrupted at once", advice=advice)):
                    os._exit(Interrupted.exit_code)
                return
            output.stopping()
            self.stop.request()

        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        replaced = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        for number in replaced:
            signal.signal(number, request)
        try:
            yield self.stop
        finally:
            # After a request the process is on its way out: a further signal is to end it at once, up to the end.
            for number, handler in () if self.stop.requested else replaced.items():
                signal.signal(number, handler)


def _store(context: click.Context, parameter: click.Parameter, value: Any) -> None:  # noqa: ANN401
    if value is not None and value is not False and parameter.name:
        settings = context.ensure_object(Settings)
        setattr(settings, parameter.name, value)
        if settings.quiet and settings.verbose:
            raise click.UsageError("--quiet or --verbose, not both", context)


def _common(*names: str, **attributes: Any) -> Callable[[Command], Command]:  # noqa: ANN401
    return click.option(*names, expose_value=False, callback=_store, **attributes)


_COMMON: Final = {
    "-r": _common(
        "-r",
        "repo",
        metavar="REPO",
        help="The repository: a directory, or a name of the configuration (also PACKSTORE_REPO).",
    ),
    "--repo-id": _common(
        "--repo-id", metavar="ID", help="The mounted repository with this id, or the beginning of one, wherever it is."
    ),
    "--json": _common("--json", is_flag=True, help="Print one JSON document."),
    "-q": _common("-q", "--quiet", is_flag=True, help="Print only warnings and errors."),
    "-v": _common("-v", "--verbose", is_flag=True, help="Print more."),
    "--index-dir": _common(
        "--index-dir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Where indexes are kept (also PACKSTORE_INDEX_DIR).",
    ),
    "--key-file": _common(
        "--key-file",
        type=click.Path(path_type=Path),
        metavar="F",
        help="A key file that opens the repository (also PACKSTORE_KEY_FILE).",
    ),
}


def common_options(command: Command) -> Command:
    """Give a command the options that all commands have."""
    return common_options_without()(command)


def common_options_without(*names: str) -> Callable[[Command], Command]:
    """Give a command the options that all commands have, but for those that mean something else there."""

    def decorate(command: Command) -> Command:
        for spelling, decorator in reversed(_COMMON.items()):
            if spelling not in names:
                command = decorator(command)
        return command

    return decorate


pass_settings = click.make_pass_decorator(Settings, ensure=True)


def parse_size(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Turn 1048576, 1MiB or 64K into a number of bytes; the callback of an option.

    Raises:
        click.BadParameter: it is no size.
    """
    if value is None:
        return None
    size = size_of(value)
    if size is None:
        raise click.BadParameter(f"{value!r} is not a size; write 1MiB, 64KiB or a number of bytes")
    return size


def size_of(text: str) -> int | None:
    """Return the number of bytes that 1048576, 1MiB or 64K stands for; None: it is no size."""
    match = _SIZE.fullmatch(text.strip())
    if not match or len(match[1]) > _MAX_DIGITS:
        return None
    return int(match[1]) * _FACTORS.get((match[2] or "").lower(), 1)


def parse_duration(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Turn 30s, 90m, 2h, 14d or 2w into seconds; the callback of an option.

    Raises:
        click.BadParameter: it is no time, or none at all.
    """
    if value is None:
        return None
    match = _DURATION.fullmatch(value.strip())
    if not match or not int(match[1]):
        raise click.BadParameter(f"{value!r} is not a duration; write 30s, 90m, 2h, 14d or 2w")
    return float(int(match[1]) * _SECONDS[match[2].lower()])
