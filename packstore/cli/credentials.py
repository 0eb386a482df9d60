"""Where secrets come from: the environment, files, a command, a keyring, systemd, or a prompt. Never from argv.

The order is that of docs/SECURITY.md.
"""

import contextlib
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click

from packstore.cli.kernelkeys import read_kernel_key
from packstore.codec.key import Key
from packstore.codec.secret import SECRET_BYTES, format_secret, parse_secret
from packstore.codec.slots import Credential
from packstore.errors import KeyFileUnusable, KeyUnavailable, PassphraseMissing
from packstore.format.document import SlotKind

PASSPHRASE: Final = "PACKSTORE_PASSPHRASE"
PASSPHRASE_FILE: Final = "PACKSTORE_PASSPHRASE_FILE"
PASSPHRASE_COMMAND: Final = "PACKSTORE_PASSPHRASE_COMMAND"
PASSPHRASE_KEYRING: Final = "PACKSTORE_PASSPHRASE_KEYRING"
PASSPHRASE_SOURCES: Final = (PASSPHRASE, PASSPHRASE_FILE, PASSPHRASE_COMMAND, PASSPHRASE_KEYRING)
NEW_PASSPHRASE: Final = "PACKSTORE_NEW_PASSPHRASE"
NEW_PASSPHRASE_FILE: Final = "PACKSTORE_NEW_PASSPHRASE_FILE"
_SYSTEMD: Final = "CREDENTIALS_DIRECTORY"
_SYSTEMD_PASSPHRASE: Final = "packstore.passphrase"
_SYSTEMD_KEY: Final = "packstore.key"
_MAX_KEY_FILE_BYTES: Final = 4096
_MAX_PASSPHRASE_BYTES: Final = 65536
"""Of a file: a path that is mistyped may be that of a disk."""
_NOBODY: Final = "a passphrase is needed and there is no terminal to ask on"
_KEY_FILE_ADVICE: Final = "name it with --key-file or PACKSTORE_KEY_FILE, or give the recovery key as a passphrase"
_ADVICE: Final = f"set {', '.join(PASSPHRASE_SOURCES)}, or name a key file with --key-file"

Warn = Callable[[str], None]


