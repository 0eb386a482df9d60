"""From the tables of the configuration file to what they mean. Pure.

Before: cli.config_table, cli.config_model. After: cli.config.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from packstore.cli.config_model import (
    DEFAULT_CHECK_PERCENT,
    DEFAULT_GC_PERCENT,
    Config,
    Limits,
    RepositoryEntry,
    VolumeEntry,
)
from packstore.cli.config_table import NOTHING, Mistake, Table
from packstore.cli.priority import IO_PRIORITIES
from packstore.codec.compression import DEFAULT_COMPRESSION, CompressionSpec
from packstore.errors import UsageError
from packstore.format.version import volume_name_fault
from packstore.operations.guards import DEFAULT_MIN_AGE
from packstore.operations.hooks import Hooks
from packstore.operations.marks import tag_fault
from packstore.operations.retention import KeepRules, PruneOptions
from packstore.operations.schedules import AUTOMATIC_TAGS, Schedule
from packstore.storage.open import open_storage

_MAX_COUNT: Final = 1_000_000
_MAX_THREADS: Final = 64
_MAX_NICE: Final = 19
_MAX_SECONDS: Final = timedelta(days=365_000).total_seconds()
"""Beyond this, dates have no end that can be computed."""
_REPOSITORY_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_REPOSITORY_ID: Final = re.compile(r"[0-9a-f]{32}")
_SOURCE: Final = re.compile(r"/|[a-z][a-z0-9+]*:")
"""A path that does not depend on where packstore is started, or a kind of source and its name."""
_GLOB: Final = frozenset("*?[")
_COUNTS: Final = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
_SECRETS: Final = {
    "key_file": "PACKSTORE_KEY_FILE",
    "passphrase_file": "PACKSTORE_PASSPHRASE_FILE",
    "passphrase_command": "PACKSTORE_PASSPHRASE_COMMAND",
    "passphrase_keyring": "PACKSTORE_PASSPHRASE_KEYRING",
}


def understand(file: Path, document: Mapping[str, Any]) -> tuple[Config, list[Mistake]]:
    """Return what a file says, and its mistakes: while there is one, what it says is not to be used."""
    top = Table((), document)
    top.only("guards", "repositories", "volumes", "schedules", "retention", "limits")
    guards = top.table("guards")
    guards.only("min_age")
    repositories = {name: _repository(name, table) for name, table in top.table("repositories").tables().items()}
    common = _retention(top.table("retention"))
    volumes: dict[str, VolumeEntry] = {}
    chosen: dict[str, list[str]] = {}
    schedules = top.table("schedules").tables()
    for name, table in top.table("volumes").tables().items():
        volumes[name] = _volume(name, table, common)
        _require_known(table, "repositories", volumes[name].repositories, repositories)
        named = _names(table, "schedules")
        _require_known(table, "schedules", named, schedules)
        for schedule in named:
            chosen.setdefault(schedule, []).append(name)
    config = Config(
        file,
        guards.duration("min_age", DEFAULT_MIN_AGE),
        tuple(_schedule(name, table, chosen.get(name, [])) for name, table in schedules.items()),
        repositories,
        volumes,
        _limits(top.table("limits")),
    )
    return config, top.mistakes


def _names(table: Table, key: str) -> tuple[str, ...]:
    return table.texts(key, (), '["usb", "nas"]' if key == "repositories" else '["daily", "weekly"]')


def _require_known(table: Table, key: str, names: Iterable[str], known: Mapping[str, object]) -> None:
    for name in names:
        if name not in known:
            table.fault(key, f"names {name!r}, and there is no [{key}.{name}]; there is {', '.join(known) or 'none'}")


def _schedule(name: str, table: Table, chosen_by: list[str]) -> Schedule:
    table.only("interval", "keep", "sla", "tag", "volumes")
    interval = table.duration("interval", None)
    automatic = f"b_{name}"
    keep, sla = table.number("keep", 0, _MAX_COUNT), table.duration("sla", NOTHING)
    if interval.total_seconds() * (keep + 1) + sla.total_seconds() > _MAX_SECONDS:
        table.fault("interval", "times keep is more than a thousand years")
    tag = table.text("tag", automatic if automatic in AUTOMATIC_TAGS else name)
    if fault := tag_fault(tag):
        table.fault("tag", fault)
    # Whoever names the volumes that a schedule is for does not mean all the others too.
    patterns = table.texts("volumes", () if chosen_by else ("*",), '["root", "web*"]')
    return Schedule(name, tag, interval, keep, sla, volumes=(*patterns, *chosen_by))


def _repository(name: str, table: Table) -> RepositoryEntry:
    table.only("path", "id", *_SECRETS, "optional", "min_free", "compression", "check_percent", "gc_percent")
    if not _REPOSITORY_NAME.fullmatch(name):
        table.name_fault("cannot be the name of a repository: letters, digits, - _ and . make one")
    path, repository_id = table.text("path", ""), table.text("id", "").lower()
    if path and "://" not in path and not path.startswith("/"):
        table.fault("path", "must begin with /: services have another working directory than you")
    elif path:
        _require(table, "path", lambda: open_storage(path))
    if repository_id and not _REPOSITORY_ID.fullmatch(repository_id):
        table.fault("id", "must be the 32 hexadecimal digits that `packstore repos` shows")
    if not path and not repository_id and not {"path", "id"} & set(table.values):
        table.fault("path", "or id must say where the repository is")
    secrets = {variable: table.text(key, "") for key, variable in _SECRETS.items() if key in table.values}
    if len(secrets) > 1:
        table.fault(
            next(key for key in table.values if key in _SECRETS),
            f"is one of several; give one of {', '.join(_SECRETS)}",
        )
    return RepositoryEntry(
        name,
        path,
        repository_id,
        secrets,
        optional=table.flag("optional"),
        min_free=table.size("min_free") or 0,
        compression=_compression(table),
        check_percent=table.percent("check_percent", DEFAULT_CHECK_PERCENT),
        gc_percent=table.percent("gc_percent", DEFAULT_GC_PERCENT),
    )


def _compression(table: Table) -> str:
    text = table.text("compression", DEFAULT_COMPRESSION)
    _require(table, "compression", lambda: CompressionSpec.parse(text))
    return text


def _require(table: Table, key: str, read: Callable[[], object]) -> None:
    """Note what whoever uses a value later would say of it."""
    try:
        read()
    except UsageError as error:
        table.fault(key, f"cannot be used: {error.message}")


def _volume(name: str, table: Table, common: PruneOptions | None) -> VolumeEntry:
    table.only("source", "repositories", "schedules", "tags", "retention", "immutable", "snapshot_size", "hooks")
    fault = volume_name_fault(name) or ("it must not contain * ? or [" if _GLOB & set(name) else "")
    if fault:
        table.name_fault(f"cannot be the name of a volume: {fault}")
    source = table.text("source", "")
    if not _SOURCE.match(source):
        table.fault("source", "must say what to back up, as /dev/vg/root")
    tags = table.texts("tags", (), '["server", "weekly"]')
    for tag in tags:
        if fault := tag_fault(tag):
            table.fault("tags", fault)
    return VolumeEntry(
        name,
        source,
        _names(table, "repositories"),
        tags,
        _retention(table.table("retention")) if "retention" in table.values else common,
        immutable=table.flag("immutable"),
        snapshot_size=table.size("snapshot_size"),
        hooks=_hooks(table.table("hooks")),
    )


def _hooks(table: Table) -> Hooks:
    table.only("before", "after", "on_failure")
    return Hooks(table.text("before", ""), table.text("after", ""), table.text("on_failure", ""))


def _retention(table: Table) -> PruneOptions | None:
    """Return the rules of a table; None if it has none: then nothing is pruned."""
    table.only(*_COUNTS, "within", "tags", "expired")
    counts = {name: table.number(name, 1, _MAX_COUNT) for name in _COUNTS if name in table.values}
    within = table.duration("within", NOTHING) if "within" in table.values else None
    rules = KeepRules(**counts, within=within, tags=frozenset(table.texts("tags", (), '["golden"]')))
    options = PruneOptions(rules, expired=table.flag("expired"))
    return options if rules.any or options.expired else None


def _limits(table: Table) -> Limits:
    table.only("threads", "bandwidth_in", "bandwidth_out", "nice", "io_priority")
    priority = table.text("io_priority", "")
    if priority and priority not in IO_PRIORITIES:
        table.fault("io_priority", f"must be one of {', '.join(IO_PRIORITIES)}")
    bandwidths = {key: table.size(key) for key in ("bandwidth_in", "bandwidth_out")}
    for key, value in bandwidths.items():
        if value == 0:
            table.fault(key, "must be more than nothing; leave it out for no limit")
    return Limits(
        table.number("threads", 1, _MAX_THREADS) if "threads" in table.values else None,
        bandwidths["bandwidth_in"],
        bandwidths["bandwidth_out"],
        table.number("nice", 0, _MAX_NICE, 0),
        priority,
    )
