"""The configuration file: guards and schedules. docs/RETENTION.md describes it.

Strict: what is not understood is an error that names file and key, because a misspelt guard would guard
nothing. Read only by the commands that need it.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from packstore.cli.times import parse_duration
from packstore.errors import ConfigError, UsageError
from packstore.operations.guards import DEFAULT_MIN_AGE
from packstore.operations.marks import tag_fault
from packstore.operations.schedules import AUTOMATIC_TAGS, Schedule

SYSTEM_FILE: Final = Path("/etc/packstore/config.toml")
_MAX_KEEP: Final = 1_000_000
_MAX_SECONDS: Final = timedelta(days=365_000).total_seconds()
"""Beyond this, dates have no end that can be computed."""
_SCHEDULE_KEYS: Final = ("interval", "keep", "sla", "tag", "volumes")


@dataclass(frozen=True)
class Config:
    """What the configuration file says, or the defaults; `file` is where that is, or would be, written."""

    file: Path
    min_age: timedelta = DEFAULT_MIN_AGE
    schedules: tuple[Schedule, ...] = field(default_factory=tuple)


def read_config(environment: Mapping[str, str] = os.environ) -> Config:
    """Read PACKSTORE_CONFIG, or else the user's file, or else the system's; without any, return the defaults.

    Raises:
        ConfigError: the file cannot be read, or says what makes no sense.
    """
    named = environment.get("PACKSTORE_CONFIG")
    candidates = [Path(named)] if named else [_user_file(environment), SYSTEM_FILE]
    for path in candidates:
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read: {error}", advice="PACKSTORE_CONFIG names another file") from None
        return _parse(path, text)
    if named:
        raise ConfigError(f"there is no {named}", advice="PACKSTORE_CONFIG names it; leave it out for the defaults")
    return Config(candidates[0])


def read_schedules(names: Sequence[str] = ()) -> list[Schedule]:
    """Read the schedules of the configuration file, or those of these names.

    Raises:
        ConfigError: there are none, or the file cannot be used.
        UsageError: there is none of one of the names.
    """
    config = read_config()
    if not config.schedules:
        message = "there are no schedules, so nothing says when a backup is due"
        raise ConfigError(message, advice=f"write them into {config.file}; docs/RETENTION.md shows how")
    for name in names:
        if name not in {schedule.name for schedule in config.schedules}:
            have = ", ".join(schedule.name for schedule in config.schedules)
            raise UsageError(f"there is no schedule {name!r}", advice=f"{config.file} has {have}")
    return [schedule for schedule in config.schedules if not names or schedule.name in names]


def _user_file(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME")
    home = environment.get("HOME")
    if not base and not home:
        return SYSTEM_FILE
    return (Path(base) if base else Path(str(home)) / ".config") / "packstore" / "config.toml"


def _parse(path: Path, text: str) -> Config:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    top = _Table(path, "", document)
    top.only("guards", "schedules")
    guards = top.table("guards")
    guards.only("min_age")
    schedules = top.table("schedules")
    return Config(
        path,
        guards.duration("min_age", DEFAULT_MIN_AGE),
        tuple(_schedule(name, schedules.table(name)) for name in schedules.values),
    )


def _schedule(name: str, table: "_Table") -> Schedule:
    table.only(*_SCHEDULE_KEYS)
    interval = table.duration("interval", None)
    if not interval:
        raise table.fault("interval", "must be longer than nothing")
    automatic = f"b_{name}"
    keep, sla = table.number("keep"), table.duration("sla", timedelta())
    if interval.total_seconds() * (keep + 1) + sla.total_seconds() > _MAX_SECONDS:
        raise table.fault("interval", "times keep is more than a thousand years")
    tag = table.text("tag", automatic if automatic in AUTOMATIC_TAGS else name)
    if fault := tag_fault(tag):
        raise table.fault("tag", fault)
    return Schedule(
        name=name,
        tag=tag,
        interval=interval,
        keep=keep,
        sla=sla,
        volumes=tuple(table.texts("volumes", ["*"])),
    )


@dataclass(frozen=True)
class _Table:
    """One table of the file; its faults say where they are."""

    path: Path
    name: str
    values: Mapping[str, Any]

    def fault(self, key: str, what: str) -> ConfigError:
        """Return the error that names file and key."""
        where = f"{self.name}.{key}" if self.name else key
        return ConfigError(f"{self.path}: {where} {what}", advice="docs/RETENTION.md says what may stand there")

    def only(self, *keys: str) -> None:
        """Refuse other keys than these."""
        for key in self.values:
            if key not in keys:
                raise self.fault(key, f"is not known; known here: {', '.join(keys)}")

    def table(self, key: str) -> "_Table":
        """Return a table below this one; an empty one if it is not there."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.fault(key, "must be a table")
        return _Table(self.path, f"{self.name}.{key}" if self.name else key, value)

    def duration(self, key: str, default: timedelta | None) -> timedelta:
        """Return a duration; without a default it must be there."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.fault(key, 'must be a duration, as "1d" or "12h"')
        try:
            return parse_duration(value)
        except UsageError as error:
            raise self.fault(key, f"is {error.message}; {error.advice}") from None

    def number(self, key: str) -> int:
        """Return a number that must be there."""
        value = self.values.get(key)
        if type(value) is not int or not 0 <= value <= _MAX_KEEP:
            raise self.fault(key, f"must be a number from 0 to {_MAX_KEEP}")
        return value

    def text(self, key: str, default: str) -> str:
        """Return a string."""
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise self.fault(key, "must be a string")
        return value

    def texts(self, key: str, default: list[str]) -> list[str]:
        """Return a list of strings."""
        value = self.values.get(key, default)
        if not isinstance(value, list) or not value or any(not isinstance(text, str) or not text for text in value):
            raise self.fault(key, 'must be a list of strings, as ["root", "web*"]')
        return value
