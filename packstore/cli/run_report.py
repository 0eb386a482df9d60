"""What `packstore run` says, to people and to programs."""

from typing import Any

from packstore.cli.output import Output, counted, size, table
from packstore.errors import Interrupted, RunFailed
from packstore.operations.backup import BackupResult
from packstore.operations.check import CheckReport
from packstore.operations.gc import GcReport
from packstore.operations.prune import PruneResult
from packstore.operations.run import Result, Step


class Summary:
    """The steps of all repositories, in the order in which they ended."""

    def __init__(self, output: Output, *, dry_run: bool) -> None:
        self._output = output
        self._dry_run = dry_run
        self._steps: list[tuple[str, Step]] = []

    def add(self, repository: str, step: Step) -> None:
        """Take a step that is over; what went wrong is said at once."""
        self._steps.append((repository, step))
        if step.error is not None and not isinstance(step.error, Interrupted):
            where = f"{repository}, {step.kind}" + (f" of {step.volume}" if step.volume else "")
            self._output.warn(
                f"{where}: {step.error.message}" + (f"; {step.error.advice}" if step.error.advice else "")
            )
        if isinstance(step.result, GcReport):
            for reason in step.result.kept:
                self._output.warn(f"kept {reason}; run `packstore repair`")

    @property
    def _failed(self) -> list[Step]:
        return [step for _, step in self._steps if step.error is not None]

    def show(self) -> None:
        """Print what was done, or would be."""
        document = {
            "dry_run": self._dry_run,
            "failed": len(self._failed),
            "steps": [_document(repository, step) for repository, step in self._steps],
        }
        rows = [(repository, step.volume or "", step.kind, _outcome(step)) for repository, step in self._steps]
        self._output.result(document, table(("REPOSITORY", "VOLUME", "STEP", "RESULT"), rows))

    def require_success(self) -> None:
        """End with its own exit code if anything went wrong.

        Raises:
            RunFailed: it did.
        """
        if self._failed:
            message = f"{len(self._failed)} of {counted(len(self._steps), 'step')} failed"
            raise RunFailed(message, advice="each is named above; run it again when that is mended")


def _document(repository: str, step: Step) -> dict[str, Any]:
    error = step.error
    return {
        "repository": repository,
        "volume": step.volume,
        "step": step.kind,
        "state": step.state.value,
        "reason": step.reason or None,
        "result": _numbers(step.result),
        "error": error
        and {
            "name": type(error).__name__,
            "exit_code": error.exit_code,
            "message": error.message,
            "advice": error.advice,
        },
    }


def _numbers(result: Result) -> dict[str, Any] | None:
    match result:
        case BackupResult():
            return {
                "version": result.version.uid.hex(),
                "tags": result.version.tags,
                "bytes_total": result.version.size,
                "bytes_read": result.counters.read,
                "bytes_new": result.counters.new,
                "bytes_stored": result.bytes_stored,
                "seconds": round(result.seconds, 3),
            }
        case PruneResult():
            return dict(zip(("kept", "removed"), _pruned(result), strict=True))
        case CheckReport():
            return {
                "packs_checked": result.packs_checked,
                "packs_total": result.packs_total,
                "bytes_checked": result.bytes_checked,
                "clean": result.clean,
            }
        case GcReport():
            return {
                "packs_deleted": result.packs_deleted,
                "bytes_freed": result.bytes_deleted - result.bytes_copied,
                "waiting_for": result.waiting_for,
                "stopped": result.stopped,
            }
        case None:
            return None


def _pruned(result: PruneResult) -> tuple[int, int]:
    """Return how many versions stay, and how many go or would go."""
    going = sum(not one.decision.keep for one in result.decided) - len(result.removal.kept)
    return len(result.decided) - going, going


def _outcome(step: Step) -> str:
    words = [step.state.value, _words(step)]
    return ": ".join(word for word in words if word)


def _words(step: Step) -> str:
    if step.error is not None:
        return step.error.message
    match step.result:
        case BackupResult(version=version):
            stored = f"stored {size(step.result.bytes_stored)} in {step.result.seconds:.1f} s"
            return f"version {version.uid.hex()[:8]}, {size(version.size)}, {stored}"
        case PruneResult():
            kept, removed = _pruned(step.result)
            return f"{counted(removed, 'version')} to remove, {kept} to keep"
        case CheckReport(packs_checked=checked, packs_total=total):
            return f"{checked} of {counted(total, 'pack')}, {size(step.result.bytes_checked)}, all good"
        case GcReport(bytes_deleted=deleted, bytes_copied=copied):
            later = "; the rest at the next run" if step.result.waiting_for else ""
            return f"{size(deleted - copied)} freed{later}"
        case _:
            return step.reason
