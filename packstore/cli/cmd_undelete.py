"""`packstore undelete`."""

import click

from packstore.cli.opening import open_repository
from packstore.cli.options import Settings, common_options, pass_settings
from packstore.cli.versions import summary
from packstore.operations.marks import name_of
from packstore.operations.removal import undelete


@click.command()
@click.argument("versions", nargs=-1, required=True, metavar="VERSION...")
@common_options
@pass_settings
def command(settings: Settings, versions: tuple[str, ...]) -> None:
    """Bring back each removed VERSION: all of them, or none.

    VERSION is a uid, the beginning of one (`ls --removed` shows them), or VOLUME if only one version of it is removed.
    Once `gc` has begun to collect a version it is too late (exit code 63).

    \b
    Examples:
      packstore -r REPO undelete root
      packstore -r REPO undelete 3fa94c01 77b0e2aa
    """  # noqa: D301
    output = settings.output()
    with open_repository(settings, output) as repository:
        found = undelete(repository, versions)
        after = {state.version.uid: state for state in repository.states()}
        document = {
            "restored": [summary(repository, after[state.version.uid]) for state in found.versions],
            "not_removed": [summary(repository, after[state.version.uid]) for state in found.present],
        }
    lines = [f"{name_of(state)} is there again" for state in found.versions]
    output.result(document, lines + [f"{name_of(state)} was not removed" for state in found.present])
