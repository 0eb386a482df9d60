"""The exceptions of packstore, and the exit code of each.

Subclasses refine their parents, in meaning and in number: 10 repository, 20 keys, 30 storage, 40 damage, 50 source,
55 target, 60 guards, 65 monitoring, 70 configuration, 80 collection, 90 `run`. docs/EXIT_CODES.md is the list.

Adapters translate at their seam: no OSError, lmdb.Error or nacl exception leaves its module. Messages
carry no trailing period; `advice`, where there is one, says what to do next. The first line of each
docstring is the meaning shown in the table of docs/EXIT_CODES.md, which is generated from here.
"""

from typing import ClassVar, Final

_QUOTED: Final = 80
"""Characters of what somebody has typed that a message repeats."""


def quoted(text: str) -> str:
    """Return what somebody has typed as messages show it: in quotes, and not longer than a line."""
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")


class PackstoreError(Exception):
    """Something failed that packstore did not foresee: a mistake in it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class UsageError(PackstoreError):
    """The command line makes no sense as given."""

    exit_code = 2


class RepositoryError(PackstoreError):
    """The repository cannot be used as asked."""

    exit_code = 10


class RepositoryNotFound(RepositoryError):
    """There is no repository at this place (an unmounted disk, a wrong path)."""

    exit_code = 11


class RepositoryExists(RepositoryError):
    """`init` found a repository, or files, where it was to make one."""

    exit_code = 12


class UnsupportedFormat(RepositoryError):
    """The repository needs a newer packstore."""

    exit_code = 13


class VersionNotFound(RepositoryError):
    """No version matches what was asked for, or somebody removed and collected it meanwhile."""

    exit_code = 14


class AmbiguousVersion(RepositoryError):
    """Several versions match what was asked for."""

    exit_code = 15


class RepositoryUnreadable(RepositoryError):
    """Both copies of the repository file are damaged."""

    exit_code = 16


class IndexUnusable(RepositoryError):
    """The index, a local cache, can be neither used nor made anew."""

    exit_code = 17


class DeclaredDead(RepositoryError):
    """Another process took this one for dead while it wrote; what it had committed was taken back."""

    exit_code = 18


class KeyUnavailable(PackstoreError):
    """The repository's keys cannot be used."""

    exit_code = 20


class PassphraseMissing(KeyUnavailable):
    """A passphrase or key file is needed and none was given."""

    exit_code = 21


class WrongKey(KeyUnavailable):
    """The passphrase or key file does not open this repository."""

    exit_code = 22


class KeyFileUnusable(KeyUnavailable):
    """The key file is missing, damaged, not one that packstore wrote, or cannot be made."""

    exit_code = 23


class KeysUnreadable(KeyUnavailable):
    """Both copies of a needed slot or epoch are damaged or missing."""

    exit_code = 24


class TamperedRepository(KeyUnavailable):
    """Something carries a wrong MAC, or claims not to be encrypted: not an accident."""

    exit_code = 25


class RolledBack(KeyUnavailable):
    """Something that this host has seen in the repository is gone, and nobody has removed it."""

    exit_code = 26


class KeyNotFound(KeyUnavailable):
    """No slot or epoch matches what was asked for."""

    exit_code = 27


class AmbiguousKey(KeyUnavailable):
    """Several slots or epochs match what was asked for."""

    exit_code = 28


class StorageError(PackstoreError):
    """Reading or writing the repository's storage failed."""

    exit_code = 30


class NameNotFound(StorageError):
    """A file that should be in the storage is not there."""

    exit_code = 31


class NameExists(StorageError):
    """A file that was to be created is there already."""

    exit_code = 32


class StorageFull(StorageError):
    """The storage is full, or its quota is used up."""

    exit_code = 33


class StorageDenied(StorageError):
    """The storage refuses: permissions, or a read-only file system."""

    exit_code = 34


class StorageGone(StorageError):
    """The storage failed or vanished while in use (an unplugged disk)."""

    exit_code = 35


