"""Which checkpoints count: how far an unfinished backup has come. FORMAT.md section 10.2.

Pure: no storage, no clock. Before: format.checkpoint. After: operations.resume, and whoever collects garbage.
"""

from collections.abc import Iterable

from packstore.format.checkpoint import Checkpoint
from packstore.format.version import Version


def open_checkpoints(versions: Iterable[Version], checkpoints: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Return the open checkpoints, at most one for each volume, by volume.

    `versions` are all there are, the removed ones too: a volume whose later version was removed has been finished all
    the same. What an open checkpoint refers to must not be collected.
    """
    newest: dict[str, Checkpoint] = {}
    for checkpoint in checkpoints:
        known = newest.get(checkpoint.volume)
        if known is None or (checkpoint.counter, checkpoint.id) > (known.counter, known.id):
            newest[checkpoint.volume] = checkpoint
    committed: dict[str, int] = {}
    for version in versions:
        committed[version.volume] = max(version.counter, committed.get(version.volume, 0))
    return [newest[volume] for volume in sorted(newest) if newest[volume].counter >= committed.get(volume, 0)]
