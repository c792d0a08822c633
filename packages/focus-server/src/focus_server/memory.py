"""How the C library handles the memory of a program that carries large messages."""

import ctypes
from typing import Final

__all__ = ["keep_freed_memory"]

# Names and numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_OPTIONS: Final = ((_M_MMAP_THRESHOLD, 32 * 2**20), (_M_TRIM_THRESHOLD, 256 * 2**20), (_M_TOP_PAD, 2**20))


def keep_freed_memory() -> bool:
    """Keep up to 256 MB of freed memory for the next message instead of giving it back; False without glibc.

    gRPC copies each message into memory of its own. By default each of those beyond 128 kB is asked of the kernel,
    cleared by it page by page, and given back: at 300 MB/s that costs three times as much system time as sending.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    taken = [library.mallopt(option, value) for option, value in _OPTIONS]
    return all(taken)
