"""Retire an epoch: from then on its records are refused, and whoever had its keys can add none. FORMAT.md section 13.6.

Before: operations.gc, operations.keys. After: the command line.
"""

from dataclasses import dataclass
from typing import Final

from packstore.codec.keyring import EpochKeys
from packstore.errors import AmbiguousKey, FormatError, KeyNotFound, KeyStillNeeded
from packstore.format.intent import CondemnedList
from packstore.operations.gc import GcOptions, GcReport, collect
from packstore.operations.gc_epochs import packs_with
from packstore.operations.hold import describe
from packstore.operations.keys import KeyStore, open_store, write_again
from packstore.progress import Progress, StopRequest
from packstore.repository.notices import list_name, publish_list, survey
from packstore.repository.repository import Repository

_MIN_PREFIX: Final = 4
"""Characters of an id; fewer are met by chance."""


@dataclass(frozen=True)
class Retirement:
    """What was retired; None for `collected`: it was already."""

    epoch: EpochKeys
    collected: GcReport | None


def find_epoch(store: KeyStore, spec: str) -> EpochKeys:
    """Find an epoch by its number, or by the beginning of the id of its data key.

    Raises:
        KeyNotFound: there is none.
        AmbiguousKey: there are several: one number made in two copies.
    """
    epochs = store.keyring.epochs
    found = [epoch for epoch in epochs if str(epoch.number) == spec]
    if not found and len(spec) >= _MIN_PREFIX:
        found = [epoch for epoch in epochs if epoch.data.id.hex().startswith(spec.lower())]
    if not found:
        raise KeyNotFound(f"there is no epoch {spec!r}", advice="`packstore key ls` lists them")
    if len(found) > 1:
        ids = ", ".join(epoch.data.id.hex() for epoch in found)
        raise AmbiguousKey(f"{spec!r} names several epochs: {ids}", advice="name it by its id")
    return found[0]


def retire_epoch(repository: Repository, spec: str, stop: StopRequest, progress: Progress) -> Retirement:
    """Retire an epoch of which no record is left, after collecting what nobody needs.

    Raises:
        KeyStillNeeded: a record of it is there, it is the newest, or somebody may still write in it.
        FormatError: a pack cannot be read: it may hold records of it.
    """
    store = open_store(repository.storage, repository.keyring, repository.runtime)
    repository.learn_keys()
    epoch = find_epoch(store, spec)
    if store.keyring.is_retired(epoch):
        return Retirement(epoch, None)
    if epoch == store.keyring.newest:
        advice = "start a newer one first: `packstore key rotate`"
        raise KeyStillNeeded(f"epoch {epoch.number} is the one that is written in", advice=advice)
    collected = collect(repository, GcOptions(), stop, progress)
    condemned = CondemnedList(repository.runtime.new_uid(), [], [])
    publish_list(store.storage, store.keyring, condemned)
    try:
        _require_nobody_before(repository, condemned)
        _require_no_record(repository, epoch, stop, progress)
        write_again(store, store.keyring.newest, [], retired=epoch.key_ids)
    finally:
        store.storage.delete(list_name(condemned.id))
    return Retirement(epoch, collected)


def _require_nobody_before(repository: Repository, condemned: CondemnedList) -> None:
    """Refuse while anybody is at work who may not know of a newer epoch: whoever honours the list began after it."""
    found = survey(repository.storage, repository.keyring, repository.runtime.process)
    before = [notice for notice in found.notices if notice.collects or not notice.honours(condemned.id)]
    if before:
        names = ", ".join(describe(notice) for notice in before)
        advice = "run it again when they have ended; `packstore status` shows who is at work"
        raise KeyStillNeeded(f"somebody may still write in this epoch: {names}", advice=advice)


def _require_no_record(repository: Repository, epoch: EpochKeys, stop: StopRequest, progress: Progress) -> None:
    try:
        packs = packs_with(repository, epoch.key_ids, stop, progress)
    except FormatError as error:
        error.advice = "it may hold records of the epoch: run `packstore repair` first"
        raise
    if packs:
        size = sum(listed.size for listed in packs)
        message = f"{len(packs)} packs of {size} bytes still hold records of epoch {epoch.number}"
        advice = "write them anew first: `packstore key migrate`; what is removed goes with `packstore gc`"
        raise KeyStillNeeded(message, advice=advice)
