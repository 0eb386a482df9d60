"""Say something about versions: publish events. FORMAT.md section 10.

What takes back a removal refers to objects that a collector may be about to delete. So every event is
published by a session, with an intent, and what it is about is looked at again once the intent stands.
Before: repository.session. After: the command line.
"""

from collections.abc import Callable

from packstore.format.version import Event
from packstore.repository.coordination import WriterIntent
from packstore.repository.repository import Repository
from packstore.repository.reserve import with_reserve
from packstore.repository.session import Session

Plan = Callable[[WriterIntent], tuple[list[Event], list[Event]]]
"""Called once the intent stands and the index is up to date; returns the events, and those that take them back.

Takes the intent, for what it says of condemned versions. May raise what the command is to fail with.
"""


def publish_events(repository: Repository, purpose: str, plan: Plan, *, frees: bool = False) -> list[Event]:
    """Publish what `plan` returns, all or nothing; return it. An empty plan publishes nothing.

    On a full disk what `frees` space, or leads to it, may use the reserve.

    Raises:
        StorageError: the storage failed; the events may or may not be there.
        DeclaredDead: somebody took this process for dead; the events were taken back.
    """
    if not frees:
        return _publish(repository, purpose, plan)
    return with_reserve(repository.storage, lambda: _publish(repository, purpose, plan))


def _publish(repository: Repository, purpose: str, plan: Plan) -> list[Event]:
    with Session(repository, purpose) as session:
        events, undo = plan(session.intent)
        if events:
            session.publish(events, undo)
        return events
