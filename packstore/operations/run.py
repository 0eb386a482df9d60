"""Do what is due in one repository: backups, then prune, then part of a check, then gc if it is worth it.

Each step stands alone: what goes wrong in one is noted, and the next is done. Only who wants to stop, and a storage
that is gone, end them all.
Before: operations.backup, operations.prune, operations.check, operations.worth. After: the command line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import partial

from packstore.errors import HookFailed, IndexUnusable, Interrupted, PackstoreError, StorageGone
from packstore.operations.backup import BackupOptions, BackupResult, backup, check_options, unreadable_fault
from packstore.operations.check import CheckReport, check_repository
from packstore.operations.gc import GcOptions, GcReport, collect
from packstore.operations.guards import DEFAULT_MIN_AGE, AgeGuard
from packstore.operations.hooks import Hooks, run_hook
from packstore.operations.monitor import tags_due
from packstore.operations.pipeline import default_threads
from packstore.operations.prune import PruneResult, prune
from packstore.operations.retention import PruneOptions
from packstore.operations.schedules import Schedule
from packstore.operations.scrub_plan import Amount
from packstore.operations.worth import Estimate, estimate_gc
from packstore.progress import Progress, StopRequest
from packstore.repository.repository import Repository
from packstore.sources.limited import limited_source
from packstore.sources.open import open_source
from packstore.throttle import TokenBucket

Result = BackupResult | PruneResult | CheckReport | GcReport | None


@dataclass(frozen=True)
class VolumeTask:
    """A volume, what it is made from, and what else is to be done about it; without `retention` nothing is pruned."""

    name: str
    source: str
    tags: tuple[str, ...] = ()
    retention: PruneOptions | None = None
    immutable: bool = False
    hooks: Hooks = field(default_factory=Hooks)


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked for; a percentage of 0 turns its step off; hooks are told `name` for the repository."""

    name: str
    schedules: Sequence[Schedule] = ()
    min_age: timedelta = DEFAULT_MIN_AGE
    threads: int = field(default_factory=default_threads)
    min_free: int = 0
    check_percent: float = 0
    gc_percent: float = 0
    dry_run: bool = False
    all_due: bool = False
    incoming: TokenBucket | None = None


class State(Enum):
    """What became of a step."""

    DONE = "done"
    PLANNED = "planned"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass
class Step:
    """What was done, or would be; `reason` says why, or why not; `error` what went wrong, whatever was done."""

    kind: str
    volume: str | None = None
    decision: State = State.DONE
    reason: str = ""
    result: Result = None
    error: PackstoreError | None = None

    @property
    def state(self) -> State:
        """What became of it."""
        return self.decision if self.error is None else State.FAILED

    def skip(self, reason: str) -> None:
        """Say why it need not be done."""
        self.decision, self.reason = State.SKIPPED, reason

    def plan(self, reason: str) -> None:
        """Say that it would be done, and why or what."""
        self.decision, self.reason = State.PLANNED, reason


def run_repository(
    repository: Repository,
    tasks: Sequence[VolumeTask],
    options: RunOptions,
    stop: StopRequest,
    progress: Progress,
    report: Callable[[Step], None],
) -> None:
    """Do what is due; `report` is told of each step when it is over.

    Raises:
        Interrupted: somebody wants to stop; the steps until then were reported.
        IndexUnusable: the index has to be made anew.
    """
    _Run(repository, options, stop, progress, report).run(tasks)


