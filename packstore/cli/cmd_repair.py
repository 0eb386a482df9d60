"""`packstore repair`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from packstore.cli.check_report import ARRIVING
from packstore.cli.live import LiveProgress
from packstore.cli.opening import find_credentials, find_storage, index_root, open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import Output, counted
from packstore.cli.places import named_place
from packstore.cli.tuning import threads_option
from packstore.cli.versions import local_date
from packstore.errors import DamageError, IncompleteHere, UsageError
from packstore.operations.pipeline import default_threads
from packstore.operations.repair import Repair, RepairPlan, RepairResult
from packstore.repository.opening import read_repository_file
from packstore.repository.repository import OpenOptions, Repository
from packstore.repository.runtime import Runtime

_SHOWN = 50
_STOPPED = "nothing is lost; run it again"


@click.command()
@click.option("--apply", "apply_it", is_flag=True, help="Do it; without this the plan is only shown.")
@click.option(
    "--from", "other", metavar="OTHER", help="Another copy of the same repository, to take what is lost from."
)
@threads_option
@common_options
@pass_settings
def command(settings: Settings, apply_it: bool, other: str | None, threads: int | None) -> None:
    """Save what can be saved of what is known to be damaged: run `packstore check` first, to know all of it.

    Writes small files again from their copies, copies good records out of damaged packs into new ones, and moves the
    damaged packs into `quarantine/`, which nothing reads; nothing is deleted. With --from, what is damaged or missing
    here is taken from another copy of this repository, verified; versions that only that copy knows of come back, too,
    unless they were removed here. After --apply, exit code 40 if something stays lost, 44 if it has only not arrived.

    \b
    Examples:
      packstore -r REPO repair
      packstore -r REPO repair --apply
      packstore -r REPO repair --from /mnt/other/copy --apply
    """  # noqa: D301
    output = settings.output()
    with _open_other(settings, other) as copy, open_repository(settings, output) as repository:
        progress = LiveProgress(output)
        with settings.stoppable(_STOPPED) as stop:
            repair = Repair(repository, copy, stop, progress, threads=threads or default_threads())
            try:
                plan = repair.plan()
                result = repair.apply(plan) if apply_it and not plan.empty else None
            finally:
                progress.finish()
    _report(output, plan, result, applied=apply_it)


@contextmanager
def _open_other(settings: Settings, location: str | None) -> Iterator[Repository | None]:
    """Open the other copy, with the same key.

    Raises:
        UsageError: it is no other copy of this repository.
    """
    if location is None:
        yield None
        return
    storage, here = named_place(location).open(), find_storage(settings)
    if storage.identity == here.identity:
        raise UsageError("--from needs another copy, and names this one")
    if read_repository_file(storage).file.id != read_repository_file(here).file.id:
        message = f"{location} is another repository, and no copy of this one"
        raise UsageError(message, advice="restore from it what you need; its files mean nothing here")
    secrets = find_credentials(settings)
    options = OpenOptions(index_root(settings), secrets.ask, expect_encrypted=secrets.given)
    other = Repository.open(storage, options, Runtime())
    try:
        yield other
    finally:
        other.close()


def _report(output: Output, plan: RepairPlan, result: RepairResult | None, *, applied: bool) -> None:
    document: dict[str, Any] = {
        "applied": applied,
        "documents": [
            {"file": fix.name, "reason": fix.fault, "from": fix.source, "from_other": fix.from_other}
            for fix in plan.documents
        ],
        "packs": [
            {
                "file": fix.name,
                "action": fix.action,
                "reasons": fix.faults,
                "good_records": fix.good,
                "records_to_copy": len(fix.copies),
            }
            for fix in plan.packs
        ],
        "versions_to_return": [state.version.uid.hex() for state in plan.returns.versions],
        "events_to_return": len(plan.returns.events),
        "objects_to_fetch": len(plan.fetched) + plan.returns.objects,
        "objects_not_arrived": len(plan.absent),
        "packs_not_arrived": plan.missing,
        "objects_lost": _lost(plan),
        "moved": result.moved if result else [],
        "not_moved": result.kept if result else [],
        "records_copied": result.records_copied if result else 0,
        "packs_fetched": result.packs_fetched if result else 0,
        "versions_returned": result.versions_returned if result else 0,
    }
    output.result(document, [*_plan_text(plan), *_result_text(plan, result, applied=applied)])
    if result and result.faults:
        message = f"what was just written does not read back: {result.faults[0].name}: {result.faults[0].reason}"
        raise DamageError(message, advice="this disk or this machine is faulty: copy the repository to another one")
    hopeless = [fix for fix in plan.documents if fix.source is None]
    if applied and (_lost(plan) or hopeless):
        message = f"{counted(_lost(plan) + len(hopeless), 'object')} stay lost: there is no good copy here"
        advice = (
            "`packstore repair --from` takes them from another copy; a backup of an intact source stores them again"
        )
        raise DamageError(message, advice=advice)
    if applied and plan.absent:
        message = f"{_not_arrived(plan)}; nothing else is wrong with what is known"
        raise IncompleteHere(message, advice=ARRIVING)


def _lost(plan: RepairPlan) -> int:
    return len({*plan.lost, *plan.returns.lost})


def _not_arrived(plan: RepairPlan) -> str:
    where = f" in {counted(len(plan.missing), 'pack')} not here" if plan.missing else ""
    return f"{counted(len(plan.absent), 'object')}{where} have not arrived"


def _plan_text(plan: RepairPlan) -> list[str]:
    lines = []
    for fix in plan.documents:
        where = "no good copy" if fix.source is None else f"from {fix.source}" + " there" * fix.from_other
        lines.append(f"WRITE   {fix.name} again, {where}: {fix.fault}")
    words = {
        "fetch": "FETCH   {name} whole from the other copy: {why}",
        "salvage": "SALVAGE {name}: {good}, {copies} copied, then it moves to quarantine/: {why}",
        "stay": "KEEP    {name}: it holds records that need a newer packstore: {why}",
        "good": "GOOD    {name}: it is whole again",
    }
    lines += [
        words[pack.action].format(
            name=pack.name,
            why=pack.faults[0] if pack.faults else "",
            good=counted(pack.good, "good record"),
            copies=len(pack.copies),
        )
        for pack in plan.packs[:_SHOWN]
    ]
    if len(plan.packs) > _SHOWN:
        lines.append("and more (all with --json)")
    lines += [
        f"RETURN  version {state.version.uid.hex()[:8]} of {state.version.volume}, of {local_date(state)}: "
        "only the other copy knows of it"
        for state in plan.returns.versions[:_SHOWN]
    ]
    if len(plan.returns.versions) > _SHOWN:
        lines.append("and more (all with --json)")
    if plan.returns.events:
        lines.append(f"RETURN  {counted(len(plan.returns.events), 'event')}: tags, protection and the like")
    if objects := len(plan.fetched) + plan.returns.objects:
        lines.append(f"FETCH   {counted(objects, 'object')} from the other copy, one by one")
    if plan.absent:
        lines.append(f"MISSING {_not_arrived(plan)}: {ARRIVING}")
    if _lost(plan):
        lines.append(f"LOST    {counted(_lost(plan), 'object')} of which no good copy was found")
    return lines


def _result_text(plan: RepairPlan, result: RepairResult | None, *, applied: bool) -> list[str]:
    if result is None:
        if plan.empty:
            return ["nothing to repair in what is known; `packstore check` looks for more"]
        return [] if applied else ["nothing was changed; --apply does it"]
    lines = [f"{counted(result.records_copied, 'record')} copied, {counted(result.packs_fetched, 'pack')} fetched"]
    if result.versions_returned:
        lines.append(f"{counted(result.versions_returned, 'version')} brought back")
    lines += [f"moved aside: {name}" for name in result.moved]
    lines += [f"not moved: {name}: another writer is at work; run it again later" for name in result.kept]
    return lines
