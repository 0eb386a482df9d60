"""`packstore config check`."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from packstore.cli.config import Explained, explain_config
from packstore.cli.config_model import Config
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.output import counted
from packstore.errors import ConfigError


@click.command()
@common_options
@pass_settings
def command(settings: Settings) -> None:
    """Say what is wrong in the configuration file, line by line; exit code 70 if anything is.

    While there is a mistake in it, every command that needs the file refuses it. What makes sense and may yet not be
    meant, as a source that is not there now, is said as well, and is no mistake.

    \b
    Examples:
      packstore config check
      PACKSTORE_CONFIG=new.toml packstore config check
    """  # noqa: D301
    output = settings.output()
    config, mistakes = explain_config(settings.environment)
    mistakes.sort(key=lambda mistake: mistake.line)
    notes = [] if mistakes else list(_notes(config))
    document = {
        "file": str(config.file),
        "exists": config.file.exists(),
        "mistakes": [_mistake(mistake) for mistake in mistakes],
        "notes": notes,
        "repositories": list(config.repositories),
        "volumes": list(config.volumes),
        "schedules": [schedule.name for schedule in config.schedules],
    }
    lines = [f"{config.file}:{mistake.line}: {mistake}" for mistake in mistakes]
    output.result(document, lines or [*(f"note: {note}" for note in notes), _all_well(config)])
    if mistakes:
        message = f"{counted(len(mistakes), 'mistake')} in {config.file}"
        raise ConfigError(message, advice="docs/CONFIGURATION.md says what may stand there")


def _mistake(mistake: Explained) -> dict[str, Any]:
    return {"line": mistake.line, "key": mistake.where or None, "message": mistake.what}


def _all_well(config: Config) -> str:
    if not config.file.exists():
        return f"there is no {config.file}: the defaults count"
    repositories = counted(len(config.repositories), "repository", "repositories")
    volumes, schedules = counted(len(config.volumes), "volume"), counted(len(config.schedules), "schedule")
    return f"{config.file}: no mistakes; {repositories}, {volumes}, {schedules}"


def _notes(config: Config) -> Iterator[str]:
    """Yield what looks as if it were not meant."""
    if config.file.exists() and config.file.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield f"others may write to {config.file}, and it has commands that are run; `chmod 644` it"
    for entry in config.repositories.values():
        key_file = entry.secrets.get("PACKSTORE_KEY_FILE")
        if key_file and not Path(key_file).exists():
            yield f"repositories.{entry.name}: the key file {key_file} does not exist"
    for volume in config.volumes.values():
        if not Path(volume.source).exists():
            yield f"volumes.{volume.name}: {volume.source} is not there now"
        if volume.snapshot_size is not None:
            yield f"volumes.{volume.name}: snapshot_size is not used: packstore reads {volume.source} as it is"
        if not any(schedule.applies_to(volume.name) for schedule in config.schedules):
            yield f"volumes.{volume.name}: no schedule is for it, so each run backs it up"
        if volume.retention is None:
            yield f"volumes.{volume.name}: has no retention, so its versions are never removed"
