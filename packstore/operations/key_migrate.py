"""Write what is stored under older epochs anew: a collection that takes every pack with older records.

Before: operations.gc. After: the command line.
"""

from dataclasses import dataclass

from packstore.codec.keyring import EpochKeys
from packstore.operations.gc import GcOptions, GcReport, collect
from packstore.operations.gc_epochs import packs_with
from packstore.operations.hold import describe
from packstore.operations.keys import open_store
from packstore.progress import Progress, StopRequest
from packstore.repository.notices import survey
from packstore.repository.repository import Repository
from packstore.storage.base import Listed


@dataclass(frozen=True)
class Migration:
    """The epoch that everything is written in, what was done, and the packs that are left."""

    epoch: EpochKeys
    collected: GcReport
    left: list[Listed]


def migrate(repository: Repository, options: GcOptions, stop: StopRequest, progress: Progress) -> Migration:
    """Bring records of older epochs into the newest one.

    Raises:
        UsageError: the repository is not encrypted.
        KeysUnreadable: the newest epoch cannot be opened with this key.
        PackstoreError: as `collect`.
    """
    keyring = open_store(repository.storage, repository.keyring, repository.runtime).keyring
    repository.learn_keys()
    report = collect(repository, options, stop, progress)
    newest = keyring.newest
    older = {key_id for epoch in keyring.epochs if epoch != newest for key_id in epoch.key_ids}
    left = packs_with(repository, older, stop, progress) if older else []
    if left and not report.waiting_for:
        # Packs as young as somebody's backup are not even listed while it runs.
        found = survey(repository.storage, keyring, repository.runtime.process)
        report.waiting_for = [describe(notice) for notice in found.notices if not notice.dead and not notice.collects]
    return Migration(newest, report, left)