class _Run:
    def __init__(
        self,
        repository: Repository,
        options: RunOptions,
        stop: StopRequest,
        progress: Progress,
        report: Callable[[Step], None],
    ) -> None:
        self._repository = repository
        self._options = options
        self._stop = stop
        self._progress = progress
        self._report = report

    def run(self, tasks: Sequence[VolumeTask]) -> None:
        """Do it all, until the storage is gone."""
        names = [task.name for task in tasks]
        due = tags_due(self._repository, self._options.schedules, names)
        if self._options.all_due:
            due = {name: due.get(name, []) for name in names}
        for task in tasks:
            if task.name not in due:
                self._report(Step("backup", task.name, State.SKIPPED, "not due"))
        tasks = [task for task in tasks if task.name in due]
        steps: list[tuple[Step, Callable[[Step], None]]] = [
            (Step("backup", task.name), partial(self._back_up, task=task, due_tags=due[task.name])) for task in tasks
        ]
        steps += [
            (Step("prune", task.name), partial(self._prune, retention=task.retention))
            for task in tasks
            if task.retention is not None
        ]
        # Space and checks are for a repository in use: a run that finds nothing due costs nothing.
        if tasks:
            steps += [(Step("check"), self._check)] if self._options.check_percent else []
            steps += [(Step("gc"), self._collect)]
        for step, work in steps:
            if not self._isolated(step, work):
                return

    def _isolated(self, step: Step, work: Callable[[Step], None]) -> bool:
        """Do one step; say whether to go on with the next."""
        try:
            self._stop.check()
            work(step)
        except (Interrupted, IndexUnusable) as error:
            step.error = error
            raise
        except PackstoreError as error:
            step.error = error
        except BaseException as error:
            step.error = _unforeseen(error)
            raise
        finally:
            self._progress.finish()
            self._report(step)
        return not isinstance(step.error, StorageGone)

    def _back_up(self, step: Step, task: VolumeTask, due_tags: Sequence[str]) -> None:
        if self._options.dry_run:
            step.plan(f"due for {', '.join(due_tags)}" if due_tags else "due")
            return
        about = {
            "PACKSTORE_VOLUME": task.name,
            "PACKSTORE_SOURCE": task.source,
            "PACKSTORE_REPOSITORY": self._options.name,
            "PACKSTORE_REPO": self._repository.storage.location,
        }
        try:
            run_hook("before", task.hooks.before, about)
            self._store(step, task, due_tags)
        except PackstoreError as error:
            step.error = error
        except BaseException as error:
            step.error = _unforeseen(error)
            _put_in_order(step, task.hooks, about)
            raise
        _put_in_order(step, task.hooks, about)
        if step.error is not None:
            raise step.error

    def _store(self, step: Step, task: VolumeTask, due_tags: Sequence[str]) -> None:
        source = limited_source(open_source(task.source, immutable=task.immutable), self._options.incoming)
        options = BackupOptions(
            task.name,
            threads=self._options.threads,
            tags=tuple(dict.fromkeys([*task.tags, *due_tags])),
            auto_tags=True,
            min_free=self._options.min_free,
        )
        try:
            check_options(source, options)
            step.result = result = backup(self._repository, source, options, self._stop, self._progress)
        finally:
            source.close()
        step.error = unreadable_fault(result.version, task.source)

    def _prune(self, step: Step, retention: PruneOptions) -> None:
        present = {state.version.volume for state in self._repository.states() if not state.removed}
        if step.volume not in present:
            step.skip("no versions yet")
            return
        guard = AgeGuard(self._repository, self._options.min_age)
        step.result = prune(self._repository, step.volume, retention, guard, dry_run=self._options.dry_run)
        if self._options.dry_run:
            step.plan("")

    def _check(self, step: Step) -> None:
        if self._options.dry_run:
            step.plan(f"{self._options.check_percent:g} %, what was read longest ago")
            return
        step.result = check_repository(
            self._repository,
            self._stop,
            self._progress,
            threads=self._options.threads,
            amount=Amount(self._options.check_percent),
        )

    def _collect(self, step: Step) -> None:
        options = GcOptions(threads=self._options.threads)
        estimate: Estimate = estimate_gc(
            self._repository, self._options.gc_percent, self._options.min_free, options, self._stop, self._progress
        )
        if not estimate.worth:
            step.skip(estimate.reason)
            return
        if self._options.dry_run:
            step.plan(estimate.reason)
            return
        step.reason = estimate.reason
        step.result = collect(self._repository, options, self._stop, self._progress)


def _unforeseen(error: BaseException) -> PackstoreError:
    return PackstoreError(f"internal error: {type(error).__name__}: {error}")


def _put_in_order(step: Step, hooks: Hooks, about: Mapping[str, str]) -> None:
    """Run the hooks behind a backup; the first thing that went wrong is what counts."""
    for name, command in (("after", hooks.after), ("on_failure", hooks.on_failure)):
        if name == "on_failure" and step.error is None:
            return
        try:
            run_hook(name, command, {**about, **_outcome(step)})
        except HookFailed as error:
            step.error = step.error or error


def _outcome(step: Step) -> Mapping[str, str]:
    """Return what `after` and `on_failure` are told."""
    about = {"PACKSTORE_RESULT": "ok", "PACKSTORE_EXIT_CODE": "0", "PACKSTORE_ERROR": "", "PACKSTORE_VERSION": ""}
    if isinstance(step.result, BackupResult):
        about["PACKSTORE_VERSION"] = step.result.version.uid.hex()
    if step.error is not None:
        about |= {
            "PACKSTORE_RESULT": "interrupted" if isinstance(step.error, Interrupted) else "failed",
            "PACKSTORE_EXIT_CODE": str(step.error.exit_code),
            "PACKSTORE_ERROR": step.error.message,
        }
    return about
