"""Keep everything from being deleted for a while, and see who writes, holds and collects. FORMAT.md 13.5.

A collector that was under way when a hold is published may not have seen it. It looks for holds before each
deletion; a hold takes effect when the collectors that it met have ended.
Before: repository.notices. After: the command line.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from packstore.codec.keyring import Keyring
from packstore.errors import DeclaredDead
from packstore.format.intent import IntentRole
from packstore.progress import Progress, StopRequest
from packstore.repository.coordination import WriterIntent, publish_notice
from packstore.repository.notices import Notice, find_notice, survey
from packstore.repository.runtime import Runtime
from packstore.storage.base import Storage

_POLL_SECONDS: Final = 0.2


@contextmanager
def hold_everything(
    storage: Storage, keyring: Keyring, runtime: Runtime, purpose: str, stop: StopRequest, progress: Progress
) -> Iterator[None]:
    """Have nothing deleted inside the block.

    Raises:
        StorageError: the storage cannot be read or written.
        DeclaredDead: at the end, if somebody has taken this process for dead meanwhile.
        Interrupted: while it waited for collectors.
    """
    hold = publish_notice(storage, keyring, runtime, purpose, IntentRole.HOLD)
    try:
        _await_collectors(storage, keyring, runtime, hold, stop, progress)
        hold.hold.share()  # should this process be killed, the command that it has started still holds
        yield
        if not hold.stands():
            message = "another process took this hold for dead meanwhile: something may have been deleted"
            raise DeclaredDead(message, advice="run it again")
    finally:
        hold.withdraw()


def _await_collectors(
    storage: Storage, keyring: Keyring, runtime: Runtime, hold: WriterIntent, stop: StopRequest, progress: Progress
) -> None:
    told = False
    while True:
        found = survey(storage, keyring, runtime.process, hold.name)
        collectors = [notice for notice in found.notices if notice.collects and not notice.dead]
        if not collectors:
            return
        if not told:
            progress.warn(f"waiting for {describe(collectors[0])}, which stops at its next step")
            told = True
        with stop.blocking():
            time.sleep(_POLL_SECONDS)


def describe(notice: Notice) -> str:
    """Return a notice as a person reads it: what for, and where."""
    if notice.intent is None:
        return f"an unreadable notice ({notice.name})"
    return f"{notice.intent.purpose} (process {notice.intent.pid} on {notice.intent.host[:12]})"


def declare_dead(storage: Storage, keyring: Keyring, runtime: Runtime, prefix: str) -> Notice:
    """Remove the intent that begins with `prefix`: its process is taken for dead. A live one notices, and starts over.

    Raises:
        VersionNotFound: there is none.
        AmbiguousVersion: there are several.
    """
    notice = find_notice(survey(storage, keyring, runtime.process), prefix)
    storage.delete(notice.name)
    return notice
