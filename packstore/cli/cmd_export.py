"""`packstore export`."""

import json
import os
from pathlib import Path

import click

from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.errors import TargetError, TargetExists, TargetWriteFailed
from packstore.operations.exchange import export_version


@click.command()
@click.argument("version")
@click.argument("file", default="-", metavar="[FILE]")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@common_options
@pass_settings
def command(settings: Settings, version: str, file: str, force: bool) -> None:
    """Write the metadata of VERSION as JSON to FILE, or to standard output (-).

    It holds all there is to know about a version but no data. `import` publishes the version again from it, in a
    repository that has its data.

    \b
    Examples:
      packstore -r REPO export root root.json
      packstore -r REPO export root~1 | jq .version.source
    """  # noqa: D301
    output = settings.output()
    with open_repository(settings, output) as repository:
        state = repository.find(version)
        document = export_version(repository, state)
    if file == "-":
        output.as_json = True
        output.result(document, [])
        return
    _write(Path(file), json.dumps(document, indent=2) + "\n", force=force)
    uid = state.version.uid.hex()
    text = f"exported version {uid[:8]} of {state.version.volume} to {file}"
    output.result({"version": uid, "volume": state.version.volume, "file": file}, [text])


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write a file whole or not at all."""
    if path.exists() and not force:
        raise TargetExists(f"{path} exists", advice="export with --force to replace it")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except FileNotFoundError as error:
        raise TargetError(f"{path} cannot be made: {error.strerror}") from error
    except OSError as error:
        raise TargetWriteFailed(f"{path} cannot be written: {error.strerror}") from error
