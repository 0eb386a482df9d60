"""Options that every command takes, before or after its name, and what they lead to."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

import click

from packstore.cli.credentials import Credentials
from packstore.cli.live import LiveProgress
from packstore.cli.output import Output
from packstore.codec.compression import DEFAULT_COMPRESSION, CompressionSpec
from packstore.errors import UsageError
from packstore.progress import StopRequest
from packstore.repository.repository import OpenOptions, Repository
from packstore.repository.runtime import Runtime
from packstore.storage.base import Storage
from packstore.storage.open import open_storage

Command = TypeVar("Command", bound=Callable[..., Any])

_SIZE: Final = re.compile(r"(\d+)\s*(?:([kmgt])(?:i?b)?|b)?", re.IGNORECASE)
_FACTORS: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass
class Settings:
    """What the common options say, wherever they stood."""

    repo: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    index_dir: Path | None = None
    key_file: Path | None = None
    stdout_is_data: bool = False
    stop: StopRequest = field(default_factory=StopRequest)

    def output(self, *, stdout_is_data: bool = False) -> Output:
        """Return where results go."""
        self.stdout_is_data = self.stdout_is_data or stdout_is_data
        verbosity = -1 if self.quiet else int(self.verbose)
        return Output(as_json=self.json, verbosity=verbosity, stdout_is_data=self.stdout_is_data)

    def storage(self) -> Storage:
        """Return the storage named by -r or PACKSTORE_REPO.

        Raises:
            UsageError: neither is given.
        """
        location = self.repo or os.environ.get("PACKSTORE_REPO")
        if not location:
            raise UsageError("which repository?", advice="name it with -r, or in PACKSTORE_REPO")
        return open_storage(location)

    def credentials(self) -> Credentials:
        """Return where secrets come from."""
        key_file = self.key_file or os.environ.get("PACKSTORE_KEY_FILE")
        return Credentials(os.environ, Path(key_file) if key_file else None)

    def index_root(self) -> Path:
        """Return where indexes are kept: the user's cache, which may be deleted at any time."""
        given = self.index_dir or os.environ.get("PACKSTORE_INDEX_DIR")
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(given) if given else Path(cache) / "packstore"

    @contextmanager
    def repository(self, output: Output, *, compression: str = DEFAULT_COMPRESSION) -> Iterator[Repository]:
        """Open the repository for the length of a command; its warnings are printed."""
        credentials = self.credentials()
        options = OpenOptions(
            self.index_root(),
            credentials.ask,
            expect_encrypted=credentials.given,
            compression=CompressionSpec.parse(compression),
        )
        repository = Repository.open(self.storage(), options, Runtime(), LiveProgress(output))
        try:
            for warning in repository.warnings:
                output.warn(f"{warning}; run `packstore check`")
            yield repository
        finally:
            repository.close()

    @contextmanager
    def stoppable(self, advice: str = "") -> Iterator[StopRequest]:
        """Let Ctrl-C and SIGTERM end an operation where it is safe; a second one ends it at once."""
        self.stop.advice = advice

        def request(_number: int, _frame: FrameType | None) -> None:
            if self.stop.requested:
                raise KeyboardInterrupt
            self.stop.request()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, request) for number in numbers}
        try:
            yield self.stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _store(context: click.Context, parameter: click.Parameter, value: Any) -> None:  # noqa: ANN401
    if value is not None and value is not False and parameter.name:
        setattr(context.ensure_object(Settings), parameter.name, value)


def common_options(command: Command) -> Command:
    """Give a command the options that all commands have."""
    for decorator in reversed(
        [
            click.option("-r", "repo", metavar="REPO", expose_value=False, callback=_store, help="The repository."),
            click.option("--json", is_flag=True, expose_value=False, callback=_store, help="Print one JSON document."),
            click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_store, help="Print only errors."),
            click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=_store, help="Print more."),
            click.option(
                "--index-dir",
                type=click.Path(path_type=Path),
                expose_value=False,
                callback=_store,
                help="Where indexes are kept (also PACKSTORE_INDEX_DIR).",
            ),
            click.option(
                "--key-file",
                type=click.Path(path_type=Path),
                expose_value=False,
                callback=_store,
                help="A key file that opens the repository (also PACKSTORE_KEY_FILE).",
            ),
        ]
    ):
        command = decorator(command)
    return command


pass_settings = click.make_pass_decorator(Settings, ensure=True)


class Size(click.ParamType[int]):
    """A number of bytes: 1048576, 1MiB, 64K."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if not match:
            self.fail(f"{value!r} is not a size; write 1MiB, 64KiB or a number of bytes", param, ctx)
        return int(match[1]) * _FACTORS.get((match[2] or "").lower(), 1)
