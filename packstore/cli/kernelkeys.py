"""A passphrase out of the kernel's keyrings, where `keyctl add user DESCRIPTION … @u` has put it.

By system calls: the library for them, libkeyutils, is not on every machine.
"""

import ctypes
import errno
import os
import platform
from typing import Final

from packstore.errors import KeyUnavailable

_PROCESS_KEYRING: Final = -2
_USER_KEYRING: Final = -4
_KEYCTL_LINK: Final = 8
_KEYCTL_READ: Final = 11
_CALLS: Final = {"x86_64": (249, 250), "aarch64": (218, 219), "riscv64": (218, 219)}
"""Numbers of request_key and keyctl, by machine."""
_MAX_KEY_BYTES: Final = 32768
"""More than a key of type user can hold."""
_REASONS: Final = {
    errno.ENOKEY: "there is no such key in the process, session or user keyring",
    errno.EKEYEXPIRED: "the key has expired",
    errno.EKEYREVOKED: "the key was revoked",
    errno.EACCES: "the key may not be read",
    errno.EPERM: "this machine forbids keyrings here, as containers often do",
    errno.ENOSYS: "this kernel has no keyrings",
}


def read_kernel_key(description: str) -> bytes:
    """Return what the key of type "user" with this description holds.

    Raises:
        KeyUnavailable: there is no such key, it cannot be read, or there are no keyrings.
    """
    calls = _CALLS.get(platform.machine())
    if calls is None:
        raise KeyUnavailable(f"keyrings are not supported on {platform.machine()}")
    request_key, keyctl = calls
    # A process has the keys below its own keyring. The user's keyring is not there under cron, nor in a service.
    _call(keyctl, _KEYCTL_LINK, _USER_KEYRING, _PROCESS_KEYRING)
    key = _call(request_key, b"user", os.fsencode(description), None, 0)
    buffer = ctypes.create_string_buffer(_MAX_KEY_BYTES)
    size = _call(keyctl, _KEYCTL_READ, key, buffer, _MAX_KEY_BYTES) if key > 0 else key
    if size < 0:
        reason = _REASONS.get(-size, os.strerror(-size))
        advice = f"`keyctl padd user {description} @u` adds one; whoever reads it must be the same user"
        raise KeyUnavailable(f"no passphrase from the kernel key {description!r}: {reason}", advice=advice)
    found = buffer.raw[: min(size, _MAX_KEY_BYTES)]
    ctypes.memset(buffer, 0, len(buffer))
    return found


def _call(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call; return its result, or the negated error."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(syscall(ctypes.c_long(number), *passed))
    return -ctypes.get_errno() if result < 0 else result
