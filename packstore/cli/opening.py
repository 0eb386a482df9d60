"""From options and environment to a storage, its keys, an open repository."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from packstore.cli.credentials import Credentials
from packstore.cli.live import LiveProgress
from packstore.cli.options import Settings
from packstore.cli.output import Output
from packstore.cli.places import KEY_FILE, find_place
from packstore.codec.compression import DEFAULT_COMPRESSION, CompressionSpec
from packstore.codec.keyring import Keyring
from packstore.errors import IndexUnusable
from packstore.index.environment import IndexBroken
from packstore.repository.opening import read_repository_file, unlock
from packstore.repository.repository import OpenOptions, Repository
from packstore.repository.rollback import look_at_keys, note_keys
from packstore.repository.runtime import Runtime
from packstore.repository.sightings import Sightings, refuse_downgrade
from packstore.storage.base import Storage


def find_storage(settings: Settings) -> Storage:
    """Return the storage named by -r, --repo-id or PACKSTORE_REPO.

    Raises:
        UsageError: none is given.
        RepositoryNotFound: it is named by its id, and is not mounted.
    """
    return find_place(settings).open()


def find_credentials(settings: Settings) -> Credentials:
    """Return where secrets come from."""
    place = find_place(settings)
    environment = place.environment(settings.environment)
    key_file = settings.key_file or environment.get(KEY_FILE)
    return make_credentials(settings, environment, Path(key_file) if key_file else None, place.location)


def make_credentials(
    settings: Settings, environment: Mapping[str, str], key_file: Path | None, repository: str
) -> Credentials:
    """Return where the secrets of one of several repositories come from; its warnings are printed."""
    # The command decides where its output goes, and may not have done so yet.
    return Credentials(environment, key_file, repository, lambda message: settings.output().warn(message))


def index_root(settings: Settings) -> Path:
    """Return where indexes are kept: the user's cache, which may be deleted at any time.

    Raises:
        IndexUnusable: nothing says where.
    """
    given = settings.index_dir or os.environ.get("PACKSTORE_INDEX_DIR")
    if given:
        return Path(given)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "packstore"
    except RuntimeError:
        message = "there is no home directory to keep the index in"
        raise IndexUnusable(message, advice="name a place with --index-dir or PACKSTORE_INDEX_DIR") from None


def open_keys(settings: Settings) -> tuple[Storage, Keyring]:
    """Return the storage and its keys: enough for what needs no index.

    Raises:
        RepositoryError: there is no repository.
        KeyUnavailable: no key, or a wrong one.
    """
    storage = find_storage(settings)
    secrets = find_credentials(settings)
    opened = read_repository_file(storage)
    refuse_downgrade(state_directory(), opened.file, storage)
    sightings = Sightings(state_directory(), opened.file.id, storage)
    keyring = unlock(storage, opened, secrets.ask, expect_encrypted=secrets.given, first=sightings.slot())
    found = look_at_keys(sightings, keyring)
    for announcement in found.announcements():
        settings.output().warn(announcement)
    if found.anything_missing:
        settings.rolled_back = found.error(storage.location)
        settings.output().warn(settings.rolled_back.message)
    note_keys(sightings, keyring, found)
    return storage, keyring


def state_directory() -> Path | None:
    """Return where is noted what should survive a restart, but is no part of a repository; None without a home."""
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "packstore"
    except RuntimeError:
        return None


@contextmanager
def open_repository(
    settings: Settings,
    output: Output,
    *,
    compression: str = DEFAULT_COMPRESSION,
    credentials: Credentials | None = None,
    wrap: Callable[[Storage], Storage] = lambda storage: storage,
) -> Iterator[Repository]:
    """Open the repository for the length of a command; its warnings are printed.

    `wrap`: what its storage is put into, to limit what goes through it.
    """
    secrets = credentials or find_credentials(settings)
    options = OpenOptions(
        index_root(settings),
        secrets.ask,
        expect_encrypted=secrets.given,
        state_root=state_directory(),
        compression=CompressionSpec.parse(compression),
    )
    progress = LiveProgress(output)
    try:
        repository = Repository.open(wrap(find_storage(settings)), options, Runtime(), progress)
    finally:
        progress.finish()
    try:
        for warning in repository.warnings:
            output.warn(f"{warning}; run `packstore check`")
        for announcement in repository.announcements:
            output.warn(announcement)
        if repository.missing.anything_missing:
            settings.rolled_back = repository.missing.error(repository.storage.location)
            output.warn(settings.rolled_back.message)
        yield repository
        repository.note_seen()
        if not repository.missing.anything_missing:  # it came back
            settings.rolled_back = None
    except IndexBroken:
        repository.index.mark_broken()
        raise
    finally:
        repository.close()