class Credentials:
    """Finds the credential that a repository asks for. Asks a person only when nothing else is given."""

    def __init__(self, environment: Mapping[str, str], key_file: Path | None, repository: str, warn: Warn) -> None:
        """Find credentials for the repository that a person calls `repository`."""
        self._repository = repository
        self._environment = environment
        self._key_file = key_file
        self._warn = warn

    def asking(self) -> "Credentials":
        """Return credentials that are asked for at the terminal, whatever else is given.

        Raises:
            PassphraseMissing: there is no terminal.
        """
        if not _has_terminal():
            advice = "run it at a terminal, or leave --ask out to test what is set or named by --key-file"
            raise PassphraseMissing("there is no terminal to ask on", advice=advice)
        return Credentials({}, None, self._repository, self._warn)

    @property
    def given(self) -> bool:
        """Whether the caller has said how to open the repository, and so expects it to be encrypted."""
        files = (self._key_file, self._from_systemd(_SYSTEMD_KEY), self._from_systemd(_SYSTEMD_PASSPHRASE))
        return self._names_passphrase or any(files)

    @property
    def _names_passphrase(self) -> bool:
        return any(self._environment.get(name) for name in PASSPHRASE_SOURCES)

    @property
    def key_file_is_new(self) -> bool:
        """Whether `for_new_repository` would make a key file."""
        return self._key_file is not None and not os.path.lexists(self._key_file)

    def ask(self, kinds: set[SlotKind]) -> Credential:
        """Return a credential for one of these kinds of slot.

        Raises:
            PassphraseMissing: nothing is given and there is nobody to ask.
            KeyUnavailable: the passphrase cannot be had from where it is said to be.
            KeyFileUnusable: the key file is not one.
        """
        if self._key_file is not None and _takes_key_file(kinds, passphrase=self._names_passphrase):
            return Credential.from_secret(read_key_file(self._key_file, self._warn))
        key, passphrase = self._from_systemd(_SYSTEMD_KEY), self._from_systemd(_SYSTEMD_PASSPHRASE)
        if key and not self._names_passphrase and _takes_key_file(kinds, passphrase=passphrase is not None):
            return Credential.from_secret(read_key_file(key))
        text = self._given_passphrase()
        if text is None and not _has_terminal():
            raise self._nobody_to_ask(kinds)
        if text is None:
            what = "Passphrase" if SlotKind.PASSPHRASE in kinds else "Recovery key or line of the key file"
            text = _prompt(f"{what} for {self._repository}")
        return _as_credential(text, kinds)

    def _nobody_to_ask(self, kinds: set[SlotKind]) -> PassphraseMissing:
        if SlotKind.PASSPHRASE not in kinds:
            return PassphraseMissing("this repository is opened by a key file", advice=_KEY_FILE_ADVICE)
        if self._key_file is None:
            return PassphraseMissing(_NOBODY, advice=_ADVICE)
        message = "this repository is opened by a passphrase, and no slot of it takes a key file"
        return PassphraseMissing(message, advice=f"set {', '.join(PASSPHRASE_SOURCES)}")

    def for_new_repository(self) -> Credential:
        """Return the credential to make a repository with; a key file that does not exist is made.

        Raises:
            KeyUnavailable: as `ask`, or what is given is no passphrase to make a repository with.
        """
        if self._key_file is not None:
            return Credential.from_secret(self._read_or_make(self._key_file))
        key = self._from_systemd(_SYSTEMD_KEY)
        if key and not self._names_passphrase:
            return Credential.from_secret(read_key_file(key))
        text = self._given_passphrase()
        return _new(_prompt(f"Passphrase for {self._repository}", confirm=True) if text is None else text)

    def new_passphrase(self) -> Credential:
        """Return the passphrase that a repository is to have from now on.

        Raises:
            PassphraseMissing: it is empty, or nothing is given and there is nobody to ask.
            KeyUnavailable: the file that it is said to be in cannot be read, or it is no passphrase.
        """
        for name, read in ((NEW_PASSPHRASE, _itself), (NEW_PASSPHRASE_FILE, _read)):
            value = self._environment.get(name)
            if value or (value is not None and name == NEW_PASSPHRASE):
                return _new(_not_empty(read(value), name))
        advice = f"set {NEW_PASSPHRASE} or {NEW_PASSPHRASE_FILE}"
        return _new(_prompt(f"New passphrase for {self._repository}", confirm=True, advice=advice))

    def _given_passphrase(self) -> str | None:
        """Return what is given instead of an answer at the prompt; None if nothing is."""
        readers = {PASSPHRASE: _itself, PASSPHRASE_FILE: _read, PASSPHRASE_COMMAND: _run, PASSPHRASE_KEYRING: _look_up}
        for name, read in readers.items():
            value = self._environment.get(name)
            if value or (value is not None and name == PASSPHRASE):
                return _not_empty(read(value), name)
        path = self._from_systemd(_SYSTEMD_PASSPHRASE)
        advice = "give the service a passphrase in this credential, or do not load it"
        return _not_empty(_read(str(path)), str(path), advice) if path else None

    def _from_systemd(self, name: str) -> Path | None:
        """Return the file of a systemd credential, if the service was given it."""
        directory = self._environment.get(_SYSTEMD)
        path = Path(directory, name) if directory else None
        return path if path and path.exists() else None

    def _read_or_make(self, path: Path) -> Key:
        return make_key_file(path) if self.key_file_is_new else read_key_file(path, self._warn)


def _takes_key_file(kinds: set[SlotKind], *, passphrase: bool) -> bool:
    """Say whether to open a slot of these kinds by a key file; `passphrase`: one is given in the same way.

    Where no slot was made for a key file it may hold the recovery key, or be meant for another repository.
    """
    return SlotKind.KEY_FILE in kinds or (SlotKind.RECOVERY in kinds and not passphrase)


