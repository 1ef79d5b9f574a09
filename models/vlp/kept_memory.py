"""Memory that a training step frees and the next one wants again."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_MIB = 2**20
_LARGEST_MMAP_THRESHOLD = 32 * _MIB  # of glibc, which itself goes up to it as blocks are freed
_KEPT = 1024 * _MIB


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within, what is freed stays with the process (glibc alone; elsewhere nothing changes).

    Otherwise glibc gives the top of its heap back whenever 64 MiB of it are free, and every step on
    a CPU faults its pages in anew: of the demo's model 4,200 a step, a fifth of a step's CPU time.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    library.mallopt(_M_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        library.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)  # what glibc goes up to
        library.malloc_trim(0)
