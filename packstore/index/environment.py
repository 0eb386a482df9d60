"""An LMDB environment: the only module that imports lmdb.

LMDB maps its file into memory: reading past the end of a truncated file would kill the process, so the
size is compared with what the file says of itself before anything is read. Whatever else is wrong with it
ends as `IndexBroken`, and the caller throws the index away.
"""

import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import lmdb

from packstore.errors import IndexUnusable
from packstore.limits import GIB

_MAP_BYTES: Final = 64 * GIB
"""Address space, not memory and not disk; doubled when it is not enough."""
_PAGE_BYTES: Final = 4096
_BROKEN: Final = "broken"
"""The name of a file beside the data that says: found to be damaged by an earlier run."""

Database = Any
Transaction = Any
Cursor = Any
Result = TypeVar("Result")


class IndexBroken(IndexUnusable):
    """The index cannot be read: throw it away and make it anew."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the index is damaged ({reason})", advice="run the command again: it is made anew, and no data is lost"
        )


@contextmanager
def translated() -> Iterator[None]:
    """Turn every error of LMDB into IndexBroken, except a full disk."""
    try:
        yield
    except lmdb.DiskError as error:
        raise IndexUnusable(f"the index cannot be written: {error}", advice="free space in its directory") from error
    except lmdb.Error as error:
        raise IndexBroken(str(error)) from error


class Environment:
    """Tables in one LMDB file. Reads may come from any thread, each in its own transaction."""

    def __init__(self, directory: Path, tables: dict[str, bool], *, durable: bool = True) -> None:
        """Open or create; `tables` maps each name to whether a key may have several values.

        What is not durable is not waited for: a crash of the machine may leave it broken.
        """
        self.directory = directory
        self._make_directory()
        if (directory / _BROKEN).exists():
            raise IndexBroken("found to be so by an earlier run")
        self._check_size()
        with translated():
            self._environment = lmdb.open(
                str(directory),
                map_size=_MAP_BYTES,
                max_dbs=len(tables),
                max_readers=512,
                metasync=False,  # the last transaction may be lost, never the integrity
                writemap=False,
                sync=durable,
            )
        try:
            self._check_size()
            with translated():
                self.tables: dict[str, Database] = {
                    name: self._environment.open_db(name.encode(), dupsort=several) for name, several in tables.items()
                }
        except BaseException:
            self.close()
            raise

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            message = f"the index cannot be kept at {self.directory}: {error.strerror}"
            raise IndexUnusable(message, advice="name another place with --index-dir or PACKSTORE_INDEX_DIR") from error

    def _check_size(self) -> None:
        path = self.directory / "data.mdb"
        if not path.exists():
            return
        size = path.stat().st_size
        if size and size < 2 * _PAGE_BYTES:
            raise IndexBroken("too short")
        if hasattr(self, "_environment"):
            with translated():
                last_page, page_size = self._environment.info()["last_pgno"], self._environment.stat()["psize"]
            if size < (last_page + 1) * page_size and last_page > 1:
                raise IndexBroken("shorter than it says")

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Open a transaction that sees one state of all tables."""
        with self._noting_damage(), translated(), self._environment.begin(buffers=False) as transaction:
            yield transaction

    @contextmanager
    def _noting_damage(self) -> Iterator[None]:
        """Have the next run throw this index away, if it turns out to be damaged."""
        try:
            yield
        except IndexBroken:
            self.mark_broken()
            raise

    def mark_broken(self) -> None:
        """Have the next run throw this index away."""
        with suppress(OSError):
            (self.directory / _BROKEN).touch()

    def write(self, work: Callable[[Transaction], Result]) -> Result:
        """Run `work` in the one transaction that may write: all of it happens or nothing.

        It is run again from its beginning where the address space was not enough.
        """
        while True:
            with self._noting_damage(), translated():
                try:
                    with self._environment.begin(write=True) as transaction:
                        return work(transaction)
                except lmdb.MapFullError:
                    self._environment.set_mapsize(2 * self._environment.info()["map_size"])
                except lmdb.MapResizedError:
                    self._environment.set_mapsize(0)

    def items(self, table: str, layout: struct.Struct) -> list[tuple[bytes, tuple[int, ...]]]:
        """Return all keys of a table whose values have this layout, with their values."""
        with self.reading() as transaction:
            return [(key, unpack(layout, value)) for key, value in transaction.cursor(self.tables[table])]

    def bytes_used(self) -> int:
        """Return the size of the file in bytes."""
        return (self.directory / "data.mdb").stat().st_size

    def last_write(self) -> int:
        """Return the number of the last transaction that wrote."""
        with translated():
            return int(self._environment.info()["last_txnid"])

    def close(self) -> None:
        """Close the environment."""
        if hasattr(self, "_environment"):
            self._environment.close()


def unpack(layout: struct.Struct, value: bytes) -> tuple[int, ...]:
    """Return the numbers of a value.

    Raises:
        IndexBroken: it has another length.
    """
    if len(value) != layout.size:
        raise IndexBroken("an entry has the wrong length")
    return layout.unpack(value)


def destroy(directory: Path) -> None:
    """Remove an index and all that belongs to it."""
    shutil.rmtree(directory, ignore_errors=True)
