"""From what a person writes as REPO to a storage."""

from pathlib import Path

from packstore.errors import UsageError
from packstore.storage.base import Storage
from packstore.storage.file import FileStorage
from packstore.storage.null import NullStorage


def open_storage(location: str) -> Storage:
    """Return the storage at a path, `file://` or `null://` URL; whether anything is there is not asked.

    Raises:
        UsageError: an unknown kind of storage.
    """
    scheme, separator, rest = location.partition("://")
    if not separator:
        return FileStorage(Path(location).absolute())
    if scheme == "file":
        return FileStorage(Path(rest).absolute())
    if scheme == "null" and rest:
        return NullStorage(Path(rest).absolute())
    raise UsageError(f"unknown kind of storage: {scheme}://", advice="a repository is a path or file:// URL")