class FreeSpaceFloor(StorageError):
    """Storing more would leave less free space than min-free asks for; what was stored is found again."""

    exit_code = 36


class DamageError(PackstoreError):
    """Damage was found: by a check, or by a restore that went on around it."""

    exit_code = 40


class FormatError(DamageError):
    """Bytes do not have the form that FORMAT.md demands."""

    exit_code = 41

    def __init__(self, what: str, reason: str, *, failure: str = "malformed", offset: int | None = None) -> None:
        """Describe the fault: `failure` is the class of FORMAT.md section 17, `offset` is in bytes."""
        where = "" if offset is None else f" at byte {offset}"
        super().__init__(f"{what}{where}: {reason}")
        self.what = what
        self.reason = reason
        self.failure = failure
        self.offset = offset


class ObjectMissing(DamageError):
    """An object is in no pack of the repository."""

    exit_code = 42


class ObjectCorrupt(DamageError):
    """An object was found, and no copy of it is what it should be."""

    exit_code = 43


class IncompleteHere(DamageError):
    """Nothing is damaged, but packs that versions need are not here: they may not have arrived yet."""

    exit_code = 44


class SourceError(PackstoreError):
    """The source cannot be backed up."""

    exit_code = 50


class SourceNotFound(SourceError):
    """The source does not exist."""

    exit_code = 51


class SourceDenied(SourceError):
    """The source may not be read."""

    exit_code = 52


class SourceChanged(SourceError):
    """The source changed its size while it was read; nothing was committed."""

    exit_code = 53


class SourceReadFailed(SourceError):
    """Parts of the source could not be read; the version is committed without them."""

    exit_code = 54


class TargetError(PackstoreError):
    """The target cannot be restored to."""

    exit_code = 55


class TargetExists(TargetError):
    """The target exists and --force was not given."""

    exit_code = 56


class TargetBusy(TargetError):
    """The target is mounted or in use."""

    exit_code = 57


class TargetTooSmall(TargetError):
    """The target is smaller than the version."""

    exit_code = 58


class TargetWriteFailed(TargetError):
    """Writing to the target failed; what is there is incomplete."""

    exit_code = 59


class GuardError(PackstoreError):
    """A guard refuses what was asked for; nothing was changed."""

    exit_code = 60


class VersionProtected(GuardError):
    """The version is protected and cannot be removed."""

    exit_code = 61


class VersionTooYoung(GuardError):
    """The version is younger than the minimum age, and --force was not given."""

    exit_code = 62


class VersionCondemned(GuardError):
    """What only this removed version needs has been deleted, or is about to be: it cannot be kept any more."""

    exit_code = 63


class KeyStillNeeded(GuardError):
    """The last slot, or an epoch of which a record is needed, cannot be given up."""

    exit_code = 64


class Attention(PackstoreError):
    """Nothing failed, and something needs to be done: for monitoring."""

    exit_code = 65


class BackupDue(Attention):
    """`due`: at least one backup is due."""

    exit_code = 66


class SlaBreached(Attention):
    """`sla`: backups are not as the schedules promise."""

    exit_code = 67


class SourceDiffers(Attention):
    """A check against the source found the version good, and the source another than it was."""

    exit_code = 68


class ConfigError(PackstoreError):
    """The configuration file cannot be read, or says what makes no sense."""

    exit_code = 70


class CollectionError(PackstoreError):
    """Garbage cannot be collected."""

    exit_code = 80


class CollectionRefused(CollectionError):
    """Something that might be needed could not be read or understood; nothing was deleted."""

    exit_code = 81


class CollectorBusy(CollectionError):
    """Another process is collecting garbage in this repository."""

    exit_code = 82


class RunFailed(PackstoreError):
    """`run`: at least one step failed; the summary says which, and the others were done."""

    exit_code = 90


class HookFailed(RunFailed):
    """A hook of the configuration cannot be run, or ended with another code than 0."""

    exit_code = 91


class Interrupted(PackstoreError):
    """Stopped by Ctrl-C or SIGTERM; what was committed stays, what was stored is found again."""

    exit_code = 130
