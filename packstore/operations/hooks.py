"""Run the commands that a person has asked for before and after a backup.

After: operations.run.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from packstore.errors import HookFailed


@dataclass(frozen=True)
class Hooks:
    """Commands for the shell; empty: none. `after` runs in any case, `on_failure` if something went wrong."""

    before: str = ""
    after: str = ""
    on_failure: str = ""


def run_hook(name: str, command: str, about: Mapping[str, str]) -> None:
    """Run a command by the shell, to its end, with the variables of `about`; nothing if it is empty.

    What it prints goes to standard error, for standard output may be a document. It is in a session of its own: Ctrl-C
    stops the backup, and not the hook that has to put things in order after it.

    Raises:
        HookFailed: it cannot be run, or failed.
    """
    if not command:
        return
    environment = {**os.environ, "PACKSTORE_HOOK": name, **about}
    try:
        code = subprocess.run(  # noqa: S602  a line for the shell is what the configuration has
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=2,
            env=environment,
            start_new_session=True,
            check=False,
        ).returncode
    except (OSError, ValueError) as error:
        raise HookFailed(f"the hook {name!r} cannot be run: {error}") from None
    if code:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        raise HookFailed(f"the hook {name!r} {how}", advice="what it printed stands above")
