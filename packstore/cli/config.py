"""The configuration file: found, read, and refused as a whole while there is a mistake in it. docs/CONFIGURATION.md.

Strict: what is not understood is an error that names file, line and key, because a misspelt guard would guard
nothing. Read only by the commands that need it.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packstore.cli.config_lines import key_lines, line_of, syntax_line
from packstore.cli.config_model import Config
from packstore.cli.config_sections import understand
from packstore.errors import ConfigError, UsageError
from packstore.operations.schedules import Schedule

SYSTEM_FILE: Final = Path("/etc/packstore/config.toml")
_ADVICE: Final = "docs/CONFIGURATION.md says what may stand there"


@dataclass(frozen=True)
class Explained:
    """A mistake of the file, with its line, from 1; `where` is the key, empty if the file is no TOML there."""

    line: int
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}".lstrip()


def read_config(environment: Mapping[str, str] = os.environ) -> Config:
    """Read PACKSTORE_CONFIG, or else the user's file, or else the system's; without any, return the defaults.

    Raises:
        ConfigError: the file cannot be read, or says what makes no sense.
    """
    config, mistakes = explain_config(environment)
    if not mistakes:
        return config
    first = mistakes[0]
    advice = _ADVICE
    if len(mistakes) > 1:
        advice = f"`packstore config check` shows this and {len(mistakes) - 1} more; {_ADVICE}"
    raise ConfigError(f"{config.file}:{first.line}: {first}", advice=advice)


def explain_config(environment: Mapping[str, str] = os.environ) -> tuple[Config, list[Explained]]:
    """Read the file that counts; return what it says, and every mistake in it.

    A key that is not known comes before what is missing for want of it.

    Raises:
        ConfigError: the file cannot be read.
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
        return _explain(path, text)
    if named:
        raise ConfigError(f"there is no {named}", advice="PACKSTORE_CONFIG names it; leave it out for the defaults")
    return Config(candidates[0]), []


def _explain(path: Path, text: str) -> tuple[Config, list[Explained]]:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return Config(path), [Explained(syntax_line(text, error), "", f"is not TOML: {error}")]
    config, mistakes = understand(path, document)
    lines = key_lines(text) if mistakes else {}
    return config, [Explained(line_of(lines, mistake.path), mistake.where, mistake.what) for mistake in mistakes]


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
