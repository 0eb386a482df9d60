"""Keep what is secret in this process inside it: no core files, nothing for other processes of the same user.

Python can neither wipe nor lock the bytes that it works with; docs/SECURITY.md says what follows from that.
"""

import contextlib
import ctypes
import os
import resource
from collections.abc import Iterable
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def harden() -> None:
    """Forbid core files, and reading this process's memory, environment and descriptors to all but root.

    Does less where the system offers less: a backup without it is better than none. A program that this one starts
    may be looked at as ever, but leaves no core file either.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):  # AttributeError: a C library without prctl
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def take_environment(secrets: Iterable[str]) -> dict[str, str]:
    """Return the environment, and take the variables named `secrets` out of that of this process and its children.

    They are overwritten first: /proc/PID/environ shows the memory in which the process was given its variables, to
    root also later.
    """
    environment = dict(os.environ)
    for name in secrets:
        _overwrite(name)
        os.environ.pop(name, None)
    return environment


def _overwrite(name: str) -> None:
    try:
        getenv = ctypes.CDLL(None).getenv
    except (OSError, AttributeError):
        return
    getenv.argtypes, getenv.restype = (ctypes.c_char_p,), ctypes.c_void_p
    address = getenv(os.fsencode(name))
    if address:
        ctypes.memset(address, 0, len(ctypes.string_at(address)))