def _as_credential(text: str, kinds: set[SlotKind]) -> Credential:
    """Take a recovery key for what it is, wherever it was given instead of a passphrase.

    No passphrase is a secret's text: `_new` refuses that.
    """
    if kinds - {SlotKind.PASSPHRASE}:
        try:
            return Credential.from_secret(parse_secret(text), SlotKind.RECOVERY)
        except KeyFileUnusable as error:
            if SlotKind.PASSPHRASE not in kinds:
                message = (
                    f"only a key file or a recovery key opens this repository, and this is neither: {error.message}"
                )
                advice = (
                    f"{_KEY_FILE_ADVICE}; if a passphrase was enough before, its slot is lost: `packstore key import`"
                )
                raise PassphraseMissing(message, advice=advice) from None
    return Credential.from_passphrase(text)


def _new(text: str) -> Credential:
    """Return a passphrase that is to be one from now on."""
    try:
        parse_secret(text)
    except KeyFileUnusable:
        return Credential.from_passphrase(text)
    message = "this is the line of a key file or a recovery key, and no passphrase"
    raise KeyUnavailable(message, advice="name a file that holds it with --key-file, or choose a passphrase")


def _not_empty(text: str, origin: str, advice: str = "") -> str:
    if not text.strip("\r\n"):
        raise PassphraseMissing(f"the passphrase from {origin} is empty", advice=advice or f"set or unset {origin}")
    return text


def _itself(value: str) -> str:
    return value


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_PASSPHRASE_BYTES + 1)
    except OSError as error:
        raise KeyUnavailable(f"the passphrase cannot be read from {path}: {error.strerror}") from None
    if len(data) > _MAX_PASSPHRASE_BYTES:
        advice = "name a file that holds the passphrase and nothing else"
        raise KeyUnavailable(f"{path} is too long to be a passphrase", advice=advice)
    return _text(data, path)


def _run(command: str) -> str:
    # Standard input may be the device that is being backed up: the command must not swallow any of it.
    terminal = sys.stdin is not None and sys.stdin.isatty()
    stdin = None if terminal else subprocess.DEVNULL
    try:
        done = subprocess.run(shlex.split(command), stdin=stdin, stdout=subprocess.PIPE, check=False)  # noqa: S603  the user's own command
    except OSError as error:
        raise KeyUnavailable(f"{PASSPHRASE_COMMAND} cannot be run: {error.strerror}") from None
    except ValueError as error:
        raise KeyUnavailable(f"{PASSPHRASE_COMMAND} is no command line: {error}") from None
    if done.returncode:
        raise KeyUnavailable(f"{PASSPHRASE_COMMAND} failed with exit code {done.returncode}")
    return _text(done.stdout, PASSPHRASE_COMMAND)


def _look_up(description: str) -> str:
    return _text(read_kernel_key(description), f"the kernel key {description!r}")


def _text(data: bytes, origin: str) -> str:
    """Decode a passphrase. What Python says of bytes that are not text would show some of them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise KeyUnavailable(f"the passphrase from {origin} is not valid UTF-8") from None


def _has_terminal() -> bool:
    try:
        with Path("/dev/tty").open("rb"):
            return True
    except OSError:
        return False


def _prompt(question: str, *, confirm: bool = False, advice: str = _ADVICE) -> str:
    if not _has_terminal():
        raise PassphraseMissing(_NOBODY, advice=advice)
    answer: str = click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)
    return answer


def read_key_file(path: Path, warn: Warn | None = None) -> Key:
    """Return the secret in a key file that packstore wrote; warn if others may read it too.

    Raises:
        KeyFileUnusable: there is no such file, or it is any other file.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise KeyFileUnusable(f"the key file {path} cannot be read: {error.strerror}") from error
    try:
        secret = parse_secret(data.decode("ascii").strip())
    except (UnicodeDecodeError, KeyFileUnusable):
        message = f"{path} is not a key file that packstore wrote"
        advice = "`packstore init --key-file` makes one; it has one line of nine groups of four"
        raise KeyFileUnusable(message, advice=advice) from None
    if warn and stat.S_ISREG(mode) and mode & 0o077:
        warn(f"the key file {path} may be read by others (mode {stat.S_IMODE(mode):03o}); `chmod 600` it")
    return secret


def make_key_file(path: Path) -> Key:
    """Write a new secret to a new file that only its owner may read, durably; return the secret.

    Raises:
        KeyFileUnusable: there is such a file already, or it cannot be made.
    """
    secret = Key(os.urandom(SECRET_BYTES))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
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
