"""A repository on disk whose versions were made, and committed, when a test says so."""

import os
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from packstore.blocks import Extent
from packstore.codec.key import Key
from packstore.codec.secret import format_secret
from packstore.format.document import DocumentType, encode_document
from packstore.format.intent import CondemnedList, encode_list
from packstore.format.version import EventType
from packstore.ids import Uid
from packstore.operations.backup import BackupOptions, backup
from packstore.operations.events import publish_events
from packstore.progress import NullProgress, StopRequest
from packstore.storage.file import FileStorage
from tests.cli.program import Program
from tests.support.devices import BytesSource, noise
from tests.support.worlds import World, fixed_runtime

DEVICE = noise("aged", 70_001)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass
class Aged:
    """The command line, and a way to make versions of any age."""

    program: Program
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.program.key.write_text(format_secret(Key(bytes(range(20)))) + "\n")
        self.program.key.chmod(0o600)
        self.world = World(FileStorage(self.program.repo), self.program.home / "library-index").create()

    def back_up(
        self,
        age: timedelta,
        volume: str = "disk",
        *,
        committed: timedelta | None = None,
        tags: tuple[str, ...] = (),
        incomplete: bool = False,
        snapshot: str = "",
    ) -> str:
        """Commit a version dated so long ago, and make its pack as old (or `committed` old); return its uid."""
        now = time.time_ns() // 1_000_000
        date_ms = now - age // timedelta(milliseconds=1)
        before = set(self.program.repo.glob("meta/*"))
        source = _Source(DEVICE, bad=(Extent(0, 512),) if incomplete else ())
        source.snapshot = snapshot
        with self.world.open(replace(fixed_runtime(), now_ms=lambda: date_ms)) as repository:
            options = BackupOptions(volume, threads=1, tags=tags)
            result = backup(repository, source, options, StopRequest(), NullProgress())
        for path in set(self.program.repo.glob("meta/*")) - before:
            set_age(path, age if committed is None else committed)
        return result.version.uid.hex()

    def condemn(self, uid: str) -> None:
        """Have a collector name a version in a list."""
        with self.world.open() as repository:
            found = CondemnedList(repository.runtime.new_uid(), [], [Uid(bytes.fromhex(uid))])
            document = encode_document(DocumentType.LIST, encode_list(found), repository.keyring.pack_mac)
            repository.storage.put(f"gc/list-{found.id.hex()}", document)

    def collect(self, uid: str) -> None:
        """Say that a version was collected."""
        with self.world.open() as repository:
            event = repository.new_event(EventType.GONE, [Uid(bytes.fromhex(uid))])
            publish_events(repository, "gc", lambda _: ([event], []))

    def uids(self, *args: str) -> list[str]:
        """The uids that `ls` shows."""
        return [found["uid"] for found in self.program.json("ls", *args)["versions"]]


class _Source(BytesSource):
    snapshot = ""

    @property
    def description(self) -> dict[str, str | int]:
        return super().description | ({"snapshot_name": self.snapshot} if self.snapshot else {})


def set_age(path: Path, age: timedelta) -> None:
    """Make a file look as if it had been written so long ago."""
    moment = time.time() - age.total_seconds()
    os.utime(path, (moment, moment))
