"""Memory that is freed stays at hand."""

import ctypes
import platform

# mallopt's parameters, from glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for its next large tensors.

    By default glibc asks the system for each block above 32 MB and hands it back when it is freed; the system clears
    every page of it anew at the first touch. Recurrent layers allocate such blocks all the time, and on a processor
    that clearing took a third of all time in separation. The price is memory in pieces that no block fits into (30 %
    of the peak). A process that does other work as well may not want it, so scripts call it, and not the library.

    Returns:
        Whether it took effect: only with glibc, that is on most Linux systems.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, _MOST), mallopt(_M_ARENA_MAX, 1)])
