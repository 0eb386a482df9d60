"""From what a person writes as REPO to a storage."""

from pathlib import Path

from packstore.errors import UsageError
from packstore.storage.base import Storage
from packstore.storage.file import FileStorage


def open_storage(location: str) -> Storage:
    """Return the storage at a path or `file://` URL; whether anything is there is not asked.

    Raises:
        UsageError: an unknown kind of storage.
    """
    scheme, separator, rest = location.partition("://")
    if not separator:
        return FileStorage(Path(location).absolute())
    if scheme == "file":
        return FileStorage(Path(rest).absolute())
    raise UsageError(f"unknown kind of storage: {scheme}://", advice="a repository is a path or file:// URL")
