"""Tell glibc to keep large blocks instead of giving them back.

Every block passes through a few fresh allocations of its size. By default glibc maps and unmaps each, and
the page faults cost more than AEGIS does.
"""

import ctypes
from typing import Final

from packstore.limits import MIB

_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3


def keep_large_blocks() -> None:
    """Raise the thresholds; does nothing where the C library is another one."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 32 * MIB)  # the most that glibc accepts
    mallopt(_M_TRIM_THRESHOLD, 256 * MIB)
    mallopt(_M_TOP_PAD, 16 * MIB)
