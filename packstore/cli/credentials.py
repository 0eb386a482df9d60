"""Where secrets come from: the environment, a file, a command, or a prompt. Never from argv."""

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from packstore.codec.key import Key
from packstore.codec.secret import format_secret, parse_secret
from packstore.codec.slots import Credential
from packstore.errors import KeyFileUnusable, KeyUnavailable, PassphraseMissing
from packstore.format.document import SlotKind

PASSPHRASE: Final = "PACKSTORE_PASSPHRASE"
PASSPHRASE_FILE: Final = "PACKSTORE_PASSPHRASE_FILE"
PASSPHRASE_COMMAND: Final = "PACKSTORE_PASSPHRASE_COMMAND"
_SOURCES: Final = (PASSPHRASE, PASSPHRASE_FILE, PASSPHRASE_COMMAND)
_MAX_KEY_FILE_BYTES: Final = 4096
_ADVICE: Final = f"set {', '.join(_SOURCES)}, or name a key file with --key-file"


class Credentials:
    """Finds the credential that a repository asks for. Asks a person only when nothing else is given."""

    def __init__(self, environment: Mapping[str, str], key_file: Path | None, repository: str) -> None:
        """Find credentials for the repository that a person calls `repository`."""
        self._repository = repository
        self._environment = environment
        self._key_file = key_file

    @property
    def given(self) -> bool:
        """Whether the caller has said how to open the repository, and so expects it to be encrypted."""
        return self._key_file is not None or any(self._environment.get(name) for name in _SOURCES)

    def ask(self, kinds: set[SlotKind]) -> Credential:
        """Return a credential for one of these kinds of slot.

        Raises:
            PassphraseMissing: nothing is given and there is nobody to ask.
            KeyFileUnusable: the key file is not one.
        """
        if self._key_file is not None and kinds - {SlotKind.PASSPHRASE}:
            return Credential.from_secret(read_key_file(self._key_file))
        if SlotKind.PASSPHRASE not in kinds:
            advice = "name it with --key-file or PACKSTORE_KEY_FILE"
            raise PassphraseMissing("this repository is opened by a key file", advice=advice)
        return self._passphrase(confirm=False)

    def for_new_repository(self) -> Credential:
        """Return the credential to make a repository with; a key file that does not exist is made."""
        if self._key_file is not None:
            return Credential.from_secret(_read_or_make_key_file(self._key_file))
        return self._passphrase(confirm=True)

    def _passphrase(self, *, confirm: bool) -> Credential:
        for name in _SOURCES:
            value = self._environment.get(name)
            if value or (value is not None and name == PASSPHRASE):
                given = self._from(name, value)
                if not given.strip("\r\n"):
                    raise PassphraseMissing(f"the passphrase from {name} is empty", advice=f"set or unset {name}")
                return Credential.from_passphrase(given)
        return Credential.from_passphrase(_prompt(f"Passphrase for {self._repository}", confirm=confirm))

    def _from(self, name: str, value: str) -> str:
        """Return the passphrase that one of the variables leads to."""
        if name == PASSPHRASE:
            return value
        return _read(value) if name == PASSPHRASE_FILE else self._run(value)

    def _run(self, command: str) -> str:
        clean = {name: value for name, value in self._environment.items() if name != PASSPHRASE}
        # Standard input may be the device that is being backed up: the command must not swallow any of it.
        terminal = sys.stdin is not None and sys.stdin.isatty()
        try:
            done = subprocess.run(  # noqa: S603  the user's own command
                shlex.split(command),
                stdin=None if terminal else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                check=False,
                env=clean,
            )
        except OSError as error:
            raise KeyUnavailable(f"{PASSPHRASE_COMMAND} cannot be run: {error.strerror}") from None
        except ValueError as error:
            raise KeyUnavailable(f"{PASSPHRASE_COMMAND} is no command line: {error}") from None
        if done.returncode:
            raise KeyUnavailable(f"{PASSPHRASE_COMMAND} failed with exit code {done.returncode}")
        return _text(done.stdout, PASSPHRASE_COMMAND)


def _read(path: str) -> str:
    try:
        return _text(Path(path).read_bytes(), path)
    except OSError as error:
        raise KeyUnavailable(f"the passphrase cannot be read from {path}: {error.strerror}") from None


def _text(data: bytes, origin: str) -> str:
    """Decode a passphrase. What Python says of bytes that are not text would show some of them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise KeyUnavailable(f"the passphrase from {origin} is not valid UTF-8") from None


def _prompt(question: str, *, confirm: bool) -> str:
    try:
        with Path("/dev/tty").open("rb"):
            pass
    except OSError:
        raise PassphraseMissing("a passphrase is needed and there is no terminal to ask on", advice=_ADVICE) from None
    answer: str = click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)
    return answer


def read_key_file(path: Path) -> Key:
    """Return the secret in a key file that packstore wrote.

    Raises:
        KeyFileUnusable: there is no such file, or it is any other file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise KeyFileUnusable(f"the key file {path} cannot be read: {error.strerror}") from error
    try:
        return parse_secret(data.decode("ascii").strip())
    except (UnicodeDecodeError, KeyFileUnusable):
        message = f"{path} is not a key file that packstore wrote"
        advice = "`packstore init --key-file` makes one; it has one line of nine groups of four"
        raise KeyFileUnusable(message, advice=advice) from None


def _read_or_make_key_file(path: Path) -> Key:
    secret = Key(os.urandom(20))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return read_key_file(path)
    except OSError as error:
        raise KeyFileUnusable(f"the key file {path} cannot be made: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(format_secret(secret) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink()
        raise KeyFileUnusable(f"the key file {path} cannot be written: {error.strerror}") from error
    with contextlib.suppress(OSError):
        directory = os.open(path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    return secret
